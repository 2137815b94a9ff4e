/**
 * The store over a SQLite file, in the thread that makes it.
 */
import type { EventStore, LedgerError } from "@runledger/core"
import { Effect, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { resolve } from "node:path"
import type { Database } from "../internal/database.ts"
import { uuidBytes } from "../internal/eventRow.ts"
import * as SqlEventStore from "../SqlEventStore.ts"
import { compact } from "./compact.ts"
import { fromSqlError, isBusy, isKnownEventId } from "./errors.ts"
import * as Insert from "./insert.ts"
import * as Locks from "./locks.ts"
import * as NodeSqliteClient from "./NodeSqliteClient.ts"
import * as File from "./open.ts"
import * as Schema from "./schema.ts"
import * as Watch from "./watch.ts"

/**
 * Where the ledger is. `readOnly` opens one that is there and never writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly path: string
  readonly readOnly?: boolean
}

/**
 * What opening a ledger can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type OpenError = LedgerError.IntegrityError | LedgerError.UnavailableError | LedgerError.NotFound

/** What a worker serves: the calls of the store, and a number that grows with each commit, of whatever connection. */
export interface SqliteCalls extends SqlEventStore.Calls {
  readonly version: () => Effect.Effect<number, LedgerError.ReadError>
}

/** Opens the ledger for as long as the scope lives. */
export const open = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<SqliteCalls, OpenError, Scope.Scope> {
  const inMemory = options.path === ":memory:"
  // Absolute, so that it stays the same file when the process changes its folder, and is not read as a URI by SQLite.
  const path = inMemory ? options.path : resolve(options.path)
  const readOnly = options.readOnly ?? false
  const onSqlError = fromSqlError(path)
  if (!inMemory) {
    yield* File.check(path, readOnly)
  }
  const sql = yield* NodeSqliteClient.make({ path, readOnly }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.mapError(onSqlError)
  )
  const provideSql = Effect.provideService(SqlClient.SqlClient, sql)
  yield* Schema.prepare(path, readOnly).pipe(
    provideSql,
    Effect.retry({
      schedule: SqlEventStore.patience,
      while: (error) => error._tag === "SqlError" && isBusy(error)
    }),
    Effect.mapError((error) => (error._tag === "SqlError" ? onSqlError(error) : error))
  )
  const stillThere = inMemory ? Effect.void : yield* File.watch(path)
  const locks = yield* Locks.make(inMemory || readOnly ? undefined : yield* File.real(path))
  let commits = 0
  const query: Database["query"] = (text, params) => sql.unsafe(text, params).values
  const calls = SqlEventStore.calls({
    name: path,
    query,
    ...Insert.make(sql, query),
    idParam: uuidBytes,
    onSqlError,
    isTransient: isBusy,
    isKnownEventId,
    locks,
    // A transaction that writes is the only one.
    lock: () => Effect.void,
    goOnAfter: () => Effect.void,
    ceiling: Effect.succeed(Number.MAX_SAFE_INTEGER),
    committed: Effect.suspend(() => {
      commits += 1
      return stillThere
    }),
    compact: inMemory ? Effect.void : compact(path, sql)
  })
  return {
    ...calls,
    version: () =>
      query("PRAGMA data_version", []).pipe(
        Effect.map(([row = []]) => Number(row[0]) + commits),
        Effect.mapError(onSqlError)
      )
  }
})

/** The store over a ledger that is opened for as long as the scope lives. */
export const make = (options: Options): Effect.Effect<EventStore.EventStoreShape, OpenError, Scope.Scope> =>
  Watch.watched(open(options))
