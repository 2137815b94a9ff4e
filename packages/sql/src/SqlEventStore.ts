/**
 * The event store of `@runledger/core` over an `effect/sql` client.
 *
 * @since 0.1.0
 */
import { type CanonicalEvent, Cursor, EventStore, LedgerError, type Lifecycle } from "@runledger/core"
import { Effect, Result } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as Append from "./internal/append.ts"
import * as Row from "./internal/eventRow.ts"

/**
 * What the store does not know about its database.
 *
 * **Details**
 *
 * `name` is what messages call the ledger. `onSqlError` says what an error of the database means. `committed` runs after
 * each commit and before the append succeeds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly name: string
  readonly onSqlError: (error: SqlError.SqlError) => LedgerError.IntegrityError | LedgerError.UnavailableError
  readonly committed: Effect.Effect<void, LedgerError.UnavailableError>
}

/**
 * The error for a ledger whose content is not what was written.
 *
 * @category errors
 * @since 0.1.0
 */
export const damaged = (name: string, what: string, cause?: unknown): LedgerError.IntegrityError =>
  new LedgerError.IntegrityError({
    message: `the ledger ${name} is damaged: ${what}; restore it from a backup, or copy what can be read into a new one`,
    ...(cause === undefined ? {} : { cause })
  })

/** How the events of a scope are found, and which column gives their order. */
const within = (
  scope: Cursor.ReadScope
): { readonly where: string; readonly params: ReadonlyArray<string>; readonly sequence: string } => {
  switch (scope._tag) {
    case "Thread":
      return {
        where: "e.thread = (SELECT id FROM threads WHERE thread_id = ?)",
        params: [scope.threadId],
        sequence: "e.thread_sequence"
      }
    case "Run":
      return {
        where: "e.run = (SELECT id FROM runs WHERE run_id = ?)",
        params: [scope.runId],
        sequence: "e.run_sequence"
      }
    case "Ledger":
      return { where: "TRUE", params: [], sequence: "e.position" }
  }
}

/** The place of a fact in the order of a scope that it is in. */
const sequenceIn = (scope: Cursor.ReadScope, fact: CanonicalEvent.CanonicalEvent): number => {
  switch (scope._tag) {
    case "Thread":
      return fact.threadSequence ?? 0
    case "Run":
      return fact.runSequence ?? 0
    case "Ledger":
      return fact.position
  }
}

/** The first and the last fact of a run are found at the ends of its index; between them there is no hole. */
const selectRuns = `SELECT r.run_id, t.thread_id, r.status, r.done_reason, f.occurred_at, l.occurred_at + l.recorded_after,
  l.run_sequence - f.run_sequence + 1
FROM runs r
LEFT JOIN threads t ON t.id = r.thread
JOIN events f ON f.run = r.id AND f.run_sequence = (SELECT min(run_sequence) FROM events WHERE run = r.id)
JOIN events l ON l.run = r.id AND l.run_sequence = (SELECT max(run_sequence) FROM events WHERE run = r.id)
ORDER BY r.id`

type RunRow = readonly [
  runId: string,
  threadId: string | null,
  status: Lifecycle.RunStatus,
  doneReason: string | null,
  startedAt: number,
  updatedAt: number,
  facts: number
]

const runEntry = (values: ReadonlyArray<unknown>): EventStore.RunEntry => {
  const [runId, threadId, status, doneReason, startedAt, updatedAt, facts] = values as RunRow
  return {
    runId,
    ...(threadId === null ? {} : { threadId }),
    status,
    ...(doneReason === null ? {} : { doneReason }),
    startedAt,
    updatedAt,
    facts
  }
}

/**
 * Makes the store over a client whose database has the ledger's tables.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<EventStore.EventStoreShape, never, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const append = yield* Append.make()

  const query = (text: string, params: ReadonlyArray<unknown>) =>
    Effect.mapError(sql.unsafe(text, params).values, options.onSqlError)

  const factOf = (
    row: ReadonlyArray<unknown>
  ): Result.Result<CanonicalEvent.CanonicalEvent, LedgerError.IntegrityError> =>
    Result.mapError(Row.decode(row), (what) => damaged(options.name, what))

  /** One value of the events of a scope. */
  const total = Effect.fnUntraced(function* (scope: Cursor.ReadScope, aggregate: "count" | "max") {
    const { params, sequence, where } = within(scope)
    const [[value] = []] = yield* query(`SELECT ${aggregate}(${sequence}) FROM events e WHERE ${where}`, params)
    return Number(value)
  })

  return {
    append: (batch) =>
      batch.length === 0
        ? Effect.void
        : append(batch).pipe(
            Effect.mapError((error) => (error._tag === "SqlError" ? options.onSqlError(error) : error)),
            Effect.andThen(options.committed)
          ),
    read: Effect.fnUntraced(function* ({ after, limit = 1000, scope }) {
      const start = after === undefined ? 0 : yield* Effect.fromResult(Cursor.sequence(scope, after))
      const { params, sequence, where } = within(scope)
      const rows = yield* query(
        `${Row.selectFacts} WHERE ${where} AND ${sequence} > ? ORDER BY ${sequence} LIMIT ?`,
        // To SQLite, a negative limit is none, and an infinite one an error.
        [...params, start, Math.min(Math.max(limit, 0), Number.MAX_SAFE_INTEGER - 1) + 1]
      )
      if (after !== undefined && rows.length === 0 && start > (yield* total(scope, "max"))) {
        return yield* Cursor.expired(after)
      }
      const facts: Array<CanonicalEvent.CanonicalEvent> = []
      for (const row of rows.slice(0, limit)) {
        facts.push(yield* Effect.fromResult(factOf(row)))
      }
      const last = facts.at(-1)
      const end = last === undefined ? start : sequenceIn(scope, last)
      return { facts, next: end === 0 ? undefined : Cursor.make(scope, end), hasMore: rows.length > limit }
    }),
    count: (scope) => total(scope, "count"),
    get: Effect.fnUntraced(function* (eventId) {
      const bytes = Row.uuidBytes(eventId)
      const [row] = bytes === undefined ? [] : yield* query(`${Row.selectFacts} WHERE e.event_id = ?`, [bytes])
      return yield* row === undefined ? EventStore.noSuchFact(eventId) : Effect.fromResult(factOf(row))
    }),
    runs: Effect.map(query(selectRuns, []), (rows) => rows.map(runEntry))
  }
})
