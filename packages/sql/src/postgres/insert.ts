/**
 * How events get into the tables of PostgreSQL: a few statements with arrays, whatever their number.
 *
 * Whoever appends takes locks in one order: threads by their ids, then runs by theirs, then new names, then the events.
 * So nobody waits for somebody who waits for them. The counters of threads and runs stay locked until the commit, so
 * sequences and, within a scope, positions have the order of commits.
 */
import { PgTypes } from "@effect/sql-pg"
import { EventStore, type LedgerError, type StagedEvent } from "@runledger/core"
import { Clock, Effect, identity } from "effect"
import type { SqlError } from "effect/sql"
import type { Database, Place } from "../internal/database.ts"
import * as EventRow from "../internal/eventRow.ts"
import { withinLockTimeout } from "./lockTimeout.ts"
import { mark } from "./positions.ts"
import { integer, integers, texts, uuids } from "./values.ts"

type Batch = ReadonlyArray<StagedEvent.StagedEvent>

/** A thread or a run: its surrogate, and the last sequence given in it. */
interface Scope {
  readonly id: number
  sequence: number
}

/**
 * Locks the counters of threads and then of runs, new ones included, and raises them; finds the surrogates of names on
 * the way. The surrogates of what is new are drawn in the order in which it appears, before the rows are sorted. As the
 * runs are sorted when they have been joined to all threads, these come first.
 *
 * No fact makes a run `created`, so this stands for a status that stays as it is.
 */
const raiseScopes = `WITH
raised_threads AS (
  INSERT INTO threads (id, thread_id, sequence)
  SELECT id, thread_id, facts
  FROM (
    SELECT nextval('threads_id_seq') AS id, thread_id, facts FROM unnest($1, $2) AS given (thread_id, facts)
  ) AS numbered
  ORDER BY thread_id COLLATE "C"
  ON CONFLICT (thread_id) DO UPDATE SET sequence = greatest(threads.sequence, threads.floor) + excluded.sequence
  RETURNING id, thread_id, sequence
),
raised_runs AS (
  INSERT INTO runs (id, run_id, thread, sequence, status, done_reason)
  SELECT numbered.id, run_id, raised_threads.id, facts, status, done_reason
  FROM (
    SELECT nextval('runs_id_seq') AS id, run_id, thread_id, facts, status, done_reason
    FROM unnest($3, $4, $5, $6, $7) AS given (run_id, thread_id, facts, status, done_reason)
  ) AS numbered
  LEFT JOIN raised_threads USING (thread_id)
  ORDER BY run_id COLLATE "C"
  ON CONFLICT (run_id) DO UPDATE SET
    sequence = greatest(runs.sequence, runs.floor) + excluded.sequence,
    thread = coalesce(runs.thread, excluded.thread),
    status = CASE excluded.status WHEN 'created' THEN runs.status ELSE excluded.status END,
    done_reason = CASE excluded.status WHEN 'created' THEN runs.done_reason ELSE excluded.done_reason END
  RETURNING id, run_id, sequence
)
SELECT 'thread', id, thread_id, sequence FROM raised_threads
UNION ALL SELECT 'run', id, run_id, sequence FROM raised_runs
UNION ALL SELECT 'name', id, name, 0 FROM names WHERE name = ANY ($8)`

/** Somebody may have added a name since it was not found: the update makes that row part of the result. */
const addNames = `INSERT INTO names (name) SELECT name FROM unnest($1) AS given (name) ORDER BY name COLLATE "C"
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id, name`

/** A row of the events; without a position it gets the next one. */
interface Row {
  readonly event: StagedEvent.StagedEvent
  readonly position: number | null
  readonly thread: number | null
  readonly threadSequence: number | null
  readonly run: number | null
  readonly runSequence: number | null
  readonly kind: number | null
  readonly flags: number
  readonly recordedAt: number
  readonly origin: number | null
  readonly correlation: number | null
}

/** A column that an insert writes: its two parameters, and what it writes of the value that a row gets of them. */
interface Column {
  readonly params: (rows: ReadonlyArray<Row>) => readonly [each: PgTypes.Parameter, all: PgTypes.Parameter]
  readonly written: (given: string) => string
}

/** One value for all rows where they have the same, as most columns of a batch do, and an array where they do not. */
const column =
  <A>(array: (values: ReadonlyArray<A | null>) => PgTypes.Parameter, single: (value: A | null) => PgTypes.Parameter) =>
  (value: (row: Row, at: number) => A | null, written: Column["written"] = identity): Column => ({
    params: (rows) => {
      const values = rows.map((row, index) => value(row, index + 1))
      const [first = null] = values
      return values.every((other) => other === first) ? [array([]), single(first)] : [array(values), single(null)]
    },
    written
  })

