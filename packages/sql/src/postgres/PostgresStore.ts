/**
 * The store over a PostgreSQL database.
 */
import { PgClient, type PgConnection } from "@effect/sql-pg"
import { EventStore, LedgerError, Transaction } from "@runledger/core"
import { Context, Effect, identity, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import * as CommitWith from "../internal/commitWith.ts"
import type { Database } from "../internal/database.ts"
import * as SqlEventStore from "../SqlEventStore.ts"
import { compact } from "./compact.ts"
import { fromSqlError, isKnownEventId, isTransient, isTransientToOpen } from "./errors.ts"
import * as Insert from "./insert.ts"
import * as Locks from "./locks.ts"
import * as Positions from "./positions.ts"
import * as Schema from "./schema.ts"
import { begin, transaction } from "./transaction.ts"
import { appTypes, fromApp, param, types } from "./values.ts"
import * as Watch from "./watch.ts"

/**
 * Where the ledger is: `postgres://user:password@host:5432/database`. It is in the first schema of the search path, which
 * `?options=-c%20search_path%3Dname` sets. `readOnly` opens one that is there and never writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly url: string | Redacted.Redacted
  readonly readOnly?: boolean
}

/**
 * What opening a ledger can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type OpenError = LedgerError.IntegrityError | LedgerError.UnavailableError | LedgerError.NotFound

/** The longest message that PostgreSQL can send; a row is one, and longer ones than allowed end the connection. */
const maxMessageSize = 2 ** 30

/** What messages call the ledger at a URL: its server and database, and nobody's name or password. */
const nameOf = (url: string): string | undefined => {
  const parsed = URL.parse(url)
  if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol)) {
    return undefined
  }
  const host = parsed.searchParams.get("host") ?? (parsed.hostname || "localhost")
  const port = parsed.searchParams.get("port") ?? (parsed.port || "5432")
  const database = parsed.searchParams.get("dbname") ?? parsed.pathname.slice(1)
  return `${host}:${port}/${database}`
}

/** PostgreSQL's `?` are `$1`, `$2` … */
const numbered = (text: string): string => {
  let parameters = 0
  return text.replaceAll("?", () => `$${++parameters}`)
}

/** Opens the ledger for as long as the scope lives. */
const open = Effect.fnUntraced(function* (options: Options) {
  const { readOnly = false } = options
  const url = Redacted.isRedacted(options.url) ? options.url : Redacted.make(options.url)
  const name = nameOf(Redacted.value(url))
  if (name === undefined) {
    return yield* new LedgerError.UnavailableError({
      message:
        "the URL of the ledger is not one of PostgreSQL; give one like postgres://user:password@host:5432/database"
    })
  }
  const onSqlError = fromSqlError(name)
  const config: PgConnection.Config = {
    url,
    maxMessageSize,
    // So that a server that went away without a word is noticed.
    keepAlive: "30 seconds",
    ...(readOnly ? { startupParameters: { default_transaction_read_only: "on" } } : {})
  }
  const ownConfig = { ...config, types }
  const sql = yield* PgClient.make(ownConfig).pipe(Effect.provide(Reactivity.layer), Effect.mapError(onSqlError))

  const opened = Effect.andThen(
    Schema.prepare(sql, name, readOnly),
    sql.unsafe("SELECT 'runledger_' || 'events'::regclass::oid").values
  )
  const [[channel] = []] = yield* opened.pipe(
    Effect.retry({
      schedule: SqlEventStore.patience,
      while: (error) => error._tag === "SqlError" && isTransientToOpen(error)
    }),
    Effect.mapError((error) => (error._tag === "SqlError" ? onSqlError(error) : error))
  )

  const query: Database["query"] = (text, params) => sql.unsafe(numbered(text), params.map(param)).values

  const { committed, signal } = yield* Watch.make(sql, String(channel))
  const tables = {
    name,
    ids: { eventId: "e.event_id", causation: "e.causation" },
    idParam: identity,
    onSqlError,
    isKnownEventId
  }
  const db: Database = {
    ...tables,
    query,
    transaction: (statements) =>
      transaction(
        sql,
        Effect.suspend(() => statements(db))
      ),
    ...Insert.make(query),
    isTransient,
    locks: yield* Locks.make(ownConfig, String(channel)),
    ceiling: Positions.ceiling(query),
    committed,
    compact: compact(name, sql)
  }
  return {
    store: SqlEventStore.fromCalls(SqlEventStore.calls(db), signal),
    config,
    tables,
    notify: Effect.andThen(committed, Effect.sync(signal.notify))
  }
})

/** The store over a ledger that is opened for as long as the scope lives. */
export const make = (options: Options): Effect.Effect<EventStore.EventStoreShape, OpenError, Scope.Scope> =>
  Effect.map(open(options), ({ store }) => store)

/**
 * The services of a ledger with a client of an app. The client has connections of its own: however long an app keeps
 * them, the ledger has its own.
 */
export const makeSql = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<
  Context.Context<EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient | PgClient.PgClient>,
  OpenError,
  Scope.Scope | Reactivity.Reactivity
> {
  const { config, notify, store, tables } = yield* open(options)
  const sql = yield* Effect.mapError(PgClient.make({ ...config, types: appTypes }), tables.onSqlError)
  const query: Database["query"] = (text, params) =>
    Effect.map(sql.unsafe(numbered(text), params.map(param)).values, (rows) => rows.map((row) => row.map(fromApp)))
  const commitWith = CommitWith.make({
    sql,
    begin,
    append: SqlEventStore.appendWithin({ ...tables, query, ...Insert.make(query) }),
    isTransient,
    notify,
    onSqlError: tables.onSqlError
  })
  return Context.make(EventStore.EventStore, store).pipe(
    Context.add(Transaction.Transaction, { commitWith }),
    Context.add(SqlClient.SqlClient, sql),
    Context.add(PgClient.PgClient, sql)
  )
})
