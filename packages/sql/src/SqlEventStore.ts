/**
 * The event store of `@runledger/core` over an SQL database.
 *
 * @since 0.1.0
 */
import { EventStore, Follow, LedgerError, type StagedEvent } from "@runledger/core"
import { Effect, Option, Result, Schedule, Stream } from "effect"
import type { SqlError } from "effect/sql"
import * as Append from "./internal/append.ts"
import type { Database, Tables } from "./internal/database.ts"
import * as Read from "./internal/read.ts"
import * as Restore from "./internal/restore.ts"
import * as Retention from "./internal/retention.ts"

type ReadError = LedgerError.ReadError

/**
 * The calls of a store that take one trip to its database. They are what a worker serves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Calls {
  readonly append: (
    batch: ReadonlyArray<StagedEvent.StagedEvent>,
    options?: EventStore.AppendOptions
  ) => Effect.Effect<void, LedgerError.AppendError>
  readonly claim: (
    writer: string
  ) => Effect.Effect<EventStore.Writer, LedgerError.WriterHeld | LedgerError.ValidationError | ReadError>
  readonly release: (claimed: EventStore.Writer) => Effect.Effect<void>
  readonly read: EventStore.EventStoreShape["read"]
  readonly count: EventStore.EventStoreShape["count"]
  readonly get: EventStore.EventStoreShape["get"]
  readonly run: EventStore.EventStoreShape["run"]
  readonly runs: (
    after: number,
    filter: EventStore.RunFilter
  ) => Effect.Effect<Read.Listed<EventStore.RunEntry>, ReadError>
  readonly threads: (after: number) => Effect.Effect<Read.Listed<EventStore.ThreadEntry>, ReadError>
  readonly writers: (after: number) => Effect.Effect<Read.Listed<EventStore.Writer>, ReadError>
  readonly pruneSlice: (
    options: Parameters<EventStore.EventStoreShape["prune"]>[0],
    after: number
  ) => Effect.Effect<Retention.Slice, ReadError>
  readonly eraseSlice: (threadId: string, after: number) => Effect.Effect<Retention.Slice, ReadError>
  readonly compact: () => Effect.Effect<void, ReadError>
  readonly restore: EventStore.EventStoreShape["restore"]
}

/**
 * How long a lock that somebody else holds, or a connection that was lost, is waited for.
 *
 * @category schedules
 * @since 0.1.0
 */
export const patience = Schedule.min([Schedule.exponential("2 millis", 1.6), Schedule.spaced("100 millis")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ duration: "10 seconds" })
)

/** How many events are checked before others get a turn: some milliseconds, if their payloads are long. */
const checkLimit = 500

const check = Effect.fnUntraced(function* (
  batch: ReadonlyArray<StagedEvent.StagedEvent>,
  options: EventStore.AppendOptions
) {
  for (let at = 0; at < batch.length; at += checkLimit) {
    if (at > 0) {
      yield* Effect.yieldNow
    }
    const problem = EventStore.check(batch.slice(at, at + checkLimit))
    if (problem !== undefined) {
      return yield* problem
    }
  }
  const problem = EventStore.checkOptions(batch, options)
  if (problem !== undefined) {
    return yield* problem
  }
})

const isSqlError = (error: { readonly _tag: string }): error is SqlError.SqlError => error._tag === "SqlError"

/** What fails for a passing reason is tried again for 10 seconds, without holding up anybody. */
const attemptOn =
  (db: Database) =>
  <A, E extends { readonly _tag: string }>(
    effect: Effect.Effect<A, E | SqlError.SqlError>
  ): Effect.Effect<A, Exclude<E, SqlError.SqlError> | ReadError> =>
    effect.pipe(
      Effect.retry({ schedule: patience, while: (error) => isSqlError(error) && db.isTransient(error) }),
      Effect.mapError((error) => (isSqlError(error) ? db.onSqlError(error) : (error as Exclude<E, SqlError.SqlError>)))
    )

/**
 * Reads a page whose facts are still rows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rows =
  (db: Database) =>
  (options: EventStore.ReadOptions): Effect.Effect<Read.RowPage, Effect.Error<ReturnType<Calls["read"]>>> =>
    attemptOn(db)(Read.read(db, options))

/**
 * The calls over a database. What fails for a passing reason is tried again for 10 seconds, without holding up anybody.
 *
 * @category constructors
 * @since 0.1.0
 */
