/**
 * What PostgreSQL's errors mean for who uses a ledger.
 */
import { PgProtocol } from "@effect/sql-pg"
import { LedgerError } from "@runledger/core"
import { Predicate } from "effect"
import type { SqlError } from "effect/sql"
import { damaged } from "../internal/damaged.ts"

/** The SQLSTATE of what the server answered, or the code of the system for what never reached it. */
const codeOf = ({ reason: { cause } }: SqlError.SqlError): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : ""

/** Whether no server could be reached, or the server ended the attempt. */
const isUnreached = ({ reason }: SqlError.SqlError): boolean =>
  reason._tag === "ConnectionError" && reason.operation === "connect"

const passing = new Set([
  "40P01", // deadlock_detected
  "40001", // serialization_failure
  "55P03", // lock_not_available
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "57P05", // idle_session_timeout
  "53300", // too_many_connections
  "25P03", // idle_in_transaction_session_timeout
  "25P04", // transaction_timeout
  "26000", // a prepared statement that is gone,
  "0A000" // or whose tables have changed: the client prepares it again
])

/** What a connection fails with for good: the server, or one before it, does not speak to this client. */
const lasting = new Set(["08004", "08P01"])

/**
 * Whether a statement may succeed a moment later. A unique violation of an event id that was not there when it was looked
 * up is one: somebody has committed the same batch meanwhile.
 */
export const isTransient = (error: SqlError.SqlError): boolean => {
  const code = codeOf(error)
  return (
    passing.has(code) ||
    isKnownEventId(error) ||
    (error.reason._tag === "ConnectionError" &&
      !lasting.has(code) &&
      !(error.reason.cause instanceof PgProtocol.ParseError))
  )
}

/** As {@link isTransient}, for opening: that nobody listens there is more likely a wrong address than a restart. */
export const isTransientToOpen = (error: SqlError.SqlError): boolean => isTransient(error) && !isUnreached(error)

export const isKnownEventId = ({ reason }: SqlError.SqlError): boolean =>
  reason._tag === "UniqueViolation" && reason.constraint === "events_event_id"

/** What the server or the system says, which for an address with several IPs is only a code. */
const said = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  return (cause instanceof Error && cause.message) || codeOf(error) || error.message
}

/** Turns an error of PostgreSQL into one of the ledger with this name. */
export const fromSqlError =
  (name: string) =>
  (error: SqlError.SqlError): LedgerError.IntegrityError | LedgerError.UnavailableError => {
    const code = codeOf(error)
    const unavailable = (what: string): LedgerError.UnavailableError =>
      new LedgerError.UnavailableError({ message: `the ledger ${name} ${what}`, cause: error.reason.cause })
    if (error.reason._tag === "LockTimeoutError") {
      return unavailable("is locked: another session has held what this one needs for 10 seconds; try again")
    }
    if (isUnreached(error)) {
      return unavailable(`cannot be reached (${said(error)}); check host and port, and whether the server runs`)
    }
    switch (code) {
      case "28000": // invalid_authorization_specification
      case "28P01": // invalid_password
        return unavailable(
          "does not let this user in; check user and password, and what the server's pg_hba.conf allows them"
        )
      case "3D000": // invalid_catalog_name
        return unavailable("has no database of this name; create it, or correct the name")
      case "42501": // insufficient_privilege
        return unavailable(`may not be used so by this user (${said(error)}); grant what is missing`)
      case "25006": // read_only_sql_transaction
        return unavailable(
          "cannot be written: it was opened read-only, or the server takes no writes; open it for writing, on the primary server"
        )
      case "53100": // disk_full
        return unavailable(
          "cannot grow: the server's disk is full; nothing of this batch was written, free some space and try again"
        )
      case "53300": // too_many_connections
        return unavailable(
          "gives no more connections; close some, or raise max_connections on the server, and try again"
        )
      case "40P01": // deadlock_detected
      case "40001": // serialization_failure
        return unavailable("is locked: another session has held what this one needs for 10 seconds; try again")
      case "23502": // not_null_violation
      case "23505": // unique_violation
      case "42703": // undefined_column
      case "42P01": // undefined_table
      case "XX001": // data_corrupted
      case "XX002": // index_corrupted
        return damaged(name, said(error), error.reason.cause)
      default:
        return unavailable(
          error.reason._tag === "ConnectionError"
            ? `lost its connection (${said(error)}); what was not confirmed may not be saved, send it again: what is there already is skipped`
            : `failed: ${said(error)}`
        )
    }
  }
