import { Cursor } from "@runledger/core"
import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  event,
  events,
  expect,
  expectFailure,
  expectRefusal,
  following,
  ids,
  idsOf,
  ledger,
  numbers,
  run,
  thread
} from "./support.ts"

const maxBehind = 50

/** More than any store reads at once for a follower, so that none is behind only because of what it was given already. */
const far = 3_000

export const followEnds = [
  make(
    "follow.other-handle",
    "What one handle commits MUST reach a follower of another, that of the whole ledger too.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      yield* one.append([event(1)])
      const followers = yield* Effect.forEach([thread, run, ledger], (scope) => following(other, { scope }))
      yield* Effect.forEach(followers, ({ untilCaughtUp }) => untilCaughtUp)
      for (const n of numbers(2, 5)) {
        yield* (n % 2 === 0 ? one : other).append([event(n)])
        for (const follower of followers) {
          yield* expect("what came", ids(yield* follower.facts(1)), idsOf(n))
        }
      }
    }
  ),
  make(
    "follow.filter",
    "With a filter, a follower MUST get the facts that match, and be told by `CaughtUp` and `Scanned` how far others were looked at.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1), event(2, { kind: "Wanted" }), event(3)])
      const follower = yield* following(store, { scope: thread, filter: { kinds: ["Wanted"] } })
      yield* expect("what was there", ids(yield* follower.facts(1)), idsOf(2))
      const marker = { _tag: "CaughtUp", cursor: Cursor.make(thread, 3), scannedThrough: 3 }
      yield* expect("the marker", yield* follower.next, marker)
      yield* store.append([event(4)])
      const scanned = { _tag: "Scanned", cursor: Cursor.make(thread, 4), scannedThrough: 4 }
      yield* expect("after a fact that does not match", yield* follower.next, scanned)
      yield* store.append([event(5, { kind: "Wanted" })])
      yield* expect("after one that matches", ids(yield* follower.facts(1)), idsOf(5))
      const visible = yield* following(store, { scope: thread, filter: { visibility: ["audit"] } })
      yield* expect("with a filter that nothing matches", yield* visible.next, {
        _tag: "CaughtUp",
        cursor: Cursor.make(thread, 5),
        scannedThrough: 5
      })
    }
  ),
  make("follow.failed-append", "A follower MUST NOT see anything of an append that failed.", function* (open) {
    const store = yield* open
    yield* store.append([event(1)])
    const follower = yield* following(store, { scope: ledger })
    yield* follower.untilCaughtUp
    const conflict = store.append([...events(2, 9), event(1, { payload: "{}" })])
    yield* expectRefusal("a conflict", store, conflict, "IdempotencyConflict")
    const expected = [{ scope: run, cursor: Cursor.start(run) }]
    yield* expectRefusal("an outdated append", store, store.append([event(3)], { expected }), "ExpectedCursorConflict")
    yield* store.append([event(10)])
    yield* expect("what came", ids(yield* follower.facts(1)), idsOf(10))
  }),
  make(
    "follow.slow-follower-fails-alone",
    "A follower that was caught up and falls too far behind MUST fail with FollowerLagged; appends and other followers go on.",
    function* (open) {
      const store = yield* open
      const [slow, fast] = [
        yield* following(store, { scope: thread, maxBehind }),
        yield* following(store, { scope: thread })
      ]
      yield* slow.untilCaughtUp
      yield* fast.untilCaughtUp
      for (const n of numbers(0, far / 500 - 1)) {
        yield* store.append(events(n * 500 + 1, n * 500 + 500))
        yield* expect("the facts that the fast one got", (yield* fast.facts(500)).length, 500)
      }
      yield* expectFailure("the slow one", slow.facts(far), "FollowerLagged")
      yield* store.append([event(far + 1)])
      yield* expect("the next fact of the fast one", ids(yield* fast.facts(1)), idsOf(far + 1))
    }
  ),
  make(
    "follow.lagged-goes-on",
    "The cursor of FollowerLagged MUST stand after the last fact that the follower got, so that nothing is lost when it follows from there.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 3))
      const slow = yield* following(store, { scope: run, maxBehind })
      const got = yield* slow.untilCaughtUp
      for (const n of numbers(0, far / 500 - 1)) {
        yield* store.append(events(n * 500 + 4, n * 500 + 503))
      }
      const rest = Effect.forEach(numbers(1, far), () =>
        Effect.map(slow.facts(1), (facts) => {
          got.push(...facts)
        })
      )
      const { cursor } = yield* expectFailure("the slow one", rest, "FollowerLagged")
      const from = Cursor.Cursor.make(cursor)
      yield* expect("the cursor", from, Cursor.make(run, got.length))
      const again = yield* following(store, { scope: run, from })
      got.push(...(yield* again.untilCaughtUp))
      yield* expect("all that it got", ids(got), idsOf(...numbers(1, far + 3)))
    }
  ),
  make(
    "follow.max-behind",
    "A follower MUST go on while it is at most `maxBehind` facts behind, and fail when it is more, however few that is.",
    function* (open) {
      const store = yield* open
      const follower = yield* following(store, { scope: run, maxBehind: 3 })
      yield* follower.untilCaughtUp
      yield* store.append(events(1, 3))
      yield* expect("what came", ids(yield* follower.facts(3)), idsOf(1, 2, 3))
      yield* store.append(events(4, 6))
      yield* store.append([event(7)])
      const { cursor } = yield* expectFailure("the follower", follower.next, "FollowerLagged")
      yield* expect("its cursor", cursor, Cursor.make(run, 3))
    }
  ),
  make(
    "follow.long-history",
    "A follower MUST NOT be called slow before it was caught up, however much is there.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, far))
      const follower = yield* following(store, { scope: thread, maxBehind: 1 })
      const facts = yield* follower.untilCaughtUp
      yield* expect("what was there", ids(facts), idsOf(...numbers(1, far)))
    }
  ),
  make(
    "follow.foreign-cursor",
    "A follower from the cursor of another scope, or from one beyond the end, MUST fail with CursorExpired.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 3))
      for (const from of [Cursor.make(run, 1), Cursor.make(thread, 4), Cursor.Cursor.make("nonsense")]) {
        const follower = yield* following(store, { scope: thread, from })
        yield* expectFailure(`following from ${from}`, follower.next, "CursorExpired")
      }
    }
  )
]
