import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  event,
  eventId,
  events,
  expect,
  expectRefusal,
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

const batchSize = 1_500

export const append = [
  make(
    "append.dense-sequences",
    "The sequences of a thread, and those of a run, MUST be 1, 2, 3 … without a hole, over all batches.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 3))
      yield* store.append([event(4, { runId: "run-2" }), event(5), event(6, { threadId: "thread-2" })])
      yield* store.append([event(7, { runId: "run-2" })])
      const facts = yield* readAll(store, ledger)
      yield* expect(
        "[thread sequence, run sequence] of each fact",
        facts.map(({ runSequence, threadSequence }) => [threadSequence, runSequence]),
        [
          [1, 1],
          [2, 2],
          [3, 3],
          [4, 1],
          [5, 4],
          [1, 5],
          [6, 2]
        ]
      )
    }
  ),
  make(
    "append.commit-order",
    "Events MUST be kept in the order of their batch, and a batch after those that were committed before it was sent; sequences and positions ascend in that order.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(5), event(1), event(4)])
      yield* store.append([event(3), event(2)])
      yield* expect("the order in the thread", yield* idsIn(store, thread), idsOf(5, 1, 4, 3, 2))
      yield* expect("the order in the run", yield* idsIn(store, run), idsOf(5, 1, 4, 3, 2))
      const facts = yield* readAll(store, ledger)
      yield* expect("the order in the ledger", ids(facts), idsOf(5, 1, 4, 3, 2))
      const positions = facts.map(({ position }) => position)
      yield* expect(
        "positions",
        positions,
        [...new Set(positions)].toSorted((left, right) => left - right)
      )
    }
  ),
  make(
    "append.several-scopes",
    "A fact MUST be in the thread and in the run that its event names, and in no other; a thread and a run of the same id are two scopes.",
    function* (open) {
      const store = yield* open
      yield* store.append([
        event(1, { threadId: "x", runId: "x" }),
        event(2, { threadId: "x", runId: undefined }),
        event(3, { threadId: undefined, runId: "x" }),
        event(4, { threadId: undefined, runId: "x" }),
        event(5, { threadId: "y", runId: "z" })
      ])
      yield* expect("the facts of the thread", yield* idsIn(store, threadScope("x")), idsOf(1, 2))
      yield* expect("the facts of the run", yield* idsIn(store, runScope("x")), idsOf(1, 3, 4))
      const facts = yield* readAll(store, ledger)
      yield* expect(
        "which sequences the facts have",
        facts.map(({ runSequence, threadSequence }) => ({ threadSequence, runSequence })),
        [
          { threadSequence: 1, runSequence: 1 },
          { threadSequence: 2, runSequence: undefined },
          { threadSequence: undefined, runSequence: 2 },
          { threadSequence: undefined, runSequence: 3 },
          { threadSequence: 1, runSequence: 1 }
        ]
      )
    }
  ),
  make(
    "append.all-or-nothing",
    "A batch of which one event is refused MUST leave nothing behind, and no number used up.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 2))
      const bad = event(99, { kind: "Bad\0" })
      const batch = [...events(3, 40), event(41, { threadId: "thread-new", runId: "run-new" }), bad]
      yield* expectRefusal("a batch with a bad event", store, store.append(batch), "ValidationError")
      yield* store.append([event(3), event(4, { runId: "run-new" })])
      const facts = yield* readAll(store, thread)
      yield* expect(
        "[id, thread sequence, run sequence] of each fact",
        facts.map(({ eventId, runSequence, threadSequence }) => [eventId, threadSequence, runSequence]),
        [
          [eventId(1), 1, 1],
          [eventId(2), 2, 2],
          [eventId(3), 3, 3],
          [eventId(4), 4, 1]
        ]
      )
    }
  ),
  make("append.empty-batch", "An empty batch MUST be accepted, and add nothing.", function* (open) {
    const store = yield* open
    yield* store.append([])
    yield* expect("the facts of the ledger", yield* store.count(ledger), 0)
  }),
  make("append.large-batch", "A batch of thousands of events MUST be committed whole.", function* (open) {
    const store = yield* open
    yield* store.append(events(1, batchSize))
    const facts = yield* readAll(store, run)
    yield* expect(
      "the sequences of the run",
      facts.map(({ runSequence }) => runSequence),
      numbers(1, batchSize)
    )
  }),
  make(
    "append.handles-in-turns",
    "Handles that append in turns MUST share one order, and each MUST see what the other committed.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      for (const n of numbers(1, 12)) {
        yield* (n % 2 === 0 ? one : other).append([event(n, { runId: `run-${n % 3}` })])
      }
      for (const store of [one, other]) {
        const facts = yield* readAll(store, thread)
        yield* expect("the order in the thread", ids(facts), idsOf(...numbers(1, 12)))
        yield* expect(
          "the sequences of the thread",
          facts.map(({ threadSequence }) => threadSequence),
          numbers(1, 12)
        )
        const first = yield* readAll(store, runScope("run-1"))
        yield* expect(
          "the sequences of the run",
          first.map(({ runSequence }) => runSequence),
          numbers(1, 4)
        )
      }
    }
  ),
  make(
    "append.concurrent",
    "Appends that race, over several handles, MUST each be committed once and in their own order, with dense sequences.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      const batches = numbers(0, 29).map((n) => ({ n, batch: events(3 * n + 1, 3 * n + 3, { runId: `run-${n % 4}` }) }))
      yield* Effect.forEach(
        batches,
        ({ batch, n }) => Effect.andThen(Effect.yieldNow, (n % 2 === 0 ? one : other).append(batch)),
        { concurrency: "unbounded", discard: true }
      )
      for (const store of [one, other]) {
        const facts = yield* readAll(store, thread)
        yield* expect("the facts, sorted by id", ids(facts).toSorted(), idsOf(...numbers(1, 90)))
        yield* expect(
          "the sequences of the thread",
          facts.map(({ threadSequence }) => threadSequence),
          numbers(1, 90)
        )
        for (const { batch } of batches) {
          const own = new Set(ids(batch))
          yield* expect(
            "the order within a batch",
            ids(facts).filter((id) => own.has(id)),
            ids(batch)
          )
        }
        for (const scope of numbers(0, 3).map((n) => runScope(`run-${n}`))) {
          const facts = yield* readAll(store, scope)
          yield* expect(
            "the sequences of a run",
            facts.map(({ runSequence }) => runSequence),
            numbers(1, facts.length)
          )
        }
      }
    }
  ),
  make(
    "append.hostile-ids",
    "Ids and names MUST be kept as they are: not trimmed, folded, normalised or escaped, so that those which differ stay apart.",
    function* (open) {
      const store = yield* open
      const hostile = [
        "a",
        "A",
        " a",
        "a ",
        "\u00e9",
        "e\u0301",
        "'; --",
        '"',
        "\\",
        "%",
        "_",
        "🦜名前",
        "__proto__",
        "0"
      ]
      yield* store.append(
        hostile.map((id, n) =>
          event(n, { threadId: id, runId: id, kind: `kind ${id}`, origin: id, correlationId: id, causationId: id })
        )
      )
      for (const [n, id] of hostile.entries()) {
        for (const scope of [threadScope(id), runScope(id)]) {
          const facts = yield* readAll(store, scope)
          yield* expect(
            `the facts of ${JSON.stringify(scope)}`,
            facts.map((fact) => [
              fact.eventId,
              fact.threadId,
              fact.runId,
              fact.kind,
              fact.origin,
              fact.correlationId,
              fact.causationId
            ]),
            [[eventId(n), id, id, `kind ${id}`, id, id, id]]
          )
        }
      }
    }
  ),
  make(
    "append.refuses-unstorable-ids",
    "An id or a name with a NUL or a lone surrogate MUST be refused: a ValidationError.",
    function* (open) {
      const store = yield* open
      for (const bad of ["nul\0", "\ud800", "half \udc00 pair"]) {
        for (const key of ["threadId", "runId", "kind", "origin", "correlationId", "causationId"]) {
          const what = `an event with the ${key} ${JSON.stringify(bad)}`
          yield* expectRefusal(what, store, store.append([event(1), event(2, { [key]: bad })]), "ValidationError")
        }
      }
    }
  ),
  make(
    "append.refuses-event-ids",
    "An event id that is no UUID in lower case MUST be refused: a ValidationError.",
    function* (open) {
      const store = yield* open
      for (const bad of [
        "",
        "event-1",
        eventId(0xabc).toUpperCase(),
        `{${eventId(1)}}`,
        eventId(1).replaceAll("-", "")
      ]) {
        const what = `the event id ${JSON.stringify(bad)}`
        yield* expectRefusal(what, store, store.append([event(1, { eventId: bad })]), "ValidationError")
      }
    }
  ),
  make(
    "append.refuses-no-scope",
    "An event in no thread and no run MUST be refused: a ValidationError.",
    function* (open) {
      const store = yield* open
      const homeless = event(2, { threadId: undefined, runId: undefined })
      yield* expectRefusal("an event without a scope", store, store.append([event(1), homeless]), "ValidationError")
    }
  ),
  make(
    "append.refuses-fractions",
    "An ordinal, a time or a schema version that is negative or no integer MUST be refused: a ValidationError.",
    function* (open) {
      const store = yield* open
      for (const bad of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) {
        for (const key of ["ordinal", "lastOrdinal", "occurredAt", "schemaVersion"]) {
          const what = `an event with the ${key} ${bad}`
          yield* expectRefusal(what, store, store.append([event(1), event(2, { [key]: bad })]), "ValidationError")
        }
      }
    }
  ),
  make(
    "append.refuses-broken-text",
    "A payload or a state that is no JSON text, or has a lone surrogate, MUST be refused: a SerializationError. It could not be read again.",
    function* (open) {
      const store = yield* open
      for (const text of ["", "{", "undefined", '{"a":1}}', '"\ud800"']) {
        const what = `the text ${JSON.stringify(text)}`
        yield* expectRefusal(what, store, store.append([event(1), event(2, { payload: text })]), "SerializationError")
        const runs = [{ runId: "run-1", ordinal: 1, state: text }]
        yield* expectRefusal(what, store, store.append([event(1)], { runs }), "SerializationError")
      }
    }
  )
]
