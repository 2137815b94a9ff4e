/**
 * How the tables get smaller, and lose every byte of what was deleted.
 */
import { LedgerError } from "@runledger/core"
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { patience } from "../SqlEventStore.ts"

/** Whether a session of this database still sees what was there before a transaction. */
const isSeen = `SELECT EXISTS (
  SELECT FROM pg_stat_activity
  WHERE (datname = current_database() OR datname IS NULL) AND age(backend_xmin) > age($1::xid)
)`

const unseen = Effect.fnUntraced(function* (name: string, sql: SqlClient.SqlClient, transaction: unknown) {
  const [[seen] = []] = yield* sql.unsafe(isSeen, [transaction]).values
  if (seen === true) {
    return yield* new LedgerError.UnavailableError({
      message: `what was deleted from the ledger ${name} is gone from it, but its bytes are still in the files of the server: a transaction that began before is still open in this database; do the same again when it has ended`
    })
  }
})

/** Which files the tables are in: other ones after they were written anew. */
const files = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [found = []] = yield* sql.unsafe(
    "SELECT pg_relation_filenode('events')::text, pg_relation_filenode('runs')::text"
  ).values
  return found
})

/**
 * Writes the tables anew, without what was deleted. PostgreSQL would take along what an older transaction can still see,
 * so the end of those is waited for. To who does not own a table it only gives a warning.
 */
export const compact = Effect.fnUntraced(function* (
  name: string,
  sql: SqlClient.SqlClient
): Effect.fn.Return<void, SqlError.SqlError | LedgerError.UnavailableError> {
  const [[transaction] = []] = yield* sql.unsafe("SELECT pg_current_xact_id()::xid::text").values
  yield* Effect.retry(unseen(name, sql, transaction), {
    schedule: patience,
    while: (error) => error._tag === "UnavailableError"
  })
  const before = yield* files(sql)
  yield* sql.unsafe("VACUUM FULL events, runs").valuesUnprepared
  const after = yield* files(sql)
  if (after.some((file, table) => file === before[table])) {
    return yield* new LedgerError.UnavailableError({
      message: `what was deleted from the ledger ${name} is gone from it, but its bytes are still in the files of the server: this user may not run VACUUM FULL on its tables; make it their owner, or grant MAINTAIN on events and runs, and do the same again`
    })
  }
})
