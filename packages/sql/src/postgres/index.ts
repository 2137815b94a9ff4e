/**
 * A ledger in a PostgreSQL database, through `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import type { PgClient } from "@effect/sql-pg"
import { EventStore, type Transaction } from "@runledger/core"
import { Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import * as PostgresStore from "./PostgresStore.ts"

export type { OpenError, Options } from "./PostgresStore.ts"

/**
 * The ledger in a database that any number of processes write and read. Its tables are made if they are not there; with
 * `readOnly` that is an error, and nothing is written.
 *
 * **Details**
 *
 * Appends to different threads and runs do not wait for one another; those to the same one commit in the order of its
 * sequences. When the server restarts or a connection is lost, calls are tried again for 10 seconds, and followers go on.
 *
 * **Gotchas**
 *
 * - An append is as durable as the server's `synchronous_commit` makes it: `on` is the default.
 * - Positions have holes where an append was rolled back; sequences have none.
 * - It needs tables of its own: `ledger`, `threads`, `runs`, `names`, `writers`, `events`. Give it a schema of its own
 *   with `?options=-c%20search_path%3Dname` where another program has such names.
 * - Claims of writers are locks of a session, on one more connection while there are any. Where a pooler stands between,
 *   it must keep sessions: one that shares them out by transaction would lose the locks.
 * - `prune` and `erase` end with `VACUUM FULL`, which holds up everybody while it copies what is left. They take bytes
 *   out of the tables, not out of backups and the server's write-ahead log.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: PostgresStore.Options): Layer.Layer<EventStore.EventStore, PostgresStore.OpenError> =>
  Layer.effect(EventStore.EventStore, PostgresStore.make(options))

/**
 * As {@link layer}, with a client of `@effect/sql-pg` on tables that an app keeps in the same database, and the
 * transactions in which its writes and facts are committed together.
 *
 * **When to use**
 *
 * Use when what the app writes must not be there without its facts, nor they without it. It is a layer of its own, so
 * that an app's own SqlClient is replaced only where that is wanted.
 *
 * **Details**
 *
 * The client has connections of its own, ten at most, with the types of `@effect/sql-pg`. A transaction with facts is
 * `READ COMMITTED`. The facts come last in it: it locks its threads and runs, and holds up who reads the whole ledger,
 * only from then on. Transactions of different threads and runs do not wait for one another.
 *
 * **Gotchas**
 *
 * - Calls of the EventStore have transactions of their own, also within one of the app.
 * - An app's tables in the same schema cannot be called `ledger`, `threads`, `runs`, `names`, `writers` or `events`. What
 *   copies a ledger leaves an app's tables behind.
 * - When a connection is lost as it commits, the error is `UnavailableError`, and nobody knows whether it did: ask for
 *   what was written, or write so that the same again changes nothing. The facts of a batch sent again are skipped.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSql = (
  options: PostgresStore.Options
): Layer.Layer<
  EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient | PgClient.PgClient,
  PostgresStore.OpenError
> => Layer.provide(Layer.effectContext(PostgresStore.makeSql(options)), Reactivity.layer)
