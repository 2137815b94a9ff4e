import type { EventStore } from "@runledger/core"
import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  contents,
  event,
  eventId,
  expect,
  expectContents,
  finish,
  following,
  idsOf,
  ids,
  ledger,
  readAll,
  run,
  runScope,
  thread,
  threadScope
} from "./support.ts"

/** Six facts: four of a thread and its run, of which one is in the run alone, and two of others. */
const written = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  yield* store.append(
    [
      event(1, { ordinal: 1, correlationId: "c", causationId: "d", visibility: "sensitive" }),
      event(2, { threadId: "thread-2", runId: "run-2" }),
      event(3, { threadId: undefined }),
      event(4, { runId: undefined }),
      finish(5),
      finish(6, { threadId: "thread-2", runId: "run-2" })
    ],
    {
      runs: [
        { runId: "run-1", ordinal: 5, state: '"mine"', labels: { of: "mine" } },
        { runId: "run-2", ordinal: 6, state: '"other"', labels: { of: "other" } }
      ]
    }
  )
})

const mine: ReadonlyArray<string> = idsOf(1, 3, 4, 5)

export const erase = [
  make(
    "erase.payloads",
    "The facts of a thread and of its runs MUST lose their payload, which is null then, and be marked as erased; all else of them stays. The result is how many.",
    function* (open) {
      const store = yield* open
      yield* written(store)
      const before = yield* readAll(store, ledger)
      yield* expect("how many were erased", yield* store.erase({ threadId: "thread-1" }), 4)
      const expected = before.map((fact) =>
        mine.includes(fact.eventId) ? { ...fact, payload: null, erased: true } : fact
      )
      yield* expect("the facts", yield* readAll(store, ledger), expected)
      const got = yield* Effect.forEach(before, ({ eventId }) => store.get(eventId))
      yield* expect("the facts, got one by one", got, expected)
      for (const scope of [thread, run]) {
        const inScope = expected.filter((fact) => (scope === thread ? fact.threadId : fact.runId)?.endsWith("-1"))
        yield* expect(`the facts of ${scope._tag}`, yield* readAll(store, scope), inScope)
        const follower = yield* following(store, { scope })
        yield* expect(`following ${scope._tag}`, yield* follower.untilCaughtUp, inScope)
        yield* expect(`the count of ${scope._tag}`, yield* store.count(scope), inScope.length)
      }
    }
  ),
  make(
    "erase.runs",
    "The runs of the thread MUST lose their state, their labels and their done reason, and keep their status.",
    function* (open) {
      const store = yield* open
      yield* written(store)
      yield* store.erase({ threadId: "thread-1" })
      const { doneReason, facts, labels, state, status } = yield* store.run("run-1")
      const left = [status, facts, doneReason, state, labels]
      const expected = ["done", 3, undefined, undefined, undefined]
      yield* expect("status, facts, done reason, state and labels", left, expected)
    }
  ),
  make(
    "erase.run-before-thread",
    "A run MUST be one of the thread that the first of its facts in a thread is in, also when others came before.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1, { threadId: undefined })])
      yield* store.append([event(2, { threadId: undefined })])
      yield* store.append([event(3)])
      yield* store.append([event(4, { threadId: "thread-2" })])
      yield* expect("the thread of the run", (yield* store.run("run-1")).threadId, "thread-1")
      yield* expect("how many were erased", yield* store.erase({ threadId: "thread-1" }), 3)
      yield* expect("the fact in another thread", (yield* store.get(eventId(4))).payload, { n: 4 })
    }
  ),
  make("erase.others", "Other threads and their runs MUST stay as they were.", function* (open) {
    const store = yield* open
    yield* written(store)
    const facts = yield* readAll(store, threadScope("thread-2"))
    const other = yield* store.run("run-2")
    yield* store.erase({ threadId: "thread-1" })
    yield* expect("the facts of the other thread", yield* readAll(store, threadScope("thread-2")), facts)
    yield* expect("its run", yield* store.run("run-2"), other)
    const before = yield* contents(store)
    yield* expect("erased of nobody", yield* store.erase({ threadId: "run-2" }), 0)
    yield* expectContents("after erasing what is not there", store, before)
  }),
  make(
    "erase.retry",
    "An erased event that is sent again MUST be skipped, whatever it says now; its payload does not come back.",
    function* (open) {
      const store = yield* open
      yield* written(store)
      yield* store.erase({ threadId: "thread-1" })
      const before = yield* contents(store)
      yield* store.append([event(1, { ordinal: 1, correlationId: "c", causationId: "d", visibility: "sensitive" })])
      yield* store.append([event(3, { threadId: undefined }), event(4, { runId: undefined, payload: '"new"' })])
      yield* expectContents("after the retry", store, before)
    }
  ),
  make(
    "erase.goes-on",
    "What is appended after an erasure MUST be kept, with the next sequences; to erase again takes what came since, and else nothing.",
    function* (open) {
      const store = yield* open
      yield* written(store)
      yield* store.erase({ threadId: "thread-1" })
      yield* expect("erased again", yield* store.erase({ threadId: "thread-1" }), 0)
      yield* store.append([event(7)], { runs: [{ runId: "run-1", ordinal: 7, state: '"new"' }] })
      const fact = yield* store.get(eventId(7))
      const place = [fact.threadSequence, fact.runSequence, fact.payload, fact.erased]
      yield* expect("sequences and payload of the next fact", place, [4, 4, { n: 7 }, undefined])
      yield* expect("the state of the run", (yield* store.run("run-1")).state, '"new"')
      yield* expect("erased in the end", yield* store.erase({ threadId: "thread-1" }), 1)
    }
  ),
  make("erase.other-handle", "What one handle erases MUST be erased for all others.", function* (open) {
    const [one, other] = [yield* open, yield* open]
    yield* written(one)
    yield* readAll(other, ledger)
    yield* one.erase({ threadId: "thread-1" })
    const facts = yield* readAll(other, ledger)
    yield* expect("the facts that the other sees erased", ids(facts.filter(({ erased }) => erased)), mine)
    yield* other.append([event(1, { payload: '"new"' })])
    yield* expect("the facts of the run", yield* other.count(runScope("run-1")), 3)
  })
]
