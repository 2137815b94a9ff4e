import { Cursor } from "@runledger/core"
import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  event,
  events,
  expect,
  expectThat,
  following,
  ids,
  idsOf,
  ledger,
  numbers,
  readAll,
  run,
  runScope,
  thread,
  threadScope
} from "./support.ts"

/** How many followers join while how many appends go on. */
const joiners = 16
const appends = 32

export const follow = [
  make(
    "follow.from-start",
    "A follower MUST get what is there, then `CaughtUp`, then what is committed, each fact as reading gives it.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 3))
      for (const [index, scope] of [thread, run, ledger].entries()) {
        const follower = yield* following(store, { scope })
        const there = yield* readAll(store, scope)
        yield* expect(`what is there in ${scope._tag}`, yield* follower.facts(there.length), there)
        const { next: cursor, scannedThrough } = yield* store.read({ scope })
        yield* expect("the marker", yield* follower.next, { _tag: "CaughtUp", cursor, scannedThrough })
        yield* store.append(events(10 * index + 11, 10 * index + 13))
        yield* store.append([event(10 * index + 14)])
        const came = yield* follower.facts(4)
        yield* expect(`all of ${scope._tag}`, [...there, ...came], yield* readAll(store, scope))
      }
    }
  ),
  make(
    "follow.from-cursor",
    "A follower from a cursor MUST get what follows it, and no more; each item has the cursor with which to go on after it.",
    function* (open) {
      const store = yield* open
      yield* store.append([...events(1, 3), event(4, { threadId: "thread-2", runId: "run-2" }), ...events(5, 6)])
      for (const scope of [thread, run, ledger]) {
        const all = yield* readAll(store, scope)
        const follower = yield* following(store, { scope })
        for (const [index, fact] of all.entries()) {
          const item = yield* follower.next
          yield* expect("the item", item._tag === "Fact" ? item.fact : item, fact)
          yield* expect("its cursor", item.cursor, Cursor.make(scope, Cursor.sequenceOf(scope, fact)))
          const later = yield* following(store, { scope, from: item.cursor })
          const rest = yield* later.untilCaughtUp
          yield* expect(`what follows fact ${index + 1} of ${scope._tag}`, rest, all.slice(index + 1))
        }
        const end = yield* follower.next
        const atEnd = yield* following(store, { scope, from: end.cursor })
        yield* expect("what follows the marker", (yield* atEnd.next)._tag, "CaughtUp")
      }
    }
  ),
  make(
    "follow.from-now",
    "A follower from now MUST get `CaughtUp` with the end of the scope at once, and then what is committed later.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 3))
      for (const [index, scope] of [thread, run, ledger].entries()) {
        const follower = yield* following(store, { scope, from: "now" })
        const { next: cursor, scannedThrough } = yield* store.read({ scope })
        yield* expect("the marker", yield* follower.next, { _tag: "CaughtUp", cursor, scannedThrough })
        yield* store.append([event(10 * index + 11), event(10 * index + 12)])
        const came = yield* follower.facts(2)
        yield* expect(`what came to ${scope._tag}`, ids(came), idsOf(10 * index + 11, 10 * index + 12))
      }
    }
  ),
  make(
    "follow.empty-scope",
    "A follower of an empty scope MUST be caught up, and get its first fact.",
    function* (open) {
      const store = yield* open
      for (const [n, from] of (["start", "now", "cursor"] as const).entries()) {
        const scope = runScope(from)
        const follower = yield* following(store, { scope, from: from === "cursor" ? Cursor.start(scope) : from })
        const marker = { _tag: "CaughtUp", cursor: Cursor.start(scope), scannedThrough: 0 }
        yield* expect("the marker", yield* follower.next, marker)
        yield* store.append([event(n, { runId: from })])
        yield* expect("the first fact", ids(yield* follower.facts(1)), idsOf(n))
      }
    }
  ),
  make(
    "follow.own-scope",
    "A follower MUST get the facts of its scope only, be there a run and a thread of the same id.",
    function* (open) {
      const store = yield* open
      const follower = yield* following(store, { scope: threadScope("x") })
      yield* follower.untilCaughtUp
      yield* store.append([event(1, { threadId: "y", runId: "x" }), event(2, { threadId: undefined, runId: "x" })])
      yield* store.append([event(3, { threadId: "x", runId: "y" })])
      yield* expect("what it got", ids(yield* follower.facts(1)), idsOf(3))
    }
  ),
  make("follow.one-caught-up", "`CaughtUp` MUST come exactly once.", function* (open) {
    const store = yield* open
    yield* store.append(events(1, 2))
    const follower = yield* following(store, { scope: thread })
    yield* follower.untilCaughtUp
    for (const n of numbers(3, 8)) {
      yield* store.append([event(n)])
      const item = yield* follower.next
      yield* expect("the item after the marker", item._tag === "Fact" ? item.fact.eventId : item, event(n).eventId)
    }
  }),
  make(
    "follow.racing-joiners",
    "Followers that join while several handles append MUST see no gap and no duplicate between what was there and what came.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      const sent = appends * 2
      const appended = Effect.forEach(
        numbers(1, appends),
        (n) => Effect.andThen(Effect.yieldNow, (n % 2 === 0 ? one : other).append(events(2 * n - 1, 2 * n))),
        { concurrency: 4, discard: true }
      )
      const joined = Effect.forEach(
        numbers(0, joiners - 1),
        Effect.fnUntraced(function* (n) {
          const store = n % 2 === 0 ? one : other
          while ((yield* store.count(thread)) < n * 4) {
            yield* Effect.yieldNow
          }
          const fromStart = n % 4 < 2
          const follower = yield* following(store, { scope: thread, from: fromStart ? "start" : "now" })
          let through = 0
          let caughtUp = false
          while (!caughtUp || through < sent) {
            const item = yield* Effect.andThen(Effect.yieldNow, follower.next)
            if (item._tag === "Fact") {
              yield* expect(`the next sequence for follower ${n}`, item.fact.threadSequence, through + 1)
              through += 1
            } else {
              yield* expectThat(`follower ${n} is caught up for a second time`, !caughtUp)
              yield* expectThat(`follower ${n} is caught up too early`, !fromStart || item.scannedThrough === through)
              caughtUp = true
              through = item.scannedThrough
            }
          }
        }),
        { concurrency: "unbounded", discard: true }
      )
      yield* Effect.all([appended, joined], { concurrency: "unbounded" })
    }
  )
]
