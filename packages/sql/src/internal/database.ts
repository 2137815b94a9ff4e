/**
 * What the store needs of a database, and what SQLite and Postgres do each in their own way.
 */
import type { CanonicalEvent, LedgerError, StagedEvent } from "@runledger/core"
import type { Effect } from "effect"
import type { SqlError } from "effect/sql"
import type * as EventRow from "./eventRow.ts"
import type { Locks } from "./locks.ts"

/** The values of a row. */
export type Row = ReadonlyArray<unknown>

/** Where a restored fact stands; without a place, an event gets the next one. */
export type Place = Pick<
  CanonicalEvent.CanonicalEvent,
  "threadSequence" | "runSequence" | "position" | "recordedAt" | "erased"
>

/** The tables of a ledger through one connection, on which somebody else begins and ends the transactions. */
export interface Tables {
  /** What messages call the ledger. */
  readonly name: string

  /** Runs a statement, whose parameters are written `?`. */
  readonly query: (text: string, params: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, SqlError.SqlError>

  /** How the ids of a row are read. */
  readonly ids: EventRow.IdColumns

  /** An event id as a parameter. */
  readonly idParam: (eventId: string) => unknown

  /** What an error of the database means. */
  readonly onSqlError: (error: SqlError.SqlError) => LedgerError.IntegrityError | LedgerError.UnavailableError

  /** Whether an insert failed because the ledger has an event with the same id. */
  readonly isKnownEventId: (error: SqlError.SqlError) => boolean

  /** In a transaction, makes others that append to the scopes of these events wait until it ends. */
  readonly lock: (events: ReadonlyArray<StagedEvent.StagedEvent>) => Effect.Effect<void, SqlError.SqlError>

  /**
   * In a transaction, inserts events that the ledger does not have, gives them their sequences and positions, and sets
   * the status of their runs. With places, events go there if they go on after what is there.
   */
  readonly insert: (
    events: ReadonlyArray<StagedEvent.StagedEvent>,
    places?: ReadonlyArray<Place>
  ) => Effect.Effect<void, SqlError.SqlError | LedgerError.ValidationError>
}

export interface Database extends Tables {
  /** Runs statements in one transaction, that of a writer: those of the database that they are given. */
  readonly transaction: <A, E>(
    statements: (db: Database) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | SqlError.SqlError>

  /** Whether a statement that failed so may succeed a moment later: somebody else has a lock, a connection was lost. */
  readonly isTransient: (error: SqlError.SqlError) => boolean

  /** Who has claimed the name of a writer. */
  readonly locks: Locks

  /** In a transaction, makes positions go on after one that a restored ledger has used up. */
  readonly goOnAfter: (position: number) => Effect.Effect<void, SqlError.SqlError>

  /** The last position up to which no transaction that is still open can commit another. */
  readonly ceiling: Effect.Effect<number, SqlError.SqlError>

  /** Runs after each commit, before the call that committed succeeds. */
  readonly committed: Effect.Effect<void, LedgerError.UnavailableError>

  /** Gives the space of what was deleted back, and overwrites what was erased. */
  readonly compact: Effect.Effect<void, SqlError.SqlError | LedgerError.UnavailableError>
}
