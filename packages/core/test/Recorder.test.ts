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
  Normalizer,
  Recorder,
  Redaction,
  Run,
  RunView
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Redacted, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  type Around,
  countingSleeps,
  factsIn,
  factsOf,
  kindsOf,
  settle,
  startProcess,
  storeAround,
  unavailable,
  unit
} from "./support.ts"

const ids = { threadId: "t", runId: "r" }
const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const finish = (tag: "NaturalEnd" | "Suspended" | "Cancelled"): AgentEvent.AgentEvent => ({
  _tag: "RunFinish",
  ...ids,
  termination: { _tag: tag }
})
const text = (delta: string): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta })
const error = (message: string): AgentEvent.AgentEvent => ({ _tag: "Error", message })
const ready = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallReady", id, name: "sh", arguments: {} })
const inference: AgentEvent.AgentEvent = { _tag: "InferenceComplete", model: "m", durationMs: 1 }

/** A live sink that remembers what it got. */
const audience = () => {
  const got: Array<LiveSink.Envelope> = []
  return { got, layer: Layer.succeed(LiveSink.LiveSink, { deliver: (envelope) => void got.push(envelope) }) }
}

const mode = (durability: Durability.DurabilityMode) => Layer.succeed(Durability.Durability, durability)
const full = mode("full_fidelity")

/** Runs a test over a recorder and its store. */
const recording = <A, E>(
  effect: Effect.Effect<A, E, Recorder.Recorder | EventStore.EventStore | Scope.Scope>,
  { around, ...options }: Recorder.Options & { readonly around?: Around } = {}
) => effect.pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Recorder.layer(options), storeAround(around).layer)))

const open = (options: Partial<Run.RunOptions> = {}) =>
  Effect.flatMap(Recorder.Recorder, (recorder) => recorder.open({ ...ids, ...options }))

const emit = (...events: ReadonlyArray<AgentEvent.AgentEvent>) =>
  Effect.flatMap(Run.Run, (run) => Effect.forEach(events, (event) => run.emit(event), { discard: true }))

const kinds = Effect.map(factsOf("r"), kindsOf)

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const statusOf = (runId: string) => Effect.flatMap(EventStore.EventStore, (store) => store.run(runId))

