/**
 * `runledger runs`: the runs of a ledger.
 */
import { EventStore } from "@runledger/core"
import { Effect, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

const flags = {
  ledger: Ledger.flag,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("A JSON object a line: ids in full, times in milliseconds since the epoch"),
    Flag.withDefault(false)
  )
}

const header = ["RUN", "THREAD", "STATUS", "FACTS", "STARTED (UTC)", "LASTED"]

const times = ({ floor, startedAt, updatedAt }: EventStore.RunEntry): ReadonlyArray<string> =>
  startedAt === undefined || updatedAt === undefined
    ? [floor > 0 ? "pruned" : "", ""]
    : [`${Format.day(startedAt)} ${Format.timeOfDay(startedAt)}`, Format.duration(updatedAt - startedAt)]

const row = (run: EventStore.RunEntry): ReadonlyArray<string> => [
  Format.inline(run.runId, 60),
  Format.inline(run.threadId ?? "", 60),
  Format.inline(run.doneReason === undefined ? run.status : `${run.status}: ${run.doneReason}`, 40),
  Format.count(run.facts),
  ...times(run)
]

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = header.map((_, column) =>
    rows.reduce((width, cells) => Math.max(width, cells[column]?.length ?? 0), 0)
  )
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
}

export const command = Command.make("runs", flags, (options) =>
  Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    const rows: Array<ReadonlyArray<string>> = []
    let runs = 0
    yield* Stream.runForEachArray(Stream.mapError(store.runs(), Failure.ledger), (page) => {
      runs += page.length
      if (options.json) {
        return Output.lines(page.map((run) => JSON.stringify(run)))
      }
      // A table needs all of its rows for the widths.
      for (const run of page) {
        rows.push(row(run))
      }
      return Effect.void
    })
    if (runs === 0) {
      return yield* Output.notice(`${Ledger.name(options.ledger)} holds no runs`)
    }
    yield* Output.lines(options.json ? [] : table([header, ...rows]))
  }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
).pipe(
  Command.withDescription("List the runs of a ledger, in the order in which they first appeared"),
  Command.withExamples([
    { command: "runledger runs", description: "A table" },
    { command: "runledger runs --json", description: "For programs" }
  ])
)
