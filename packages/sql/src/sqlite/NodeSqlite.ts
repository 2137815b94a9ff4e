/**
 * An open database of `node:sqlite`, which needs nothing compiled or installed. It is synchronous: each statement holds up
 * the thread that runs it.
 */
import { Effect, Predicate, type Scope, Stream } from "effect"
import { type SqlConnection, SqlError } from "effect/sql"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"

/** `errno` is the name under which Effect's classifier looks for SQLite's code, which Node calls `errcode`. */
export const sqlError = (cause: unknown, operation: string): SqlError.SqlError => {
  if (Predicate.hasProperty(cause, "errcode")) {
    Object.assign(cause, { errno: cause.errcode })
  }
  const message = cause instanceof Error ? cause.message : String(cause)
  return new SqlError.SqlError({ reason: SqlError.classifySqliteError(cause, { message, operation }) })
}

const attempt = <A>(operation: string, evaluate: () => A): Effect.Effect<A, SqlError.SqlError> =>
  Effect.try({ try: evaluate, catch: (cause) => sqlError(cause, operation) })

/** A statement, and how its rows are wanted: as objects or as values, and integers as numbers or as bigints. */
export interface Query {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  readonly rows: "objects" | "arrays"
  readonly bigints: boolean
  readonly prepared: boolean
}

/** An open database. */
export interface Handle {
  readonly database: DatabaseSync
  readonly run: (query: Query) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>

  /** Runs a statement that is kept prepared, and gives its rows as values. */
  readonly query: (
    sql: string,
    params: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError.SqlError>

  /** Runs statements in a transaction that writes. */
  readonly transaction: <A, E>(statements: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError.SqlError>

  /** Rolls back the transaction that is open, if one is. */
  readonly rollback: Effect.Effect<void>
}

/** The statement that begins a transaction: the file is locked for writing from then on. */
export const begin = "BEGIN IMMEDIATE"

/** How many statements are kept prepared: more than a store has, but for those whose text depends on how much is asked. */
const preparedLimit = 200

const handle = (database: DatabaseSync): Handle => {
  const kept = new Map<string, StatementSync>()

  const prepare = (sql: string, bigints: boolean): StatementSync => {
    const statement = database.prepare(sql)
    if (bigints) {
      statement.setReadBigInts(true)
    }
    return statement
  }

  const find = (sql: string, bigints: boolean): StatementSync => {
    const key = bigints ? `bigints ${sql}` : sql
    let statement = kept.get(key)
    if (statement === undefined) {
      statement = prepare(sql, bigints)
      const [oldest] = kept.keys()
      if (kept.size >= preparedLimit && oldest !== undefined) {
        kept.delete(oldest)
      }
      kept.set(key, statement)
    }
    return statement
  }

  const run: Handle["run"] = ({ bigints, params, prepared, rows, sql }) =>
    attempt("execute", () => {
      const statement = prepared ? find(sql, bigints) : prepare(sql, bigints)
      statement.setReturnArrays(rows === "arrays")
      // Node would take its properties for named parameters, and leave the parameter NULL.
      const [first] = params
      if (typeof first === "function" || (typeof first === "object" && first !== null && !ArrayBuffer.isView(first))) {
        throw new TypeError("Provided value cannot be bound to SQLite parameter 1.")
      }
      return statement.all(...(params as ReadonlyArray<SQLInputValue>))
    })

  const query: Handle["query"] = (sql, params) =>
    run({ sql, params, rows: "arrays", bigints: false, prepared: true }) as ReturnType<Handle["query"]>

  const rollback = Effect.suspend(() => (database.isTransaction ? Effect.ignore(query("ROLLBACK", [])) : Effect.void))

  return {
    database,
    run,
    query,
    transaction: (statements) =>
      query(begin, []).pipe(
        Effect.andThen(statements),
        Effect.tap(() => query("COMMIT", [])),
        Effect.ensuring(rollback)
      ),
    rollback
  }
}

/** A connection whose statements somebody runs. */
export const connection = (run: Handle["run"]): SqlConnection.Connection => {
  const objects =
    (prepared: boolean): SqlConnection.Connection["execute"] =>
    (sql, params, transformRows) => {
      const rows = run({ sql, params, rows: "objects", bigints: false, prepared }) as Effect.Effect<
        ReadonlyArray<object>,
        SqlError.SqlError
      >
      return transformRows === undefined ? rows : Effect.map(rows, transformRows)
    }
  const values =
    (prepared: boolean): SqlConnection.Connection["executeValues"] =>
    (sql, params) =>
      run({ sql, params, rows: "arrays", bigints: false, prepared }) as Effect.Effect<
        ReadonlyArray<ReadonlyArray<unknown>>,
        SqlError.SqlError
      >
  const execute = objects(true)
  return {
    execute,
    executeRaw: (sql, params) => execute(sql, params, undefined),
    // All rows at once: an open iterator would hold the one connection while its reader does something else.
    executeStream: (sql, params, transformRows) => Stream.fromIterableEffect(execute(sql, params, transformRows)),
    executeValues: values(true),
    executeValuesUnprepared: values(false),
    executeUnprepared: objects(false)
  }
}

/**
 * Opens a database for as long as the scope lives. A statement that needs a lock which another process has fails at
 * once: to wait for it would stop the thread.
 */
export const open = (options: {
  readonly path: string
  readonly readOnly: boolean
}): Effect.Effect<Handle, SqlError.SqlError, Scope.Scope> =>
  Effect.acquireRelease(
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
  ).pipe(Effect.map(handle))