describe("emit", () => {
  it.effect("gives an event one ordinal and one time, live and in the ledger", () => {
    const { got, layer: live } = audience()
    return recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* TestClock.setTime(1000)
        yield* run.emit(start)
        yield* TestClock.setTime(2000)
        yield* run.emitAll([text("not kept"), error("a")])
        yield* run.flush()
        assert.deepStrictEqual(
          got.map(({ occurredAt, ordinal }) => [ordinal, occurredAt]),
          [
            [1, 1000],
            [2, 2000],
            [3, 2000]
          ]
        )
        assert.deepStrictEqual(
          (yield* factsOf("r")).map(({ kind, occurredAt, ordinal }) => [kind, ordinal, occurredAt]),
          [
            ["RunStarted", 1, 1000],
            ["ErrorRecorded", 3, 2000]
          ]
        )
      })
    ).pipe(Effect.provide(live))
  })

  it.effect("keeps the order of parallel emits the same live as in the ledger", () => {
    const { got, layer: live } = audience()
    return recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* Effect.forEach(
          Array.from({ length: 200 }, (_, index) => index),
          (index) =>
            Effect.forEach(Array.from({ length: index % 7 }), () => Effect.yieldNow).pipe(
              Effect.andThen(
                index % 3 === 0 ? run.emitAll([error(`${index}`), error(`${index}+`)]) : run.emit(error(`${index}`))
              )
            ),
          { concurrency: "unbounded" }
        )
        yield* run.flush()
        assert.deepStrictEqual(
          (yield* factsOf("r")).map(({ ordinal, payload }) => ({ ordinal, payload: JSON.stringify(payload) })),
          got.map(({ event, ordinal }) => ({ ordinal, payload: JSON.stringify(event) }))
        )
        assert.notDeepEqual(
          got.map(({ event }) => event),
          got
            .map(({ event }) => event)
            .toSorted((a, b) =>
              "message" in a && "message" in b ? Number.parseInt(a.message, 10) - Number.parseInt(b.message, 10) : 0
            )
        )
      })
    ).pipe(Effect.provide(live))
  })

  it.effect("records what it delivered, wherever the scheduler lets an interrupt in", () =>
    Effect.gen(function* () {
      let cutShort = 0
      for (let operations = 1990; operations < 2060; operations++) {
        const { got, layer: live } = audience()
        yield* recording(
          Effect.gen(function* () {
            const run = yield* open()
            // The scheduler yields every 2,048 operations, so the interrupt lands somewhere within the emits.
            const fiber = yield* fork(
              Effect.gen(function* () {
                for (let operation = 0; operation < operations; operation++) {
                  yield* Effect.sync(() => operation)
                }
                yield* run.emit(start)
                yield* run.emitAll([error("a"), error("b")])
                yield* run.message({ role: "user", parts: [{ _tag: "Text", text: "c" }] })
                yield* Effect.forEach(Array.from({ length: 3000 }), () => Effect.void)
              })
            )
            yield* Fiber.interrupt(fiber)
            yield* run.flush()
            const facts = yield* factsOf("r")
            const emitted = facts.filter(({ ordinal }) => ordinal !== undefined)
            assert.deepStrictEqual(
              emitted.map(({ ordinal }) => ordinal),
              got.map(({ ordinal }) => ordinal)
            )
            assert.include([0, 1, 3], emitted.length)
            cutShort += facts.length < 4 ? 1 : 0
          })
        ).pipe(Effect.provide(live))
      }
      assert.isAbove(cutShort, 0)
      assert.isBelow(cutShort, 70)
    })
  )

  it.effect("records although its audience hangs, and the emit is interrupted", () =>
    Effect.gen(function* () {
      const delivered: Array<number> = []
      const live = yield* LiveSink.fromEffect(({ ordinal }) =>
        Effect.andThen(
          Effect.sync(() => void delivered.push(ordinal)),
          Effect.never
        )
      )
      yield* recording(
        Effect.gen(function* () {
          const run = yield* open()
          const first = yield* fork(run.emit(start))
          const second = yield* fork(run.emit(error("a")))
          yield* settle
          assert.isUndefined(first.pollUnsafe())
          yield* Fiber.interrupt(first)
          yield* run.flush()
          assert.deepStrictEqual(delivered, [1, 2])
          assert.deepStrictEqual(yield* kinds, ["RunStarted", "ErrorRecorded"])
          yield* Fiber.interrupt(second)
          const closing = yield* fork(run.close)
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(closing)
          assert.strictEqual((yield* kinds).at(-1), "RunFinished")
        })
      ).pipe(Effect.provideService(LiveSink.LiveSink, live))
    })
  )

  it.effect("waits, delivered and staged, while too much is staged; interrupted, it stays staged", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { got, layer: live } = audience()
      yield* recording(
        Effect.gen(function* () {
          const run = yield* open()
          yield* run.emitAll([start, error("1"), error("2")])
          const waiting = [
            yield* fork(run.emit(error("3"))),
            yield* fork(run.emit(error("4"))),
            yield* fork(run.emitAll([error("5")]))
          ]
          yield* settle
          assert.isTrue(waiting.every((fiber) => fiber.pollUnsafe() === undefined))
          assert.strictEqual(got.length, 6)
          assert.include(yield* run.status, { ordinal: 6, staged: 6, committed: 0, isClosed: false })
          yield* Fiber.interrupt(waiting[0] as Fiber.Fiber<void>)
          yield* Deferred.succeed(gate, undefined)
          yield* TestClock.adjust(100)
          yield* Fiber.joinAll(waiting.slice(1))
          yield* run.flush()
          assert.deepStrictEqual(
            (yield* factsOf("r")).map(({ ordinal }) => ordinal),
            [1, 2, 3, 4, 5, 6]
          )
        }),
        { capacity: { events: 3 }, around: (append) => Effect.andThen(Deferred.await(gate), append) }
      ).pipe(Effect.provide(live))
    })
  )

  it.effect("is one step, although it makes room for others that wait", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* run.flush()
        yield* run.emit(text("x".repeat(17_000)))
        const waiting = yield* fork(Effect.andThen(run.emit(error("x".repeat(4000))), run.emit(error("waited"))))
        assert.isUndefined(waiting.pollUnsafe())
        // The message is no longer held back, so that there is room within this step.
        yield* run.emitAll([inference, error("last")])
        yield* Fiber.join(waiting)
        yield* run.flush()
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(
          facts.map(({ ordinal }) => ordinal),
          [1, 3, 4, 4, 5, 6]
        )
        assert.deepInclude(facts.at(-1), { payload: error("waited") })
      }),
      { capacity: { bytes: 20_000 } }
    )
  )

  it.effect("is one step, although it fills a batch that somebody waits for", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* TestClock.adjust(10)
        yield* run.emitAll(Array.from({ length: 100 }, () => error("")))
        const flushing = yield* fork(
          Effect.andThen(Effect.andThen(Effect.sleep(5), run.flush()), run.emit(error("flushed")))
        )
        for (let index = 0; index < 30; index++) {
          yield* run.emitAll(Array.from({ length: 200 }, (_, place) => error(`${index}/${place}`)))
        }
        yield* TestClock.adjust(100)
        yield* Fiber.join(flushing)
        yield* run.flush()
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(
          facts.map(({ ordinal }) => ordinal),
          facts.map((_, index) => index + 1)
        )
        const at = facts.findIndex(({ payload }) => Object(payload).message === "flushed")
        assert.notMatch(String(Object(facts[at + 1]?.payload).message), /[/](?!0$)/)
      })
    )
  )

  it.effect("into a run that was closed is a defect, and reaches nobody", () => {
    const { got, layer: live } = audience()
    return recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* run.close
        yield* run.close
        const late = [
          run.emit(error("late")),
          run.emitAll([error("late")]),
          run.message({ role: "user", parts: [] }),
          run.fact("Custom", Schema.Null, null),
          Stream.runDrain(run.tap(Stream.make(error("late"))))
        ]
        for (const effect of late) {
          const exit = yield* Effect.exit(effect)
          assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof EventSink.SinkClosed)
        }
        assert.isTrue((yield* run.status).isClosed)
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunFinished"])
        assert.deepStrictEqual(
          got.map(({ event }) => event._tag),
          ["RunStart", "RunFinish"]
        )
      })
    ).pipe(Effect.provide(live))
  })

  it.effect("of what cannot be recorded delivers it, reports it, and leaves a gap", () => {
    const { got, layer: live } = audience()
    const reports: Array<EventSink.NotRecorded> = []
    const hostile = {
      _tag: "Error",
      get message(): string {
        throw new Error("touched")
      }
    } as const
    const broken = { _tag: "ToolCallDone", id: "c", outcome: "failed" } as never
    return recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emitAll([start, text("a"), broken, text("b"), hostile, inference])
        yield* run.close
        assert.strictEqual(got.length, 7)
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(
          facts.map(({ kind, lastOrdinal, ordinal }) => [kind, ordinal, lastOrdinal]),
          [
            ["RunStarted", 1, undefined],
            ["TextDeltaObserved", 2, undefined],
            ["CaptureGap", 3, undefined],
            ["TextDeltaObserved", 4, undefined],
            ["ErrorRecorded", 5, undefined],
            ["MessageCommitted", 6, undefined],
            ["InferenceComplete", 6, undefined],
            ["RunFinished", 7, undefined]
          ]
        )
        assert.deepInclude(facts[4]?.payload, { withheld: "not_json" })
        assert.deepStrictEqual(
          reports.map(({ ordinal, tag }) => [ordinal, tag]),
          [
            [3, "ToolCallDone"],
            [5, "Error"]
          ]
        )
        assert.strictEqual((yield* run.status).shed, 2)
      })
    ).pipe(
      Effect.provide([live, full]),
      Effect.provideService(EventSink.OnNotRecorded, (error) => Effect.sync(() => void reports.push(error)))
    )
  })

  it.effect("survives a live sink that throws, and a report that throws", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emitAll([start, { _tag: "ToolCallDone", outcome: "failed" } as never, error("a")])
        yield* run.flush()
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "CaptureGap", "ErrorRecorded"])
      })
    ).pipe(
      Effect.provideService(LiveSink.LiveSink, {
        deliver: () => {
          throw new Error("gone")
        }
      }),
      Effect.provideService(EventSink.OnNotRecorded, () => {
        throw new Error("report")
      })
    )
  )

  it.effect("survives a stager that breaks, and counts what it did not take", () => {
    const { got, layer: live } = audience()
    const { layer, units } = MemoryStager.make()
    let isBroken = false
    return recording(
      Effect.gen(function* () {
        const { lane } = yield* Effect.provide(EventStager.EventStager, layer)
        const stager = EventStager.EventStager.of({
          lane: (options) => {
            const sound = lane(options)
            return {
              ...sound,
              stage: (...unit) => {
                if (isBroken) {
                  throw new Error("broken")
                }
                return sound.stage(...unit)
              }
            }
          }
        })
        const run = yield* open({ stager })
        yield* run.emitAll([start, text("a")])
        isBroken = true
        yield* run.emit(error("b"))
        yield* run.emitAll([text("c"), error("d")])
        isBroken = false
        yield* run.emit(error("e"))
        assert.strictEqual(got.length, 6)
        const facts = units.flat()
        assert.deepStrictEqual(kindsOf(facts), ["RunStarted", "CaptureGap", "ErrorRecorded"])
        assert.deepInclude(Json.parse(facts[1]?.payload ?? ""), {
          events: 4,
          tags: { TextDeltaObserved: 2, ErrorRecorded: 2 },
          message: "broken"
        })
      })
    ).pipe(
      Effect.provide([live, full]),
      Effect.provideService(EventSink.OnNotRecorded, () => Effect.void)
    )
  })

  it.effect("through a tap leaves a stream and its chunks as they are", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        const chunks: ReadonlyArray<readonly [AgentEvent.AgentEvent, ...Array<AgentEvent.AgentEvent>]> = [
          [start],
          [text("a"), text("b"), error("c")]
        ]
        const stream = Stream.fromArrays(...chunks)
        const passed: Array<ReadonlyArray<AgentEvent.AgentEvent>> = []
        yield* Stream.runForEachArray(run.tap(stream), (events) => Effect.sync(() => void passed.push(events)))
        assert.deepStrictEqual(passed, chunks as never)
        passed.flat().forEach((event, index) => assert.strictEqual(event, chunks.flat()[index]))
        yield* run.flush()
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "ErrorRecorded"])
      })
    )
  )
})

