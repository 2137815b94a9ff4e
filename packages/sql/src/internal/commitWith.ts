/**
 * How an app's writes and facts are committed in one transaction: that of the app's client.
 */
import { LedgerError, type Transaction } from "@runledger/core"
import { Cause, Context, Data, Effect, Exit } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { type Calls, patience } from "../SqlEventStore.ts"
import type { Database } from "./database.ts"

const nested = new LedgerError.ValidationError({
  message:
    "validation error: commitWith was called in a transaction of the same client, which could be rolled back when its facts count as committed; call it outside of one, with all of the writes"
})

/** The ledger's own tables have no constraint that is checked so late. */
const brokeConstraint = ({ message, reason: { cause } }: SqlError.SqlError): LedgerError.ValidationError =>
  new LedgerError.ValidationError({
    message: `validation error: the writes break a deferred constraint, so nothing of their transaction was committed: ${cause instanceof Error ? cause.message : message}`
  })

/** No transaction was begun, so nothing was written and nobody's writes have run. */
class NotBegun extends Data.TaggedError("NotBegun")<{ readonly error: SqlError.SqlError }> {}

/** The error of the database in a cause. On a connection that is gone, the rollback dies of one. */
const sqlErrorOf = (cause: Cause.Cause<unknown>): SqlError.SqlError | undefined => {
  const error = Cause.squash(cause)
  return SqlError.isSqlError(error) ? error : undefined
}

/**
 * Makes the transactions of a ledger. `begin` is the statement that begins one on the app's client, `append` writes into
 * the one that is open, and `notify` is run after each commit. Only beginning is tried again.
 */
export const make = ({
  append,
  begin,
  isTransient,
  notify,
  onSqlError,
  sql
}: Pick<Database, "isTransient" | "onSqlError"> & {
  readonly sql: SqlClient.SqlClient
  readonly begin: string
  readonly append: Calls["append"]
  readonly notify: Effect.Effect<void>
}): Transaction.TransactionShape["commitWith"] => {
  const attempt = <A, E, R>(
    writes: Effect.Effect<A, E, R>,
    batch: Effect.Effect<Transaction.Append>
  ): Effect.Effect<A, E | LedgerError.AppendError | NotBegun, R> =>
    Effect.withFiber((fiber) => {
      let begun = false
      let failed: Exit.Exit<never, E | LedgerError.AppendError> | undefined
      const statements = Effect.suspend(() => {
        begun = true
        return writes
      }).pipe(
        // Only this transaction is begun so, not one of another client within it.
        Effect.provideService(SqlClient.BeginTransaction, fiber.getRef(SqlClient.BeginTransaction)),
        Effect.tap(() => Effect.flatMap(batch, ({ batch, options }) => append(batch, options))),
        // Also when the fiber is interrupted as it commits.
        Effect.tap(() => sql.afterCommit(notify)),
        Effect.onError((cause) =>
          Effect.sync(() => {
            failed = Exit.failCause(cause)
          })
        )
      )
      return sql.withTransaction(statements).pipe(
        Effect.provideService(SqlClient.BeginTransaction, begin),
        Effect.catchCause((cause): Effect.Effect<never, E | LedgerError.AppendError | NotBegun> => {
          const error = sqlErrorOf(cause)
          if (failed !== undefined || error === undefined) {
            return failed ?? Effect.failCause(cause as Cause.Cause<never>)
          }
          if (!begun) {
            return Effect.fail(new NotBegun({ error }))
          }
          return Effect.fail(
            error.reason._tag === "UniqueViolation" || error.reason._tag === "ConstraintError"
              ? brokeConstraint(error)
              : onSqlError(error)
          )
        })
      )
    })

  const isNotBegun = (error: unknown): error is NotBegun => error instanceof NotBegun

  return (writes, batch) =>
    Effect.withFiber((fiber) =>
      Context.getOrUndefined(fiber.context, sql.transactionService) === undefined
        ? attempt(writes, batch).pipe(
            Effect.retry({ schedule: patience, while: (error) => isNotBegun(error) && isTransient(error.error) }),
            Effect.catchIf(isNotBegun, ({ error }) => Effect.fail(onSqlError(error)))
          )
        : Effect.fail(nested)
    )
}
