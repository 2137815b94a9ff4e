import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  Durability,
  EventSink,
  EventStager,
  EventStore,
  GroupStager,
  Json,
  LedgerError,
  LiveSink,
  MemoryEventStore,
  MemoryStager,
  Normalizer
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"

const ids = { threadId: "t", runId: "r" }
const context = { ...ids, origin: "native" }
const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const stepEnd: AgentEvent.AgentEvent = { _tag: "StepEnd" }
const invalid = new LedgerError.ValidationError({ message: "validation error: refused by the test" })

/** A live sink that remembers what it got. */
const audience = () => {
  const got: Array<LiveSink.Envelope> = []
  return { got, layer: Layer.succeed(LiveSink.LiveSink, { deliver: (envelope) => void got.push(envelope) }) }
}

/** A stager with some of its lanes' functions replaced. */
const stagerWith = (parts: Partial<EventStager.Lane>) =>
  Layer.effect(
    EventStager.EventStager,
    Effect.map(EventStager.EventStager, ({ lane }) => ({ lane: (options) => ({ ...lane(options), ...parts }) }))
  ).pipe(Layer.provide(MemoryStager.layer))

const failing: ReadonlyArray<Normalizer.NormalizerShape> = [
  Normalizer.fromNormalize(() => Result.fail(invalid)),
  Normalizer.fromNormalize(() => {
    throw new Error("defect")
  })
]

const quiet = Layer.succeed(EventSink.OnNotRecorded, () => Effect.void)
const mode = (durability: Durability.DurabilityMode) => Layer.succeed(Durability.Durability, durability)
const normalizer = Layer.effect(Normalizer.Normalizer, Normalizer.make(context))

describe("the live stream", () => {
  const emitAll = (events: ReadonlyArray<AgentEvent.AgentEvent>) =>
    Effect.gen(function* () {
      const sink = yield* EventSink.make
      const middle = Math.floor(events.length / 2)
      yield* Effect.forEach(events.slice(0, middle), sink.emit)
      yield* sink.emitAll(events.slice(middle))
    })

  const throwing = stagerWith({
    stage: () => {
      throw new Error("defect")
    }
  })
  const refusing = stagerWith({ stage: () => Result.fail(invalid) })
  const brokenStore = Layer.provide(
    GroupStager.layer(),
    Layer.mock(EventStore.EventStore)({ append: () => Effect.fail(invalid) })
  )
  const environments = [
    ...failing.map((shape) => Layer.merge(Layer.succeed(Normalizer.Normalizer, shape), MemoryStager.make().layer)),
    ...[throwing, refusing, brokenStore].map((stager) => Layer.merge(normalizer, stager)),
    ...Durability.DurabilityMode.literals.map((durability) =>
      Layer.mergeAll(normalizer, MemoryStager.make().layer, mode(durability))
    )
  ]

  it.effect.prop(
    "equals the input in every mode, and under a failing normalizer, stager and store",
    [Arbitraries.stream(ids)],
    ([events]) =>
      Effect.forEach(
        environments,
        (environment) =>
          Effect.gen(function* () {
            const { got, layer } = audience()
            yield* emitAll(events).pipe(Effect.provide([layer, environment, quiet]), Effect.scoped)
            assert.strictEqual(got.length, events.length)
            got.forEach(({ event, ordinal }, index) => {
              assert.strictEqual(event, events[index])
              assert.strictEqual(ordinal, index + 1)
            })
          }),
        { discard: true }
      ),
    { arbitrary: { runs: 30 } }
  )

  it.effect("does not wait for a store that hangs", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { got, layer: live } = audience()
      const store = Layer.mock(EventStore.EventStore)({ append: () => Deferred.await(gate) })
      yield* Effect.gen(function* () {
        yield* emitAll([start, stepEnd, { _tag: "Error", message: "" }])
        assert.strictEqual(got.length, 3)
        yield* Deferred.succeed(gate, undefined)
      }).pipe(Effect.provide([live, normalizer, Layer.provide(GroupStager.layer(), store)]))
    })
  )
})

