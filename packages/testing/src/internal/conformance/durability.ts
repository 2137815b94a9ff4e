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
  finish,
  following,
  ids,
  idsIn,
  idsOf,
  nextMillisecond,
  run,
  thread
} from "./support.ts"

export const durability = [
  make(
    "durability.reopen",
    "A ledger that is closed and opened again MUST hold what it held: facts, threads, runs with their states and labels, writers, floors, erasures.",
    function* (open) {
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open
          yield* store.append([event(1), finish(2), event(3, { threadId: "thread-2", runId: "run-2" })])
          yield* nextMillisecond
          const claim = yield* store.claimWriter("w")
          yield* store.append(
            [
              event(4, { runId: "run-3", kind: "RunStarted", payload: '{"b":"🎉","a":1}' }),
              event(5, { ordinal: 7, lastOrdinal: 9 })
            ],
            {
              writers: [{ ...claim, highWater: 8 }],
              runs: [{ runId: "run-3", ordinal: 4, state: '{"z":1,"a":2}', labels: { z: "1", a: "2" } }]
            }
          )
          yield* store.prune({ before: (yield* store.get(eventId(4))).recordedAt })
          yield* store.erase({ threadId: "thread-2" })
          return yield* contents(store)
        })
      )
      yield* expect("what was kept", ids(before.facts), idsOf(3, 4, 5))
      yield* expectContents("after it was opened again", yield* open, before)
    }
  ),
  make(
    "durability.goes-on",
    "A ledger that is opened again MUST go on: sequences, positions, cursors, epochs, retries and fences.",
    function* (open) {
      const { claim, next, position } = yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open
          const claim = yield* store.claimWriter("w")
          yield* store.append(events(1, 3), { writers: [{ ...claim, highWater: 3 }] })
          const { next } = yield* store.read({ scope: thread })
          return { claim, next, position: (yield* store.get(eventId(3))).position }
        })
      )
      const store = yield* open
      yield* store.append(events(2, 5), { writers: [{ ...claim, highWater: 5 }] })
      const page = yield* store.read({ scope: thread, after: next })
      yield* expect(
        "[id, thread sequence, run sequence] of what came",
        page.facts.map(({ eventId, runSequence, threadSequence }) => [eventId, threadSequence, runSequence]),
        [
          [eventId(4), 4, 4],
          [eventId(5), 5, 5]
        ]
      )
      yield* expect("whether positions ascend", (page.facts[0]?.position ?? 0) > position, true)
      yield* expect("the next claim", yield* store.claimWriter("w"), { writer: "w", epoch: 2, highWater: 5 })
      yield* expectFailure("the writer of then", store.append([event(6)], { writers: [claim] }), "Fenced")
    }
  ),
  make(
    "durability.acknowledged",
    "What was acknowledged MUST be there for a handle that is opened afterwards, also while the first is open.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 2), { runs: [{ runId: "run-1", ordinal: 2, state: '"2"' }] })
      const other = yield* open
      yield* expect("what the other handle reads", yield* idsIn(other, run), idsOf(1, 2))
      yield* expect("the state that it sees", (yield* other.run("run-1")).state, '"2"')
    }
  ),
  make(
    "durability.closing",
    "A handle that is closed MUST take nothing with it: other handles, and their followers, go on.",
    function* (open) {
      const other = yield* open
      const follower = yield* following(other, { scope: thread })
      yield* follower.untilCaughtUp
      yield* Effect.scoped(Effect.flatMap(open, (store) => store.append([event(1)])))
      yield* expect("what the follower got", ids(yield* follower.facts(1)), idsOf(1))
      yield* other.append([event(2)])
      yield* expect("the order in the thread", yield* idsIn(other, thread), idsOf(1, 2))
    }
  )
]
