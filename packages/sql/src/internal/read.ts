/**
 * How facts, runs, threads and writers are read.
 */
import { type CanonicalEvent, Cursor, EventStore, type LedgerError, type Lifecycle, StagedEvent } from "@runledger/core"
import { Effect, Result } from "effect"
import { damaged } from "./damaged.ts"
import type { Database, Row, Tables } from "./database.ts"
import * as EventRow from "./eventRow.ts"
import * as Labels from "./labels.ts"
import { bounds, idParam, sqlOf } from "./scope.ts"

/** How many facts a page with a filter looks at, whether they pass or not: one statement must not read a whole ledger. */
const scanLimit = 10_000

/** How many entries a page of runs, threads or writers has. */
const listLimit = 1000

/** A list for `IN`, which in PostgreSQL may not be empty: nothing is in one of NULL. */
const placeholders = (values: ReadonlyArray<unknown>): string => values.map(() => "?").join(", ") || "NULL"

/** What a filter adds to the condition of a query. */
const filterSql = ({ kinds, visibility }: EventStore.Filter): { readonly where: string; readonly params: Row } => ({
  where: [
    kinds === undefined ? "" : ` AND e.kind IN (SELECT id FROM names WHERE name IN (${placeholders(kinds)}))`,
    visibility === undefined ? "" : ` AND ((e.flags >> 4) & 15) IN (${placeholders(visibility)})`
  ].join(""),
  params: [...(kinds ?? []).map(idParam), ...(visibility ?? []).map((name) => EventRow.visibilities.indexOf(name))]
})

/** A page whose facts are still rows. They are made where they are used, which is not always where they are read. */
export interface RowPage extends Omit<EventStore.EventPage, "facts"> {
  readonly rows: ReadonlyArray<Row>
}

/** The facts of rows of the ledger with that name. */
export const facts = (
  name: string,
  rows: ReadonlyArray<Row>
): Result.Result<ReadonlyArray<CanonicalEvent.CanonicalEvent>, LedgerError.IntegrityError> => {
  const facts: Array<CanonicalEvent.CanonicalEvent> = []
  for (const row of rows) {
    const fact = EventRow.decode(row)
    if (Result.isFailure(fact)) {
      return Result.fail(damaged(name, fact.failure))
    }
    facts.push(fact.success)
  }
  return Result.succeed(facts)
}

/** The page with facts in the place of its rows. */
export const page = (
  { floor, hasMore, next, scannedThrough }: RowPage,
  facts: EventStore.EventPage["facts"]
): EventStore.EventPage => ({ facts, next, hasMore, scannedThrough, floor })

/** The facts between two sequences, after one and up to the other, one more than asked for; the floor of the scope last. */
const between = (
  db: Database,
  { filter = {}, limit, reverse = false, scope }: EventStore.ReadOptions,
  after: number,
  through: number
) => {
  const { floor, params, sequence, where } = sqlOf(scope)
  const condition = filterSql(filter)
  return db.query(
    `${EventRow.select(db.ids)}, ${floor} ${EventRow.from}
     WHERE ${where} AND ${sequence} > ? AND ${sequence} <= ?${condition.where}
     ORDER BY ${sequence}${reverse ? " DESC" : ""} LIMIT ?`,
    [...params, ...params, after, through, ...condition.params, EventStore.pageLimit(limit) + 1]
  )
}

/** The page of rows that {@link between} gave: `end` is what was scanned when there are no more. */
const pageOf = (
  { limit, reverse = false, scope }: EventStore.ReadOptions,
  rows: ReadonlyArray<Row>,
  found: { readonly start: number; readonly end: number; readonly floor: number; readonly hasMore: boolean }
): RowPage => {
  const most = EventStore.pageLimit(limit)
  const page = rows.slice(0, most)
  const last = page.at(-1)
  const full = rows.length > most
  const returned = last === undefined ? found.start : EventRow.sequence(scope, last) - (reverse ? 1 : 0)
  const scannedThrough = full ? returned : found.end
  return {
    rows: page,
    next: Cursor.within(scope, found.floor)(scannedThrough),
    hasMore: full || found.hasMore,
    scannedThrough,
    floor: found.floor
  }
}

