/**
 * The store over a SQLite file, in the thread that makes it.
 */
import type { EventStore, LedgerError } from "@runledger/core"
import { Effect, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { resolve } from "node:path"
import * as SqlEventStore from "../SqlEventStore.ts"
import { busyTimeout, fromSqlError } from "./errors.ts"
import * as NodeSqliteClient from "./NodeSqliteClient.ts"
import * as File from "./open.ts"
import * as Schema from "./schema.ts"

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

/** Opens the ledger for as long as the scope lives. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<EventStore.EventStoreShape, OpenError, Scope.Scope> {
  const inMemory = options.path === ":memory:"
  // Absolute, so that it stays the same file when the process changes its folder, and is not read as a URI by SQLite.
  const path = inMemory ? options.path : resolve(options.path)
  const readOnly = options.readOnly ?? false
  const onSqlError = fromSqlError(path)
  if (!inMemory) {
    yield* File.check(path, readOnly)
  }
  const sql = yield* NodeSqliteClient.make({ path, readOnly, busyTimeout }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.mapError(onSqlError)
  )
  const provideSql = Effect.provideService(SqlClient.SqlClient, sql)
  yield* Schema.prepare(path, readOnly).pipe(
    provideSql,
    Effect.mapError((error) => (error._tag === "SqlError" ? onSqlError(error) : error))
  )
  const committed = inMemory ? Effect.void : yield* File.watch(path)
  return yield* provideSql(SqlEventStore.make({ name: path, onSqlError, committed }))
})