const number = column(integers, integer)
const string = column(texts, PgTypes.text)

/** A number that goes up by one with each row, as long as all are in the same thread and run. */
const counter = (value: (row: Row) => number | null): Column =>
  number(
    (row, at) => {
      const count = value(row)
      return count === null ? null : count - at
    },
    (given) => `${given} + at`
  )

const columns: Readonly<Record<string, Column>> = {
  position: number(
    ({ position }) => position,
    (given) => `coalesce(${given}, nextval('positions'))`
  ),
  thread: number(({ thread }) => thread),
  thread_sequence: counter(({ threadSequence }) => threadSequence),
  run: number(({ run }) => run),
  run_sequence: counter(({ runSequence }) => runSequence),
  kind: number(({ kind }) => kind),
  flags: number(({ flags }) => flags),
  ordinal: counter(({ event }) => event.ordinal ?? null),
  last_ordinal: number(({ event }) => event.lastOrdinal ?? null),
  occurred_at: number(({ event }) => event.occurredAt),
  recorded_after: number(({ event, recordedAt }) => recordedAt - event.occurredAt),
  origin: number(({ origin }) => origin),
  correlation: number(({ correlation }) => correlation),
  causation: string(({ event }) => event.causationId ?? null),
  schema_version: number(({ event }) => event.schemaVersion),
  payload: string(({ event }) => event.payload)
}

/** The ids are different ones, so there are as many rows as ids: an array that is shorter gives NULL. */
const names = ["event_id", ...Object.keys(columns)]

/**
 * There is no row of events without the one of the marker, so the marker is there before a position is drawn; and
 * joined to one row, the arrays keep their order.
 */
const insertEvents = `WITH marker AS MATERIALIZED (${mark})
INSERT INTO events (${names.join(", ")})
SELECT event_id, ${Object.entries(columns)
  .map(([name, { written }], index) => written(`coalesce(given.${name}, $${names.length + index + 1})`))
  .join(", ")}
FROM marker, unnest(${names.map((_, index) => `$${index + 1}`).join(", ")}) WITH ORDINALITY AS given (${names.join(", ")}, at)`

/** How many rows one statement inserts: to write them down takes a millisecond or two, in which nobody else gets a turn. */
const insertLimit = 512

/** The scopes and names of events: how many are in each thread and run, and the status that each run has after them. */
const tally = (events: Batch) => {
  const threads = new Map<string, number>()
  const runs = new Map<string, { threadId: string | undefined; facts: number }>()
  const statuses = new Map<string, ReturnType<typeof EventStore.statusAfter>>()
  const names = new Set<string>()
  for (const event of events) {
    const { correlationId, kind, origin, runId, threadId } = event
    names.add(kind).add(origin)
    if (correlationId !== undefined) {
      names.add(correlationId)
    }
    if (threadId !== undefined) {
      threads.set(threadId, (threads.get(threadId) ?? 0) + 1)
    }
    if (runId !== undefined) {
      const run = runs.get(runId) ?? { threadId, facts: 0 }
      run.threadId ??= threadId
      run.facts += 1
      runs.set(runId, run)
      const after = EventStore.statusAfter(event)
      if (after !== undefined) {
        statuses.set(runId, after)
      }
    }
  }
  return { threads, runs, statuses, names }
}

