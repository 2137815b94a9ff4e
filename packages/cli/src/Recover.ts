/**
 * `runledger recover`: ends the runs of processes that died.
 */
import { Recorder } from "@runledger/core"
import { Effect } from "effect"
import { Command } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

const told = ({ openCalls, runId }: Recorder.Interrupted): string => {
  const calls = openCalls.map(
    ({ executing, id, name }) =>
      `  ${Format.inline(name)} · ${Format.inline(id)} · ${executing ? "was executing, its outcome is unknown" : "was not run"}`
  )
  return [`${Format.inline(runId)} was interrupted`, ...calls].join("\n")
}

export const command = Command.make("recover", { ledger: Ledger.flag }, (options) =>
  Effect.gen(function* () {
    const runs = yield* Effect.mapError(Recorder.recover, Failure.ledger)
    if (runs.length === 0) {
      return yield* Output.notice(`${Ledger.name(options.ledger)} has no runs of processes that died`)
    }
    yield* Output.lines(runs.map(told))
  }).pipe(Effect.provide(Ledger.forChanging(options.ledger)))
).pipe(
  Command.withDescription(
    "Interrupt the runs whose process died, and name their open tool calls; a recorder does so when it starts"
  ),
  Command.withExamples([{ command: "runledger recover", description: "After a crash" }])
)
