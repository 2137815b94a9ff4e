/**
 * A ledger in a PostgreSQL database, through `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import { EventStore } from "@runledger/core"
import { Layer } from "effect"
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
