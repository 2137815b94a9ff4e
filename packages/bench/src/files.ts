/**
 * Files that are measured: a ledger, and the table that one would make by hand; and the facts that go into both.
 */
import { EventStore, StagedEvent } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
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
export const staged = (from: number, count: number): ReadonlyArray<StagedEvent.StagedEvent> =>
  Array.from({ length: count }, (_, index) => {
    const draft = {
      scopes,
      kind: "TextDeltaObserved" as const,
      payload: payload(from + index),
      origin: "native",
      visibility: "public" as const,
      schemaVersion: 1
    }
    return StagedEvent.fromText({ fidelity: "observed_runtime_event", draft }, JSON.stringify(draft.payload), {
      occurredAt: 0,
      ordinal: from + index + 1
    })
  })

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
  return ({ eventId, payload }: Pick<StagedEvent.StagedEvent, "eventId" | "payload">, at: number): void => {
    prepared.run(eventId, ids.threadId, ids.runId, at, at, "TextDeltaObserved", "public", "native", 0, payload)
  }
}