/** Makes the insert of a ledger, and the lock that it begins with. */
export const make = (query: Database["query"]): Pick<Database, "insert" | "lock" | "goOnAfter"> => {
  /** Locks the scopes of events, and with `count` counts these. The sequences are those before them. */
  const raise = Effect.fnUntraced(function* (events: Batch, count: boolean) {
    const found = tally(events)
    const added = (facts: number): number => (count ? facts : 0)
    const threads = new Map<string, Scope>()
    const runs = new Map<string, Scope>()
    const names = new Map<string, number>()
    const given = [...found.runs.values()]
    const statuses = [...found.runs.keys()].map((runId) => (count ? found.statuses.get(runId) : undefined))
    for (const [what, id, text, sequence] of yield* withinLockTimeout(
      query(raiseScopes, [
        texts([...found.threads.keys()]),
        integers([...found.threads.values()].map(added)),
        texts([...found.runs.keys()]),
        texts(given.map(({ threadId = null }) => threadId)),
        integers(given.map(({ facts }) => added(facts))),
        texts(statuses.map((after) => after?.status ?? "created")),
        texts(statuses.map((after) => after?.doneReason?.replaceAll("\0", "\ufffd") ?? null)),
        texts([...found.names])
      ])
    )) {
      const name = String(text)
      switch (what) {
        case "thread":
          threads.set(name, { id: Number(id), sequence: Number(sequence) - added(found.threads.get(name) ?? 0) })
          break
        case "run":
          runs.set(name, { id: Number(id), sequence: Number(sequence) - added(found.runs.get(name)?.facts ?? 0) })
          break
        default:
          names.set(name, Number(id))
      }
    }
    const missing = [...found.names].filter((name) => !names.has(name))
    if (count && missing.length > 0) {
      for (const [id, name] of yield* query(addNames, [texts(missing)])) {
        names.set(String(name), Number(id))
      }
    }
    return { threads, runs, names }
  })

  /** The last position there is. Nobody else inserts until the end of the transaction, so all that comes is after it. */
  const lockEnd = Effect.fnUntraced(function* () {
    yield* query("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE", [])
    const [[last] = []] = yield* query("SELECT greatest(floor, (SELECT max(position) FROM events)) FROM ledger", [])
    return Number(last)
  })

  /** Nobody draws a position between the question and the answer: who inserts waits. */
  const goOnAfter = Effect.fnUntraced(function* (position: number) {
    yield* lockEnd()
    yield* query("SELECT setval('positions', greatest(last_value, $1)) FROM positions", [position])
  })

  /** Makes sequences go on after those of restored facts. */
  const keepSequences = Effect.fnUntraced(function* (
    threads: ReadonlyMap<string, Scope>,
    runs: ReadonlyMap<string, Scope>
  ) {
    for (const [table, scopes] of [
      ["threads", [...threads.values()]],
      ["runs", [...runs.values()]]
    ] as const) {
      yield* query(
        `UPDATE ${table} SET sequence = given.sequence FROM unnest($1, $2) AS given (id, sequence) WHERE ${table}.id = given.id`,
        [integers(scopes.map(({ id }) => id)), integers(scopes.map(({ sequence }) => sequence))]
      )
    }
  })

  const insert = Effect.fnUntraced(function* (
    events: Batch,
    places?: ReadonlyArray<Place>
  ): Effect.fn.Return<void, SqlError.SqlError | LedgerError.ValidationError> {
    if (events.length === 0) {
      return
    }
    const { names, runs, threads } = yield* raise(events, true)
    const now = yield* Clock.currentTimeMillis
    let last = places === undefined ? 0 : yield* lockEnd()
    const rows: Array<Row> = []
    for (const [index, event] of events.entries()) {
      const place = places?.[index]
      const thread = event.threadId === undefined ? undefined : threads.get(event.threadId)
      const run = event.runId === undefined ? undefined : runs.get(event.runId)
      if (place !== undefined) {
        if (
          place.position <= last ||
          (thread !== undefined && (place.threadSequence ?? 0) <= thread.sequence) ||
          (run !== undefined && (place.runSequence ?? 0) <= run.sequence)
        ) {
          return yield* EventStore.doesNotGoOn(place)
        }
        last = place.position
      }
      if (thread !== undefined) {
        thread.sequence = place?.threadSequence ?? thread.sequence + 1
      }
      if (run !== undefined) {
        run.sequence = place?.runSequence ?? run.sequence + 1
      }
      rows.push({
        event,
        position: place?.position ?? null,
        thread: thread?.id ?? null,
        threadSequence: thread?.sequence ?? null,
        run: run?.id ?? null,
        runSequence: run?.sequence ?? null,
        kind: names.get(event.kind) ?? null,
        flags: EventRow.flags(event, place?.erased),
        recordedAt: place?.recordedAt ?? now,
        origin: names.get(event.origin) ?? null,
        correlation: event.correlationId === undefined ? null : (names.get(event.correlationId) ?? null)
      })
    }
    for (let at = 0; at < rows.length; at += insertLimit) {
      const part = rows.slice(at, at + insertLimit)
      const given = Object.values(columns).map(({ params }) => params(part))
      yield* query(insertEvents, [
        uuids(part.map(({ event }) => event.eventId)),
        ...given.map(([each]) => each),
        ...given.map(([, all]) => all)
      ])
    }
    if (places !== undefined) {
      yield* goOnAfter(last)
      yield* keepSequences(threads, runs)
    }
  })

  return { insert, goOnAfter, lock: (events) => Effect.asVoid(raise(events, false)) }
}
