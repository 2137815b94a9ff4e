/**
 * How a part of another ledger is taken in.
 */
import { type CanonicalEvent, EventStore, type StagedEvent } from "@runledger/core"
import { Effect } from "effect"
import type { Database, Place } from "./database.ts"
import * as Read from "./read.ts"

const split = (fact: CanonicalEvent.CanonicalEvent): readonly [StagedEvent.StagedEvent, Place] => {
  const { erased, payload, position, recordedAt, runSequence, threadSequence, ...event } = fact
  return [
    { ...event, payload: JSON.stringify(payload) },
    {
      position,
      recordedAt,
      ...(threadSequence === undefined ? {} : { threadSequence }),
      ...(runSequence === undefined ? {} : { runSequence }),
      ...(erased === undefined ? {} : { erased })
    }
  ]
}

/** How many ids are looked up with one statement. */
const lookupLimit = 100

const restoreFacts = Effect.fnUntraced(function* (db: Database, facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) {
  const known = new Set<string>()
  for (let at = 0; at < facts.length; at += lookupLimit) {
    const ids = facts.slice(at, at + lookupLimit).map(({ eventId }) => eventId)
    for (const { eventId } of yield* Read.byIds(db, ids)) {
      known.add(eventId)
    }
  }
  const news = facts.filter(({ eventId }) => !known.has(eventId)).map(split)
  yield* db.insert(
    news.map(([event]) => event),
    news.map(([, place]) => place)
  )
})

const restoreEntries = Effect.fnUntraced(function* (db: Database, part: EventStore.Part) {
  yield* db.query("UPDATE ledger SET floor = ? WHERE floor < ?", [part.floor ?? 0, part.floor ?? 0])
  for (const { floor, threadId } of part.threads ?? []) {
    yield* db.query(
      `INSERT INTO threads (thread_id, floor) VALUES (?, ?)
       ON CONFLICT (thread_id) DO UPDATE SET floor = excluded.floor WHERE threads.floor < excluded.floor`,
      [threadId, floor]
    )
  }
  for (const { facts, runId, threadId = null, ...run } of part.runs ?? []) {
    const { doneReason = null, floor, ordinal = null, state = null, status } = run
    yield* db.query(
      `INSERT INTO runs (run_id, thread, status, done_reason, state, ordinal, floor)
       VALUES (?, (SELECT id FROM threads WHERE thread_id = ?), ?, ?, ?, ?, ?)
       ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, done_reason = excluded.done_reason,
         state = excluded.state, ordinal = excluded.ordinal, floor = excluded.floor
       WHERE (SELECT count(*) FROM events WHERE run = runs.id) <= ?`,
      [runId, threadId, status, doneReason, state, ordinal, floor, facts]
    )
  }
  for (const { epoch, highWater, writer } of part.writers ?? []) {
    yield* db.query(
      `INSERT INTO writers (writer, epoch, high_water) VALUES (?, ?, ?)
       ON CONFLICT (writer) DO UPDATE SET epoch = excluded.epoch, high_water = excluded.high_water
       WHERE writers.epoch < excluded.epoch
         OR (writers.epoch = excluded.epoch AND writers.high_water < excluded.high_water)`,
      [writer, epoch, highWater]
    )
  }
})

export const restore = (db: Database, part: EventStore.Part) =>
  db
    .transaction(
      Effect.gen(function* () {
        yield* restoreFacts(db, part.facts ?? [])
        yield* restoreEntries(db, part)
      })
    )
    .pipe(Effect.andThen(db.committed))
