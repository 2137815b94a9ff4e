/**
 * What it costs to write facts into a file and to read them again, against what one would write by hand.
 */
import { EventStore, StagedEvent } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { ids } from "./events.ts"
import { microsEach, type Row } from "./Row.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "runledger-bench-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const scopes = [
  { _tag: "Thread", threadId: ids.threadId },
  { _tag: "Run", runId: ids.runId }
] as const

const payload = (index: number) => ({ _tag: "TextDelta", delta: `a delta of the usual size ${index}` })

/** Events as a recorder stages them. */
const staged = (from: number, count: number): ReadonlyArray<StagedEvent.StagedEvent> =>
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
const ledgerIn = (path: string) =>
  Effect.map(Layer.build(SqliteLedger.layer({ path })), (services) => Context.get(services, EventStore.EventStore))

/** Appends so many facts in batches of a size, several of which may be under way. */
const append = (count: number, size: number, inFlight: number) =>
  Effect.gen(function* () {
    const path = yield* folder
    const store = yield* ledgerIn(join(path, "ours.db"))
    const batches = Array.from({ length: Math.ceil(count / size) }, (_, index) => index * size)
    return yield* microsEach(
      count,
      Effect.forEach(batches, (from) => Effect.suspend(() => store.append(staged(from, size))), {
        concurrency: inFlight,
        discard: true
      })
    )
  }).pipe(Effect.scoped)

const pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"

/** The table that one would make: ids as texts, and an index for each order. */
const reference = (path: string): DatabaseSync => {
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
const inserting = (database: DatabaseSync) => {
  const prepared = database.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
  return ({ eventId, payload }: Pick<StagedEvent.StagedEvent, "eventId" | "payload">, at: number): void => {
    prepared.run(eventId, ids.threadId, ids.runId, at, at, "TextDeltaObserved", "public", "native", 0, payload)
  }
}

/** The loop that one would write: an insert for each row, a transaction for each batch, texts and ids made before. */
const insertAll = (count: number, size: number) =>
  Effect.gen(function* () {
    const path = yield* folder
    const database = reference(join(path, "theirs.db"))
    const rows = staged(0, count).map(({ eventId, payload }) => ({ eventId, payload }))
    const insert = inserting(database)
    const cost = yield* microsEach(
      count,
      Effect.sync(() => {
        for (let from = 0; from < count; from += size) {
          database.exec("BEGIN IMMEDIATE")
          for (let index = from; index < Math.min(from + size, count); index += 1) {
            insert(rows[index] ?? { eventId: "", payload: "" }, index + 1)
          }
          database.exec("COMMIT")
        }
      })
    )
    database.close()
    return cost
  }).pipe(Effect.scoped)

const read: Row = {
  name: "ledger.read",
  work: "a thread in pages of 1,000",
  against: "rows of the hand-written table and JSON.parse",
  unit: "us/fact",
  mark: 1,
  prepare: (size) =>
    Effect.gen(function* () {
      const count = size.of(100_000)
      const path = yield* folder
      const store = yield* ledgerIn(join(path, "ours.db"))
      const database = reference(join(path, "theirs.db"))
      yield* Effect.addFinalizer(() => Effect.sync(() => database.close()))
      const insert = inserting(database)
      database.exec("BEGIN")
      for (let from = 0; from < count; from += 1000) {
        const batch = staged(from, Math.min(1000, count - from))
        yield* store.append(batch)
        batch.forEach((event, index) => insert(event, from + index + 1))
      }
      database.exec("COMMIT")
      const page = database.prepare(
        "SELECT * FROM events WHERE thread_id = ? AND thread_sequence > ? ORDER BY thread_sequence LIMIT 1000"
      )
      const scope = { _tag: "Thread", threadId: ids.threadId } as const
      const ours = Effect.gen(function* () {
        let after: EventStore.EventPage["next"] | undefined
        for (let isMore = true; isMore; ) {
          const { hasMore, next } = yield* store.read({ scope, after })
          after = next
          isMore = hasMore
        }
      })
      return {
        ours: microsEach(count, ours),
        theirs: microsEach(
          count,
          Effect.sync(() => {
            for (let after = 0; after < count; after += 1000) {
              for (const row of page.all(ids.threadId, after)) {
                JSON.parse(String(row["payload"]))
              }
            }
          })
        )
      }
    })
}

export const rows: ReadonlyArray<Row> = [
  {
    name: "ledger.sqlite.reference",
    work: "append in batches of 100, acked, FULL, in the worker",
    against: "a hand-written loop: text ids, three unique indexes, texts made before",
    unit: "us/fact",
    mark: 1,
    prepare: (size) =>
      Effect.succeed({ ours: append(size.of(100_000), 100, 4), theirs: insertAll(size.of(100_000), 100) })
  },
  {
    name: "ledger.sqlite.1",
    work: "append one fact a commit, each acked before the next",
    against: "the hand-written loop, one row a transaction",
    unit: "us/fact",
    mark: 0.6,
    prepare: (size) => Effect.succeed({ ours: append(size.of(10_000), 1, 1), theirs: insertAll(size.of(10_000), 1) })
  },
  read
]
