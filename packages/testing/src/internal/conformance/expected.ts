import { Cursor, type EventStore } from "@runledger/core"
import { Effect, Result } from "effect"
import { make } from "../../Check.ts"
import {
  event,
  events,
  expect,
  expectRefusal,
  idsIn,
  idsOf,
  numbers,
  run,
  runScope,
  thread,
  threadScope
} from "./support.ts"

/** Lets two handles race for a thread with an event a racer, and expects one to win and all others to be told so. */
const race = Effect.fnUntraced(function* (
  [one, other]: readonly [EventStore.EventStoreShape, EventStore.EventStoreShape],
  { cursor, racers, threadId }: { readonly racers: number; readonly cursor: Cursor.Cursor; readonly threadId: string }
) {
  const expected = [{ scope: threadScope(threadId), cursor }]
  const results = yield* Effect.forEach(
    numbers(1, racers),
    (n) => {
      const append = (n % 2 === 0 ? one : other).append([event(racers * 100 + n, { threadId })], { expected })
      return Effect.andThen(Effect.yieldNow, Effect.result(append))
    },
    { concurrency: "unbounded" }
  )
  const losers = results.filter(Result.isFailure).map(({ failure }) => failure._tag)
  const told = losers.map(() => "ExpectedCursorConflict")
  yield* expect(`what ${racers} racers who did not win were told`, losers, told)
  yield* expect(`the winners of ${racers} racers`, racers - losers.length, 1)
})

export const expected = [
  make(
    "expected.right-cursor",
    "An append MUST succeed when its scopes end where it expects them to.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 2))
      const ends = [
        { scope: thread, cursor: (yield* store.read({ scope: thread })).next },
        { scope: run, cursor: (yield* store.read({ scope: run })).next }
      ]
      yield* store.append(events(3, 4), { expected: ends })
      yield* expect("the order in the thread", yield* idsIn(store, thread), idsOf(1, 2, 3, 4))
    }
  ),
  make(
    "expected.wrong-cursor",
    "An append whose scope does not end where it expects MUST be an ExpectedCursorConflict that gives the cursor at which it ends, with which it succeeds.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1)])
      const { next: outdated } = yield* store.read({ scope: thread })
      yield* store.append([event(2)])
      const { next: end } = yield* store.read({ scope: thread })
      for (const cursor of [outdated, Cursor.start(thread), Cursor.make(thread, 3)]) {
        const refused = store.append([event(3)], { expected: [{ scope: thread, cursor }] })
        const conflict = yield* expectRefusal(
          `an append that expects ${cursor}`,
          store,
          refused,
          "ExpectedCursorConflict"
        )
        yield* expect("the actual cursor", conflict.actual, end)
      }
      yield* store.append([event(3)], { expected: [{ scope: thread, cursor: end }] })
    }
  ),
  make("expected.empty", "`Cursor.start` MUST be right for an empty scope, and for no other.", function* (open) {
    const store = yield* open
    const empty = { expected: [{ scope: run, cursor: Cursor.start(run) }] }
    yield* store.append([event(1)], empty)
    yield* expectRefusal("an append to an empty run", store, store.append([event(2)], empty), "ExpectedCursorConflict")
  }),
  make("expected.every-scope", "All that an append expects MUST hold.", function* (open) {
    const store = yield* open
    yield* store.append([event(1, { runId: "run-2" })])
    const expected = [
      { scope: run, cursor: Cursor.start(run) },
      { scope: thread, cursor: Cursor.start(thread) }
    ]
    yield* expectRefusal("one of two", store, store.append([event(2)], { expected }), "ExpectedCursorConflict")
    const swapped = { expected: expected.toReversed() }
    yield* expectRefusal("the other of two", store, store.append([event(2)], swapped), "ExpectedCursorConflict")
  }),
  make(
    "expected.partial-retry",
    "An append that has something new MUST meet what it expects, also when it repeats something.",
    function* (open) {
      const store = yield* open
      const options = { expected: [{ scope: thread, cursor: Cursor.start(thread) }] }
      yield* store.append([event(1)], options)
      const again = store.append(events(1, 2), options)
      yield* expectRefusal("a retry with something new", store, again, "ExpectedCursorConflict")
    }
  ),
  make(
    "expected.one-winner-empty",
    "Of any number of racers that each expect a scope to be empty, over several handles, exactly one MUST win.",
    function* (open) {
      const handles = [yield* open, yield* open] as const
      for (const racers of [2, 3, 8, 16]) {
        const threadId = `race-${racers}`
        yield* race(handles, { racers, threadId, cursor: Cursor.start(threadScope(threadId)) })
      }
    }
  ),
  make(
    "expected.one-winner",
    "Of any number of racers that expect the same cursor, over several handles, exactly one MUST win.",
    function* (open) {
      const handles = [yield* open, yield* open] as const
      yield* handles[0].append(events(1, 2))
      for (const racers of [2, 3, 8, 16]) {
        const { next: cursor } = yield* handles[1].read({ scope: thread })
        yield* race(handles, { racers, cursor, threadId: thread.threadId })
      }
    }
  ),
  make(
    "expected.foreign-scope",
    "To expect something of a scope that no event of the batch is in MUST be a ValidationError.",
    function* (open) {
      const store = yield* open
      for (const scope of [threadScope("thread-2"), runScope("run-2"), runScope("thread-1")]) {
        const append = store.append([event(1)], { expected: [{ scope, cursor: Cursor.start(scope) }] })
        yield* expectRefusal(`a cursor for ${JSON.stringify(scope)}`, store, append, "ValidationError")
      }
    }
  ),
  make("expected.foreign-cursor", "To expect the cursor of another scope MUST be a ValidationError.", function* (open) {
    const store = yield* open
    for (const cursor of [Cursor.start(run), Cursor.start(threadScope("thread-2")), Cursor.Cursor.make("0")]) {
      const append = store.append([event(1)], { expected: [{ scope: thread, cursor }] })
      yield* expectRefusal(`the cursor ${cursor}`, store, append, "ValidationError")
    }
  })
]
