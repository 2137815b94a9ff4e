/**
 * `runledger show`: a run or a thread as a timeline.
 */
import { Command } from "effect/cli"
import * as Ledger from "./Ledger.ts"
import * as Scope from "./Scope.ts"
import * as Timeline from "./Timeline.ts"

const flags = { ledger: Ledger.flag, run: Scope.run, thread: Scope.thread }

export const command = Command.make("show", flags, (options) =>
  Scope.print(options, Timeline.make({ color: process.stdout.isTTY && !process.env["NO_COLOR"] }))
).pipe(
  Command.withDescription("Show what happened in a run or a thread"),
  Command.withExamples([
    { command: "runledger show --run run-1", description: "One run" },
    { command: "runledger show --thread fix-login-test | less", description: "All runs of a thread" }
  ])
)
