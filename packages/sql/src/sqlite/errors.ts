/**
 * What SQLite's errors mean for who uses a ledger.
 */
import { LedgerError } from "@runledger/core"
import { Predicate } from "effect"
import type { SqlError } from "effect/sql"
import { damaged } from "../internal/damaged.ts"

/** SQLite's primary result code: the low byte of the extended one that Node gives. */
const resultCode = ({ reason: { cause } }: SqlError.SqlError): number | undefined =>
  Predicate.hasProperty(cause, "errcode") && typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined

/** Whether another connection has a lock that was needed. */
export const isBusy = (error: SqlError.SqlError): boolean => {
  const code = resultCode(error)
  return code === 5 || code === 6 || code === 15 // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL
}

export const isKnownEventId = ({ reason }: SqlError.SqlError): boolean =>
  reason._tag === "UniqueViolation" && reason.constraint === "events.event_id"

/** Turns an error of SQLite into one of the ledger at this path; that its worker is gone says so itself. */
export const fromSqlError =
  (path: string) =>
  (error: SqlError.SqlError): LedgerError.IntegrityError | LedgerError.UnavailableError => {
    const unavailable = (what: string): LedgerError.UnavailableError =>
      new LedgerError.UnavailableError({ message: `the ledger ${path} ${what}`, cause: error.reason.cause })
    if (error.reason.cause instanceof LedgerError.UnavailableError) {
      return error.reason.cause
    }
    switch (resultCode(error)) {
      case 5: // SQLITE_BUSY
      case 6: // SQLITE_LOCKED
        return unavailable(
          "is locked: another process has held its write lock for 10 seconds; try again, or stop that process"
        )
      case 13: // SQLITE_FULL
        return unavailable(
          "cannot grow: the disk is full; nothing of this batch was written, free some space and try again"
        )
      case 10: // SQLITE_IOERR
        return unavailable(
          `cannot be read or written: its disk is full or failing (${error.message}); nothing of this batch was written`
        )
      case 8: // SQLITE_READONLY
        return unavailable(
          "cannot be written: it was opened with readOnly, or this user may only read the file or its folder"
        )
      case 3: // SQLITE_PERM
      case 14: // SQLITE_CANTOPEN
      case 23: // SQLITE_AUTH
        return unavailable(
          `cannot be opened or written (${error.message}); check the permissions of the file and of its folder, in which SQLite keeps two more files while a ledger is open`
        )
      case 11: // SQLITE_CORRUPT
      case 26: // SQLITE_NOTADB
      case 19: // SQLITE_CONSTRAINT: sequences that contradict the index
        return damaged(path, error.message, error.reason.cause)
      case 1: // SQLITE_ERROR
        return /^no such (table|column)/.test(error.message)
          ? damaged(path, error.message, error.reason.cause)
          : unavailable(`failed: ${error.message}`)
      default:
        return unavailable(`failed: ${error.message}`)
    }
  }