describe("deltas", () => {
  it.effect("wait a quarter of a second for others, and no timer runs when none wait", () =>
    countingSleeps((sleeping) =>
      recording(
        Effect.gen(function* () {
          const run = yield* open()
          yield* run.emit(start)
          yield* run.flush()
          yield* settle
          assert.strictEqual(sleeping(), 0)
          yield* run.emit(text("a"))
          yield* TestClock.adjust(200)
          yield* run.emit(text("b"))
          yield* TestClock.adjust(49)
          assert.deepStrictEqual(yield* kinds, ["RunStarted"])
          yield* TestClock.adjust(1)
          yield* TestClock.adjust(10)
          assert.deepStrictEqual(yield* kinds, ["RunStarted", "TextDeltaObserved"])
          yield* run.emit(text("c"))
          yield* TestClock.adjust(240)
          assert.strictEqual((yield* kinds).length, 2)
          yield* TestClock.adjust(20)
          assert.strictEqual((yield* kinds).length, 3)
          yield* TestClock.adjust("1 minute")
          yield* settle
          assert.strictEqual(sleeping(), 0)
        })
      )
    ).pipe(Effect.provide(full))
  )

  it.effect("are let go by a flush", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emitAll([start, text("a"), text("b")])
        yield* run.flush()
        assert.deepStrictEqual(
          (yield* factsOf("r")).map(({ payload }) => payload),
          [start, text("ab")]
        )
      })
    ).pipe(Effect.provide(full))
  )

  it.effect("hide no secret that lies across them", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        for (const delta of "the key is sk-123, keep it safe") {
          yield* run.emit(text(delta))
          yield* run.flush()
          yield* TestClock.adjust(100)
        }
        yield* run.emit(inference)
        yield* run.flush()
        const facts = yield* factsOf("r")
        assert.notInclude(JSON.stringify(facts), "sk-123")
        const deltas = facts.flatMap(({ payload }) =>
          Object(payload)._tag === "TextDelta" ? [Object(payload).delta] : []
        )
        assert.isAbove(deltas.length, 2)
        assert.strictEqual(deltas.join(""), "the key is <redacted>, keep it safe")
      })
    ).pipe(
      Effect.provide(full),
      Effect.provideService(Redaction.Redaction, Redaction.fromSecrets([Redacted.make("sk-123")]))
    )
  )
})