describe("emit", () => {
  it.effect("delivers before anything else happens to an event", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const { normalizeMany } = yield* Normalizer.make(context)
      yield* Effect.flatMap(EventSink.make, (sink) => sink.emit(start)).pipe(
        Effect.provide(stagerWith({ stage: () => Result.succeed(void order.push("staged")) })),
        Effect.provideService(Normalizer.Normalizer, {
          normalize: () => Result.succeed(undefined),
          normalizeMany: (event, durability) => (order.push("normalized"), normalizeMany(event, durability))
        }),
        Effect.provideService(LiveSink.LiveSink, { deliver: () => void order.push("delivered") })
      )
      assert.deepStrictEqual(order, ["delivered", "normalized", "staged"])
    })
  )

  it.effect("stages nothing that cannot be normalized, and reports it", () =>
    Effect.gen(function* () {
      for (const shape of failing) {
        const { got, layer: live } = audience()
        const { layer: stager, units } = MemoryStager.make()
        const reports: Array<EventSink.NotRecorded> = []
        yield* Effect.gen(function* () {
          const sink = yield* EventSink.make
          yield* sink.emit(start)
        }).pipe(
          Effect.provide([live, stager, Layer.succeed(Normalizer.Normalizer, shape)]),
          Effect.provideService(EventSink.OnNotRecorded, (error) => Effect.sync(() => void reports.push(error)))
        )
        assert.deepStrictEqual(
          got.map(({ event }) => event),
          [start]
        )
        assert.deepStrictEqual(units, [])
        assert.deepStrictEqual(
          reports.map(({ ordinal, tag }) => [ordinal, tag]),
          [[1, "RunStart"]]
        )
      }
    })
  )

  it.effect("reports a normalizer that throws nothing at all, and survives a report that throws", () =>
    Effect.gen(function* () {
      const { layer: stager } = MemoryStager.make()
      let reports = 0
      const throwing = Normalizer.fromNormalize(() => {
        throw undefined
      })
      yield* Effect.flatMap(EventSink.make, (sink) => sink.emit(start)).pipe(
        Effect.provide([stager, Layer.succeed(Normalizer.Normalizer, throwing)]),
        Effect.provideService(EventSink.OnNotRecorded, () => {
          reports += 1
          throw new Error("report")
        })
      )
      assert.strictEqual(reports, 1)
    })
  )

  it.effect("does not ask the normalizer anything when nothing is kept", () =>
    Effect.gen(function* () {
      const { layer: stager, units } = MemoryStager.make()
      const untouched = Layer.succeed(
        Normalizer.Normalizer,
        Normalizer.fromNormalize(() => assert.fail("was asked"))
      )
      const reports: Array<EventSink.NotRecorded> = []
      yield* Effect.flatMap(EventSink.make, (sink) => sink.emit(start)).pipe(
        Effect.provide([stager, untouched, mode("disabled")]),
        Effect.provideService(EventSink.OnNotRecorded, (error) => Effect.sync(() => void reports.push(error)))
      )
      assert.deepStrictEqual([units, reports], [[], []])
    })
  )

  it.effect("gives an event one ordinal and one time, live and in the ledger, and its facts one unit", () =>
    Effect.gen(function* () {
      const { got, layer: live } = audience()
      const { layer: stager, units } = MemoryStager.make()
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* TestClock.setTime(1000)
        yield* sink.emit({ _tag: "TextDelta", delta: "dropped by policy" })
        yield* TestClock.setTime(2000)
        yield* sink.emit({
          _tag: "StateSnapshot",
          snapshot: { extensions: { __context_compaction: { in_flight: { task_id: "a" }, failures: [{}] } } }
        })
      }).pipe(Effect.provide([live, stager, normalizer]))
      assert.deepStrictEqual(
        got.map(({ occurredAt, ordinal }) => [ordinal, occurredAt]),
        [
          [1, 1000],
          [2, 2000]
        ]
      )
      assert.deepStrictEqual(
        units.map((unit) => unit.map(({ kind, occurredAt, ordinal }) => [kind, ordinal, occurredAt])),
        [
          [
            ["ContextCompactionFailed", 2, 2000],
            ["ContextCompactionStarted", 2, 2000]
          ]
        ]
      )
    })
  )

  it.effect("records what was said at that moment, whatever happens to the object later", () =>
    Effect.gen(function* () {
      const snapshot = { step: 1, nested: { list: [1] } }
      const page = yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* sink.emit({ _tag: "StateSnapshot", snapshot })
        snapshot.step = 2
        snapshot.nested.list.push(2)
        yield* sink.close
        const store = yield* EventStore.EventStore
        return yield* store.read({ scope: { _tag: "Run", runId: "r" } })
      }).pipe(
        Effect.provide(
          Layer.mergeAll(normalizer, GroupStager.layer(), mode("full_fidelity")).pipe(
            Layer.provideMerge(MemoryEventStore.layer)
          )
        )
      )
      assert.deepStrictEqual(
        page.facts.map(({ payload }) => payload),
        [{ _tag: "StateSnapshot", snapshot: { step: 1, nested: { list: [1] } } }]
      )
    })
  )

  it.effect("refuses what has no JSON, delivers it, and goes on", () =>
    Effect.gen(function* () {
      const cycle: Record<string, unknown> = {}
      cycle["self"] = cycle
      const { layer: stager, units } = MemoryStager.make()
      const { got, layer: live } = audience()
      const reasons: Array<string> = []
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* sink.emit({ _tag: "ToolCallReady", id: "c", name: "x", arguments: cycle as never })
        yield* sink.emit({ _tag: "Error", message: "after" })
      }).pipe(
        Effect.provide([live, stager, normalizer]),
        Effect.provideService(EventSink.OnNotRecorded, ({ cause }) =>
          Effect.sync(() => void reasons.push((cause as { readonly _tag: string })._tag))
        )
      )
      assert.strictEqual(got.length, 2)
      assert.deepStrictEqual(reasons, ["SerializationError"])
      assert.deepStrictEqual(
        units.flat().map(({ kind }) => kind),
        ["ErrorRecorded"]
      )
    })
  )

  it.effect("survives a live sink that throws", () =>
    Effect.gen(function* () {
      const { layer: stager, units } = MemoryStager.make()
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* sink.emit(start)
      }).pipe(
        Effect.provide([stager, normalizer]),
        Effect.provideService(LiveSink.LiveSink, {
          deliver: () => {
            throw new Error("gone")
          }
        })
      )
      assert.strictEqual(units.length, 1)
    })
  )

  it.effect("leaves facts staged once although it is interrupted at any point, or its audience hangs", () =>
    Effect.gen(function* () {
      for (let yields = 0; yields < 12; yields++) {
        const { layer: stager, units } = MemoryStager.make()
        const delivered: Array<number> = []
        yield* Effect.gen(function* () {
          const live = yield* LiveSink.fromEffect(({ ordinal }) =>
            Effect.andThen(
              Effect.sync(() => void delivered.push(ordinal)),
              Effect.never
            )
          )
          const sink = yield* Effect.provideService(EventSink.make, LiveSink.LiveSink, live)
          const fiber = yield* Effect.forkChild(sink.emit(start))
          yield* Effect.forEach(Array.from({ length: yields }), () => Effect.yieldNow)
          yield* Fiber.interrupt(fiber)
          yield* Effect.forkChild(sink.emit({ _tag: "Error", message: "second" }))
          yield* Effect.yieldNow
        }).pipe(Effect.provide([stager, normalizer]), Effect.scoped)
        const recorded = units.flat().map(({ ordinal }) => ordinal)
        assert.deepStrictEqual(recorded, delivered)
        assert.strictEqual(new Set(recorded).size, recorded.length)
        assert.isAtLeast(recorded.length, 1)
      }
    })
  )

  it.effect("stages or reports what it delivered, wherever the scheduler lets an interrupt in", () =>
    Effect.gen(function* () {
      let cutShort = 0
      for (let operations = 1980; operations < 2100; operations++) {
        const { got, layer: live } = audience()
        const { layer: stager, units } = MemoryStager.make()
        let reports = 0
        yield* Effect.gen(function* () {
          const sink = yield* EventSink.make
          // The scheduler yields every 2,048 operations, so the interrupt lands somewhere within the emits.
          const fiber = yield* Effect.forkChild(
            Effect.gen(function* () {
              for (let operation = 0; operation < operations; operation++) {
                yield* Effect.sync(() => operation)
              }
              yield* sink.emit(start)
              yield* sink.emit({ _tag: "RunStart", threadId: " ", runId: "r" })
              yield* Effect.forEach(Array.from({ length: 3000 }), () => Effect.void)
            }),
            { startImmediately: true }
          )
          yield* Fiber.interrupt(fiber)
        }).pipe(
          Effect.provide([live, stager, normalizer]),
          Effect.provideService(EventSink.OnNotRecorded, () => Effect.sync(() => void (reports += 1)))
        )
        assert.strictEqual(units.length, Math.min(got.length, 1))
        assert.strictEqual(reports, Math.max(got.length - 1, 0))
        cutShort += got.length < 2 ? 1 : 0
      }
      assert.isAbove(cutShort, 0)
    })
  )

  it.effect("keeps the order of parallel emits the same live as staged", () =>
    Effect.gen(function* () {
      const { got, layer: live } = audience()
      const { layer: stager, units } = MemoryStager.make()
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* Effect.forEach(
          Array.from({ length: 200 }, (_, index) => index),
          (index) => Effect.andThen(Effect.yieldNow, sink.emit({ _tag: "Error", message: String(index) })),
          { concurrency: "unbounded" }
        )
      }).pipe(Effect.provide([live, stager, normalizer]))
      assert.deepStrictEqual(
        units.flat().map(({ payload }) => Json.parse(payload)),
        got.map(({ event }) => event)
      )
      assert.strictEqual(got.length, 200)
    })
  )

  it.effect("is a defect after close", () =>
    Effect.gen(function* () {
      const { layer: stager } = MemoryStager.make()
      const exit = yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* sink.close
        yield* sink.close
        return yield* Effect.exit(sink.emit(stepEnd))
      }).pipe(Effect.provide([stager, normalizer]))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof EventSink.SinkClosed)
    })
  )
})

