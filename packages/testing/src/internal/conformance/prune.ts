import { type CanonicalEvent, Cursor, type EventStore } from "@runledger/core"
import { Effect, Stream } from "effect"
import { make } from "../../Check.ts"
import {
  contents,
  event,
  eventId,
  expect,
  expectContents,
  expectFailure,
  expectThat,
  finish,
  following,
  ids,
  idsIn,
  idsOf,
  ledger,
  nextMillisecond,
  readAll,
  run,
  runScope,
  thread,
  threadScope
} from "./support.ts"

/** Appends a batch later than all before, and gives the time at which it was recorded. */
const appendLater = Effect.fnUntraced(function* (
  store: EventStore.EventStoreShape,
  batch: Parameters<EventStore.EventStoreShape["append"]>[0]
) {
  const before = (yield* readAll(store, ledger)).at(-1)?.recordedAt ?? 0
  yield* nextMillisecond
  yield* store.append(batch)
  const [{ recordedAt = 0 } = {}] = yield* Effect.forEach(batch.slice(0, 1), ({ eventId }) => store.get(eventId))
  yield* expectThat("what is recorded later must have a later `recordedAt`", recordedAt > before)
  return recordedAt
})

/** Seven facts of a run that is done, of which the first four are then old. */
const aged = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  yield* store.append([event(1), event(2, { runId: "run-2" }), event(3), finish(4, { runId: "run-2" })])
  return yield* appendLater(store, [event(5), finish(6), event(7, { runId: undefined, threadId: "thread-2" })])
})

/** A thread of which facts 1, 3 and 5 are old and go, and 2 and 4 are old and stay, for their run is not done. */
const interleaved = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  const open = { runId: "open" }
  yield* store.append([event(1), event(2, open), event(3), event(4, open), finish(5)])
  const before = yield* appendLater(store, [event(6, open), event(7)])
  yield* expect("how many facts were pruned", yield* store.prune({ before }), 3)
  return before
})

const sequences = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>, scope: Cursor.ReadScope) =>
  facts.map((fact) => Cursor.sequenceOf(scope, fact))

