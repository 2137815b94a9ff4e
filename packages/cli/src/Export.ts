/**
 * `runledger export`: facts as JSON Lines.
 */
import { Command } from "effect/cli"
import * as Ledger from "./Ledger.ts"
import * as Scope from "./Scope.ts"

const flags = {
  ledger: Ledger.flag,
  run: Scope.run,
  thread: Scope.thread,
  all: Scope.all
}

export const command = Command.make("export", flags, (options) =>
  Scope.print(options, { push: (fact) => [JSON.stringify(fact)], end: () => [] })
).pipe(
  Command.withDescription("Write facts as JSON Lines, in the order of their scope"),
  Command.withExamples([
    { command: "runledger export --run run-1", description: "The facts of a run" },
    { command: "runledger export --all | gzip > ledger.jsonl.gz", description: "The whole ledger" }
  ])
)
