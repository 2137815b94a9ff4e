import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  Durability,
  EventSink,
  type EventStager,
  EventStore,
  LiveSink,
  GroupStager,
  MemoryEventStore,
  MemoryStager,
  Normalizer
} from "@runledger/core"
import { Effect, Layer, Result } from "effect"

/** One app, composed once; each test swaps a single part of it and leaves the others. */
const events: ReadonlyArray<AgentEvent.AgentEvent> = [
  { _tag: "RunStart", threadId: "t", runId: "r" },
  { _tag: "TextDelta", delta: "hi" },
  { _tag: "RunFinish", threadId: "t", runId: "r", termination: { _tag: "NaturalEnd" } }
]

const app = Effect.gen(function* () {
  const sink = yield* EventSink.EventSink
  yield* sink.emitAll(events)
  yield* sink.close
})

const compose = (parts: {
  readonly live?: Layer.Layer<never>
  readonly normalizer?: Layer.Layer<Normalizer.Normalizer>
  readonly durability?: Layer.Layer<never>
  readonly stager?: Layer.Layer<EventStager.EventStager, never, EventStore.EventStore>
}) =>
  EventSink.layer.pipe(
    Layer.provide(parts.live ?? Layer.empty),
    Layer.provide(parts.durability ?? Layer.empty),
    Layer.provide(parts.normalizer ?? Layer.orDie(Normalizer.layer({ threadId: "t", runId: "r", origin: "native" }))),
    Layer.provide(parts.stager ?? GroupStager.layer())
  )

const kindsIn = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const { facts } = yield* store.read({ scope: { _tag: "Thread", threadId: "t" } })
  return facts.map(({ kind }) => kind)
})

const run = (parts: Parameters<typeof compose>[0]) =>
  Effect.andThen(Effect.provide(app, compose(parts)), kindsIn).pipe(Effect.provide(MemoryEventStore.layer))

describe("each part can be swapped alone:", () => {
  it.effect("the live sink", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const live = Layer.succeed(LiveSink.LiveSink, { deliver: ({ event }) => void seen.push(event._tag) })
      assert.deepStrictEqual(yield* run({ live }), ["RunStarted", "RunFinished"])
      assert.deepStrictEqual(seen, ["RunStart", "TextDelta", "RunFinish"])
    })
  )

  it.effect("the normalizer", () =>
    Effect.gen(function* () {
      const normalizer = Layer.succeed(
        Normalizer.Normalizer,
        Normalizer.fromNormalize((event) =>
          Result.succeed({
            fidelity: "domain_event",
            draft: {
              scopes: [{ _tag: "Thread", threadId: "t" }],
              kind: `My${event._tag}`,
              payload: null,
              origin: "mine",
              visibility: "audit",
              schemaVersion: 1
            }
          })
        )
      )
      assert.deepStrictEqual(yield* run({ normalizer }), ["MyRunStart", "MyTextDelta", "MyRunFinish"])
    })
  )

  it.effect("the durability", () =>
    Effect.gen(function* () {
      const durability = (mode: Durability.DurabilityMode) => Layer.succeed(Durability.Durability, mode)
      assert.deepStrictEqual(yield* run({ durability: durability("disabled") }), [])
      assert.deepStrictEqual(yield* run({ durability: durability("full_fidelity") }), [
        "RunStarted",
        "TextDeltaObserved",
        "RunFinished"
      ])
    })
  )

  it.effect("the stager", () =>
    Effect.gen(function* () {
      const { layer: stager, units } = MemoryStager.make()
      assert.deepStrictEqual(yield* run({ stager }), [])
      assert.deepStrictEqual(
        units.flat().map(({ kind }) => kind),
        ["RunStarted", "RunFinished"]
      )
    })
  )

  it.effect("the store", () =>
    Effect.gen(function* () {
      const appended: Array<string> = []
      const store = Layer.mock(EventStore.EventStore)({
        append: (batch) => Effect.sync(() => void appended.push(...batch.map(({ kind }) => kind)))
      })
      yield* app.pipe(Effect.provide(compose({})), Effect.provide(store))
      assert.deepStrictEqual(appended, ["RunStarted", "RunFinished"])
    })
  )
})