describe("record", () => {
  type Program = Effect.Effect<unknown, unknown, Run.Run>
  const exits: ReadonlyArray<readonly [string, Program, ReadonlyArray<string>, string]> = [
    ["succeeds", emit(error("a")), ["RunStarted", "ErrorRecorded", "RunFinished"], "natural"],
    ["does nothing", Effect.void, ["RunStarted", "RunFinished"], "natural"],
    ["starts and finishes itself", emit(start, finish("NaturalEnd")), ["RunStarted", "RunFinished"], "natural"],
    ["fails", Effect.andThen(emit(start), Effect.fail(new Error("boom"))), ["RunStarted", "RunErrored"], "error"],
    ["dies", Effect.andThen(emit(start), Effect.die("boom")), ["RunStarted", "RunErrored"], "error"],
    ["is interrupted", Effect.andThen(emit(start), Effect.never), ["RunStarted", "RunCancelled"], "cancelled"],
    ["interrupts itself", Effect.andThen(emit(start), Effect.interrupt), ["RunStarted", "RunCancelled"], "cancelled"],
    [
      "fails after it finished",
      Effect.andThen(emit(start, finish("NaturalEnd")), Effect.fail("late")),
      ["RunStarted", "RunFinished"],
      "natural"
    ],
    [
      "closes the run",
      Effect.flatMap(Run.Run, (run) => Effect.andThen(run.emit(start), run.close)),
      ["RunStarted", "RunFinished"],
      "natural"
    ],
    [
      "stops in the middle of a message",
      Effect.andThen(emit(start, text("half")), Effect.fail("cut")),
      ["RunStarted", "MessageCommitted", "RunErrored"],
      "error"
    ]
  ]
  for (const [how, program, expected, doneReason] of exits) {
    it.effect(`a program that ${how} leaves one end, and everything committed`, () =>
      recording(
        Effect.gen(function* () {
          const recorded = yield* fork(Effect.exit(Recorder.record(ids)(program)))
          yield* settle
          yield* TestClock.adjust(1000)
          if (how === "is interrupted") {
            assert.isUndefined(recorded.pollUnsafe())
          }
          yield* Fiber.interrupt(recorded)
          yield* Fiber.await(recorded)
          assert.deepStrictEqual(yield* kinds, expected)
          assert.include(yield* statusOf("r"), { status: "done", doneReason })
        })
      )
    )
  }

  it.effect("gives back what the program gave, and fails as it failed", () =>
    recording(
      Effect.gen(function* () {
        assert.strictEqual(yield* Recorder.record({ threadId: "t", runId: "1" })(Effect.succeed(7)), 7)
        assert.strictEqual(yield* Effect.flip(Recorder.record({ threadId: "t", runId: "2" })(Effect.fail("e"))), "e")
        const died = yield* Effect.exit(Recorder.record({ threadId: "t", runId: "3" })(Effect.die("d")))
        assert.deepStrictEqual(died, Exit.die("d"))
      })
    )
  )

  it.effect("leaves a run that suspended itself waiting", () =>
    recording(
      Effect.gen(function* () {
        yield* Recorder.record(ids)(emit(start, finish("Suspended")))
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunSuspended"])
        assert.strictEqual((yield* statusOf("r")).status, "waiting")
      })
    )
  )

  it.effect("is there before it returns: everything is committed", () =>
    recording(
      Effect.gen(function* () {
        yield* Recorder.record(ids)(emit(error("a")))
        assert.strictEqual((yield* kinds).length, 3)
      }),
      { around: (append) => Effect.andThen(Effect.yieldNow, append) }
    )
  )

  it.effect("stops a program whose run cannot be recorded any more, if that is asked for", () =>
    recording(
      Effect.gen(function* () {
        let wasInterrupted = false
        const program = Effect.andThen(emit(start), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => void (wasInterrupted = true)))
        )
        const recorded = yield* fork(Effect.flip(Recorder.record(ids)(program)))
        yield* TestClock.adjust("15 seconds")
        assert.propertyVal(yield* Fiber.join(recorded), "_tag", "StagingFailed")
        assert.isTrue(wasInterrupted)
      }),
      { onStoreFailure: "failRun", around: () => Effect.fail(unavailable) }
    )
  )

  it.effect("fails with what was not saved, within the close timeout, unless the program failed", () =>
    recording(
      Effect.gen(function* () {
        const saved = yield* fork(Effect.flip(Recorder.record(ids)(emit(start))))
        yield* TestClock.adjust("3 seconds")
        const failure = yield* Fiber.join(saved)
        assert.strictEqual(failure._tag, "StagingFailed")
        assert.propertyVal(failure, "events", 2)
        const failed = yield* fork(Effect.flip(Recorder.record({ threadId: "t", runId: "r2" })(Effect.fail("its own"))))
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(yield* Fiber.join(failed), "its own")
        yield* fork(TestClock.adjust("1 minute"))
      }),
      { closeTimeout: "3 seconds", around: () => Effect.never }
    )
  )

  it.effect("refuses ids and labels that no ledger can keep", () =>
    recording(
      Effect.gen(function* () {
        const bad: ReadonlyArray<Partial<Run.RunOptions>> = [
          { runId: " " },
          { threadId: "" },
          { origin: "" },
          { runId: "a\0" },
          { correlationId: "\ud800" },
          { labels: { "a\0": "b" } },
          { labels: { a: "\ud800" } }
        ]
        for (const options of bad) {
          const failure = yield* Effect.flip(Recorder.record({ ...ids, ...options })(Effect.void))
          assert.strictEqual(failure._tag, "ValidationError")
        }
        assert.deepStrictEqual(yield* factsOf(), [])
      })
    )
  )
})

describe("a run that is opened in a scope", () => {
  it.effect("ends as the scope does", () =>
    recording(
      Effect.gen(function* () {
        const exits: ReadonlyArray<readonly [Exit.Exit<unknown, unknown>, string]> = [
          [Exit.void, "RunFinished"],
          [Exit.fail("e"), "RunErrored"],
          [Exit.interrupt(), "RunCancelled"]
        ]
        for (const [exit, kind] of exits) {
          const scope = yield* Scope.make()
          const run = yield* Scope.provide(open({ runId: kind }), scope)
          yield* run.message({ role: "user", parts: [{ _tag: "Text", text: "hi" }] })
          yield* Scope.close(scope, exit)
          assert.deepStrictEqual(kindsOf(yield* factsOf(kind)), ["RunStarted", "MessageCommitted", kind])
        }
      })
    )
  )

  it.effect("closes its live sink once, when everything is committed", () => {
    const order: Array<string> = []
    return recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* run.close
        order.push("closed")
        yield* run.close
      }),
      {
        around: (append) =>
          Effect.andThen(
            append,
            Effect.sync(() => void order.push("committed"))
          )
      }
    ).pipe(
      Effect.provideService(LiveSink.LiveSink, {
        deliver: () => {},
        close: Effect.sync(() => void order.push("live closed"))
      }),
      Effect.andThen(Effect.sync(() => assert.deepStrictEqual(order, ["committed", "live closed", "closed"])))
    )
  })

  it.effect("is held: nobody opens it again, until it is closed", () =>
    recording(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const run = yield* Scope.provide(open(), scope)
        yield* run.emit(start)
        yield* run.flush()
        assert.strictEqual((yield* Effect.flip(Effect.scoped(open())))._tag, "RunHeld")
        const other = yield* startProcess()
        assert.strictEqual((yield* Effect.flip(other.open(ids)))._tag, "RunHeld")
        yield* Scope.close(scope, Exit.void)
        const again = yield* other.open(ids)
        yield* again.emit(error("a"))
        yield* other.stop
        assert.deepStrictEqual(yield* kinds, [
          "RunStarted",
          "RunFinished",
          "RunResumed",
          "ErrorRecorded",
          "RunFinished"
        ])
      })
    )
  )

  it.effect("can be opened again by the same recorder after it closed itself", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* run.close
        const again = yield* open()
        yield* again.close
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunFinished", "RunResumed", "RunFinished"])
      })
    )
  )

  it.effect("stays held while another run fails to open, or closes", () =>
    recording(
      Effect.gen(function* () {
        yield* open()
        yield* Effect.flip(Effect.scoped(open()))
        assert.strictEqual((yield* Effect.flip(Effect.scoped(open())))._tag, "RunHeld")
      })
    )
  )

  it.effect("is not opened in another thread than it is in", () =>
    recording(
      Effect.gen(function* () {
        yield* Recorder.record(ids)(Effect.void)
        assert.strictEqual((yield* Effect.flip(open({ threadId: "other" })))._tag, "ValidationError")
        yield* Effect.scoped(open())
      })
    )
  )

  it.effect("keeps labels, correlation and origin", () =>
    recording(
      Effect.gen(function* () {
        yield* Recorder.record({ ...ids, labels: { app: "x" }, correlationId: "trace", origin: "ai-sdk" })(
          emit(error("a"))
        )
        assert.deepStrictEqual((yield* statusOf("r")).labels, { app: "x" })
        for (const fact of yield* factsOf("r")) {
          assert.include(fact, { correlationId: "trace", origin: "ai-sdk" })
        }
      })
    )
  )
})

