/**
 * `runledger runs`: the runs of a ledger.
 */
import { EventStore, Lifecycle } from "@runledger/core"
import { Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"
import * as Table from "./Table.ts"

/** A label, given as `name=value`; the value may be empty. */
const parseLabel = (text: string): Option.Option<readonly [name: string, value: string]> => {
  const end = text.indexOf("=")
  const name = text.slice(0, Math.max(end, 0))
  return name.trim() === "" ? Option.none() : Option.some([name, text.slice(end + 1)])
}

const flags = {
  ledger: Ledger.flag,
  status: Flag.Literals("status", Lifecycle.RunStatus.literals).pipe(
    Flag.withDescription("Only runs that stand there"),
    Flag.optional
  ),
  labels: Flag.String("label").pipe(
    Flag.filterMap(parseLabel, () => "a label, like team=web"),
    Flag.withMetavar("NAME=VALUE"),
    Flag.withDescription("Only runs with this label; with all of them, when it is given more than once"),
    Flag.atLeast(0)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("A JSON object a line: ids in full, times in milliseconds since the epoch"),
    Flag.withDefault(false)
  )
}

const header = ["RUN", "THREAD", "STATUS", "FACTS", "STARTED (UTC)", "LASTED", "LABELS"]

const times = ({ floor, startedAt, updatedAt }: EventStore.RunEntry): ReadonlyArray<string> =>
  startedAt === undefined || updatedAt === undefined
    ? [floor > 0 ? "pruned" : "", ""]
    : [`${Format.day(startedAt)} ${Format.timeOfDay(startedAt)}`, Format.duration(updatedAt - startedAt)]

const labelsOf = ({ labels = {} }: EventStore.RunEntry): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ")

const row = (run: EventStore.RunEntry): ReadonlyArray<string> => [
  Format.inline(run.runId, 60),
  Format.inline(run.threadId ?? "", 60),
  Format.inline(run.doneReason === undefined ? run.status : `${run.status}: ${run.doneReason}`, 40),
  Format.count(run.facts),
  ...times(run),
  Format.inline(labelsOf(run), 60)
]

/** Most ledgers have no labels, and need no column for them. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const columns = rows.some((cells) => cells.at(-1) !== "") ? header : header.slice(0, -1)
  return Table.lines(columns, rows)
}

/** Which runs the flags ask for; undefined for all. */
const filterOf = ({
  labels,
  status
}: {
  readonly labels: ReadonlyArray<readonly [name: string, value: string]>
  readonly status: Option.Option<Lifecycle.RunStatus>
}): Effect.Effect<EventStore.RunFilter | undefined, Failure.Failure> => {
  const byName = new Map(labels)
  if (byName.size < labels.length) {
    return Effect.fail(Failure.usage("one --label for each name: a run has one value of it"))
  }
  return Effect.succeed(
    Option.isNone(status) && labels.length === 0
      ? undefined
      : { status: Option.getOrUndefined(status), labels: Object.fromEntries(byName) }
  )
}

export const command = Command.make("runs", flags, (options) =>
  Effect.flatMap(filterOf(options), (filter) =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      const rows: Array<ReadonlyArray<string>> = []
      let runs = 0
      yield* Stream.runForEachArray(Stream.mapError(store.runs(filter), Failure.ledger), (page) => {
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
        const which = filter === undefined ? "no runs" : "no such runs"
        return yield* Output.notice(`${Ledger.name(options.ledger)} holds ${which}`)
      }
      yield* Output.lines(options.json ? [] : table(rows))
    }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
  )
).pipe(
  Command.withDescription("List the runs of a ledger, in the order in which they first appeared"),
  Command.withExamples([
    { command: "runledger runs", description: "A table" },
    { command: "runledger runs --status waiting --label team=web", description: "Those that wait, of one team" },
    { command: "runledger runs --json", description: "For programs" }
  ])
)
