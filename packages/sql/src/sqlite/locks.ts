/**
 * How the name of a writer is held: by a lock of the system on a small file, which the system lets go when the process
 * ends, however it ends.
 *
 * Each name has a file of its own in a folder beside the ledger. A connection to it begins a transaction that writes and
 * never ends one, so SQLite keeps it locked and the file stays empty. The files are not deleted: somebody may be about to
 * lock the one that goes, and would hold nothing. Nor may anything else in the process open them, for it would take the
 * locks along when it closes them.
 */
import { EventStore, LedgerError } from "@runledger/core"
import { Effect, Predicate, type Scope } from "effect"
import { createHash } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Locks } from "../internal/locks.ts"

/** SQLite's code for a lock that another connection has. */
const busy = 5

/** Locks a file. A connection that may only read would begin all the same, so a value is set that is never written. */
const lock = (file: string): DatabaseSync => {
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE; PRAGMA user_version = 1")
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

/** The file of a writer's name: whatever the name, its own can be one of a file. */
const fileOf = (folder: string, writer: string): string =>
  join(folder, createHash("sha256").update(writer).digest("hex"))

const unavailable = (folder: string, writer: string, cause: unknown): LedgerError.UnavailableError =>
  new LedgerError.UnavailableError({
    message: `the name of writer ${JSON.stringify(writer)} cannot be claimed: ${folder}, the folder in which a file is locked for each name, cannot be written (${cause instanceof Error ? cause.message : String(cause)}); let this user write it and the files in it, and the folder that it is in`,
    cause
  })

/**
 * The locks of a ledger, held until the scope closes. Without a path they hold within it only: a ledger in memory has no
 * other handle, and one that is only read refuses the claim anyway.
 */
export const make = Effect.fnUntraced(function* (
  path: string | undefined
): Effect.fn.Return<Locks, never, Scope.Scope> {
  const held = new Map<string, DatabaseSync | undefined>()

  const take = (writer: string) =>
    Effect.suspend(() => {
      if (held.has(writer)) {
        return Effect.fail(EventStore.writerHeld(writer))
      }
      if (path === undefined) {
        held.set(writer, undefined)
        return Effect.void
      }
      const folder = `${path}-locks`
      try {
        mkdirSync(folder, { recursive: true })
        held.set(writer, lock(fileOf(folder, writer)))
        return Effect.void
      } catch (cause) {
        return Effect.fail(
          Predicate.hasProperty(cause, "errcode") && cause.errcode === busy
            ? EventStore.writerHeld(writer)
            : unavailable(folder, writer, cause)
        )
      }
    })

  const free = (writer: string) =>
    Effect.sync(() => {
      held.get(writer)?.close()
      held.delete(writer)
    })

  yield* Effect.addFinalizer(() => Effect.forEach([...held.keys()], free, { discard: true }))
  return {
    claim: (writer, raise) =>
      Effect.andThen(
        take(writer),
        Effect.onError(raise, () => free(writer))
      ),
    release: ({ writer }) => free(writer)
  }
})