describe("facts of the app's own", () => {
  const Score = Schema.Struct({ value: Schema.FiniteFromString })

  it.effect("are domain events in their place, with an encoded payload", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emitAll([start, text("a")])
        yield* run.fact("Score", Score, { value: 0.5 })
        yield* run.emit(text("b"))
        yield* run.flush()
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), ["RunStarted", "TextDeltaObserved", "Score", "TextDeltaObserved"])
        assert.deepInclude(facts[2], { payload: { value: "0.5" }, fidelity: "domain_event", origin: "native" })
        assert.notProperty(facts[2], "ordinal")
      })
    ).pipe(Effect.provide(full))
  )

  it.effect("that cannot be recorded are typed errors, and cost nothing else", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emitAll([start, text("a")])
        assert.strictEqual((yield* Effect.flip(run.fact("Score", Score, { value: Number.NaN })))._tag, "SchemaError")
        for (const kind of [" ", "a\0", "\ud800"]) {
          assert.strictEqual((yield* Effect.flip(run.fact(kind, Schema.Null, null)))._tag, "ValidationError")
        }
        yield* run.flush()
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "TextDeltaObserved"])
      })
    ).pipe(Effect.provide(full))
  )
})

describe("a part that no event brings", () => {
  it.effect("is in the message, with which the run starts if nothing was said before", () =>
    recording(
      Effect.gen(function* () {
        const file = { _tag: "Data", mediaType: "image/png", data: "AAAA" } as const
        yield* Recorder.record(ids)(
          Effect.flatMap(Run.Run, (run) =>
            run
              .part(file)
              .pipe(
                Effect.andThen(run.emitAll([text("a"), text("b")])),
                Effect.andThen(run.part({ _tag: "Text", text: "", metadata: { provider: 1 } })),
                Effect.andThen(run.emit({ _tag: "InferenceComplete", model: "m", durationMs: 1 }))
              )
          )
        )
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), ["RunStarted", "MessageCommitted", "InferenceComplete", "RunFinished"])
        assert.deepStrictEqual(facts[1]?.payload, {
          role: "assistant",
          parts: [file, { _tag: "Text", text: "ab", metadata: { provider: 1 } }],
          fromOrdinal: 2
        })
      })
    )
  )
})

describe("the message so far", () => {
  it.effect("is kept as a partial one, of which the whole takes the place", () =>
    recording(
      Effect.gen(function* () {
        yield* Recorder.record(ids)(
          Effect.gen(function* () {
            const run = yield* Run.Run
            yield* run.messageSoFar
            yield* run.emitAll([text("a"), text("b")])
            yield* run.messageSoFar
            yield* run.emitAll([text("c"), { _tag: "InferenceComplete", model: "m", durationMs: 1 }])
          })
        )
        const facts = yield* factsOf("r")
        const said = facts.flatMap(({ kind, payload }) => (kind === "MessageCommitted" ? [payload] : []))
        assert.deepStrictEqual<unknown>(said, [
          { role: "assistant", parts: [{ _tag: "Text", text: "ab" }], fromOrdinal: 2, partial: true },
          { role: "assistant", parts: [{ _tag: "Text", text: "abc" }], fromOrdinal: 2 }
        ])
        const { messages } = RunView.fromFacts("r", facts)
        assert.deepStrictEqual<unknown>(
          messages.map(({ parts }) => parts),
          [[{ _tag: "Text", text: "abc" }]]
        )
      })
    )
  )
})

