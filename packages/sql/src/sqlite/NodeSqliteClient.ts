/**
 * An `effect/sql` client over `node:sqlite`, which needs nothing compiled or installed.
 *
 * **Gotchas**
 *
 * `node:sqlite` is synchronous: each statement holds up the thread that runs it.
 *
 * @since 0.1.0
 */
import { Effect, Predicate, type Scope, Semaphore, Stream } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"

/** `errno` is the name under which Effect's classifier looks for SQLite's code, which Node calls `errcode`. */
const sqlError = (cause: unknown, operation: string): SqlError.SqlError => {
  if (Predicate.hasProperty(cause, "errcode")) {
    Object.assign(cause, { errno: cause.errcode })
  }
  const message = cause instanceof Error ? cause.message : String(cause)
  return new SqlError.SqlError({ reason: SqlError.classifySqliteError(cause, { message, operation }) })
}

const attempt = <A>(operation: string, evaluate: () => A): Effect.Effect<A, SqlError.SqlError> =>
  Effect.try({ try: evaluate, catch: (cause) => sqlError(cause, operation) })

interface Connection extends SqlConnection.Connection {
  readonly database: DatabaseSync
}

const all = (statement: StatementSync, params: ReadonlyArray<unknown>, arrays: boolean): ReadonlyArray<unknown> => {
  statement.setReturnArrays(arrays)
  return statement.all(...(params as ReadonlyArray<SQLInputValue>))
}

/** How many statements are kept prepared: more than a store has, but for those whose text depends on how much is asked. */
const preparedLimit = 200

const connect = (database: DatabaseSync): Connection => {
  const prepared = new Map<string, StatementSync>()

  const prepare = (sql: string): StatementSync => {
    let statement = prepared.get(sql)
    if (statement === undefined) {
      statement = database.prepare(sql)
      const [oldest] = prepared.keys()
      if (prepared.size >= preparedLimit && oldest !== undefined) {
        prepared.delete(oldest)
      }
      prepared.set(sql, statement)
    }
    return statement
  }

  const objects =
    (find: (sql: string) => StatementSync): SqlConnection.Connection["execute"] =>
    (sql, params, transformRows) =>
      attempt("execute", () => {
        const rows = all(find(sql), params, false) as ReadonlyArray<object>
        return transformRows === undefined ? rows : transformRows(rows)
      })
  const values =
    (find: (sql: string) => StatementSync): SqlConnection.Connection["executeValues"] =>
    (sql, params) =>
      attempt("execute", () => all(find(sql), params, true) as ReadonlyArray<ReadonlyArray<unknown>>)
  const execute = objects(prepare)

  return {
    database,
    execute,
    executeRaw: (sql, params) => execute(sql, params, undefined),
    // All rows at once: an open iterator would hold the one connection while its reader does something else.
    executeStream: (sql, params, transformRows) => Stream.fromIterableEffect(execute(sql, params, transformRows)),
    executeValues: values(prepare),
    executeValuesUnprepared: values((sql) => database.prepare(sql)),
    executeUnprepared: objects((sql) => database.prepare(sql))
  }
}

/**
 * Opens a database for as long as the scope lives. A statement that needs a lock which another process has fails at
 * once: to wait for it would stop the thread.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (options: {
  readonly path: string
  readonly readOnly: boolean
}): Effect.fn.Return<SqlClient.SqlClient, SqlError.SqlError, Scope.Scope | Reactivity.Reactivity> {
  const database = yield* Effect.acquireRelease(
    attempt(
      "connect",
      () =>
        new DatabaseSync(options.path, {
          readOnly: options.readOnly,
          timeout: 0,
          enableForeignKeyConstraints: false
        })
    ),
    (database) => Effect.sync(() => database.close())
  )
  return yield* SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connect(database)),
      semaphore: Semaphore.makeUnsafe(1),
      isTransaction: (connection) => connection.database.isTransaction
    }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    spanAttributes: [["db.system.name", "sqlite"]],
    beginTransaction: "BEGIN IMMEDIATE",
    prepareTransactionControls: true
  })
})
