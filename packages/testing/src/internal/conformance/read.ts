import { Cursor } from "@runledger/core"
import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  event,
  eventId,
  events,
  expect,
  expectFailure,
  ids,
  idsIn,
  idsOf,
  ledger,
  numbers,
  readAll,
  run,
  runScope,
  thread,
  threadScope
} from "./support.ts"

/** Ten facts of which the thread and the run have seven each, so that no two scopes number them alike. */
const mixed = numbers(1, 10).map((n) =>
  event(n, { threadId: n % 3 === 0 ? "thread-2" : "thread-1", runId: n % 4 === 1 ? undefined : "run-1" })
)

const most = 10_000

export const read = [
  make(
    "read.pages-add-up",
    "Pages of any size MUST add up to the scope, in its order or, reversed, from its end, and none be longer than asked.",
    function* (open) {
      const store = yield* open
      yield* store.append(mixed)
      const inThread = ids(mixed.filter(({ threadId }) => threadId === "thread-1"))
      const inRun = ids(mixed.filter(({ runId }) => runId === "run-1"))
      for (const [scope, all] of [
        [thread, inThread],
        [run, inRun],
        [ledger, ids(mixed)]
      ] as const) {
        for (const limit of [1, 2, 3, 7, 10, 1000]) {
          const what = `the pages of ${scope._tag} with ${limit} facts each`
          yield* expect(what, ids(yield* readAll(store, scope, { limit })), all)
          const reversed = ids(yield* readAll(store, scope, { limit, reverse: true }))
          yield* expect(`${what}, reversed`, reversed, all.toReversed())
          const { facts, hasMore } = yield* store.read({ scope, limit })
          const first = [Math.min(limit, all.length), limit < all.length]
          yield* expect(`the length of the first of ${what}, and whether there is more`, [facts.length, hasMore], first)
        }
      }
    }
  ),
  make(
    "read.cursor-exclusive",
    "A page MUST begin after its cursor, or before it when reversed: the cursor stands between two facts.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 5))
      for (const scope of [thread, run, ledger]) {
        for (const n of numbers(0, 5)) {
          const { facts, next, scannedThrough } = yield* store.read({ scope, limit: n })
          const after = n === 0 ? undefined : next
          const forward = yield* store.read({ scope, after })
          yield* expect(`what follows ${n} facts of ${scope._tag}`, ids(forward.facts), idsOf(...numbers(n + 1, 5)))
          if (n > 0) {
            const backward = yield* store.read({ scope, after, reverse: true })
            const before = idsOf(...numbers(1, n)).toReversed()
            yield* expect(`what precedes the rest of ${scope._tag} after ${n} facts`, ids(backward.facts), before)
            const last = facts.map((fact) => Cursor.sequenceOf(scope, fact)).at(-1)
            yield* expect("through what the page was scanned", scannedThrough, last)
          }
        }
      }
    }
  ),
  make(
    "read.cursor-of-a-fact",
    "The cursor that `Cursor.make` gives for the sequence of a fact, or its position, MUST stand after that fact.",
    function* (open) {
      const store = yield* open
      yield* store.append(mixed)
      for (const scope of [thread, run, ledger]) {
        const facts = yield* readAll(store, scope)
        for (const [index, fact] of facts.entries()) {
          const after = Cursor.make(scope, Cursor.sequenceOf(scope, fact))
          const rest = yield* store.read({ scope, after })
          yield* expect(`what follows fact ${index + 1} of ${scope._tag}`, rest.facts, facts.slice(index + 1))
        }
      }
    }
  ),
  make("read.limit-zero", "A limit of 0 MUST ask only whether there is more, and go nowhere.", function* (open) {
    const store = yield* open
    yield* store.append(events(1, 2))
    for (const scope of [thread, run, ledger]) {
      const first = yield* store.read({ scope, limit: 0 })
      yield* expect("facts, and whether there is more", [first.facts, first.hasMore], [[], true])
      const all = yield* store.read({ scope, after: first.next })
      yield* expect("what follows", ids(all.facts), idsOf(1, 2))
      const end = yield* store.read({ scope, after: all.next, limit: 0 })
      yield* expect("facts, and whether there is more, at the end", [end.facts, end.hasMore], [[], false])
      const back = yield* store.read({ scope, limit: 0, reverse: true })
      const last = [[], true, all.next, all.scannedThrough]
      yield* expect("the end of the scope", [back.facts, back.hasMore, back.next, back.scannedThrough], last)
    }
  }),
  make(
    "read.limits",
    "A page MUST have at most 1,000 facts unless a limit is given, and at most 10,000 whatever limit is given.",
    function* (open) {
      const store = yield* open
      for (const n of numbers(0, 10)) {
        yield* store.append(events(n * 1000 + 1, Math.min(n * 1000 + 1000, most + 1)))
      }
      for (const [limit, length] of [
        [undefined, 1000],
        [most, most],
        [most + 1, most],
        [Infinity, most]
      ] as const) {
        const page = yield* store.read({ scope: thread, limit })
        yield* expect(
          `with limit ${limit}, facts and whether there is more`,
          [page.facts.length, page.hasMore],
          [length, true]
        )
      }
    }
  ),
  make(
    "read.next-later",
    "`next` MUST be a cursor with which reading goes on at any later time, also that of the last page.",
    function* (open) {
      const store = yield* open
      const empty = yield* store.read({ scope: run })
      yield* store.append(events(1, 2))
      const all = yield* store.read({ scope: run, after: empty.next })
      yield* expect("what came to an empty run", ids(all.facts), idsOf(1, 2))
      yield* expect("whether there is more", all.hasMore, false)
      const none = yield* store.read({ scope: run, after: all.next })
      yield* expect("at the end: facts, hasMore, next", [none.facts, none.hasMore, none.next], [[], false, all.next])
      yield* store.append([event(3, { runId: "run-2" }), event(4)])
      const later = yield* store.read({ scope: run, after: none.next })
      yield* expect("what came later", ids(later.facts), idsOf(4))
    }
  ),
  make(
    "read.cursor-of-another-scope",
    "A cursor MUST be CursorExpired in every scope but its own, be it a thread and a run of the same id.",
    function* (open) {
      const store = yield* open
      const scopes = [threadScope("x"), runScope("x"), threadScope("y"), runScope("y"), ledger]
      const event2 = event(2, { threadId: "y", runId: "y" })
      yield* store.append([event(1, { threadId: "x", runId: "x" }), event2])
      for (const scope of scopes) {
        const { next } = yield* store.read({ scope, limit: 1 })
        for (const other of scopes.filter((other) => other !== scope)) {
          for (const after of [next, Cursor.start(scope)]) {
            const what = `a cursor of ${JSON.stringify(scope)} in ${JSON.stringify(other)}`
            yield* expectFailure(what, store.read({ scope: other, after }), "CursorExpired")
          }
        }
      }
    }
  ),
  make("read.cursor-beyond-the-end", "A cursor beyond the end of its scope MUST be CursorExpired.", function* (open) {
    const store = yield* open
    yield* store.append(events(1, 3))
    for (const scope of [thread, run, ledger, runScope("nobody")]) {
      const { scannedThrough } = yield* store.read({ scope })
      const after = Cursor.make(scope, scannedThrough + 1)
      for (const options of [{}, { limit: 0 }, { reverse: true }]) {
        const what = `the cursor ${after} at the end ${scannedThrough}`
        yield* expectFailure(what, store.read({ scope, after, ...options }), "CursorExpired")
      }
    }
  }),
  make("read.cursor-garbage", "A text that is no cursor MUST be CursorExpired.", function* (open) {
    const store = yield* open
    yield* store.append(events(1, 3))
    const { next } = yield* store.read({ scope: thread, limit: 1 })
    for (const text of ["", "1", "nonsense", ` ${next}`, `${next}0000000000000000`, next.slice(1), "'; --", "\0"]) {
      const garbage = store.read({ scope: thread, after: Cursor.Cursor.make(text) })
      yield* expectFailure(`the cursor ${JSON.stringify(text)}`, garbage, "CursorExpired")
    }
  }),
  make("read.empty-scope", "A scope that nobody wrote to MUST be empty, not an error.", function* (open) {
    const store = yield* open
    for (const appended of [[], [event(1, { threadId: "thread-2", runId: undefined })]]) {
      yield* store.append(appended)
      for (const scope of [thread, run, runScope("thread-2"), threadScope("")]) {
        for (const reverse of [false, true]) {
          const page = yield* store.read({ scope, reverse })
          const empty = { facts: [], next: Cursor.start(scope), hasMore: false, scannedThrough: 0, floor: 0 }
          yield* expect(`the page of ${JSON.stringify(scope)}`, page, empty)
        }
        yield* expect("its count", yield* store.count(scope), 0)
      }
    }
  }),
  make("read.get", "`get` MUST give the fact that reading gives.", function* (open) {
    const store = yield* open
    yield* store.append(mixed)
    const facts = yield* readAll(store, ledger)
    const got = yield* Effect.forEach(mixed, ({ eventId }) => store.get(eventId))
    yield* expect("the facts, got one by one", got, facts)
  }),
  make("read.get-not-found", "An id that no fact has MUST be NotFound, whatever text it is.", function* (open) {
    const store = yield* open
    yield* store.append([event(1)])
    for (const id of [eventId(2), eventId(0xabc).toUpperCase(), "nonsense", "", "\0", "'; --"]) {
      yield* expectFailure(`the fact ${JSON.stringify(id)}`, store.get(id), "NotFound")
    }
  }),
  make("read.count", "`count` MUST be the number of facts in a scope.", function* (open) {
    const store = yield* open
    yield* store.append(mixed)
    for (const scope of [thread, run, threadScope("thread-2"), ledger]) {
      yield* expect(`the count of ${scope._tag}`, yield* store.count(scope), (yield* idsIn(store, scope)).length)
    }
    yield* expect("the count of the ledger", yield* store.count(ledger), 10)
  })
]
