/**
 * The tables of a ledger in SQLite, and how a file gets them.
 */
import { LedgerError } from "@runledger/core"
import { Effect } from "effect"
import type { SqlError } from "effect/sql"
import type { Handle } from "./NodeSqlite.ts"

type Query = Handle["query"]

/** "RLDG": says in the header of a file that it is a ledger. */
export const applicationId = 0x524c4447

/**
 * The statements that bring a ledger from each format to the next. A ledger's format is how many of them it has seen;
 * SQLite keeps it as `user_version`.
 *
 * Threads, runs and names (of kinds, origins and correlations) are stored once and referred to by number. `position`
 * and the sequences are dense above `floor`, which is how far a scope was pruned, and are never given again. `last_ordinal` is for a
 * row that stands for several events, `flags` for fidelity, visibility and whether the payload was erased. `event_id`, and `causation` if it can be, are
 * the 16 bytes of a UUID. Times are milliseconds; `recorded_after` counts from `occurred_at`.
 */
const migrations: ReadonlyArray<ReadonlyArray<string>> = [
  [
    `CREATE TABLE ledger (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      floor INTEGER NOT NULL DEFAULT 0
    ) STRICT`,
    "INSERT INTO ledger (id) VALUES (1)",
    `CREATE TABLE threads (
      id INTEGER PRIMARY KEY,
      thread_id TEXT NOT NULL UNIQUE,
      floor INTEGER NOT NULL DEFAULT 0
    ) STRICT`,
    `CREATE TABLE runs (
      id INTEGER PRIMARY KEY,
      run_id TEXT NOT NULL UNIQUE,
      thread INTEGER,
      status TEXT NOT NULL,
      done_reason TEXT,
      state TEXT,
      ordinal INTEGER,
      floor INTEGER NOT NULL DEFAULT 0,
      parent INTEGER,
      labels TEXT
    ) STRICT`,
    `CREATE TABLE names (
      id INTEGER PRIMARY KEY,
      name TEXT NOT NULL UNIQUE
    ) STRICT`,
    `CREATE TABLE writers (
      id INTEGER PRIMARY KEY,
      writer TEXT NOT NULL UNIQUE,
      epoch INTEGER NOT NULL,
      high_water INTEGER NOT NULL
    ) STRICT`,
    `CREATE TABLE events (
      position INTEGER PRIMARY KEY,
      event_id BLOB NOT NULL UNIQUE,
      thread INTEGER,
      thread_sequence INTEGER,
      run INTEGER,
      run_sequence INTEGER,
      kind INTEGER NOT NULL,
      flags INTEGER NOT NULL,
      ordinal INTEGER,
      last_ordinal INTEGER,
      occurred_at INTEGER NOT NULL,
      recorded_after INTEGER NOT NULL,
      origin INTEGER NOT NULL,
      correlation INTEGER,
      causation ANY,
      schema_version INTEGER NOT NULL,
      payload TEXT NOT NULL
    ) STRICT`,
    "CREATE UNIQUE INDEX events_thread ON events (thread, thread_sequence)",
    "CREATE UNIQUE INDEX events_run ON events (run, run_sequence)"
  ]
]

/** What each connection that writes is set to: a commit survives power loss, and what is deleted is overwritten at once. */
export const settings = ["PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON"]

/** The newest format that this version reads and writes. */
export const format = migrations.length

/** The error for a ledger of a format that does not exist yet. */
export const newer = (path: string, found: number): LedgerError.IntegrityError =>
  new LedgerError.IntegrityError({
    message: `the ledger ${path} was written by a newer runledger: it has format ${found}, this version knows ${format}; upgrade runledger to open it`
  })

/** The error for an SQLite database that another program made. */
export const notALedger = (path: string): LedgerError.IntegrityError =>
  new LedgerError.IntegrityError({
    message: `${path} is an SQLite database of another program, not a ledger; give the path of a ledger or of a new file`
  })

/** The error for a reader that finds no ledger. */
export const nothingToRead = (path: string): LedgerError.NotFound =>
  new LedgerError.NotFound({
    message: `there is no ledger at ${path}; check the path, or record a run there first`
  })

const foundFormat = (query: Query) => Effect.map(query("PRAGMA user_version", []), ([row = []]) => Number(row[0]))

const migrate = Effect.fnUntraced(function* (query: Query, path: string) {
  const found = yield* foundFormat(query)
  if (found > format) {
    return yield* newer(path, found)
  }
  if (found === 0) {
    const [[tables] = []] = yield* query("SELECT count(*) FROM sqlite_schema", [])
    if (tables !== 0) {
      return yield* notALedger(path)
    }
  }
  for (const statement of migrations.slice(found).flat()) {
    yield* query(statement, [])
  }
  yield* query(`PRAGMA application_id = ${applicationId}`, [])
  yield* query(`PRAGMA user_version = ${format}`, [])
})

/**
 * Gives a database the tables of this version.
 *
 * The schema is committed before the switch to WAL, in the main file itself: so its header says that it is a ledger even
 * if the process dies right after, when a write-ahead log would still hold everything.
 */
export const prepare = Effect.fnUntraced(function* (
  { query, transaction }: Pick<Handle, "query" | "transaction">,
  path: string,
  readOnly: boolean
): Effect.fn.Return<void, SqlError.SqlError | LedgerError.IntegrityError | LedgerError.NotFound> {
  const found = yield* foundFormat(query)
  if (found > format) {
    return yield* newer(path, found)
  }
  if (readOnly) {
    return yield* found === 0 ? nothingToRead(path) : Effect.void
  }
  if (found < format) {
    yield* transaction(migrate(query, path))
  }
  for (const setting of ["PRAGMA journal_mode = WAL", ...settings]) {
    yield* query(setting, [])
  }
})
