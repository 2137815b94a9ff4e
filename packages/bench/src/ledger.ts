/**
 * What it costs to write facts into a file and to read them again, against what one would write by hand.
 */
import { type AgentEvent, Durability, type EventStore, type LedgerError, type Run } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Array as Arr, Effect, FiberSet, type Scope } from "effect"
import { randomUUIDv7 } from "node:crypto"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { ids } from "./events.ts"
import { folder, inserting, insertingRaw, ledgerIn, rawRow, reference, staged } from "./files.ts"
import { patches, recorderInto } from "./recording.ts"
import { microsEach, type Row } from "./Row.ts"

/** Its worker compiles its code while it writes the first so many, which are not measured. */
const before = 2000

type Producer = (
  run: Run.RunShape,
  parts: ReadonlyArray<ReadonlyArray<AgentEvent.AgentEvent>>
) => Effect.Effect<void, LedgerError.StagingFailed, Scope.Scope>

/** Emits events one after another and waits for the commit of each before the next. */
const inTurns: Producer = (run, parts) =>
  Effect.forEach(parts, (events) => Effect.andThen(run.emitAll(events), run.flush()), { discard: true })

/** Emits on while the ledger commits, as an agent does, and waits for the commit of each part besides. */
const goingOn: Producer = (run, parts) =>
  Effect.gen(function* () {
    const commits = yield* FiberSet.make<void, LedgerError.StagingFailed>()
    yield* Effect.forEach(parts, (events) => Effect.andThen(run.emitAll(events), FiberSet.run(commits, run.flush())), {
      discard: true
    })
    yield* FiberSet.awaitEmpty(commits)
  })

/** Emits so many events, so many at a time, until the last of them is committed. */
const record = (count: number, size: number, produce: Producer) =>
  Effect.gen(function* () {
    const path = yield* folder
    const recorder = yield* recorderInto(SqliteLedger.layer({ path: join(path, "ours.db") }))
    const run = yield* recorder.open(ids)
    yield* run.emit({ _tag: "RunStart", ...ids })
    yield* run.emitAll(patches(before))
    yield* run.flush()
    const events = patches(count)
    const parts = Array.from({ length: Math.ceil(count / size) }, (_, part) =>
      events.slice(part * size, (part + 1) * size)
    )
    return yield* microsEach(count, produce(run, parts))
  }).pipe(Effect.scoped, Effect.provideService(Durability.Durability, "full_fidelity"))

/** Runs a step so many times in transactions of a size, on a database that is closed then. */
const inTransactions = (database: DatabaseSync, steps: number, each: number, step: (index: number) => void) =>
  Effect.ensuring(
    Effect.sync(() => {
      for (let from = 0; from < steps; from += each) {
        database.exec("BEGIN IMMEDIATE")
        for (let index = from; index < Math.min(from + each, steps); index += 1) {
          step(index)
        }
        database.exec("COMMIT")
      }
    }),
    Effect.sync(() => database.close())
  )

/** The facts that {@link record} commits. */
const facts = (count: number) => patches(count).map((event) => JSON.stringify(event))

/** The loop that one would write: an insert for each row, a transaction for each batch, texts and ids made before. */
const insertAll = (count: number, size: number) =>
  Effect.gen(function* () {
    const path = yield* folder
    const database = reference(join(path, "theirs.db"))
    const texts = facts(count)
    const eventIds = texts.map(() => randomUUIDv7())
    const insert = inserting(database)
    return yield* microsEach(
      count,
      inTransactions(database, count, size, (index) => insert(eventIds[index] ?? "", texts[index] ?? "", index + 1))
    )
  }).pipe(Effect.scoped)

/** The best insert into the tables of a ledger: so many rows a statement, all values made before. */
const insertRaw = (count: number, size: number) =>
  Effect.gen(function* () {
    const path = join(yield* folder, "raw.db")
    yield* Effect.scoped(ledgerIn(path))
    const database = new DatabaseSync(path)
    database.exec("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
    const each = Math.min(size, 25)
    const insert = insertingRaw(database, each)
    const rows = facts(count).map((payload, index) => rawRow(payload, index + 1))
    const statements = Arr.chunksOf(rows, each).map((rows) => rows.flat())
    return yield* microsEach(
      count,
      inTransactions(database, statements.length, size / each, (index) => insert(statements[index] ?? []))
    )
  }).pipe(Effect.scoped)

const read: Row = {
  name: "ledger.read",
  work: "a thread in pages of 1,000",
  against: "rows of the hand-written table and JSON.parse",
  unit: "us/fact",
  mark: { ratio: 1 },
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
        batch.forEach(({ eventId, payload }, index) => insert(eventId, payload, from + index + 1))
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

const writing = {
  work: "emit 100 at a time, wait for the commit of each while the next are emitted; full_fidelity, FULL, in the worker",
  unit: "us/fact"
} as const

export const rows: ReadonlyArray<Row> = [
  {
    ...writing,
    name: "ledger.sqlite.reference",
    against:
      "a hand-written loop: text ids, three unique indexes, a transaction for 100 rows, texts and ids made before",
    mark: { ratio: 1 },
    prepare: (size) =>
      Effect.succeed({ ours: record(size.of(100_000), 100, goingOn), theirs: insertAll(size.of(100_000), 100) })
  },
  {
    ...writing,
    name: "ledger.sqlite.raw",
    against: "the best insert into the same tables: 25 rows a statement, 100 a transaction, values made before",
    mark: { ratio: 0.55 },
    prepare: (size) =>
      Effect.succeed({ ours: record(size.of(100_000), 100, goingOn), theirs: insertRaw(size.of(100_000), 100) })
  },
  {
    ...writing,
    name: "ledger.sqlite.100",
    work: "emit 100, wait for their commit, emit the next; full_fidelity, FULL, in the worker",
    against: "the same hand-written loop",
    prepare: (size) =>
      Effect.succeed({ ours: record(size.of(100_000), 100, inTurns), theirs: insertAll(size.of(100_000), 100) })
  },
  {
    ...writing,
    name: "ledger.sqlite.1",
    work: "emit one event, wait for its commit, emit the next; full_fidelity, FULL, in the worker",
    against: "an insert into the same tables, a row a transaction, values made before",
    mark: { ratio: 0.6 },
    prepare: (size) =>
      Effect.succeed({ ours: record(size.of(10_000), 1, inTurns), theirs: insertRaw(size.of(10_000), 1) })
  },
  read
]
