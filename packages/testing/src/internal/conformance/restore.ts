import { type CanonicalEvent, Cursor, type EventStore } from "@runledger/core"
import { Effect, Stream } from "effect"
import { make } from "../../Check.ts"
import {
  claim,
  contents,
  event,
  eventId,
  expect,
  expectContents,
  expectFailure,
  expectRefusal,
  finish,
  following,
  ids,
  idsOf,
  ledger,
  nextMillisecond,
  readAll,
  run,
  runScope,
  thread,
  threadScope
} from "./support.ts"

type Fact = CanonicalEvent.CanonicalEvent

/** A fact as another ledger had it. */
const fact = (n: number, place: Omit<Partial<Fact>, "payload"> & { readonly position: number }): Fact => ({
  ...event(n, { threadId: undefined, runId: undefined }),
  payload: { n, text: "e\u0301 🎉", list: [1, { deep: null }] },
  recordedAt: 1_600_000_000_000 + n,
  ...place
})

const inThread = { threadId: "thread-1" }
const inRun = { runId: "run-1" }

/** What is left of a ledger that was pruned and erased in part: positions and sequences have holes. */
const facts: ReadonlyArray<Fact> = [
  fact(1, {
    position: 3,
    ...inThread,
    threadSequence: 2,
    ...inRun,
    runSequence: 1,
    ordinal: 1,
    lastOrdinal: 4,
    causationId: "c"
  }),
  fact(2, { position: 7, ...inThread, threadSequence: 5, kind: "RunStarted", runId: "run-2", runSequence: 4 }),
  {
    ...fact(3, { position: 8, ...inRun, runSequence: 2, visibility: "audit", schemaVersion: 3 }),
    payload: null,
    erased: true
  },
  fact(4, { position: 11, ...inThread, threadSequence: 6, kind: "RunFinished", runId: "run-2", runSequence: 5 }),
  fact(5, { position: 12, threadId: "thread-2", threadSequence: 1, ordinal: 9, correlationId: "d" })
]

const part: EventStore.Part = {
  facts,
  threads: [
    { threadId: "thread-1", floor: 4 },
    { threadId: "thread-2", floor: 0 },
    { threadId: "thread-gone", floor: 8 }
  ],
  runs: [
    {
      runId: "run-1",
      threadId: "thread-1",
      status: "waiting",
      facts: 2,
      floor: 0,
      ordinal: 7,
      state: '{"b":1,"a":2}',
      labels: { team: "blue", "": "🧵" },
      startedAt: event(1).occurredAt,
      updatedAt: 1_600_000_000_003
    },
    {
      runId: "run-2",
      threadId: "thread-1",
      status: "done",
      doneReason: "natural",
      facts: 2,
      floor: 3,
      startedAt: event(2).occurredAt,
      updatedAt: 1_600_000_000_004
    },
    { runId: "run-gone", threadId: "thread-gone", status: "done", doneReason: "error", facts: 0, floor: 6 }
  ],
  writers: [
    { writer: "w", epoch: 4, highWater: 70 },
    { writer: "v", epoch: 1, highWater: 0 }
  ],
  floor: 10
}

