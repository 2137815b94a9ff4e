import { Cursor } from "@runledger/core"
import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  contents,
  event,
  eventId,
  events,
  expect,
  expectContents,
  expectFailure,
  expectRefusal,
  idsIn,
  idsOf,
  ledger,
  numbers,
  run,
  thread
} from "./support.ts"

export const idempotency = [
  make("idempotency.retry", "A batch that is sent again MUST change nothing, and succeed.", function* (open) {
    const store = yield* open
    yield* store.append(events(1, 3))
    yield* store.append(events(4, 5))
    const before = yield* contents(store)
    yield* store.append(events(1, 3))
    yield* store.append([event(5), event(4), event(1)])
    yield* expectContents("after a retry", store, before)
  }),
  make(
    "idempotency.partial-retry",
    "Of a batch that is known in part, what is new MUST be added, in its order.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(2, 4))
      yield* store.append([event(6), event(2), event(5), event(4), event(1)])
      yield* expect("the order in the run", yield* idsIn(store, run), idsOf(2, 3, 4, 6, 5, 1))
      yield* expect("the number of facts", yield* store.count(ledger), 6)
    }
  ),
  make("idempotency.twice-in-a-batch", "An event that is in one batch twice MUST be written once.", function* (open) {
    const store = yield* open
    yield* store.append([event(1), event(2), event(1), event(2), event(3)])
    yield* expect("the order in the thread", yield* idsIn(store, thread), idsOf(1, 2, 3))
  }),
  make(
    "idempotency.conflict",
    "An event with a known id that says something else MUST be an IdempotencyConflict that names it, and nothing of its batch is written.",
    function* (open) {
      const store = yield* open
      const known = event(1, { causationId: "a", correlationId: "a" })
      yield* store.append([known])
      const others = {
        payload: '{"n":"other"}',
        kind: "OtherTaken",
        visibility: "internal",
        threadId: "thread-2",
        runId: "run-2",
        causationId: "b",
        correlationId: "b"
      }
      for (const [key, value] of Object.entries(others)) {
        for (const changes of [{ [key]: value }, ...(key.endsWith("Id") ? [{ [key]: undefined }] : [])]) {
          const batch = [event(2), { ...event(1, { causationId: "a", correlationId: "a", ...changes }) }, event(3)]
          const what = `an event that differs in ${key}`
          const conflict = yield* expectRefusal(what, store, store.append(batch), "IdempotencyConflict")
          yield* expect("the id that the error names", conflict.eventId, eventId(1))
        }
      }
    }
  ),
  make(
    "idempotency.conflict-in-a-batch",
    "Two events of one batch with the same id that say different things MUST be an IdempotencyConflict.",
    function* (open) {
      const store = yield* open
      const batch = [event(1), event(2), event(1, { payload: "{}" })]
      yield* expectRefusal("a batch at odds with itself", store, store.append(batch), "IdempotencyConflict")
    }
  ),
  make(
    "idempotency.key-order",
    "What an event says MUST be compared as JSON: the order of keys and the spelling of a value do not count.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1, { payload: '{"a":{"x":1,"y":[1,2]},"b":"\\u00e9"}' })])
      const before = yield* contents(store)
      yield* store.append([event(1, { payload: ' { "b": "é", "a": {"y":[1.0,2e0],"x":1}}' })])
      yield* expectContents("after a retry with another text", store, before)
      yield* expectFailure(
        "another order of a list",
        store.append([event(1, { payload: '{"a":{"x":1,"y":[2,1]},"b":"é"}' })]),
        "IdempotencyConflict"
      )
    }
  ),
  make(
    "idempotency.not-compared",
    "Origin, schema version, fidelity, ordinals and time of an event MUST NOT be compared; the fact stays as it was first.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1)])
      const before = yield* contents(store)
      const ordinals = { ordinal: 9, lastOrdinal: 10 }
      const again = { origin: "other", schemaVersion: 2, fidelity: "control_event", occurredAt: 1 } as const
      yield* store.append([event(1, { ...again, ...ordinals })])
      yield* expectContents("after a retry", store, before)
    }
  ),
  make(
    "idempotency.before-expected",
    "A batch that is in the ledger already MUST succeed again, whatever it expects of its scopes.",
    function* (open) {
      const store = yield* open
      const options = { expected: [{ scope: thread, cursor: Cursor.start(thread) }] }
      yield* store.append(events(1, 2), options)
      yield* store.append([event(3)])
      yield* store.append(events(1, 2), options)
      yield* expect("the order in the thread", yield* idsIn(store, thread), idsOf(1, 2, 3))
    }
  ),
  make(
    "idempotency.old-state",
    "A batch that is sent again MUST NOT bring back the run state that it was sent with.",
    function* (open) {
      const store = yield* open
      const first = { runs: [{ runId: "run-1", ordinal: 1, state: '"first"' }] }
      yield* store.append([event(1)], first)
      yield* store.append([event(2)], { runs: [{ runId: "run-1", ordinal: 2, state: '"second"' }] })
      yield* store.append([event(1)], first)
      const { ordinal, state } = yield* store.run("run-1")
      yield* expect("the state of the run", [ordinal, state], [2, '"second"'])
    }
  ),
  make(
    "idempotency.racing-retries",
    "A batch that several handles send at once MUST be written once, and succeed for all of them.",
    function* (open) {
      const handles = [yield* open, yield* open]
      yield* Effect.forEach(
        [...handles, ...handles, ...handles],
        (store) => Effect.andThen(Effect.yieldNow, store.append(events(1, 20))),
        { concurrency: "unbounded", discard: true }
      )
      for (const store of handles) {
        yield* expect("the order in the thread", yield* idsIn(store, thread), idsOf(...numbers(1, 20)))
      }
    }
  )
]
