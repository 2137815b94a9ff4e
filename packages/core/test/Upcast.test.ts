import { assert, describe, it } from "@effect/vitest"
import { type CanonicalEvent, Cursor, EventStore, MemoryEventStore, type StagedEvent, Upcast } from "@runledger/core"
import { Effect, Layer, Stream } from "effect"

const event = (n: number, more: Partial<StagedEvent.StagedEvent> = {}): StagedEvent.StagedEvent => ({
  eventId: `00000000-0000-7000-8000-00000000000${n}`,
  kind: "Paid",
  fidelity: "domain_event",
  visibility: "public",
  threadId: "t",
  payload: JSON.stringify({ cents: n }),
  origin: "native",
  schemaVersion: 1,
  occurredAt: 5,
  ...more
})

const field = (payload: unknown, name: string): number => Number(Reflect.get(Object(payload), name))

const layer = Upcast.layer([
  { kind: "Paid", from: 1, upcast: (payload) => ({ amount: field(payload, "cents") }) },
  { kind: "Paid", from: 2, upcast: (payload) => ({ euros: field(payload, "amount") / 100 }) },
  {
    kind: "Broken",
    from: 1,
    upcast: () => {
      throw new Error("no")
    }
  }
]).pipe(Layer.provideMerge(MemoryEventStore.layer))

const said = ({ kind, payload, schemaVersion }: CanonicalEvent.CanonicalEvent) => [kind, schemaVersion, payload]

describe("upcasters", () => {
  it.effect("raise old facts step by step wherever they are read, and stop at nothing", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      yield* store.append([
        event(1),
        event(2, { schemaVersion: 2, payload: JSON.stringify({ amount: 2 }) }),
        event(3, { schemaVersion: 9 }),
        event(4, { kind: "Broken" }),
        event(5, { kind: "Other" })
      ])
      const expected = [
        ["Paid", 3, { euros: 0.01 }],
        ["Paid", 3, { euros: 0.02 }],
        ["Paid", 9, { cents: 3 }],
        ["Broken", 1, { cents: 4 }],
        ["Other", 1, { cents: 5 }]
      ]
      assert.deepStrictEqual((yield* store.read({ scope: Cursor.ledger })).facts.map(said), expected)
      assert.deepStrictEqual(said(yield* store.get(event(1).eventId)), expected[0])
      const followed = yield* store.follow({ scope: Cursor.ledger }).pipe(Stream.take(5), Stream.runCollect)
      assert.deepStrictEqual(
        followed.flatMap((item) => (item._tag === "Fact" ? [said(item.fact)] : [])),
        expected
      )
      yield* store.append([event(1)])
      yield* store.erase({ threadId: "t" })
      assert.deepStrictEqual(said(yield* store.get(event(1).eventId)), ["Paid", 1, null])
    }).pipe(Effect.provide(layer))
  )
})
