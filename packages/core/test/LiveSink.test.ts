import { assert, describe, it } from "@effect/vitest"
import { EventSink, EventStager, LiveSink, Normalizer } from "@runledger/core"
import { Deferred, Effect, Fiber, Layer, PubSub, Queue, Result } from "effect"

const services = Layer.merge(
  Layer.effect(Normalizer.Normalizer, Normalizer.make({ threadId: "t", runId: "r", origin: "native" })),
  Layer.succeed(EventStager.EventStager, { stage: () => Result.void, flush: Effect.void })
)

const sinkOver = (live: LiveSink.LiveSinkShape) =>
  EventSink.make.pipe(Effect.provideService(LiveSink.LiveSink, live), Effect.provide(services))

const emitThree = (sink: EventSink.EventSinkShape) =>
  Effect.forEach([1, 2, 3], (index) => sink.emit({ _tag: "TextDelta", delta: String(index) }), { discard: true })

const ordinals = (envelopes: ReadonlyArray<LiveSink.Envelope>) => envelopes.map(({ ordinal }) => ordinal)

describe("LiveSink", () => {
  it.effect("fromQueue fills the queue", () =>
    Effect.gen(function* () {
      const queue = yield* Queue.unbounded<LiveSink.Envelope>()
      yield* emitThree(yield* sinkOver(LiveSink.fromQueue(queue)))
      assert.deepStrictEqual(ordinals(yield* Queue.takeAll(queue)), [1, 2, 3])
    })
  )

  it.effect("fromQueue waits for room in a bounded queue, and delivers in order what an interrupted emit said", () =>
    Effect.gen(function* () {
      const queue = yield* Queue.bounded<LiveSink.Envelope>(1)
      const sink = yield* sinkOver(LiveSink.fromQueue(queue))
      const fiber = yield* Effect.forkChild(emitThree(sink))
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ordinals([yield* Queue.take(queue), yield* Queue.take(queue)]), [1, 2])
    })
  )

  it.effect("fromPubSub reaches every subscriber", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub.unbounded<LiveSink.Envelope>()
      const subscriptions = [yield* PubSub.subscribe(pubsub), yield* PubSub.subscribe(pubsub)]
      yield* emitThree(yield* sinkOver(LiveSink.fromPubSub(pubsub)))
      for (const subscription of subscriptions) {
        assert.deepStrictEqual(ordinals(yield* PubSub.takeAll(subscription)), [1, 2, 3])
      }
    })
  )

  it.effect("fromEffect is started within emit and joined by it", () =>
    Effect.gen(function* () {
      const got: Array<number> = []
      const gate = yield* Deferred.make<void>()
      const live = yield* LiveSink.fromEffect(({ ordinal }) =>
        Effect.gen(function* () {
          got.push(ordinal)
          yield* Deferred.await(gate)
        })
      )
      const sink = yield* sinkOver(live)
      const fiber = yield* Effect.forkChild(sink.emit({ _tag: "StepEnd" }), { startImmediately: true })
      assert.deepStrictEqual(got, [1])
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
    })
  )

  it.effect("fromEffect lets the app end although a delivery hangs", () =>
    Effect.gen(function* () {
      const live = Layer.effect(
        LiveSink.LiveSink,
        LiveSink.fromEffect(() => Effect.never)
      )
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.EventSink
        const fiber = yield* Effect.forkChild(sink.emit({ _tag: "StepEnd" }), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(EventSink.layer.pipe(Layer.provide(live), Layer.provide(services))))
    })
  )

  it.effect("a failure of any live sink stays away from the agent", () =>
    Effect.gen(function* () {
      yield* emitThree(yield* sinkOver({ deliver: () => Effect.die("boom") }))
    })
  )

  it.effect("fromEffect does not pass a defect on to the agent", () =>
    Effect.gen(function* () {
      const live = yield* LiveSink.fromEffect(() => Effect.die("boom"))
      yield* emitThree(yield* sinkOver(live))
    })
  )
})