export const calls = (db: Database): Calls => {
  const attempt = attemptOn(db)
  return {
    append: (batch, options = {}) => Effect.andThen(check(batch, options), attempt(Append.append(db, batch, options))),
    claim: (writer) =>
      Effect.suspend((): ReturnType<Calls["claim"]> => {
        const problem = EventStore.checkWriter(writer)
        return problem === undefined
          ? attempt(db.locks.claim(writer, attempt(Append.raiseEpoch(db, writer))))
          : Effect.fail(problem)
      }),
    release: db.locks.release,
    read: (options) =>
      Effect.flatMap(rows(db)(options), (page) =>
        Effect.fromResult(Result.map(Read.facts(db.name, page.rows), (facts) => Read.page(page, facts)))
      ),
    count: (scope) => attempt(Read.count(db, scope)),
    get: (eventId) => attempt(Read.get(db, eventId)),
    run: (runId) => attempt(Read.run(db, runId)),
    runs: (after, filter) => attempt(Read.runs(db, after, filter)),
    threads: (after) => attempt(Read.threads(db, after)),
    writers: (after) => attempt(Read.writers(db, after)),
    pruneSlice: (options, after) => attempt(Effect.tap(Retention.pruneSlice(db, options, after), db.committed)),
    eraseSlice: (threadId, after) => attempt(Effect.tap(Retention.eraseSlice(db, threadId, after), db.committed)),
    compact: () => attempt(db.compact),
    restore: (part) =>
      Effect.suspend((): Effect.Effect<void, LedgerError.ValidationError | ReadError> => {
        const problem = EventStore.checkPart(part)
        return problem === undefined ? attempt(Restore.restore(db, part)) : Effect.fail(problem)
      })
  }
}

/**
 * An append into the transaction that is open, which is to be rolled back if it fails. It looks its events up first: what
 * was committed before is skipped, and a statement that failed could not be followed by another.
 *
 * @category constructors
 * @since 0.1.0
 */
export const appendWithin =
  (tables: Tables): Calls["append"] =>
  (batch, options = {}) =>
    Effect.andThen(check(batch, options), Append.write(tables, batch, options, true)).pipe(
      Effect.mapError((error) => {
        if (!isSqlError(error)) {
          return error
        }
        return tables.isKnownEventId(error)
          ? new LedgerError.UnavailableError({
              message: `the ledger ${tables.name} has got facts of this batch from somebody else in this moment; try again: they are skipped then`,
              cause: error.reason.cause
            })
          : tables.onSqlError(error)
      })
    )

const list = <A>(page: (after: number) => Effect.Effect<Read.Listed<A>, ReadError>): Stream.Stream<A, ReadError> =>
  Stream.paginate(0, (after) =>
    Effect.map(page(after), ({ entries, next }) => [entries, Option.fromUndefinedOr(next)] as const)
  )

const slices = Effect.fnUntraced(function* (slice: (after: number) => Effect.Effect<Retention.Slice, ReadError>) {
  let facts = 0
  let after: number | undefined = 0
  while (after !== undefined) {
    const done: Retention.Slice = yield* slice(after)
    facts += done.facts
    after = done.next
  }
  return facts
})

/**
 * The store that is made of its calls. `notify` is told of what this store commits, `changed` of that and of what others
 * do.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromCalls = (calls: Calls, { changed, notify }: Follow.Signal): EventStore.EventStoreShape => {
  const told = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.ensuring(effect, Effect.sync(notify))
  return {
    append: (batch, options) =>
      batch.length === 0 && options === undefined ? Effect.void : told(calls.append(batch, options)),
    claimWriter: (writer) => Effect.acquireRelease(calls.claim(writer), calls.release),
    read: calls.read,
    follow: Follow.make({ read: calls.read, changed }),
    count: calls.count,
    get: calls.get,
    run: calls.run,
    runs: (filter = {}) => list((after) => calls.runs(after, filter)),
    threads: list(calls.threads),
    writers: list(calls.writers),
    prune: (options) =>
      Effect.suspend((): Effect.Effect<number, LedgerError.ValidationError | ReadError> => {
        const problem = EventStore.checkBefore(options.before)
        return problem === undefined
          ? Effect.tap(
              slices((after) => calls.pruneSlice(options, after)),
              calls.compact
            )
          : Effect.fail(problem)
      }),
    erase: ({ threadId }) =>
      Effect.tap(
        slices((after) => calls.eraseSlice(threadId, after)),
        calls.compact
      ),
    restore: (part) => told(calls.restore(part))
  }
}