export const prune = [
  make(
    "prune.deletes",
    "Facts that were recorded before the given time MUST be gone from every scope, count and get; the result is how many.",
    function* (open) {
      const store = yield* open
      const before = yield* aged(store)
      yield* expect("how many were pruned", yield* store.prune({ before }), 4)
      yield* expect("what is left of the thread", yield* idsIn(store, thread), idsOf(5, 6))
      yield* expect("what is left of the run", yield* idsIn(store, run), idsOf(5, 6))
      yield* expect("what is left of another run", yield* idsIn(store, runScope("run-2")), [])
      yield* expect("what is left of the ledger", yield* idsIn(store, ledger), idsOf(5, 6, 7))
      for (const [scope, count] of [
        [thread, 2],
        [run, 2],
        [runScope("run-2"), 0],
        [ledger, 3]
      ] as const) {
        yield* expect(`the count of ${JSON.stringify(scope)}`, yield* store.count(scope), count)
      }
      yield* expectFailure("a pruned fact", store.get(eventId(3)), "NotFound")
      yield* expect("a fact that was kept", (yield* store.get(eventId(5))).eventId, eventId(5))
    }
  ),
  make(
    "prune.keeps-the-rest",
    "What is kept MUST stay as it was, numbers included, and so must facts that are as young as the given time.",
    function* (open) {
      const store = yield* open
      const before = yield* aged(store)
      const kept = (yield* readAll(store, ledger)).slice(4)
      yield* store.prune({ before })
      yield* expect("the facts that were kept", yield* readAll(store, ledger), kept)
    }
  ),
  make(
    "prune.floor",
    "Each scope MUST have as its floor the last sequence that was pruned from it, in pages, threads and runs; sequences above it are dense.",
    function* (open) {
      const store = yield* open
      const before = yield* aged(store)
      const last = (yield* readAll(store, ledger))[3]?.position
      yield* store.prune({ before })
      for (const [scope, floor, kept] of [
        [thread, 4, [5, 6]],
        [run, 2, [3, 4]],
        [runScope("run-2"), 2, []],
        [threadScope("thread-2"), 0, [1]]
      ] as const) {
        const page = yield* store.read({ scope })
        yield* expect(`the floor of ${JSON.stringify(scope)}`, page.floor, floor)
        yield* expect("the sequences above it", sequences(page.facts, scope), kept)
      }
      yield* expect("the floor of the ledger", (yield* store.read({ scope: ledger })).floor, last)
      yield* expect("the threads", yield* Stream.runCollect(store.threads), [
        { threadId: "thread-1", facts: 2, floor: 4 },
        { threadId: "thread-2", facts: 1, floor: 0 }
      ])
      const runs = yield* Stream.runCollect(store.runs())
      const floors = runs.map(({ facts, floor, runId, status }) => [runId, status, facts, floor])
      yield* expect("[id, status, facts, floor] of the runs", floors, [
        ["run-1", "done", 2, 2],
        ["run-2", "done", 0, 2]
      ])
    }
  ),
  make(
    "prune.goes-on",
    "Sequences and positions MUST go on after what was pruned, also where nothing is left.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1), finish(2)])
      const before = yield* appendLater(store, [event(3, { threadId: "thread-2", runId: undefined })])
      const last = (yield* readAll(store, ledger)).at(-1)?.position ?? Number.NaN
      yield* store.prune({ before: before + 1 })
      const { next, scannedThrough } = yield* store.read({ scope: thread })
      yield* expect("what the empty thread was scanned through", scannedThrough, 2)
      yield* store.append([event(4)], { expected: [{ scope: thread, cursor: next }] })
      const fact = yield* store.get(eventId(4))
      yield* expect("the sequences of the next fact", [fact.threadSequence, fact.runSequence], [3, 3])
      yield* expectThat("the position of the next fact must be a new one", fact.position > last)
      const page = yield* store.read({ scope: thread, after: next })
      yield* expect("what follows the end of then", ids(page.facts), idsOf(4))
    }
  ),
  make(
    "prune.cursor-below-floor",
    "A cursor after which facts were pruned MUST be CursorExpired, for readers and followers; one at the floor still holds.",
    function* (open) {
      const store = yield* open
      const before = yield* aged(store)
      yield* store.prune({ before })
      for (const [scope, floor] of [
        [thread, 4],
        [run, 2]
      ] as const) {
        for (const after of [Cursor.start(scope), Cursor.make(scope, floor - 1)]) {
          for (const reverse of [false, true]) {
            const what = `the cursor ${after} below the floor ${floor}`
            yield* expectFailure(what, store.read({ scope, after, reverse }), "CursorExpired")
          }
          const follower = yield* following(store, { scope, from: after })
          yield* expectFailure(`following from ${after}`, follower.next, "CursorExpired")
        }
        const { facts } = yield* store.read({ scope, after: Cursor.make(scope, floor) })
        yield* expect("what follows the floor", ids(facts), idsOf(5, 6))
      }
    }
  ),
  make(
    "prune.follower",
    "A follower MUST begin with what was kept, and one whose next facts were pruned fails with CursorExpired.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1)])
      const slow = yield* following(store, { scope: thread })
      yield* slow.untilCaughtUp
      yield* store.append([event(2), finish(3)])
      const before = yield* appendLater(store, [event(4)])
      yield* store.prune({ before })
      yield* expectFailure("the follower that missed facts", slow.next, "CursorExpired")
      const late = yield* following(store, { scope: thread })
      yield* expect("what a new follower gets", ids(yield* late.untilCaughtUp), idsOf(4))
    }
  ),
  make(
    "prune.open-runs",
    "A run that is not done MUST keep its facts: one that is created, running or waiting.",
    function* (open) {
      const store = yield* open
      yield* store.append([
        event(1, { runId: "created" }),
        event(2, { runId: "running", kind: "RunStarted" }),
        finish(3, { runId: "waiting", kind: "RunSuspended" }, { _tag: "Suspended" }),
        finish(4, { runId: "done" }),
        event(5, { runId: undefined })
      ])
      const before = yield* appendLater(store, [event(6)])
      yield* expect("how many were pruned", yield* store.prune({ before }), 2)
      yield* expect("what was kept", yield* idsIn(store, ledger), idsOf(1, 2, 3, 6))
    }
  ),
  make(
    "prune.kept-below-floor",
    "Facts that were kept below a floor MUST be read as all others: from no cursor, in pages of any size, in both directions.",
    function* (open) {
      const store = yield* open
      yield* interleaved(store)
      for (const scope of [thread, ledger]) {
        for (const limit of [1, 2, 3, 10]) {
          const forward = yield* readAll(store, scope, { limit })
          yield* expect(`${scope._tag} in pages of ${limit}`, ids(forward), idsOf(2, 4, 6, 7))
          const backward = yield* readAll(store, scope, { limit, reverse: true })
          yield* expect(`${scope._tag} reversed in pages of ${limit}`, ids(backward), idsOf(7, 6, 4, 2))
        }
        const follower = yield* following(store, { scope })
        yield* expect(`following ${scope._tag}`, ids(yield* follower.untilCaughtUp), idsOf(2, 4, 6, 7))
      }
      const { floor } = yield* store.read({ scope: thread })
      yield* expect("the floor of the thread", floor, 5)
      yield* expect("the floor of the run that is not done", (yield* store.run("open")).floor, 0)
    }
  ),
  make(
    "prune.kept-then-pruned",
    "A cursor below a floor MUST be CursorExpired as soon as the floor rises.",
    function* (open) {
      const store = yield* open
      const before = yield* interleaved(store)
      const { next: after } = yield* store.read({ scope: thread, limit: 1 })
      const { facts } = yield* store.read({ scope: thread, after })
      yield* expect("what follows the cursor", ids(facts), idsOf(4, 6, 7))
      yield* store.append([finish(8, { runId: "open" })])
      yield* expect("how many were pruned", yield* store.prune({ before }), 2)
      const later = yield* appendLater(store, [event(9)])
      yield* expect("how many were pruned later", yield* store.prune({ before: later }), 3)
      yield* expectFailure("the cursor", store.read({ scope: thread, after }), "CursorExpired")
      yield* expect("what is left", yield* idsIn(store, thread), idsOf(9))
    }
  ),
  make(
    "prune.thread",
    "With a thread, the facts of that thread, and those of its runs that are in no thread, MUST be pruned, and no others.",
    function* (open) {
      const store = yield* open
      yield* store.append([
        event(1),
        event(2, { threadId: undefined }),
        finish(3),
        event(4, { threadId: "thread-2", runId: "run-2" }),
        finish(5, { threadId: "thread-2", runId: "run-2" }),
        event(6, { threadId: undefined, runId: "run-3" }),
        finish(7, { threadId: undefined, runId: "run-3" })
      ])
      const before = yield* appendLater(store, [event(8)])
      yield* expect("how many were pruned", yield* store.prune({ before, threadId: "thread-1" }), 3)
      yield* expect("what is left", yield* idsIn(store, ledger), idsOf(4, 5, 6, 7, 8))
      yield* expect("pruned of no thread", yield* store.prune({ before, threadId: "nobody" }), 0)
    }
  ),
  make("prune.refuses-no-time", "A time that is no number MUST be refused: a ValidationError.", function* (open) {
    const store = yield* open
    yield* store.append([event(1), finish(2)])
    for (const before of [Number.NaN, Infinity, -Infinity]) {
      yield* expectFailure(`to prune before ${before}`, store.prune({ before }), "ValidationError")
    }
    yield* expect("what is there", yield* idsIn(store, thread), idsOf(1, 2))
  }),
  make("prune.twice", "To prune again what is gone MUST do nothing, and say 0.", function* (open) {
    const store = yield* open
    yield* expect("pruned of an empty ledger", yield* store.prune({ before: Number.MAX_SAFE_INTEGER }), 0)
    const before = yield* aged(store)
    yield* expect("pruned before the beginning", yield* store.prune({ before: 0 }), 0)
    yield* store.prune({ before })
    const pruned = yield* contents(store)
    yield* expect("pruned again", yield* store.prune({ before }), 0)
    yield* expectContents("after pruning again", store, pruned)
  }),
  make(
    "prune.younger-before-older",
    "A fact MUST be kept when one that was committed before it is too young to go, whatever its own time.",
    function* (open) {
      const store = yield* open
      const facts = Array.from([100, 300, 200], (recordedAt, index) => ({
        ...event(index + 1, { runId: undefined }),
        payload: null,
        threadSequence: index + 1,
        position: index + 1,
        recordedAt
      }))
      yield* store.restore({ facts })
      yield* expect("how many were pruned", yield* store.prune({ before: 250 }), 1)
      yield* expect("what is left", yield* idsIn(store, ledger), idsOf(2, 3))
    }
  ),
  make(
    "prune.other-handle",
    "What one handle prunes MUST be gone for all others, their cursors and floors.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      const before = yield* aged(one)
      yield* readAll(other, ledger)
      yield* one.prune({ before })
      yield* expect("what the other reads", yield* idsIn(other, thread), idsOf(5, 6))
      yield* expect("the floor that it sees", (yield* other.read({ scope: thread })).floor, 4)
      const expired = other.read({ scope: thread, after: Cursor.start(thread) })
      yield* expectFailure("a cursor below the floor", expired, "CursorExpired")
      yield* other.append([event(8)])
      yield* expect("the next sequence", (yield* one.get(eventId(8))).threadSequence, 7)
    }
  )
]
