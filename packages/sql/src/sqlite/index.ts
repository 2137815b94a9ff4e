/**
 * A ledger in one SQLite file, through the `node:sqlite` that Node brings along.
 *
 * @since 0.1.0
 */
import { EventStore } from "@runledger/core"
import { Layer } from "effect"
import * as InThreadStore from "./InThreadStore.ts"
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