describe("child runs", () => {
  const child = { threadId: "child thread", runId: "child" }
  const childStart: AgentEvent.AgentEvent = { _tag: "RunStart", ...child, parentRunId: "r" }
  const childFinish: AgentEvent.AgentEvent = { _tag: "RunFinish", ...child, termination: { _tag: "NaturalEnd" } }

  it.effect("are recorded as runs of their own, and reach the audience of their parent", () => {
    const { got, layer: live } = audience()
    return recording(
      Effect.gen(function* () {
        yield* Recorder.record(ids)(emit(start, childStart, error("the parent's"), childFinish))
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "ErrorRecorded", "RunFinished"])
        assert.deepStrictEqual(kindsOf(yield* factsOf("child")), ["RunStarted", "RunFinished"])
        assert.include(yield* statusOf("child"), { status: "done", threadId: "child thread" })
        assert.strictEqual(got.length, 5)
      })
    ).pipe(Effect.provide(live))
  })

  it.effect("end with their parent when they did not before", () =>
    recording(
      Effect.gen(function* () {
        yield* Effect.exit(Recorder.record(ids)(Effect.andThen(emit(start, childStart), Effect.fail("boom"))))
        assert.deepStrictEqual(kindsOf(yield* factsOf("child")), ["RunStarted", "RunErrored"])
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunErrored"])
      })
    )
  )

  it.effect("whose ids no ledger can keep are refused, and cost their parent nothing", () =>
    recording(
      Effect.gen(function* () {
        const startOf = (runId: string): AgentEvent.AgentEvent => ({
          _tag: "RunStart",
          threadId: "t",
          runId,
          parentRunId: "r"
        })
        const bad = ["a\0", "\ud800", " "].map(startOf)
        yield* Recorder.record(ids)(emit(start, ...bad, error("a")))
        assert.deepStrictEqual(yield* kinds, [
          "RunStarted",
          "CaptureGap",
          "CaptureGap",
          "CaptureGap",
          "ErrorRecorded",
          "RunFinished"
        ])
        assert.strictEqual((yield* factsOf()).length, 6)
      })
    ).pipe(Effect.provideService(EventSink.OnNotRecorded, () => Effect.void))
  )

  it.effect("that are in the ledger already go on", () =>
    recording(
      Effect.gen(function* () {
        for (const runId of ["r", "r2"]) {
          yield* Recorder.record({ ...ids, runId })(
            emit({ ...start, runId }, { ...childStart, parentRunId: runId }, childFinish)
          )
        }
        const facts = yield* factsOf("child")
        assert.deepStrictEqual(kindsOf(facts), ["RunStarted", "RunFinished", "RunResumed", "RunFinished"])
        assert.deepStrictEqual(
          facts.map(({ ordinal }) => ordinal),
          [1, 2, 3, 4]
        )
      })
    )
  )

  it.effect("a run that is no child of this one is refused, and said to be", () => {
    const reports: Array<unknown> = []
    const { got, layer: live } = audience()
    return recording(
      Effect.gen(function* () {
        const foreign: ReadonlyArray<AgentEvent.AgentEvent> = [
          { _tag: "RunStart", threadId: "t", runId: "foreign" },
          { _tag: "RunFinish", threadId: "t", runId: "foreign", termination: { _tag: "NaturalEnd" } },
          { _tag: "RunStart", threadId: "another", runId: "r" }
        ]
        yield* Recorder.record(ids)(emit(start, ...foreign))
        assert.strictEqual(got.length, 5)
        assert.deepStrictEqual(
          reports.map((cause) => cause instanceof LedgerError.ForeignRun && cause.runId),
          ["foreign", "foreign", "r"]
        )
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), ["RunStarted", "CaptureGap", "CaptureGap", "CaptureGap", "RunFinished"])
        assert.deepInclude(facts[1]?.payload, { reason: "refused", events: 1, tags: { RunStart: 1 }, firstOrdinal: 2 })
        assert.deepStrictEqual(yield* factsOf("foreign"), [])
      })
    ).pipe(
      Effect.provide(live),
      Effect.provideService(EventSink.OnNotRecorded, ({ cause }) => Effect.sync(() => void reports.push(cause)))
    )
  })
})

