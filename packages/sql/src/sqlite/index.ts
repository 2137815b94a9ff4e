/**
 * A ledger in one SQLite file, through the `node:sqlite` that Node brings along.
 *
 * @since 0.1.0
 */
import { EventStore, type Transaction } from "@runledger/core"
import { Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import * as InThreadStore from "./InThreadStore.ts"
import * as SqlLedger from "./SqlLedger.ts"
import * as WorkerStore from "./WorkerStore.ts"

export type { OpenError, Options } from "./InThreadStore.ts"

/**
 * The ledger at a path, opened by a worker thread: a commit, a slow disk or another process's lock holds up only the
 * worker. A file that is not there is made; with `readOnly` it is an error, and the ledger is not written.
 *
 * **Details**
 *
 * What was appended survives power loss (`synchronous=FULL`). Closing the scope answers what was sent, then closes the
 * file. A worker that dies fails what is waiting and all that comes later with `UnavailableError`.
 *
 * **Gotchas**
 *
 * While a ledger is open, also for reading, SQLite keeps two more files beside it, `-wal` and `-shm`. They belong to it:
 * move or copy a ledger when nobody has it open. Claims of writers are locks on empty files in a folder beside it, named
 * like it with `-locks` at the end; it may be deleted when nobody has the ledger open.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: InThreadStore.Options): Layer.Layer<EventStore.EventStore, InThreadStore.OpenError> =>
  Layer.effect(EventStore.EventStore, WorkerStore.make(options))

/**
 * As {@link layer}, but in the calling thread, for tests, scripts and `":memory:"`.
 *
 * **Gotchas**
 *
 * Every commit stops all fibers of the process until the disk has it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerInThread = (
  options: InThreadStore.Options
): Layer.Layer<EventStore.EventStore, InThreadStore.OpenError> =>
  Layer.effect(EventStore.EventStore, InThreadStore.make(options))

/**
 * As {@link layer}, with an `effect/sql` client on tables that an app keeps in the same file, and the transactions in
 * which its writes and facts are committed together.
 *
 * **When to use**
 *
 * Use when what the app writes must not be there without its facts, nor they without it. It is a layer of its own, so
 * that an app's own SqlClient is replaced only where that is wanted.
 *
 * **Details**
 *
 * The client has a connection of its own in the worker: a statement takes some 50 µs more than in the thread itself.
 * Readers and followers of the ledger do not wait for an app's transaction, and see its facts once it is committed. A lock
 * of another process is waited for, for 10 seconds. Integers come as numbers, with `SqlClient.SafeIntegers` as bigints.
 *
 * **Gotchas**
 *
 * - Only one writes at a time: while a transaction is open, appends wait. Keep it short, and flush nothing in it.
 *   The other calls that write the ledger fail in it, for they would wait for themselves.
 * - An app's tables cannot be called `ledger`, `threads`, `runs`, `names`, `writers` or `events`, and those are not for it
 *   to write. What copies a ledger leaves an app's tables behind.
 * - `.stream` reads all rows at once.
 * - SQLite enforces foreign keys only after `PRAGMA foreign_keys = ON`, outside of a transaction.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSql = (
  options: InThreadStore.Options
): Layer.Layer<EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient, InThreadStore.OpenError> =>
  Layer.provide(Layer.effectContext(SqlLedger.make(options, WorkerStore.openSql(options))), Reactivity.layer)

/**
 * As {@link layerSql}, but in the calling thread, for tests, scripts and `":memory:"`.
 *
 * **Gotchas**
 *
 * Every statement stops all fibers of the process. In memory, readers wait for the transaction that is open.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSqlInThread = (
  options: InThreadStore.Options
): Layer.Layer<EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient, InThreadStore.OpenError> =>
  Layer.provide(Layer.effectContext(SqlLedger.make(options, InThreadStore.openSql(options))), Reactivity.layer)
