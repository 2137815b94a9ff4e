/**
 * A transaction as the store needs it.
 */
import { Effect } from "effect"
import { SqlClient, SqlError } from "effect/sql"

/** Each statement sees what was committed before it, whatever the default of the server is. */
export const begin = "BEGIN ISOLATION LEVEL READ COMMITTED"

/** Runs statements in one transaction. */
export const transaction = <A, E>(
  sql: SqlClient.SqlClient,
  statements: Effect.Effect<A, E>
): Effect.Effect<A, E | SqlError.SqlError> =>
  sql.withTransaction(statements).pipe(
    Effect.provideService(SqlClient.BeginTransaction, begin),
    // On a connection that is gone the rollback dies of the same error.
    Effect.catchDefect((defect) => (SqlError.isSqlError(defect) ? Effect.fail(defect) : Effect.die(defect)))
  )
