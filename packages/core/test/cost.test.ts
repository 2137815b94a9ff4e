/**
 * What it costs to emit, in numbers that do not depend on the machine. Who makes it dearer has to say so here.
 */
import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, Durability, MemoryEventStore, Recorder, type Run } from "@runledger/core"
import { Effect, Layer, Metric, Scheduler, Tracer } from "effect"

const delta: AgentEvent.AgentEvent = { _tag: "TextDelta", delta: "a" }
const fact: AgentEvent.AgentEvent = { _tag: "InferenceComplete", model: "m", durationMs: 1 }

const times = (count: number, event: AgentEvent.AgentEvent) => Array.from({ length: count }, () => event)

/** Counts the operations of a fiber, and what any fiber starts meanwhile: tasks of the scheduler, fibers, spans. */
const makeMeter = () => {
  const started = { tasks: 0, fibers: 0, spans: 0 }
  const scheduler = new Scheduler.MixedScheduler()
  const counting: Scheduler.Scheduler = {
    executionMode: scheduler.executionMode,
    // By default a fiber lets others have a turn after 2,048 operations of whatever kind.
    shouldYield: () => false,
    makeDispatcher: () => {
      const dispatcher = scheduler.makeDispatcher()
      return {
        scheduleTask: (task, priority) => {
          started.tasks += 1
          dispatcher.scheduleTask(task, priority)
        },
        flush: () => dispatcher.flush()
      }
    }
  }
  const tracer = Tracer.make({
    span: (options) => {
      started.spans += 1
      return new Tracer.NativeSpan(options)
    }
  })
  const fibers = { recordFiberStart: () => void (started.fibers += 1), recordFiberEnd: () => {} }
  return {
    within: <A, E, R>(program: Effect.Effect<A, E, R>) =>
      program.pipe(
        Effect.provideService(Scheduler.Scheduler, counting),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provideService(Metric.FiberRuntimeMetrics, fibers)
      ),
    /** The operations are counted from the last time that the fiber went on, and here it goes on before the effect. */
    costOf: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.withFiber((fiber) => {
        let before = { operations: 0, ...started }
        const look = Effect.sync(() => {
          before = { operations: fiber.currentOpCount, ...started }
        })
        return Effect.yieldNow.pipe(
          Effect.andThen(look),
          Effect.andThen(effect),
          Effect.map(() => ({
            operations: fiber.currentOpCount - before.operations,
            tasks: started.tasks - before.tasks,
            fibers: started.fibers - before.fibers,
            spans: started.spans - before.spans
          }))
        )
      })
  }
}

type CostOf = ReturnType<typeof makeMeter>["costOf"]

/** Runs a test with a run that has begun. Where deltas are kept, a row of them is open. */
const withRun = <A, E>(
  durability: Durability.DurabilityMode,
  test: (run: Run.RunShape, costOf: CostOf) => Effect.Effect<A, E>
) => {
  const { costOf, within } = makeMeter()
  return Effect.gen(function* () {
    const recorder = yield* Recorder.Recorder
    const run = yield* recorder.open({ threadId: "t", runId: "r" })
    yield* run.emitAll([fact, delta])
    return yield* test(run, costOf)
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.provide(Recorder.layer(), Layer.fresh(MemoryEventStore.layer))),
    Effect.provideService(Durability.Durability, durability),
    within
  )
}

/** What no effect that does something can go below: it is asked for, and it is done. */
const cheapest = { operations: 2, tasks: 0, fibers: 0, spans: 0 }

describe("the meter", () => {
  it.effect("sees operations, turns, fibers and spans", () => {
    const { costOf, within } = makeMeter()
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* costOf(Effect.suspend(() => Effect.void)), cheapest)
      assert.strictEqual((yield* costOf(Effect.yieldNow)).tasks, 1)
      assert.strictEqual((yield* costOf(Effect.forkChild(Effect.void))).fibers, 1)
      assert.strictEqual((yield* costOf(Effect.withSpan(Effect.void, "span"))).spans, 1)
    }).pipe(within)
  })
})

describe.each(["full_fidelity", "compacted", "disabled"] as const)("with durability %s", (durability) => {
  it.effect("an emit is two operations of the fiber, and starts nothing", () =>
    withRun(durability, (run, costOf) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* costOf(run.emit(delta)), cheapest)
        assert.deepStrictEqual(yield* costOf(run.emit(fact)), cheapest)
      })
    )
  )

  it.effect("so is an emitAll of 256 events", () =>
    withRun(durability, (run, costOf) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* costOf(run.emitAll(times(256, delta))), cheapest)
        assert.deepStrictEqual(yield* costOf(run.emitAll(times(256, fact))), cheapest)
      })
    )
  )
})

describe("who emits without end", () => {
  /** Which of so many emits let others have a turn. */
  const turnsOf = (count: number, event: AgentEvent.AgentEvent) =>
    withRun("full_fidelity", (run, costOf) =>
      Effect.map(
        Effect.forEach(times(count, event), (event) => costOf(run.emit(event))),
        (costs) => costs.flatMap(({ tasks }, index) => (tasks > 0 ? [index] : []))
      )
    )

  it.effect("lets others have a turn after every 512 facts", () =>
    Effect.gen(function* () {
      const [first = 0, ...others] = yield* turnsOf(2000, fact)
      assert.isBelow(first, 512)
      assert.deepStrictEqual(others, [first + 512, first + 1024])
    })
  )

  it.effect("does not for deltas that join one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* turnsOf(2000, delta), [])
    })
  )
})
