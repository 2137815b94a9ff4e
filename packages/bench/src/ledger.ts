/**
 * What it costs to write facts into a file and to read them again, against what one would write by hand.
 */
import type { EventStore } from "@runledger/core"
import { Effect } from "effect"
import { join } from "node:path"
import { ids } from "./events.ts"
import { folder, inserting, ledgerIn, reference, staged } from "./files.ts"
import { microsEach, type Row } from "./Row.ts"

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
    mark: { ratio: 1 },
    prepare: (size) =>
      Effect.succeed({ ours: append(size.of(100_000), 100, 4), theirs: insertAll(size.of(100_000), 100) })
  },
  {
    name: "ledger.sqlite.1",
    work: "append one fact a commit, each acked before the next",
    against: "the hand-written loop, one row a transaction",
    unit: "us/fact",
    mark: { ratio: 0.6 },
    prepare: (size) => Effect.succeed({ ours: append(size.of(10_000), 1, 1), theirs: insertAll(size.of(10_000), 1) })
  },
  read
]
