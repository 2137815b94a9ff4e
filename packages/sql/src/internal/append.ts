/**
 * How a batch is committed, with all that belongs to it: one transaction.
 */
import { Cursor, EventStore, type StagedEvent } from "@runledger/core"
import { Effect, Result } from "effect"
import type { SqlError } from "effect/sql"
import type { Database, Tables } from "./database.ts"
import * as Labels from "./labels.ts"
import * as Read from "./read.ts"
import { bounds, idParam } from "./scope.ts"

type Batch = ReadonlyArray<StagedEvent.StagedEvent>

/** Fails unless each writer has the epoch of its latest claim. Nobody can claim it before the transaction ends. */
const fence = Effect.fnUntraced(function* (db: Tables, writers: ReadonlyArray<EventStore.Writer>) {
  for (const writer of writers.toSorted((a, b) => (a.writer < b.writer ? -1 : 1))) {
    const [[current] = []] = yield* db.query(
      "UPDATE writers SET high_water = CASE WHEN epoch = ? AND high_water < ? THEN ? ELSE high_water END WHERE writer = ? RETURNING epoch",
      [writer.epoch, writer.highWater, writer.highWater, writer.writer]
    )
    if (Number(current) !== writer.epoch) {
      return yield* EventStore.fenced(writer, current === undefined ? undefined : Number(current))
    }
  }
})

/** Gives a writer its next epoch. */
export const raiseEpoch = (db: Database, writer: string) =>
  db
    .transaction(({ query }) =>
      query(
        `INSERT INTO writers (writer, epoch, high_water) VALUES (?, 1, 0)
         ON CONFLICT (writer) DO UPDATE SET epoch = writers.epoch + 1 RETURNING epoch, high_water`,
        [writer]
      )
    )
    .pipe(
      Effect.map(
        ([row = []]): EventStore.Writer => ({
          writer,
          epoch: Number(row[0]),
          highWater: Number(row[1])
        })
      ),
      Effect.tap(db.committed)
    )

/** The events of a batch that the ledger does not have. */
const unknownOf = Effect.fnUntraced(function* (db: Tables, batch: Batch) {
  const known = yield* Read.byIds(
    db,
    batch.map(({ eventId }) => eventId)
  )
  const news = new Map<string, StagedEvent.StagedEvent>()
  for (const event of batch) {
    const { eventId } = event
    const fact = known.get(eventId)
    const before = news.get(eventId)
    if (
      (fact !== undefined && !EventStore.says(event, fact)) ||
      (before !== undefined && !EventStore.repeats(event, before))
    ) {
      return yield* EventStore.idempotencyConflict(eventId)
    }
    if (fact === undefined && before === undefined) {
      news.set(eventId, event)
    }
  }
  return [...news.values()]
})

const expect = Effect.fnUntraced(function* (db: Tables, all: ReadonlyArray<EventStore.Expected>) {
  for (const expected of all) {
    const { last } = yield* bounds(db, expected.scope)
    if (Result.getOrThrow(Cursor.sequence(expected.scope, expected.cursor)) !== last) {
      return yield* EventStore.expectedCursorConflict(expected, Cursor.make(expected.scope, last))
    }
  }
})

const saveStates = Effect.fnUntraced(function* (db: Tables, states: ReadonlyArray<EventStore.RunState>) {
  for (const { labels, ordinal, runId, state } of states.toSorted((a, b) => (a.runId < b.runId ? -1 : 1))) {
    const saved = yield* db.query(
      "UPDATE runs SET state = ?, ordinal = ?, labels = coalesce(?, labels) WHERE run_id = ? RETURNING id",
      [state, ordinal, Labels.text(labels), idParam(runId)]
    )
    if (saved.length === 0) {
      return yield* EventStore.stateOfNoRun(runId)
    }
  }
})

/**
 * Writes a batch into the transaction that is open. With `lookUp`, its ids are looked up first: what is in the ledger
 * already is left out.
 */
export const write = Effect.fnUntraced(function* (
  db: Tables,
  batch: Batch,
  { expected = [], runs = [], writers = [] }: EventStore.AppendOptions,
  lookUp: boolean
) {
  yield* fence(db, writers)
  let news = batch
  if (lookUp) {
    yield* db.lock(batch)
    news = yield* unknownOf(db, batch)
    if (news.length === 0 && batch.length > 0) {
      return
    }
    yield* expect(db, expected)
  }
  yield* db.insert(news)
  yield* saveStates(db, runs)
})

/**
 * Commits a batch. Ids are almost always new, so they are looked up only when one turns out not to be, or when it
 * matters whether all of them are known.
 */
export const append = (db: Database, batch: Batch, options: EventStore.AppendOptions) => {
  const commit = (lookUp: boolean) => db.transaction((within) => write(within, batch, options, lookUp))
  return commit((options.expected ?? []).length > 0).pipe(
    Effect.catchIf(
      (error): error is SqlError.SqlError => error._tag === "SqlError" && db.isKnownEventId(error),
      () => commit(true)
    ),
    Effect.andThen(db.committed)
  )
}
