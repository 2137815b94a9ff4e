/**
 * The `effect/sql` client of an app over its session, wherever that is: statements and transactions of its fibers come
 * one after the other.
 */
import { Effect, type Scope, Semaphore } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import * as NodeSqlite from "./NodeSqlite.ts"
import type { Session } from "./Session.ts"

const ended = new SqlError.SqlError({
  reason: new SqlError.UnknownError({
    message:
      "this transaction has ended, and a statement of it would run in another; wait for what was forked in a transaction before it ends",
    operation: "execute",
    cause: undefined
  })
})

const connection = (run: NodeSqlite.Handle["run"]): SqlConnection.Connection =>
  NodeSqlite.connection((query) =>
    Effect.withFiber((fiber) => run({ ...query, bigints: fiber.getRef(SqlClient.SafeIntegers) }))
  )

/** Makes the client. */
export const make = Effect.fnUntraced(function* (
  session: Session
): Effect.fn.Return<SqlClient.SqlClient, never, Reactivity.Reactivity> {
  const turn = Semaphore.makeUnsafe(1)

  const reserved: Effect.Effect<SqlConnection.Connection, SqlError.SqlError, Scope.Scope> = Effect.uninterruptibleMask(
    (restore) =>
      Effect.gen(function* () {
        yield* restore(turn.takeScoped(1))
        let has = true
        // Before it is reserved: the session may have been when this fiber is told to stop waiting.
        yield* Effect.addFinalizer(() =>
          Effect.suspend(() => {
            has = false
            return session.free()
          })
        )
        yield* restore(session.reserve())
        return connection((query) => Effect.suspend(() => (has ? session.statement(query) : Effect.fail(ended))))
      })
  )

  const alone = connection((query) => turn.withPermit(session.alone(query)))

  return yield* SqlClient.make({
    // Each statement waits for its turn on its own: who takes rows from a stream slowly holds up nobody.
    acquirer: Effect.succeed(alone),
    transactionAcquirer: reserved,
    isTransaction: session.isTransaction,
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    spanAttributes: [["db.system.name", "sqlite"]],
    beginTransaction: NodeSqlite.begin,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    prepareTransactionControls: true
  })
})