export const restore = [
  make(
    "restore.facts",
    "Facts MUST be restored as they were: ids, sequences, positions, times, payloads, marks.",
    function* (open) {
      const store = yield* open
      yield* store.restore(part)
      yield* expect("the facts", yield* readAll(store, ledger), facts)
      for (const [scope, expected] of [
        [thread, [1, 2, 4]],
        [run, [1, 3]],
        [runScope("run-2"), [2, 4]],
        [threadScope("thread-2"), [5]],
        [threadScope("thread-gone"), []]
      ] as const) {
        for (const limit of [1, 10]) {
          const read = ids(yield* readAll(store, scope, { limit }))
          yield* expect(`the facts of ${JSON.stringify(scope)}`, read, idsOf(...expected))
        }
      }
      yield* expect("a fact, got by its id", yield* store.get(eventId(3)), facts[2])
    }
  ),
  make(
    "restore.rest",
    "Threads, runs and writers MUST be restored as they were: floors, statuses, done reasons, states, labels, epochs, marks.",
    function* (open) {
      const store = yield* open
      yield* store.restore(part)
      yield* expect("the threads", yield* Stream.runCollect(store.threads), [
        { threadId: "thread-1", facts: 3, floor: 4 },
        { threadId: "thread-2", facts: 1, floor: 0 },
        { threadId: "thread-gone", facts: 0, floor: 8 }
      ])
      const runs = yield* Effect.forEach(part.runs ?? [], ({ runId }) => store.run(runId))
      yield* expect("the runs", runs, part.runs)
      const listed = yield* Stream.runCollect(store.runs())
      yield* expect(
        "the runs in the list",
        listed.map(({ runId }) => runId),
        ["run-1", "run-2", "run-gone"]
      )
      yield* expect("the writers", yield* Stream.runCollect(store.writers), part.writers)
      yield* expect("the floor of the ledger", (yield* store.read({ scope: ledger })).floor, 10)
      yield* expect("the floor of a run", (yield* store.read({ scope: runScope("run-gone") })).floor, 6)
      const [first] = part.runs ?? []
      const later = { runId: "run-1", status: "done", facts: 2, floor: 0, ...first, ordinal: 8, state: "{}" } as const
      for (const labels of [{ team: "red" }, undefined]) {
        const { labels: _, ...rest } = later
        const changed = { ...rest, ...(labels && { labels }) }
        yield* store.restore({ runs: [changed] })
        yield* expect("a run that was changed there since", yield* store.run("run-1"), changed)
      }
    }
  ),
  make("restore.goes-on", "Appends, claims and cursors MUST go on where the other ledger ended.", function* (open) {
    const store = yield* open
    yield* store.restore(part)
    const { next } = yield* store.read({ scope: thread })
    yield* expect("the end of the thread", next, Cursor.make(thread, 6))
    const gone = { threadId: "thread-gone", runId: "run-gone" }
    yield* store.append([event(10), event(11, gone), event(12, { runId: "run-2" })], {
      expected: [{ scope: thread, cursor: next }]
    })
    const placed = (yield* readAll(store, ledger)).slice(facts.length)
    yield* expect(
      "[thread sequence, run sequence] of what follows",
      placed.map(({ runSequence, threadSequence }) => [threadSequence, runSequence]),
      [
        [7, 3],
        [9, 7],
        [8, 6]
      ]
    )
    yield* expect("the next claim", yield* claim(store, "w"), { writer: "w", epoch: 5, highWater: 70 })
    const restored = { ...event(1, { causationId: "c" }), payload: JSON.stringify(facts[0]?.payload) }
    yield* store.append([restored])
    yield* expect("the number of facts after a retry", yield* store.count(ledger), facts.length + 3)
  }),
  make(
    "restore.in-parts",
    "A ledger that is restored part by part, or a part a second time, MUST be the same as one that is restored at once.",
    function* (open) {
      const store = yield* open
      const { facts: _, ...rest } = part
      yield* store.restore({ facts: facts.slice(0, 2) })
      yield* store.restore({ facts: facts.slice(0, 4) })
      yield* store.restore({})
      yield* store.restore({ facts: facts.slice(4) })
      yield* store.restore(rest)
      yield* expect("the facts", yield* readAll(store, ledger), facts)
      const once = yield* contents(store)
      yield* store.restore(part)
      yield* expectContents("after restoring everything again", store, once)
    }
  ),
  make(
    "restore.out-of-order",
    "Facts that do not go on after what is there MUST be a ValidationError, and nothing of their part is taken.",
    function* (open) {
      const store = yield* open
      yield* store.restore({ facts })
      const wrong = {
        "a position that is taken": { position: 12, ...inThread, threadSequence: 7 },
        "a position that was passed": { position: 9, ...inThread, threadSequence: 7 },
        "a thread sequence that is taken": { position: 14, ...inThread, threadSequence: 6 },
        "a run sequence that was passed": { position: 14, ...inRun, runSequence: 1 }
      }
      const next = fact(20, { position: 13, threadId: "thread-2", threadSequence: 2 })
      for (const [what, place] of Object.entries(wrong)) {
        const batch = [next, fact(21, place)]
        yield* expectRefusal(what, store, store.restore({ facts: batch }), "ValidationError")
      }
      const swapped = [{ ...fact(21, { position: 14, ...inThread, threadSequence: 7 }) }, next]
      yield* expectRefusal("facts out of order", store, store.restore({ facts: swapped }), "ValidationError")
    }
  ),
  make(
    "restore.writers-never-back",
    "A part that is restored again after claims and appends MUST NOT take back epochs or high-water marks.",
    function* (open) {
      const store = yield* open
      const stale = { writer: "w", epoch: 4, highWater: 70 }
      yield* store.restore({ writers: [stale] })
      const claimed = yield* claim(store, "w")
      yield* store.append([event(1)], { writers: [{ ...claimed, highWater: 90 }] })
      yield* store.restore({ writers: [stale] })
      yield* expectRefusal("a writer of then", store, store.append([event(2)], { writers: [stale] }), "Fenced")
      yield* expect("the next claim", yield* claim(store, "w"), { writer: "w", epoch: 6, highWater: 90 })
    }
  ),
  make(
    "restore.run-goes-on",
    "A run that has gone on since MUST stay as it is when a part is restored again.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1)], { runs: [{ runId: "run-1", ordinal: 1, state: "1", labels: { n: "1" } }] })
      const facts = yield* readAll(store, ledger)
      const then = { facts, runs: [yield* store.run("run-1")] }
      yield* store.append([finish(2)], { runs: [{ runId: "run-1", ordinal: 2, state: "2", labels: { n: "2" } }] })
      const now = yield* store.run("run-1")
      yield* store.restore(then)
      yield* expect("the run", yield* store.run("run-1"), now)
    }
  ),
  make(
    "restore.run-gone",
    "What was pruned or erased of a run since MUST stay away when a part is restored again.",
    function* (open) {
      const store = yield* open
      const ended = [event(1), finish(2, {}, { _tag: "Blocked", value: "secret" })]
      yield* store.append(ended, {
        runs: [{ runId: "run-1", ordinal: 1, state: '"secret"', labels: { of: "secret" } }]
      })
      const then = { runs: [yield* store.run("run-1")] }
      yield* store.erase({ threadId: "thread-1" })
      const erased = yield* store.run("run-1")
      yield* store.restore(then)
      yield* expect("the erased run", yield* store.run("run-1"), erased)
      yield* nextMillisecond
      yield* store.prune({ before: ((yield* readAll(store, ledger)).at(-1)?.recordedAt ?? 0) + 1 })
      const pruned = yield* store.run("run-1")
      yield* store.restore(then)
      yield* expect("the pruned run", yield* store.run("run-1"), pruned)
      yield* store.append([event(3)])
      yield* expect("the next sequence", (yield* store.get(eventId(3))).runSequence, 3)
    }
  ),
  make(
    "restore.floor-ahead",
    "Positions MUST go on after the floor that was restored, so that readers see what comes.",
    function* (open) {
      const store = yield* open
      yield* store.restore({ facts: [fact(1, { position: 1, ...inThread, threadSequence: 1 })] })
      yield* store.restore({ threads: [{ threadId: "thread-1", floor: 5 }], floor: 90 })
      const { next } = yield* store.read({ scope: ledger })
      const follower = yield* following(store, { scope: ledger, from: "now" })
      yield* follower.untilCaughtUp
      yield* store.append([event(2)])
      yield* expect("what is read", ids((yield* store.read({ scope: ledger, after: next })).facts), idsOf(2))
      yield* expect("what a follower gets", ids(yield* follower.facts(1)), idsOf(2))
      yield* expect("its sequence", (yield* store.get(eventId(2))).threadSequence, 6)
    }
  ),
  make(
    "restore.refuses",
    "Facts, ids and marks that no store can keep MUST be refused: a ValidationError.",
    function* (open) {
      const [store, other] = [yield* open, yield* open]
      yield* other.append([event(1)])
      const [fact] = yield* readAll(other, ledger)
      const next = { ...fact, position: 2, threadSequence: 2, runSequence: 2 } as CanonicalEvent.CanonicalEvent
      const numbered = (n: number) => ({ ...next, position: n, threadSequence: n, runSequence: n, eventId: eventId(2) })
      for (const bad of [
        { facts: [{ ...next, eventId: "nope" }] },
        { facts: [{ ...next, eventId: eventId(2), kind: "\0" }] },
        { threads: [{ threadId: "\ud800", floor: 0 }] },
        { runs: [{ runId: "\0", status: "done" as const, facts: 0, floor: 0 }] },
        { runs: [{ runId: "r", status: "done" as const, facts: 0, floor: -1 }] },
        { runs: [{ runId: "r", status: "done" as const, facts: 0, floor: 0, labels: { "\ud800": "" } }] },
        { runs: [{ runId: "r", status: "lost" as never, facts: 0, floor: 0 }] },
        { writers: [{ writer: "w", epoch: 0.5, highWater: 0 }] },
        { floor: Number.NaN },
        { facts: [{ ...next, eventId: eventId(2), position: 1.5 }] },
        { facts: [{ ...next, eventId: eventId(2), recordedAt: Number.NaN }] },
        { facts: [{ ...next, eventId: eventId(2), threadSequence: 0 }] },
        { facts: [numbered(2), numbered(3)] }
      ]) {
        yield* expectFailure(`the part ${JSON.stringify(bad)}`, store.restore(bad), "ValidationError")
      }
      yield* expect("what is there", yield* readAll(store, ledger), [fact])
    }
  ),
  make("restore.followed", "What is restored MUST reach followers.", function* (open) {
    const store = yield* open
    const follower = yield* following(store, { scope: ledger })
    yield* follower.untilCaughtUp
    yield* store.restore({ facts })
    yield* expect("what came", yield* follower.facts(facts.length), facts)
  })
]