describe("emitAll", () => {
  it.effect("keeps the order over many steps", () =>
    Effect.gen(function* () {
      const { got, layer: live } = audience()
      const { layer: stager, units } = MemoryStager.make()
      const events = Array.from(
        { length: 1000 },
        (_, index): AgentEvent.AgentEvent => ({
          _tag: "Error",
          message: String(index)
        })
      )
      yield* Effect.flatMap(EventSink.make, (sink) => sink.emitAll(events)).pipe(
        Effect.provide([live, stager, normalizer])
      )
      assert.deepStrictEqual(
        got.map(({ event }) => event),
        events
      )
      assert.strictEqual(units.length, 1000)
    })
  )
})

describe("close", () => {
  it.effect("waits for the commit, then closes the live sink", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const committed = yield* Deferred.make<void>()
      const stager = stagerWith({
        close: Effect.andThen(
          Deferred.await(committed),
          Effect.sync(() => void order.push("committed"))
        )
      })
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        const fiber = yield* Effect.forkChild(sink.close)
        yield* Effect.yieldNow
        assert.deepStrictEqual(order, [])
        yield* Deferred.succeed(committed, undefined)
        yield* Fiber.join(fiber)
      }).pipe(
        Effect.provide([stager, normalizer]),
        Effect.provideService(LiveSink.LiveSink, {
          deliver: () => {},
          close: Effect.sync(() => void order.push("closed"))
        })
      )
      assert.deepStrictEqual(order, ["committed", "closed"])
    })
  )

  it.effect("waits for the commit each time, also after a close that was interrupted", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const stager = stagerWith({ close: Deferred.await(gate) })
      yield* Effect.gen(function* () {
        const sink = yield* EventSink.make
        yield* Fiber.interrupt(yield* Effect.forkChild(sink.close, { startImmediately: true }))
        const again = yield* Effect.forkChild(sink.close, { startImmediately: true })
        assert.isUndefined(again.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(again)
      }).pipe(Effect.provide([stager, normalizer]))
    })
  )

  it.effect("comes with the scope of the layer", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      yield* Effect.flatMap(EventSink.EventSink, (sink) => sink.emit(start)).pipe(
        Effect.provide(EventSink.layer.pipe(Layer.provide(normalizer), Layer.provide(GroupStager.layer())))
      )
      assert.strictEqual(yield* store.count({ _tag: "Run", runId: "r" }), 1)
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )
})
