/**
 * The connection of an app to the file of a ledger, beside the ledger's own: what is uncommitted in one, the other does
 * not see. Who writes waits for their turn, so neither finds the file locked by the other.
 */
import { LedgerError } from "@runledger/core"
import { Effect, type Scope, type Semaphore } from "effect"
import { SqlError } from "effect/sql"
import type { Tables } from "../internal/database.ts"
import * as SqlEventStore from "../SqlEventStore.ts"
import { isBusy } from "./errors.ts"
import * as Insert from "./insert.ts"
import * as NodeSqlite from "./NodeSqlite.ts"
import * as Schema from "./schema.ts"

type Run = NodeSqlite.Handle["run"]

/** The calls of a session, one after the other. They are what a worker serves for an app's statements. */
export interface Calls {
  /** Runs a statement that is in no transaction. */
  readonly alone: Run

  /** Waits until nobody else writes, and keeps it so. */
  readonly reserve: () => Effect.Effect<void, SqlError.SqlError>

  /** Runs a statement while it is reserved; also those that begin and end a transaction. */
  readonly statement: Run

  /** Appends in the transaction that is open. */
  readonly appendWithin: SqlEventStore.Calls["append"]

  /** Lets others write again. A transaction that is still open is rolled back; without a reservation, nothing is done. */
  readonly free: () => Effect.Effect<void>

  /** What is to be done after a commit with facts. */
  readonly committed: () => Effect.Effect<void, LedgerError.UnavailableError>
}

export interface Session extends Calls {
  /** Whether a transaction was open after the last call. */
  readonly isTransaction: () => boolean
}

/** A session where its connection is. */
export interface Opened extends Session {
  /** Rolls back what is open, and refuses what comes. */
  readonly end: Effect.Effect<void>
}

/** What a session needs of an open ledger. Who writes to the file has the `turn`. */
export interface Parts {
  readonly path: string
  readonly readOnly: boolean
  readonly turn: Semaphore.Semaphore
  readonly tables: Omit<Tables, "query" | "insert">
  readonly committed: Calls["committed"]
}

const refused = (message: string): SqlError.SqlError =>
  new SqlError.SqlError({
    reason: new SqlError.UnknownError({ message, operation: "execute", cause: new Error(message) })
  })

const closed = refused("the ledger was closed, and with it the transaction, which was rolled back")

const leftOpen = refused(
  "a statement of its own began a transaction, which was rolled back, for others would have written into it; use withTransaction"
)

const notOpen = new LedgerError.ValidationError({
  message:
    "validation error: the transaction of commitWith was ended by its writes, so the facts were not written; leave COMMIT and ROLLBACK to commitWith"
})

/** Opens the connection for as long as the scope lives. */
export const make = Effect.fnUntraced(function* ({
  committed,
  path,
  readOnly,
  tables,
  turn
}: Parts): Effect.fn.Return<Opened, SqlError.SqlError, Scope.Scope> {
  const { database, query, rollback, run } = yield* NodeSqlite.open({ path, readOnly })
  if (!readOnly) {
    yield* Effect.forEach(Schema.settings, (setting) => query(setting, []), { discard: true })
  }
  const append = SqlEventStore.appendWithin({ ...tables, query, insert: Insert.make(query).insert })
  let reserved = false
  let ended = false

  const patiently: Run = (query) => Effect.retry(run(query), { schedule: SqlEventStore.patience, while: isBusy })

  const free = Effect.suspend(() => {
    if (!reserved) {
      return Effect.void
    }
    reserved = false
    return Effect.andThen(rollback, turn.release(1))
  })

  const end = Effect.suspend(() => {
    ended = true
    return free
  })
  yield* Effect.addFinalizer(() => end)

  return {
    isTransaction: () => database.isTransaction,
    alone: (query) =>
      turn.withPermit(
        Effect.ensuring(
          Effect.tap(patiently(query), () => (database.isTransaction ? Effect.fail(leftOpen) : Effect.void)),
          rollback
        )
      ),
    reserve: () =>
      Effect.uninterruptibleMask((restore) =>
        Effect.andThen(
          restore(turn.take(1)),
          Effect.suspend(() => {
            reserved = true
            return ended ? Effect.andThen(free, Effect.fail(closed)) : Effect.void
          })
        )
      ),
    statement: (query) => Effect.suspend(() => (reserved ? patiently(query) : Effect.fail(closed))),
    appendWithin: (batch, options) =>
      Effect.suspend(() => (reserved && database.isTransaction ? append(batch, options) : Effect.fail(notOpen))),
    free: () => free,
    committed,
    end
  }
})
