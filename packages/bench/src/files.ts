/**
 * Files that are measured: a ledger, and the table that one would make by hand; and the facts that go into both.
 */
import { EventStore, StagedEvent } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { randomUUIDv7 } from "node:crypto"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { uuidBytes } from "../../sql/src/internal/eventRow.ts"
import { ids } from "./events.ts"

export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "runledger-bench-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const scopes = [
  { _tag: "Thread", threadId: ids.threadId },
  { _tag: "Run", runId: ids.runId }
] as const

const payload = (index: number) => ({ _tag: "TextDelta", delta: `a delta of the usual size ${index}` })

/** Events as a recorder stages them. */
export const staged = (from: number, count: number): ReadonlyArray<StagedEvent.StagedEvent> => {
  const occurredAt = Date.now()
  return Array.from({ length: count }, (_, index) => {
    const draft = {
      scopes,
      kind: "TextDeltaObserved" as const,
      payload: payload(from + index),
      origin: "native",
      visibility: "public" as const,
      schemaVersion: 1
    }
    return StagedEvent.fromText({ fidelity: "observed_runtime_event", draft }, JSON.stringify(draft.payload), {
      occurredAt,
      ordinal: from + index + 1
    })
  })
}

/** A ledger on a new file, in its worker, with what a user gets who says nothing. */
export const ledgerIn = (path: string) =>
  Effect.map(Layer.build(SqliteLedger.layer({ path })), (services) => Context.get(services, EventStore.EventStore))

const pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"

/** The table that one would make: ids as texts, and an index for each order. */
export const reference = (path: string): DatabaseSync => {
  const database = new DatabaseSync(path)
  database.exec(`${pragmas}
    CREATE TABLE events (
      id TEXT PRIMARY KEY, thread_id TEXT NOT NULL, run_id TEXT NOT NULL, thread_sequence INTEGER NOT NULL,
      run_sequence INTEGER NOT NULL, kind TEXT NOT NULL, visibility TEXT NOT NULL, origin TEXT NOT NULL,
      occurred_at INTEGER NOT NULL, payload TEXT NOT NULL
    );
    CREATE UNIQUE INDEX by_thread ON events (thread_id, thread_sequence);
    CREATE UNIQUE INDEX by_run ON events (run_id, run_sequence);`)
  return database
}

/** Inserts a row at a place. */
export const inserting = (database: DatabaseSync) => {
  const prepared = database.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
  const now = Date.now()
  return (eventId: string, payload: string, at: number): void => {
    prepared.run(eventId, ids.threadId, ids.runId, at, at, "StateDeltaObserved", "public", "native", now, payload)
  }
}

/** Inserts so many rows into the tables of a ledger, all in one thread and run. */
export const insertingRaw = (database: DatabaseSync, rows: number) => {
  const values = `(${rawRow("", 0)
    .map(() => "?")
    .join(", ")})`
  const prepared = database.prepare(
    `INSERT INTO events VALUES ${Array.from({ length: rows }, () => values).join(", ")}`
  )
  return (params: ReadonlyArray<SQLInputValue>): void => {
    prepared.run(...params)
  }
}

/** A row of a ledger's table of events. */
export const rawRow = (payload: string, at: number): ReadonlyArray<SQLInputValue> => [
  at,
  uuidBytes(randomUUIDv7()),
  1,
  at,
  1,
  at,
  1,
  0,
  at,
  null,
  Date.now(),
  5,
  2,
  null,
  null,
  1,
  payload
]
