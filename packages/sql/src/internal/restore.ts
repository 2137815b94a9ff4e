/**
 * How a part of another ledger is taken in.
 */
import { type CanonicalEvent, EventStore, type StagedEvent } from "@runledger/core"
import { Effect } from "effect"
import type { Database, Place } from "./database.ts"
import { erasedFlag } from "./eventRow.ts"
import * as Labels from "./labels.ts"
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

const restoreFacts = Effect.fnUntraced(function* (db: Database, facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) {
  const known = yield* Read.byIds(
    db,
    facts.map(({ eventId }) => eventId)
  )
  const news = facts.filter(({ eventId }) => !known.has(eventId)).map(split)
  yield* db.insert(
    news.map(([event]) => event),
    news.map(([, place]) => place)
  )
})

/** When the last fact of a run was recorded. */
const lastRecorded = `coalesce((SELECT occurred_at + recorded_after FROM events
  WHERE run = runs.id AND run_sequence = (SELECT max(run_sequence) FROM events WHERE run = runs.id)), 0)`

/**
 * A run that has gone on since, or was pruned further, knows better; and what was erased does not come back: a state is
 * gone where there is an ordinal without one.
 */
const updateRun = `UPDATE runs SET status = ?, state = ?, ordinal = ?, labels = ?,
  done_reason = CASE
    WHEN EXISTS (SELECT 1 FROM events WHERE run = runs.id AND (flags & ${erasedFlag}) <> 0) THEN done_reason
    ELSE ?
  END
WHERE run_id = ? AND ${lastRecorded} <= ?
  AND (floor < ? OR (floor = ? AND (SELECT count(*) FROM events WHERE run = runs.id) <= ?))
  AND NOT (ordinal IS NOT NULL AND state IS NULL AND ordinal >= coalesce(?, 0))`

const restoreRun = Effect.fnUntraced(function* (db: Database, run: EventStore.RunRecord) {
  const { doneReason = null, facts, floor, ordinal = null, runId, state = null, status, threadId = null } = run
  const labels = Labels.text(run.labels)
  const updated = [status, state, ordinal, labels, doneReason, runId, run.updatedAt ?? 0, floor, floor, facts, ordinal]
  yield* db.query(updateRun, updated)
  yield* db.query(
    `INSERT INTO runs (run_id, thread, status, done_reason, state, ordinal, labels, floor)
     VALUES (?, (SELECT id FROM threads WHERE thread_id = ?), ?, ?, ?, ?, ?, ?)
     ON CONFLICT (run_id) DO UPDATE SET floor = excluded.floor WHERE runs.floor < excluded.floor`,
    [runId, threadId, status, doneReason, state, ordinal, labels, floor]
  )
})

const restoreEntries = Effect.fnUntraced(function* (db: Database, part: EventStore.Part) {
  const { floor = 0, runs = [], threads = [], writers = [] } = part
  if (floor > 0) {
    yield* db.goOnAfter(floor)
    yield* db.query("UPDATE ledger SET floor = ? WHERE floor < ?", [floor, floor])
  }
  for (const { floor, threadId } of threads) {
    yield* db.query(
      `INSERT INTO threads (thread_id, floor) VALUES (?, ?)
       ON CONFLICT (thread_id) DO UPDATE SET floor = excluded.floor WHERE threads.floor < excluded.floor`,
      [threadId, floor]
    )
  }
  for (const run of runs) {
    yield* restoreRun(db, run)
  }
  for (const { epoch, highWater, writer } of writers) {
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
    .transaction((within) => Effect.andThen(restoreFacts(within, part.facts ?? []), restoreEntries(within, part)))
    .pipe(Effect.andThen(db.committed))