/**
 * A page in order and without a filter is one query: its first row tells whether the cursor still holds, for the floor
 * is read with it.
 */
const readOn = Effect.fnUntraced(function* (db: Database, options: EventStore.ReadOptions, ceiling: number) {
  const { after, scope } = options
  const start = after === undefined ? 0 : yield* Effect.fromResult(Cursor.sequence(scope, after))
  const rows = yield* between(db, options, start, ceiling)
  const [first] = rows
  const now = first === undefined ? yield* bounds(db, scope) : { last: start, floor: Number(first.at(-1)) }
  if (after !== undefined) {
    yield* Effect.fromResult(Cursor.resolve(scope, after, now))
  }
  const last = rows.at(-1)
  const end = Math.max(last === undefined ? start : EventRow.sequence(scope, last), now.floor)
  return pageOf(options, rows, { start, end, floor: now.floor, hasMore: false })
})

/** A page in reverse, or with a filter, needs the ends of the scope first. */
const readWithin = Effect.fnUntraced(function* (db: Database, options: EventStore.ReadOptions, ceiling: number) {
  const { after, filter, reverse = false, scope } = options
  const known = yield* bounds(db, scope)
  const last = Math.min(known.last, ceiling)
  const before = known.first - 1
  const start =
    after === undefined ? (reverse ? last : before) : yield* Effect.fromResult(Cursor.resolve(scope, after, known))
  const most = filter === undefined ? Number.POSITIVE_INFINITY : scanLimit
  const [low, high] = reverse
    ? [Math.min(start, Math.max(before, start - most)), start]
    : [start, Math.max(start, Math.min(last, start + most))]
  const rows = yield* between(db, options, low, high)
  const floor = rows[0] === undefined ? (yield* bounds(db, scope)).floor : Number(rows[0].at(-1))
  if (after !== undefined) {
    yield* Effect.fromResult(Cursor.resolve(scope, after, { ...known, floor }))
  }
  return pageOf(options, rows, {
    start,
    end: reverse ? low : high,
    floor,
    hasMore: reverse ? low > before : high < last
  })
})

export const read = Effect.fnUntraced(function* (db: Database, options: EventStore.ReadOptions) {
  // Known before the facts are read, for what is committed meanwhile may come before what is seen.
  const ceiling = options.scope._tag === "Ledger" ? yield* db.ceiling : Number.MAX_SAFE_INTEGER
  return yield* options.reverse === true || options.filter !== undefined
    ? readWithin(db, options, ceiling)
    : readOn(db, options, ceiling)
})

export const count = (db: Database, scope: Cursor.ReadScope) => {
  const { params, where } = sqlOf(scope)
  return Effect.map(db.query(`SELECT count(*) FROM events e WHERE ${where}`, params), ([row = []]) => Number(row[0]))
}

/** How many ids are looked up with one statement. */
const lookupLimit = 100

/** The facts with these ids. */
export const byIds = Effect.fnUntraced(function* (db: Tables, eventIds: ReadonlyArray<string>) {
  const found = new Map<string, CanonicalEvent.CanonicalEvent>()
  for (let at = 0; at < eventIds.length; at += lookupLimit) {
    const ids = eventIds.slice(at, at + lookupLimit)
    const rows = yield* db.query(
      `${EventRow.select(db.ids)} ${EventRow.from} WHERE e.event_id IN (${placeholders(ids)})`,
      ids.map(db.idParam)
    )
    for (const fact of yield* Effect.fromResult(facts(db.name, rows))) {
      found.set(fact.eventId, fact)
    }
  }
  return found
})

export const get = Effect.fnUntraced(function* (db: Database, eventId: string) {
  const found = StagedEvent.isEventId(eventId) ? yield* byIds(db, [eventId]) : undefined
  return found?.get(eventId) ?? (yield* EventStore.noSuchFact(eventId))
})

