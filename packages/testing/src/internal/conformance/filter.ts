import { type CanonicalEvent, Cursor, type EventStore } from "@runledger/core"
import { Effect } from "effect"
import { make } from "../../Check.ts"
import {
  event,
  events,
  expect,
  expectThat,
  ids,
  idsOf,
  ledger,
  numbers,
  readAll,
  readPages,
  run,
  thread
} from "./support.ts"

const kinds = ["A", "B", "C"] as const
const visibilities = ["public", "internal", "audit", "sensitive"] as const

/** Twenty-four facts, each kind with each visibility twice. */
const facts = numbers(0, 23).map((n) => {
  const [kind = "A", visibility = "public"] = [kinds[n % 3], visibilities[n % 4]] as const
  return event(n, { kind, visibility })
})

const matching = ({ kinds, visibility }: EventStore.Filter) =>
  ids(facts.filter((fact) => (kinds?.includes(fact.kind) ?? true) && (visibility?.includes(fact.visibility) ?? true)))

/** Reads with a filter in pages of all sizes and both directions, and expects the matching facts and honest markers. */
const readsFiltered = Effect.fnUntraced(function* (store: EventStore.EventStoreShape, filter: EventStore.Filter) {
  const expected = matching(filter)
  for (const scope of [thread, run, ledger]) {
    for (const limit of [1, 2, 5, 100]) {
      for (const reverse of [false, true]) {
        const what = `${scope._tag} in pages of ${limit}${reverse ? ", reversed" : ""}, with ${JSON.stringify(filter)}`
        const read = ids(yield* readAll(store, scope, { filter, limit, reverse }))
        yield* expect(what, read, reverse ? expected.toReversed() : expected)
      }
    }
  }
})

export const filter = [
  make("filter.kinds", "With kinds, a page MUST have the facts of those kinds and no others.", function* (open) {
    const store = yield* open
    yield* store.append(facts)
    yield* readsFiltered(store, { kinds: ["B"] })
    yield* readsFiltered(store, { kinds: ["C", "A", "unheard of", "'; --"] })
    yield* readsFiltered(store, { kinds: ["unheard of"] })
  }),
  make("filter.visibility", "With visibilities, a page MUST have the facts of those and no others.", function* (open) {
    const store = yield* open
    yield* store.append(facts)
    for (const visibility of visibilities) {
      yield* readsFiltered(store, { visibility: [visibility] })
    }
    yield* readsFiltered(store, { visibility: ["audit", "public"] })
  }),
  make("filter.both", "With kinds and visibilities, a fact MUST be of one of each.", function* (open) {
    const store = yield* open
    yield* store.append(facts)
    yield* readsFiltered(store, { kinds: ["A"], visibility: ["internal"] })
    yield* readsFiltered(store, { kinds: ["A", "B"], visibility: ["internal", "sensitive"] })
  }),
  make("filter.nothing", "An empty list MUST let nothing through, and an empty filter everything.", function* (open) {
    const store = yield* open
    yield* store.append(facts)
    for (const filter of [{ kinds: [] }, { visibility: [] }, { kinds: [], visibility: ["public"] as const }, {}]) {
      yield* readsFiltered(store, filter)
    }
  }),
  make(
    "filter.scanned-through",
    "`scannedThrough` MUST be what `next` stands after, so that all facts up to there are in the pages or were left out by the filter.",
    function* (open) {
      const store = yield* open
      yield* store.append(facts)
      const filter = { kinds: ["B"], visibility: ["internal", "audit"] } as const
      const wanted = new Set(matching(filter))
      for (const scope of [thread, run, ledger]) {
        const all = yield* readAll(store, scope)
        const sequence = (fact: CanonicalEvent.CanonicalEvent) => Cursor.sequenceOf(scope, fact)
        const last = all.map(sequence).at(-1)
        for (const limit of [1, 2, 10]) {
          let scanned = 0
          for (const page of yield* readPages(store, { scope, limit, filter })) {
            const seen = all.filter((fact) => sequence(fact) > scanned && sequence(fact) <= page.scannedThrough)
            const expected = ids(seen).filter((id) => wanted.has(id))
            const what = `the facts of ${scope._tag} from ${scanned} through ${page.scannedThrough}`
            yield* expect(what, ids(page.facts), expected)
            yield* expect("the cursor there", page.next, Cursor.make(scope, page.scannedThrough))
            scanned = page.scannedThrough
          }
          yield* expect(`what was scanned of ${scope._tag} in the end`, scanned, last)
          for (const page of yield* readPages(store, { scope, limit, filter, reverse: true })) {
            const seen = all.filter((fact) => sequence(fact) <= scanned && sequence(fact) > page.scannedThrough)
            const expected = ids(seen).filter((id) => wanted.has(id))
            const what = `the facts of ${scope._tag} from ${scanned} back to ${page.scannedThrough}`
            yield* expect(what, ids(page.facts), expected.toReversed())
            scanned = page.scannedThrough
          }
        }
      }
    }
  ),
  make(
    "filter.passes-by",
    "Reading MUST come to the end although nothing matches, and find there what comes to match later.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 30))
      const options = { filter: { kinds: ["Wanted"] }, scope: thread }
      const pages = yield* readPages(store, { ...options, limit: 2 })
      const end = pages.at(-1)
      yield* expect("facts, and what was scanned", [pages.flatMap(({ facts }) => facts), end?.scannedThrough], [[], 30])
      yield* store.append([event(31), event(32, { kind: "Wanted" }), event(33)])
      const later = yield* store.read({ ...options, after: end?.next })
      yield* expect("what matches later", ids(later.facts), idsOf(32))
      yield* expectThat("the cursor after it must be beyond it", later.scannedThrough >= 32)
    }
  )
]
