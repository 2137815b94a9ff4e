/**
 * What stands at the path of a ledger, found out without SQLite, which would change or create it.
 */
import { LedgerError } from "@runledger/core"
import { Effect, Predicate } from "effect"
import { closeSync, openSync, readSync, realpathSync, statSync, type Stats } from "node:fs"
import { dirname } from "node:path"
import * as Schema from "./schema.ts"

type OpenError = LedgerError.IntegrityError | LedgerError.UnavailableError | LedgerError.NotFound

/** Where the header of an SQLite database keeps what is checked here, in bytes. */
const header = { bytes: 100, magic: "SQLite format 3\0", userVersion: 60, applicationId: 68 } as const

const refused = (message: string): LedgerError.IntegrityError => new LedgerError.IntegrityError({ message })

const unavailable = (path: string, cause: unknown): LedgerError.UnavailableError => {
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  const message =
    code === "EACCES" || code === "EPERM"
      ? `the ledger ${path} may not be opened by this user; change its permissions or those of its folder`
      : code === "EROFS"
        ? `the ledger ${path} is on a read-only file system; open it read-only, or copy it elsewhere`
        : `the ledger ${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`
  return new LedgerError.UnavailableError({ message, cause })
}

const attempt = <A>(path: string, evaluate: () => A): Effect.Effect<A, LedgerError.UnavailableError> =>
  Effect.try({ try: evaluate, catch: (cause) => unavailable(path, cause) })

const stat = (path: string): Effect.Effect<Stats | undefined, LedgerError.UnavailableError> =>
  attempt(path, () => statSync(path, { throwIfNoEntry: false }))

/** The path of the file itself, whatever links lead to it. */
export const real = (path: string): Effect.Effect<string, LedgerError.UnavailableError> =>
  attempt(path, () => realpathSync(path))

/** The first bytes of a file. It is opened for writing too if it is to be written, to learn whether it may be. */
const readHeader = (path: string, readOnly: boolean): Buffer => {
  const file = openSync(path, readOnly ? "r" : "r+")
  try {
    const buffer = Buffer.alloc(header.bytes)
    return buffer.subarray(0, readSync(file, buffer, 0, header.bytes, 0))
  } finally {
    closeSync(file)
  }
}

/** Fails unless a ledger can be opened at this path, or made if it is not only to be read. */
export const check = Effect.fnUntraced(function* (path: string, readOnly: boolean): Effect.fn.Return<void, OpenError> {
  const stats = yield* stat(path)
  if (stats === undefined || (stats.isFile() && stats.size === 0)) {
    if (readOnly) {
      return yield* Schema.nothingToRead(path)
    }
    if ((yield* stat(dirname(path))) === undefined) {
      return yield* new LedgerError.UnavailableError({
        message: `the ledger ${path} cannot be made: its folder does not exist; create ${dirname(path)} first`
      })
    }
    return
  }
  if (!stats.isFile()) {
    return yield* refused(
      `${path} is a ${stats.isDirectory() ? "folder" : "device or pipe"}, not a ledger; give the path of a file`
    )
  }
  const found = yield* attempt(path, () => readHeader(path, readOnly))
  if (found.length < header.bytes || found.toString("latin1", 0, header.magic.length) !== header.magic) {
    return yield* refused(
      `${path} is not an SQLite database and so not a ledger; give the path of a ledger or of a new file`
    )
  }
  if (found.readUInt32BE(header.applicationId) !== Schema.applicationId) {
    return yield* Schema.notALedger(path)
  }
  const format = found.readUInt32BE(header.userVersion)
  if (format > Schema.format) {
    return yield* Schema.newer(path, format)
  }
})

/**
 * An effect that fails once the file is not the one that was opened. SQLite goes on writing to a file that was deleted
 * or replaced, and all of it is lost when the file is closed.
 */
export const watch = Effect.fnUntraced(function* (path: string) {
  const opened = yield* stat(path)
  return Effect.flatMap(stat(path), (now) =>
    now !== undefined && now.ino === opened?.ino && now.dev === opened.dev
      ? Effect.void
      : Effect.fail(
          new LedgerError.UnavailableError({
            message: `the ledger ${path} was deleted or replaced while it was open; what was committed since is not in it: put the file back, or open the ledger again`
          })
        )
  )
})