describe("a run that goes on", () => {
  const went: ReadonlyArray<readonly [string, ReadonlyArray<AgentEvent.AgentEvent>, ReadonlyArray<string>]> = [
    ["finished", [start, finish("NaturalEnd")], ["RunStarted", "RunFinished"]],
    ["was suspended", [start, finish("Suspended")], ["RunStarted", "RunSuspended"]]
  ]
  for (const [how, events, before] of went) {
    it.effect(`after it ${how} keeps counting, and says that it goes on`, () =>
      Effect.gen(function* () {
        const first = yield* startProcess()
        yield* first.record(ids)(emit(...events))
        yield* first.stop
        const second = yield* startProcess()
        const run = yield* second.open(ids)
        assert.deepStrictEqual(yield* kinds, before)
        yield* run.emit(error("a"))
        yield* second.stop
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), [...before, "RunResumed", "ErrorRecorded", "RunFinished"])
        assert.deepStrictEqual(
          facts.map(({ ordinal }) => ordinal),
          [1, 2, undefined, 3, 4]
        )
        assert.deepInclude(facts[2], { origin: "recovery", payload: start })
      }).pipe(Effect.provide(MemoryEventStore.layer))
    )

    it.effect(`after it ${how} says so itself, if its loop does`, () =>
      Effect.gen(function* () {
        const first = yield* startProcess()
        yield* first.record(ids)(emit(...events))
        yield* first.stop
        const second = yield* startProcess()
        yield* second.record(ids)(emit(start, error("a")))
        yield* second.stop
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), [...before, "RunResumed", "ErrorRecorded", "RunFinished"])
        assert.deepStrictEqual(
          facts.map(({ ordinal, origin }) => [ordinal, origin]),
          [1, 2, 3, 4, 5].map((ordinal) => [ordinal, "native"])
        )
      }).pipe(Effect.provide(MemoryEventStore.layer))
    )
  }

  it.effect("of which the ledger has no state goes on after its last ordinal", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      yield* store.append(unit("old", { ordinal: 4, lastOrdinal: 6 }))
      const second = yield* startProcess()
      yield* second.record(ids)(emit(error("a")))
      const facts = yield* factsOf("r")
      assert.deepStrictEqual(
        facts.map(({ kind, ordinal }) => [kind, ordinal]),
        [
          ["old/0", 4],
          ["RunResumed", undefined],
          ["ErrorRecorded", 7],
          ["RunFinished", 8]
        ]
      )
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("of which the state cannot be read is not opened", () =>
    Effect.gen(function* () {
      const first = yield* startProcess()
      yield* first.record(ids)(Effect.void)
      const store = yield* EventStore.EventStore
      yield* store.append([], { runs: [{ runId: "r", ordinal: 2, state: '{"version":9}' }] })
      assert.strictEqual((yield* Effect.flip(first.open(ids)))._tag, "IntegrityError")
      // It is not held by having failed.
      assert.strictEqual((yield* Effect.flip(first.open(ids)))._tag, "IntegrityError")
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )
})

describe("recovery", () => {
  it.effect("interrupts the runs of a recorder that died, and names their calls", () =>
    Effect.gen(function* () {
      const first = yield* startProcess()
      const run = yield* first.open(ids)
      yield* run.emitAll([
        start,
        ready("1"),
        ready("2"),
        ready("3"),
        { _tag: "ToolCallCancel", id: "3", name: "sh", reason: "" }
      ])
      yield* run.fact("ToolCallExecuting", Schema.Struct({ id: Schema.String, name: Schema.String }), {
        id: "2",
        name: "sh"
      })
      yield* run.flush()
      const other = yield* first.open({ threadId: "t", runId: "done" })
      yield* other.close
      const suspended = yield* first.open({ threadId: "t", runId: "waits" })
      yield* suspended.emit({ _tag: "RunFinish", threadId: "t", runId: "waits", termination: { _tag: "Suspended" } })
      yield* suspended.flush()
      yield* first.kill

      const second = yield* startProcess()
      const facts = yield* factsOf("r")
      assert.deepStrictEqual(kindsOf(facts), [
        "RunStarted",
        "ToolCallReady",
        "ToolCallReady",
        "ToolCallReady",
        "ToolCallCancelled",
        "ToolCallExecuting",
        "RunInterrupted"
      ])
      assert.deepInclude(facts.at(-1), {
        origin: "recovery",
        threadId: "t",
        payload: {
          ...ids,
          openCalls: [
            { id: "1", name: "sh", executing: false },
            { id: "2", name: "sh", executing: true }
          ]
        }
      })
      assert.include(yield* statusOf("r"), { status: "done", doneReason: "interrupted" })
      assert.strictEqual((yield* statusOf("waits")).status, "waiting")
      assert.deepStrictEqual(kindsOf(yield* factsOf("done")), ["RunStarted", "RunFinished"])

      // All of them can go on.
      yield* second.record(ids)(emit(error("a")))
      assert.deepStrictEqual((yield* kinds).slice(6), ["RunInterrupted", "RunResumed", "ErrorRecorded", "RunFinished"])
      yield* second.record({ threadId: "t", runId: "waits" })(Effect.void)
      assert.deepStrictEqual(kindsOf(yield* factsOf("waits")), [
        "RunStarted",
        "RunSuspended",
        "RunResumed",
        "RunFinished"
      ])
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("names the calls of all lives of a run", () =>
    Effect.gen(function* () {
      const first = yield* startProcess()
      const before = yield* first.open(ids)
      yield* before.emitAll([start, ready("1"), ready("2")])
      yield* before.flush()
      yield* first.kill
      const second = yield* startProcess()
      const after = yield* second.open(ids)
      yield* after.emitAll([{ _tag: "ToolCallResumed", targetId: "1", result: null }, ready("3")])
      yield* after.flush()
      yield* second.kill
      yield* startProcess()
      assert.deepInclude((yield* factsOf("r")).at(-1)?.payload, {
        openCalls: [
          { id: "2", name: "sh", executing: false },
          { id: "3", name: "sh", executing: false }
        ]
      })
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("leaves the runs of a recorder that lives alone, and is repeated without effect", () =>
    Effect.gen(function* () {
      const first = yield* startProcess()
      const run = yield* first.open(ids)
      yield* run.emit(start)
      yield* run.flush()
      yield* startProcess()
      assert.deepStrictEqual(yield* kinds, ["RunStarted"])
      yield* first.kill
      const others = yield* Effect.all([startProcess(), startProcess(), startProcess()], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunInterrupted"])
      yield* Effect.forEach(others, ({ stop }) => stop)
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("finds a run whose end was staged and not committed when its recorder died", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      // Of the many units of the run, the store takes the first batch, and never the rest.
      let appends = 0
      const first = yield* startProcess({ capacity: { events: 100_000 } }).pipe(
        Effect.provideService(EventStore.EventStore, {
          ...store,
          append: (batch, options) =>
            Effect.suspend(() => (batch.length > 0 && (appends += 1) > 1 ? Effect.never : store.append(batch, options)))
        })
      )
      const run = yield* first.open(ids)
      for (let index = 0; index < 4000; index++) {
        yield* run.emit(error(String(index)))
      }
      // More than one batch takes, and none is sent before the run is closed.
      const closing = yield* fork(
        Effect.andThen(run.emitAll(Array.from({ length: 250 }, (_, index) => error(String(index)))), run.close)
      )
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* factsOf("r")).length, 4096)
      yield* Fiber.interrupt(closing)
      yield* first.kill
      yield* startProcess()
      assert.strictEqual((yield* kinds).at(-1), "RunInterrupted")
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("goes with opening a run, when its recorder died since", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* startProcess(), yield* startProcess()]
      const run = yield* first.open(ids)
      yield* run.emit(start)
      yield* run.flush()
      assert.strictEqual((yield* Effect.flip(second.open(ids)))._tag, "RunHeld")
      yield* first.kill
      yield* second.record(ids)(Effect.void)
      assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunInterrupted", "RunResumed", "RunFinished"])
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("knows a recorder that died by its epoch, although another lives under its name", () =>
    Effect.gen(function* () {
      const [first, other] = [yield* startProcess(), yield* startProcess()]
      const run = yield* first.open(ids)
      yield* run.emitAll([start, finish("Suspended")])
      yield* run.flush()
      yield* first.kill
      yield* startProcess()
      yield* other.record(ids)(Effect.void)
      assert.deepStrictEqual(yield* kinds, ["RunStarted", "RunSuspended", "RunResumed", "RunFinished"])
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("does not find a run that was opened and said nothing", () =>
    Effect.gen(function* () {
      const first = yield* startProcess()
      yield* first.open(ids)
      yield* first.kill
      yield* startProcess()
      assert.deepStrictEqual(yield* factsOf(), [])
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )
})

describe("overload", () => {
  it.effect("is not what runs held that are closed", () =>
    recording(
      Effect.gen(function* () {
        const recorder = yield* Recorder.Recorder
        const input = yield* recorder.input()
        for (const runId of ["1", "2", "3"]) {
          yield* Effect.gen(function* () {
            const run = yield* open({ runId, input })
            yield* run.emit({ _tag: "RunStart", threadId: "t", runId })
            yield* run.emit(text("x".repeat(9000)))
          }).pipe(Effect.scoped)
        }
        const run = yield* open()
        const emitting = yield* fork(run.emit(start))
        assert.isDefined(emitting.pollUnsafe())
      }),
      { capacity: { bytes: 10_000 } }
    )
  )

  it.effect("sheds observed events, if that is asked for, and says so when there is room again", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { got, layer: live } = audience()
      yield* recording(
        Effect.gen(function* () {
          const run = yield* open()
          yield* run.emitAll([start, error("1"), error("2")])
          const waiting = yield* fork(run.emit(error("3")))
          // Nobody waits who emits what is shed.
          yield* run.emit(text("a"))
          yield* run.emit({ _tag: "StateDelta", delta: [] })
          assert.isUndefined(waiting.pollUnsafe())
          assert.strictEqual((yield* run.status).shed, 2)
          yield* Deferred.succeed(gate, undefined)
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(waiting)
          const facts = yield* factsOf("r")
          assert.deepStrictEqual(kindsOf(facts), [
            "RunStarted",
            "ErrorRecorded",
            "ErrorRecorded",
            "ErrorRecorded",
            "CaptureGap"
          ])
          assert.deepStrictEqual(facts.at(-1)?.payload, {
            reason: "overload",
            events: 2,
            tags: { TextDelta: 1, StateDelta: 1 },
            firstOrdinal: 5,
            lastOrdinal: 6
          })
          assert.strictEqual(got.length, 6)
        }),
        {
          capacity: { events: 3 },
          whenFull: "shedObserved",
          around: (append) => Effect.andThen(Deferred.await(gate), append)
        }
      ).pipe(Effect.provide([live, full]))
    })
  )

  it.effect("while the store is away is counted, and a gap follows what was kept", () => {
    const { got, layer: live } = audience()
    const away: Around = (append) =>
      Effect.flatMap(
        Effect.clockWith((clock) => clock.currentTimeMillis),
        (now) => (now > 1000 && now < 60_000 ? Effect.fail(unavailable) : append)
      )
    return recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* run.flush()
        yield* TestClock.setTime(2000)
        yield* run.emit(error("kept"))
        yield* TestClock.adjust("20 seconds")
        assert.isTrue((yield* run.status).isAway)
        yield* run.emitAll([
          error("kept too"),
          error("kept as well"),
          error("lost"),
          error("lost"),
          finish("NaturalEnd")
        ])
        assert.include(yield* run.status, { shed: 2, lost: 0, committed: 1 })
        yield* TestClock.adjust("2 minutes")
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), [
          "RunStarted",
          "ErrorRecorded",
          "ErrorRecorded",
          "ErrorRecorded",
          "CaptureGap",
          "RunFinished"
        ])
        assert.deepStrictEqual(facts[4]?.payload, {
          reason: "store_away",
          events: 2,
          tags: { Error: 2 },
          firstOrdinal: 5,
          lastOrdinal: 6
        })
        assert.strictEqual(got.length, 7)
        yield* run.emit(start)
        yield* run.flush()
        assert.strictEqual((yield* kinds).at(-1), "RunResumed")
      }),
      { capacity: { events: 2 }, around: away }
    ).pipe(Effect.provide(live))
  })

  it.effect("of a run that says nothing more is told soon after the store is back", () =>
    recording(
      Effect.gen(function* () {
        const run = yield* open()
        yield* run.emit(start)
        yield* TestClock.adjust("20 seconds")
        yield* run.emitAll([error("a"), error("b"), error("lost")])
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "ErrorRecorded", "ErrorRecorded", "CaptureGap"])
      }),
      {
        capacity: { events: 2 },
        around: (append) =>
          Effect.flatMap(
            Effect.clockWith((clock) => clock.currentTimeMillis),
            (now) => (now < 60_000 ? Effect.fail(unavailable) : append)
          )
      }
    )
  )
})

describe("disabled", () => {
  it.effect("touches no store, and delivers live", () => {
    const { got, layer: live } = audience()
    const untouched = Layer.mock(EventStore.EventStore)({
      claimWriter: () => Effect.succeed({ writer: "recorder/1", epoch: 1, highWater: 0 }),
      runs: () => Stream.empty
    })
    return Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const run = yield* Run.Run
        yield* run.emitAll([start, text("a"), finish("NaturalEnd")])
        yield* run.message({ role: "user", parts: [] })
        yield* run.fact("Custom", Schema.Null, null)
        yield* run.flush()
        assert.include(yield* run.status, { staged: 0, shed: 0, ordinal: 3 })
      })
      yield* Recorder.record(ids)(program)
      assert.strictEqual(got.length, 3)
    }).pipe(Effect.provide(Layer.provide(Recorder.layer(), untouched)), Effect.provide([live, mode("disabled")]))
  })
})

describe("exact", () => {
  for (const durability of Durability.DurabilityMode.literals) {
    it.effect.prop(
      `records what a sink of one run does, ${durability}`,
      [Arbitraries.stream(ids)],
      ([events]) =>
        Effect.gen(function* () {
          const said = Effect.map(factsIn("t"), (facts) =>
            facts.map(({ fidelity, kind, ordinal, payload, visibility }) => ({
              fidelity,
              kind,
              ordinal,
              payload,
              visibility
            }))
          )
          const recorded = yield* recording(Effect.andThen(Recorder.record(ids)(emit(...events)), said), {
            exact: true
          })
          const sink = Effect.flatMap(EventSink.EventSink, (sink) => sink.emitAll(events)).pipe(
            Effect.provide(Layer.provide(EventSink.layer, Normalizer.layer({ ...ids, origin: "native" }))),
            Effect.provide(GroupStager.layer()),
            Effect.andThen(said),
            Effect.provide(Layer.fresh(MemoryEventStore.layer))
          )
          assert.deepStrictEqual(recorded, yield* sink)
        }).pipe(Effect.provide(mode(durability))),
      { arbitrary: { runs: 15 } }
    )
  }

  it.effect("adds nothing to what the events say", () =>
    recording(
      Effect.gen(function* () {
        const events: ReadonlyArray<AgentEvent.AgentEvent> = [
          start,
          text("a"),
          text("b"),
          { _tag: "ToolCallDone", outcome: "failed" } as never,
          inference,
          finish("Suspended"),
          start,
          finish("NaturalEnd")
        ]
        yield* Recorder.record(ids)(
          Effect.gen(function* () {
            yield* emit(...events)
            yield* TestClock.adjust("1 second")
          })
        )
        // The last finish is swallowed, as by the seed.
        assert.deepStrictEqual(yield* kinds, [
          "RunStarted",
          "TextDeltaObserved",
          "TextDeltaObserved",
          "InferenceComplete",
          "RunSuspended",
          "RunResumed"
        ])
      }),
      { exact: true }
    ).pipe(
      Effect.provide(full),
      Effect.provideService(EventSink.OnNotRecorded, () => Effect.void)
    )
  )
})
