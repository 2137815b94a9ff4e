/**
 * How much a ledger keeps: bytes for a fact, and rows for a run.
 */
import { Cursor, Durability, EventStore, MemoryEventStore, Recorder } from "@runledger/core"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { ids, runOf } from "./events.ts"
import { folder, inserting, ledgerIn, reference, staged } from "./files.ts"
import type { Row } from "./Row.ts"

/** The size of all files in a folder, those that SQLite may have left beside its own among them. */
const sizeOf = (path: string): number =>
  readdirSync(path, { recursive: true, withFileTypes: true }).reduce(
    (size, entry) => size + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
    0
  )

const ours = (count: number) =>
  Effect.gen(function* () {
    const path = yield* folder
    yield* Effect.scoped(
      Effect.gen(function* () {
        const store = yield* ledgerIn(join(path, "ours.db"))
        for (let from = 0; from < count; from += 1000) {
          yield* store.append(staged(from, Math.min(1000, count - from)))
        }
      })
    )
    return sizeOf(path) / count
  }).pipe(Effect.scoped)

const theirs = (count: number) =>
  Effect.gen(function* () {
    const path = yield* folder
    const database = reference(join(path, "theirs.db"))
    const insert = inserting(database)
    database.exec("BEGIN")
    staged(0, count).forEach(({ eventId, payload }, index) => insert(eventId, payload, index + 1))
    database.exec("COMMIT")
    database.close()
    return sizeOf(path) / count
  }).pipe(Effect.scoped)

/** The rows of a run that says a hundred events a second, by a clock that does not wait. */
const rowsOf = (exact: boolean) =>
  Effect.gen(function* () {
    const recorder = yield* Recorder.Recorder
    yield* Effect.scoped(
      Effect.flatMap(recorder.open(ids), (run) =>
        Effect.forEach(runOf(500), (event) => Effect.andThen(run.emit(event), TestClock.adjust("10 millis")), {
          discard: true
        })
      )
    )
    return yield* Effect.flatMap(EventStore.EventStore, (store) => store.count(Cursor.ledger))
  }).pipe(
    Effect.provide(Layer.fresh(Layer.provideMerge(Recorder.layer({ exact }), MemoryEventStore.layer))),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Durability.Durability, "full_fidelity")
  )

export const rows: ReadonlyArray<Row> = [
  {
    name: "size.bytes",
    work: "the file of a ledger, facts with a payload of some 60 bytes",
    against: "the file of the hand-written table",
    unit: "bytes/fact",
    mark: { ratio: 2 },
    rounds: 1,
    prepare: (size) => Effect.succeed({ ours: ours(size.of(100_000)), theirs: theirs(size.of(100_000)) })
  },
  {
    name: "size.rows",
    work: "a run of 20 messages in 500 deltas each, 100 events a second, full_fidelity",
    against: "the same, exact",
    unit: "rows",
    mark: { ratio: 15 },
    rounds: 1,
    prepare: () => Effect.succeed({ ours: rowsOf(false), theirs: rowsOf(true) })
  }
]