/** Above its floor a run has no hole, so its facts need only be counted where some were pruned. */
const selectRuns = `SELECT r.id, r.run_id, t.thread_id, r.status, r.done_reason, r.ordinal, r.floor, f.occurred_at,
  l.occurred_at + l.recorded_after,
  CASE r.floor WHEN 0 THEN coalesce(l.run_sequence, 0) ELSE (SELECT count(*) FROM events WHERE run = r.id) END,
  r.labels, r.state
FROM runs r
LEFT JOIN threads t ON t.id = r.thread
LEFT JOIN events f ON f.run = r.id AND f.run_sequence = (SELECT min(run_sequence) FROM events WHERE run = r.id)
LEFT JOIN events l ON l.run = r.id AND l.run_sequence = (SELECT max(run_sequence) FROM events WHERE run = r.id)`

type RunRow = readonly [
  id: number,
  runId: string,
  threadId: string | null,
  status: Lifecycle.RunStatus,
  doneReason: string | null,
  ordinal: number | null,
  floor: number,
  startedAt: number | null,
  updatedAt: number | null,
  facts: number,
  labels: string | null,
  state: string | null
]

const runRecord = (row: Row): EventStore.RunRecord => {
  const [, runId, threadId, status, doneReason, ordinal, floor, startedAt, updatedAt, count, labelText, state] =
    row as unknown as RunRow
  const labels = Labels.parse(labelText)
  return {
    runId,
    ...(threadId === null ? {} : { threadId }),
    status,
    ...(doneReason === null ? {} : { doneReason }),
    ...(startedAt === null || updatedAt === null ? {} : { startedAt, updatedAt }),
    facts: count,
    ...(ordinal === null ? {} : { ordinal }),
    floor,
    ...(labels === undefined ? {} : { labels }),
    ...(state === null ? {} : { state })
  }
}

export const run = Effect.fnUntraced(function* (db: Database, runId: string) {
  const [row] = yield* db.query(`${selectRuns} WHERE r.run_id = ?`, [idParam(runId)])
  return row === undefined ? yield* EventStore.noSuchRun(runId) : runRecord(row)
})

/** A part of a list, and where the next begins, if this one is full. */
export interface Listed<A> {
  readonly entries: ReadonlyArray<A>
  readonly next: number | undefined
}

const listed = <A>(rows: ReadonlyArray<Row>, entry: (row: Row) => A): Listed<A> => ({
  entries: rows.map(entry),
  next: rows.length < listLimit ? undefined : Number(rows.at(-1)?.[0])
})

export const runs = (db: Database, after: number, filter: EventStore.RunFilter) =>
  Effect.map(
    db.query(
      `${selectRuns} WHERE r.id > ?${filter.status === undefined ? "" : " AND r.status = ?"} ORDER BY r.id LIMIT ${listLimit}`,
      filter.status === undefined ? [after] : [after, filter.status]
    ),
    (rows) => {
      const { entries, next } = listed(rows, (row): EventStore.RunEntry => {
        const { state: _, ...entry } = runRecord(row)
        return entry
      })
      return { entries: entries.filter(EventStore.isWanted(filter)), next }
    }
  )

export const threads = (db: Database, after: number) =>
  Effect.map(
    db.query(
      `SELECT t.id, t.thread_id, t.floor, CASE t.floor
         WHEN 0 THEN coalesce((SELECT max(thread_sequence) FROM events WHERE thread = t.id), 0)
         ELSE (SELECT count(*) FROM events WHERE thread = t.id) END
       FROM threads t WHERE t.id > ? ORDER BY t.id LIMIT ${listLimit}`,
      [after]
    ),
    (rows) =>
      listed(
        rows,
        ([, threadId, floor, facts]): EventStore.ThreadEntry => ({
          threadId: String(threadId),
          facts: Number(facts),
          floor: Number(floor)
        })
      )
  )

export const writers = (db: Database, after: number) =>
  Effect.map(
    db.query(`SELECT id, writer, epoch, high_water FROM writers WHERE id > ? ORDER BY id LIMIT ${listLimit}`, [after]),
    (rows) =>
      listed(
        rows,
        ([, writer, epoch, highWater]): EventStore.Writer => ({
          writer: String(writer),
          epoch: Number(epoch),
          highWater: Number(highWater)
        })
      )
  )
