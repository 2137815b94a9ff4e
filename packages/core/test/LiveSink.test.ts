import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, EventSink, Json, LiveSink, MemoryStager, Normalizer } from "@runledger/core"
import { Deferred, Effect, Fiber, Layer, PubSub, Queue, type Scope } from "effect"

const services = Layer.merge(
  Layer.effect(Normalizer.Normalizer, Normalizer.make({ threadId: "t", runId: "r", origin: "native" })),
  MemoryStager.layer
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

  const ping: AgentEvent.AgentEvent = { _tag: "Error", message: "ping" }
  const pong: AgentEvent.AgentEvent = { _tag: "Error", message: "pong" }
  type React = (envelope: LiveSink.Envelope) => Effect.Effect<void>

  const listeners: Record<string, (react: React) => Effect.Effect<LiveSink.LiveSinkShape, never, Scope.Scope>> = {
    "a function": (react) => Effect.succeed({ deliver: (envelope) => Effect.runSync(react(envelope)) }),
    fromQueue: (react) =>
      Effect.gen(function* () {
        const queue = yield* Queue.unbounded<LiveSink.Envelope>()
        yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(queue), react)))
        return LiveSink.fromQueue(queue)
      }),
    fromPubSub: (react) =>
      Effect.gen(function* () {
        const pubsub = yield* PubSub.unbounded<LiveSink.Envelope>()
        const subscription = yield* PubSub.subscribe(pubsub)
        yield* Effect.forkScoped(Effect.forever(Effect.flatMap(PubSub.take(subscription), react)))
        return LiveSink.fromPubSub(pubsub)
      }),
    fromEffect: LiveSink.fromEffect
  }
  for (const [name, listen] of Object.entries(listeners)) {
    it.effect(`what an audience emits in turn comes after what it got, live as in the ledger: ${name}`, () =>
      Effect.gen(function* () {
        const { layer, units } = MemoryStager.make()
        const got: Array<LiveSink.Envelope> = []
        let emit: EventSink.EventSinkShape["emit"] | undefined
        const live = yield* listen((envelope) =>
          Effect.suspend(() => {
            got.push(envelope)
            return envelope.event === ping && emit !== undefined ? emit(pong) : Effect.void
          })
        )
        yield* Effect.yieldNow
        const sink = yield* EventSink.make.pipe(
          Effect.provideService(LiveSink.LiveSink, live),
          Effect.provide([services, layer])
        )
        emit = sink.emit
        yield* sink.emit(ping)
        yield* sink.emit(ping)
        yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.yieldNow)
        assert.deepStrictEqual(
          units.flat().map(({ ordinal, payload }) => [ordinal, Json.parse(payload)]),
          got.map(({ event, ordinal }) => [ordinal, event])
        )
        assert.deepStrictEqual(ordinals(got), [1, 2, 3, 4])
      })
    )
  }
})
