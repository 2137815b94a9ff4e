/**
 * What once went wrong while runs were recorded, each as short as it can be told.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  Checkpoint,
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
  Recorder,
  Redaction,
  Run,
  Transaction
} from "@runledger/core"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  type Around,
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
const start = (runId = "r", parentRunId?: string): AgentEvent.AgentEvent => ({
  _tag: "RunStart",
  threadId: "t",
  runId,
  ...(parentRunId === undefined ? {} : { parentRunId })
})
const finish = (runId = "r"): AgentEvent.AgentEvent => ({
  _tag: "RunFinish",
  threadId: "t",
  runId,
  termination: { _tag: "NaturalEnd" }
})
const error = (message: string): AgentEvent.AgentEvent => ({ _tag: "Error", message })
const text = (delta: string): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta })
const ready = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallReady", id, name: "sh", arguments: {} })
const stepEnd: AgentEvent.AgentEvent = { _tag: "StepEnd" }
/** An event of which nothing is kept unless everything is. */
const unkept: AgentEvent.AgentEvent = { _tag: "StateDelta", delta: [] }

const full = Effect.provideService(Durability.Durability, "full_fidelity")
const quiet = Effect.provideService(EventSink.OnNotRecorded, () => Effect.void)
const inMemory = Effect.provide(Layer.fresh(MemoryEventStore.layer))
const recording = Effect.provide(Layer.provideMerge(Recorder.layer(), Layer.fresh(MemoryEventStore.layer)))

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** A process whose appends become what they are told to. */
const processAround = Effect.fnUntraced(function* (around: Around, options?: Recorder.Options) {
  const store = yield* EventStore.EventStore
  let index = 0
  return yield* Effect.provideService(startProcess(options), EventStore.EventStore, {
    ...store,
    append: (batch, options) => Effect.suspend(() => around(store.append(batch, options), { batch, options }, index++))
  })
})

const kindsIn = (runId?: string) => Effect.map(factsOf(runId), kindsOf)

const statusOf = (runId: string) => Effect.flatMap(EventStore.EventStore, (store) => store.run(runId))

/** The state of a run as it is saved. */
const savedOf = (runId: string) => Effect.map(statusOf(runId), ({ state = "null" }) => Object(Json.parse(state)))

const ordinalsOf = (runId: string) =>
  Effect.map(factsOf(runId), (facts) => facts.flatMap(({ ordinal }) => (ordinal === undefined ? [] : [ordinal])))

const assertNoneTwice = (ordinals: ReadonlyArray<number>) =>
  assert.deepStrictEqual(
    ordinals,
    [...new Set(ordinals)].toSorted((a, b) => a - b)
  )

describe("a run whose close timed out", () => {
  it.effect("before anything of it was sent is held until that is over, and nothing of it follows", () =>
    Effect.gen(function* () {
      let isAway = false
      const process = yield* processAround((append) => (isAway ? Effect.fail(unavailable) : append), {
        closeTimeout: "200 millis"
      })
      const other = yield* process.open({ threadId: "t", runId: "other" })
      isAway = true
      yield* other.emit(start("other"))
      yield* TestClock.adjust(50)
      const recording = yield* fork(
        Effect.flip(process.record(ids)(Effect.flatMap(Run.Run, (run) => run.emit(error("lost")))))
      )
      yield* TestClock.adjust(200)
      assert.strictEqual((yield* Fiber.join(recording))._tag, "StagingFailed")
      assert.strictEqual((yield* Effect.flip(process.open(ids)))._tag, "RunHeld")
      isAway = false
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* factsOf("r"), [])
      yield* process.record(ids)(Effect.flatMap(Run.Run, (run) => run.emit(error("kept"))))
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "ErrorRecorded", "RunFinished"])
      assert.deepStrictEqual(yield* ordinalsOf("r"), [1, 2, 3])
    }).pipe(inMemory)
  )

  it.effect("goes on after what is in the ledger of it, no ordinal twice", () =>
    Effect.gen(function* () {
      let isAway = false
      const process = yield* processAround((append) => (isAway ? Effect.fail(unavailable) : append), {
        closeTimeout: "200 millis"
      })
      const other = yield* process.open({ threadId: "t", runId: "other" })
      const run = yield* process.open(ids)
      yield* run.emit(error("first"))
      yield* run.flush()
      isAway = true
      yield* other.emit(start("other"))
      yield* TestClock.adjust(50)
      yield* run.emit(error("lost"))
      const closing = yield* fork(Effect.flip(run.close))
      yield* TestClock.adjust(200)
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.flip(process.open(ids)))._tag, "RunHeld")
      isAway = false
      yield* TestClock.adjust("1 minute")
      const again = yield* process.open(ids)
      yield* again.emit(error("second"))
      yield* again.close
      assert.deepStrictEqual(yield* kindsIn("r"), [
        "RunStarted",
        "ErrorRecorded",
        "RunInterrupted",
        "RunResumed",
        "ErrorRecorded",
        "RunFinished"
      ])
      assertNoneTwice(yield* ordinalsOf("r"))
    }).pipe(inMemory)
  )

  it.effect("after it was sent is held until the store has answered, and goes on after what was sent", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const process = yield* processAround((append) => Effect.andThen(Deferred.await(gate), append), {
        closeTimeout: "200 millis"
      })
      const run = yield* process.open(ids)
      yield* run.emit(error("sent"))
      yield* TestClock.adjust(10)
      yield* run.emit(error("not sent"))
      const closing = yield* fork(Effect.flip(run.close))
      yield* TestClock.adjust(200)
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.flip(process.open(ids)))._tag, "RunHeld")
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "ErrorRecorded"])
      const again = yield* process.open(ids)
      yield* again.emit(error("second"))
      yield* again.close
      assertNoneTwice(yield* ordinalsOf("r"))
      assert.deepStrictEqual((yield* kindsIn("r")).slice(2), [
        "RunInterrupted",
        "RunResumed",
        "ErrorRecorded",
        "RunFinished"
      ])
    }).pipe(inMemory)
  )
})

describe("a child", () => {
  it.effect("that is open on its own is refused in its parent, and none of its facts is there twice", () => {
    const causes: Array<unknown> = []
    return Effect.gen(function* () {
      const process = yield* startProcess()
      const parent = yield* process.open(ids)
      const child = yield* process.open({ threadId: "t", runId: "child" })
      yield* parent.emit(start())
      yield* parent.emit(start("child", "r"))
      yield* child.emit(start("child", "r"))
      yield* child.emit(error("of the child"))
      yield* parent.emit(finish("child"))
      yield* child.emit(finish("child"))
      yield* child.close
      yield* parent.close
      assert.deepStrictEqual(yield* kindsIn("child"), ["RunStarted", "ErrorRecorded", "RunFinished"])
      assert.deepStrictEqual(yield* ordinalsOf("child"), [1, 2, 3])
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "CaptureGap", "CaptureGap", "RunFinished"])
      assert.deepStrictEqual(
        causes.map((cause) => cause instanceof LedgerError.ForeignRun && cause.runId),
        ["child", "child"]
      )
    }).pipe(
      inMemory,
      Effect.provideService(EventSink.OnNotRecorded, ({ cause }) => Effect.sync(() => void causes.push(cause)))
    )
  })

  /** A process that looks for the child in the ledger as it is told to. */
  const processLooking = Effect.fnUntraced(function* (
    around: (look: ReturnType<EventStore.EventStoreShape["run"]>) => ReturnType<EventStore.EventStoreShape["run"]>,
    options?: Recorder.Options
  ) {
    const store = yield* EventStore.EventStore
    return yield* Effect.provideService(startProcess(options), EventStore.EventStore, {
      ...store,
      run: (runId) => (runId === "child" ? around(store.run(runId)) : store.run(runId))
    })
  })

  it.effect("that is not open yet has all that was said of it, in order; no ack passes it, and a flush waits", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const process = yield* processLooking((look) => Effect.andThen(Deferred.await(gate), look))
      const input = yield* process.input({ writer: "producer" })
      const run = yield* process.open({ ...ids, input })
      yield* run.emit(start(), 1)
      yield* run.emit(start("child", "r"), 2)
      yield* run.emit(error("of the parent"), 3)
      yield* run.emit(finish("child"), 4)
      const flushing = yield* fork(run.flush())
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* input.flush, 1)
      assert.isUndefined(flushing.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(flushing)
      const facts = yield* factsIn("t")
      assert.deepStrictEqual(
        facts.map(({ kind, runId }) => `${kind} of ${runId}`),
        ["RunStarted of r", "RunStarted of child", "ErrorRecorded of r", "RunFinished of child"]
      )
      assert.strictEqual(yield* input.flush, 4)
    }).pipe(inMemory)
  )

  it.effect("that is not open yet makes who says very much wait", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const process = yield* processLooking((look) => Effect.andThen(Deferred.await(gate), look))
      const run = yield* process.open(ids)
      yield* run.emitAll([start(), start("child", "r")])
      yield* run.emitAll(Array.from({ length: 4000 }, (_, index) => error(String(index))))
      const emitting = yield* fork(run.emitAll(Array.from({ length: 1000 }, () => error("more"))))
      yield* settle
      assert.isUndefined(emitting.pollUnsafe())
      assert.isBelow((yield* run.status).ordinal, 4500)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(emitting)
      yield* run.flush()
      assert.lengthOf(yield* factsOf("r"), 5001)
    }).pipe(inMemory)
  )

  it.effect("is looked for again when the ledger is away for a moment", () =>
    Effect.gen(function* () {
      let looks = 0
      const process = yield* processLooking((look) => (looks++ < 3 ? Effect.fail(unavailable) : look))
      const recording = yield* fork(
        process.record(ids)(
          Effect.flatMap(Run.Run, (run) => run.emitAll([start(), start("child", "r"), finish("child")]))
        )
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(recording)
      assert.deepStrictEqual(yield* kindsIn("child"), ["RunStarted", "RunFinished"])
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "RunFinished"])
    }).pipe(inMemory)
  )

  it.effect("that the ledger does not answer about holds its parent up for the close timeout, and leaves a gap", () =>
    Effect.gen(function* () {
      const process = yield* processLooking(() => Effect.never, { closeTimeout: "2 seconds" })
      const run = yield* process.open(ids)
      yield* run.emitAll([start(), start("child", "r"), error("of the parent")])
      const closing = yield* fork(run.close)
      yield* TestClock.adjust(1999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "CaptureGap", "ErrorRecorded", "RunFinished"])
      assert.deepStrictEqual(yield* factsOf("child"), [])
    }).pipe(inMemory, quiet)
  )
})

describe("the state of a run", () => {
  it.effect("is not put back by a batch of marks of a process that was taken over", () =>
    Effect.gen(function* () {
      const [arrived, gate, answered] = [
        yield* Deferred.make<void>(),
        yield* Deferred.make<void>(),
        yield* Deferred.make<Exit.Exit<void, LedgerError.AppendError>>()
      ]
      let isSlow = false
      const first = yield* processAround((append, { batch }) => {
        if (!isSlow) {
          return append
        }
        isSlow = false
        assert.deepStrictEqual(batch, [])
        return Deferred.succeed(arrived, undefined).pipe(
          Effect.andThen(Deferred.await(gate)),
          Effect.andThen(Effect.exit(append)),
          Effect.tap((exit) => Deferred.succeed(answered, exit)),
          Effect.flatten
        )
      })
      const input = yield* first.input({ writer: "w" })
      const run = yield* first.open({ ...ids, input })
      yield* run.emit(start(), 1)
      yield* run.flush()
      yield* input.flush
      isSlow = true
      yield* run.emit(unkept, 2)
      yield* run.emit(unkept, 3)
      yield* TestClock.adjust(10)
      yield* Deferred.await(arrived)
      yield* first.kill

      const second = yield* startProcess()
      const taken = yield* second.open(ids)
      yield* taken.emit(error("one"))
      yield* taken.emit(error("two"))
      yield* taken.flush()
      const before = yield* statusOf("r")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Effect.flip(Effect.flatten(Deferred.await(answered))))._tag, "Fenced")
      assert.deepStrictEqual(yield* statusOf("r"), before)
    }).pipe(inMemory)
  )

  it.effect("is the last one after a batch that had to be split", () =>
    Effect.gen(function* () {
      const first = yield* processAround((append, { batch }) =>
        batch.some(({ payload }) => payload.includes("POISON"))
          ? Effect.fail(new LedgerError.ValidationError({ message: "poison" }))
          : append
      )
      const input = yield* first.input({ writer: "w" })
      const run = yield* first.open({ ...ids, input })
      const poisoned = yield* first.open({ threadId: "t", runId: "poisoned" })
      yield* run.emit(start(), 1)
      yield* run.flush()
      yield* input.flush
      yield* run.emit(unkept, 2)
      yield* run.emit(error("3"), 3)
      yield* run.emit(error("4"), 4)
      yield* poisoned.emit(error("POISON"))
      yield* poisoned.flush()
      yield* run.flush()
      assert.strictEqual(yield* input.flush, 4)
      assert.strictEqual((yield* statusOf("r")).ordinal, 4)
      assert.deepStrictEqual((yield* savedOf("r")).inputs, [{ writer: "w", position: 4 }])
      yield* first.kill

      const second = yield* startProcess()
      const again = yield* second.open({ ...ids, input: yield* second.input({ writer: "w" }) })
      yield* again.emit(error("5"), 5)
      yield* again.flush()
      assert.deepStrictEqual(yield* ordinalsOf("r"), [1, 3, 4, 5])
    }).pipe(inMemory)
  )
})

describe("what a producer says of a run after its finish", () => {
  it.effect("in deltas is recorded when the run stops", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "w" })
      const run = yield* process.open({ ...ids, input })
      yield* run.emitAll([start(), finish(), text("af"), text("ter")])
      yield* run.close
      const facts = yield* factsOf("r")
      assert.deepStrictEqual(kindsOf(facts), ["RunStarted", "RunFinished", "TextDeltaObserved", "MessageCommitted"])
      assert.deepInclude(facts[2], { ordinal: 3, lastOrdinal: 4, payload: text("after") })
      assert.propertyVal(facts[3]?.payload, "partial", true)
      assert.include(yield* statusOf("r"), { status: "done" })
      yield* process.stop
    }).pipe(full, inMemory)
  )

  for (const last of [stepEnd, { _tag: "StateSnapshot", snapshot: {} } as const, finish()]) {
    it.effect(`and sends again after a kill leaves the run finished: ${last._tag}`, () =>
      Effect.gen(function* () {
        const lines = [start(), error("e"), finish(), { _tag: "StateSnapshot", snapshot: {} } as const, last]
        const first = yield* startProcess()
        const input = yield* first.input({ writer: "w" })
        const run = yield* first.open({ ...ids, input })
        for (const [index, line] of lines.slice(0, 3).entries()) {
          yield* run.emit(line, index + 1)
        }
        yield* input.flush
        yield* first.kill

        const second = yield* startProcess()
        const again = yield* second.input({ writer: "w" })
        const resumed = yield* second.open({ ...ids, input: again })
        for (const [index, line] of lines.slice(again.acked).entries()) {
          yield* resumed.emit(line, again.acked + index + 1)
        }
        yield* resumed.close
        assert.strictEqual(yield* again.flush, 5)
        assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "ErrorRecorded", "RunFinished"])
        assert.include(yield* statusOf("r"), { status: "done", doneReason: "natural" })
      }).pipe(inMemory)
    )
  }
})

describe("a producer that goes on in another process", () => {
  /** A run that is killed when the ledger has its events up to the fifth, of which the first two are acked. */
  const killed = Effect.gen(function* () {
    const process = yield* startProcess()
    const input = yield* process.input({ writer: "w" })
    const run = yield* process.open({ ...ids, input })
    const other = yield* process.open({ threadId: "t", runId: "other", input })
    yield* run.emit(start(), 1)
    yield* other.emit(start("other"), 2)
    // A message that is open, which no ack may pass.
    yield* other.emit(text("open"), 3)
    yield* run.emit(error("4"), 4)
    yield* run.emit(error("5"), 5)
    yield* run.flush()
    assert.strictEqual(yield* input.flush, 2)
    yield* process.kill
  })
  const errorsOf = (runId: string) =>
    Effect.map(factsOf(runId), (facts) => facts.flatMap(({ payload }) => Object(payload).message ?? []))

  it.effect("has each event once, although the app puts a message between them", () =>
    Effect.gen(function* () {
      yield* killed
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "w" })
      assert.strictEqual(input.acked, 2)
      const run = yield* process.open({ ...ids, input })
      yield* run.emit(error("4"), 4)
      yield* run.message({ role: "user", parts: [{ _tag: "Text", text: "more" }] })
      yield* run.emit(error("5"), 5)
      yield* run.emit(error("6"), 6)
      yield* run.flush()
      assert.deepStrictEqual(yield* errorsOf("r"), ["4", "5", "6"])
      assert.strictEqual((yield* kindsIn("r")).filter((kind) => kind === "MessageCommitted").length, 1)
      assertNoneTwice(yield* ordinalsOf("r"))
    }).pipe(inMemory)
  )

  it.effect("has each event once, although somebody opened the run without the input in between", () =>
    Effect.gen(function* () {
      yield* killed
      const between = yield* startProcess()
      const opened = yield* between.open(ids)
      yield* opened.message({ role: "user", parts: [{ _tag: "Text", text: "approved" }] })
      yield* opened.close
      yield* between.stop
      assert.deepStrictEqual((yield* savedOf("r")).inputs, [{ writer: "w", position: 5 }])

      const process = yield* startProcess()
      const run = yield* process.open({ ...ids, input: yield* process.input({ writer: "w" }) })
      for (const position of [4, 5, 6]) {
        yield* run.emit(error(`${position}`), position)
      }
      yield* run.flush()
      assert.deepStrictEqual(yield* errorsOf("r"), ["4", "5", "6"])
    }).pipe(inMemory)
  )

  it.effect("keeps its place beside that of another one of the same run", () =>
    Effect.gen(function* () {
      yield* killed
      const between = yield* startProcess()
      const opened = yield* between.open({ ...ids, input: yield* between.input({ writer: "second" }) })
      yield* opened.emit(error("of the second"), 1)
      yield* opened.flush()
      assert.sameDeepMembers((yield* savedOf("r")).inputs, [
        { writer: "w", position: 5 },
        { writer: "second", position: 1 }
      ])
      yield* between.kill

      for (const [writer, position] of [
        ["w", 5],
        ["second", 1]
      ] as const) {
        const process = yield* startProcess()
        const run = yield* process.open({ ...ids, input: yield* process.input({ writer }) })
        yield* run.emit(error("sent again"), position)
        yield* run.emit(error("new"), position + 1)
        yield* run.flush()
        yield* process.kill
      }
      assert.deepStrictEqual(yield* errorsOf("r"), ["4", "5", "of the second", "new", "new"])
    }).pipe(inMemory)
  )
})

describe("deltas", () => {
  it.effect("of two calls, in one object that is used again, have the id of their call", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open(ids)
      const event = { _tag: "ToolCallDelta" as const, id: "1", argsDelta: "[1" }
      yield* run.emit(start())
      yield* run.emit(event)
      Object.assign(event, { id: "2", argsDelta: "[2" })
      yield* run.emit(event)
      Object.assign(event, { id: "1", argsDelta: "]" })
      yield* run.emit(event)
      Object.assign(event, { id: "none", argsDelta: "none" })
      yield* run.flush()
      assert.deepStrictEqual(
        (yield* factsOf("r")).slice(1).map(({ payload }) => payload),
        [
          { _tag: "ToolCallDelta", id: "1", argsDelta: "[1]" },
          { _tag: "ToolCallDelta", id: "2", argsDelta: "[2" }
        ]
      )
      yield* run.close
    }).pipe(full, inMemory)
  )

  it.effect("with a getter that throws do not stop the timer of other runs", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const [broken, sound] = [yield* process.open(ids), yield* process.open({ threadId: "t", runId: "sound" })]
      yield* broken.emit(start())
      yield* sound.emit(start("sound"))
      const event = Object.defineProperty({ _tag: "TextDelta" as const, delta: "x" }, "extra", {
        enumerable: true,
        get: () => {
          throw new Error("nobody may read this")
        }
      })
      yield* broken.emit(event)
      yield* TestClock.adjust("1 second")
      yield* sound.emit(text("held"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* kindsIn("sound"), ["RunStarted", "TextDeltaObserved"])
      yield* broken.close
      assert.include(yield* statusOf("r"), { status: "done" })
    }).pipe(full, quiet, inMemory)
  )
})

describe("a message that ends while there is room for nothing", () => {
  it.effect("is counted in the gap", () =>
    Effect.gen(function* () {
      let isAway = false
      const process = yield* processAround(
        (append) => (isAway ? Effect.fail(new LedgerError.IntegrityError({ message: "away" })) : append),
        { capacity: { events: 2 } }
      )
      const run = yield* process.open(ids)
      yield* run.emit(start())
      yield* run.flush()
      isAway = true
      yield* fork(run.emitAll([error("a"), error("b"), error("c")]))
      yield* TestClock.adjust(10)
      assert.isTrue((yield* run.status).isAway)
      yield* run.emitAll([{ _tag: "StepStart", messageId: "m" }, text("the answer "), text("is 42"), stepEnd])
      isAway = false
      yield* TestClock.adjust("1 minute")
      const facts = yield* factsOf("r")
      assert.deepStrictEqual(kindsOf(facts), [
        "RunStarted",
        "ErrorRecorded",
        "ErrorRecorded",
        "ErrorRecorded",
        "CaptureGap"
      ])
      assert.propertyVal(facts.at(-1)?.payload, "reason", "store_away")
      assert.propertyVal(Object(facts.at(-1)?.payload).tags, "MessageCommitted", 1)
    }).pipe(inMemory)
  )
})

describe("a stop", () => {
  it.effect("is one unit: what was said so far, and that the run was interrupted", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "w" })
      const { layer, staged } = MemoryStager.make()
      const run = yield* process.open({ ...ids, input, stager: yield* Effect.provide(EventStager.EventStager, layer) })
      yield* run.emitAll([start(), text("so far")])
      yield* run.close
      assert.deepStrictEqual(
        staged.map(({ unit }) => kindsOf(unit)).filter((unit) => unit.length > 0),
        [["RunStarted"], ["MessageCommitted", "RunInterrupted"]]
      )
    }).pipe(inMemory)
  )
})

describe("a checkpoint whose answer was lost", () => {
  it.effect("leaves a run that nobody has when it closes then", () =>
    Effect.gen(function* () {
      const { commitWith } = yield* Transaction.Transaction
      let isLost = true
      yield* Effect.gen(function* () {
        const run = yield* Run.Run
        yield* run.emitAll([start(), finish()])
        assert.strictEqual((yield* Effect.flip(Checkpoint.commitWith(Effect.void)))._tag, "UnavailableError")
        assert.property(yield* savedOf("r"), "owner")
      }).pipe(
        Checkpoint.record(ids),
        Effect.provideService(Transaction.Transaction, {
          commitWith: (writes, append) =>
            Effect.tap(commitWith(writes, append), () => {
              const isNow = isLost
              isLost = false
              return isNow ? Effect.fail(unavailable) : Effect.void
            })
        })
      )
      assert.notProperty(yield* savedOf("r"), "owner")
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "RunFinished"])
    }).pipe(recording)
  )
})

describe("an event that is not what its type says", () => {
  it.effect("does not stop other runs, and its run can be opened again", () =>
    Effect.gen(function* () {
      for (const bad of [{ id: 1n, name: "sh" }, { id: "1" }]) {
        const first = yield* startProcess()
        const runId = `r${typeof bad.id}`
        const [run, other] = [
          yield* first.open({ threadId: "t", runId }),
          yield* first.open({ threadId: "t", runId: `${runId} other` })
        ]
        yield* run.emit(start(runId))
        yield* run.emit({ _tag: "ToolCallReady", ...bad, arguments: {} } as never)
        yield* other.emit(error("of another"))
        yield* other.flush()
        yield* run.flush()
        yield* first.kill
        const second = yield* startProcess()
        yield* (yield* second.open({ threadId: "t", runId })).close
        assert.deepStrictEqual(
          (yield* kindsIn(runId)).filter((kind) => kind.startsWith("Run")),
          ["RunStarted", "RunInterrupted", "RunResumed", "RunFinished"]
        )
        yield* second.kill
      }
    }).pipe(quiet, inMemory)
  )

  it.effect("leaves a run that still ends, when it should have been its finish", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open(ids)
      yield* run.emit(start())
      yield* run.emit({ ...finish(), termination: { _tag: "Weird" } } as never)
      yield* run.close
      assert.strictEqual((yield* kindsIn("r")).at(-1), "RunFinished")
      assert.include(yield* statusOf("r"), { status: "done" })
    }).pipe(quiet, inMemory)
  )
})

describe("an emitter that waits for credit", () => {
  it.effect("is let go when the recorder closes on a store that hangs", () =>
    Effect.gen(function* () {
      const process = yield* processAround(() => Effect.never, {
        capacity: { events: 2 },
        closeTimeout: "200 millis"
      })
      const run = yield* process.open(ids)
      const emitting = yield* fork(Effect.forEach(["a", "b", "c", "d"], (message) => run.emit(error(message))))
      yield* TestClock.adjust(10)
      assert.isUndefined(emitting.pollUnsafe())
      const stopping = yield* fork(process.stop)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      yield* settle
      assert.isDefined(emitting.pollUnsafe())
    }).pipe(inMemory)
  )
})

describe("an interrupt", () => {
  for (const kind of ["record", "open", "close", "input"] as const) {
    it.effect(`within ${kind}, wherever it comes, leaves no run held, and none running`, () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder.Recorder
        const attempt = (runId: string): Effect.Effect<unknown, unknown> => {
          const options = { threadId: "t", runId }
          switch (kind) {
            case "record":
              return recorder.record(options)(Effect.flatMap(Run.Run, (run) => run.emit(start(runId))))
            case "open":
              return Effect.scoped(Effect.flatMap(recorder.open(options), (run) => run.emit(start(runId))))
            case "close":
              return Effect.scoped(
                Effect.flatMap(recorder.open(options), (run) => Effect.andThen(run.emit(start(runId)), run.close))
              )
            case "input":
              return Effect.scoped(Effect.flatMap(recorder.input({ writer: runId }), (input) => input.flush))
          }
        }
        let cutShort = 0
        for (const operations of [4, 5]) {
          let isDone = false
          for (let round = 0; round < 200 && !isDone; round++) {
            const runId = `${operations}/${round}`
            const fiber = yield* Effect.forkChild(
              Effect.provideService(attempt(runId), Scheduler.MaxOpsBeforeYield, operations)
            )
            for (let turn = 0; turn < round && fiber.pollUnsafe() === undefined; turn++) {
              yield* Effect.yieldNow
            }
            isDone = fiber.pollUnsafe() !== undefined
            cutShort += isDone ? 0 : 1
            yield* Fiber.interrupt(fiber)
            yield* attempt(runId)
          }
          assert.isTrue(isDone)
        }
        assert.isAbove(cutShort, 10)
        const store = yield* EventStore.EventStore
        assert.deepStrictEqual(yield* Stream.runCollect(store.runs({ status: "running" })), [])
      }).pipe(recording)
    )
  }
})

describe("an input", () => {
  it.effect("does not pile up what it is told while a commit hangs", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const calls: Array<EventStore.AppendOptions | undefined> = []
      const process = yield* processAround((append, { options }, index) => {
        calls.push(options)
        return index === 1 ? Effect.andThen(Deferred.await(gate), append) : append
      })
      const input = yield* process.input({ writer: "w" })
      const run = yield* process.open({ ...ids, input })
      yield* run.emit(start(), 1)
      yield* input.flush
      yield* run.emit(error("stuck"), 2)
      yield* TestClock.adjust(10)
      // More than one commit would take if each of them were a unit.
      for (let position = 3; position <= 5000; position++) {
        yield* run.emit(unkept, position)
      }
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* input.flush, 5000)
      assert.strictEqual(calls.length, 3)
      assert.deepStrictEqual(
        calls[2]?.runs?.map(({ ordinal, runId }) => [runId, ordinal]),
        [["r", 5000]]
      )
    }).pipe(inMemory)
  )

  it.effect("remembers one state of a run in the marks that wait, however many there are", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { calls, layer } = storeAround((append) => Effect.andThen(Deferred.await(gate), append))
      yield* Effect.gen(function* () {
        const store = yield* EventStore.EventStore
        const writer = yield* store.claimWriter("w")
        const { lane } = yield* EventStager.EventStager
        const [run, input] = [lane(), lane()]
        run.stage(unit("a"))
        yield* TestClock.adjust(10)
        let looked = 0
        for (let highWater = 1; highWater <= 1000; highWater++) {
          const after: EventStager.After = {
            get runId() {
              looked += 1
              return "r"
            },
            ordinal: highWater,
            state: () => "{}"
          }
          input.stage([], { mark: { ...writer, highWater }, others: new Map([["r", after]]) })
        }
        yield* Deferred.succeed(gate, undefined)
        yield* input.flush()
        assert.isBelow(looked, 10)
        assert.deepInclude(calls[1]?.options?.runs?.[0], { runId: "r", ordinal: 1000 })
      }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(GroupStager.layer(), layer)))
    })
  )

  it.effect("goes on acking after one of its runs was left within a message and goes on", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "w" })
      const left = yield* process.open({ ...ids, input })
      yield* left.emit(start(), 1)
      yield* left.emit(text("hel"), 2)
      yield* left.emit(text("lo"), 3)
      yield* left.close
      assert.strictEqual(yield* input.flush, 1)
      const run = yield* process.open({ ...ids, input })
      yield* run.emit(text("hel"), 2)
      yield* run.emit(text("lo"), 3)
      yield* run.emit(stepEnd, 4)
      yield* run.emit(finish(), 5)
      yield* run.close
      assert.strictEqual(yield* input.flush, 5)
      const other = yield* process.open({ threadId: "t", runId: "other", input })
      yield* other.emit(start("other"), 6)
      yield* other.close
      assert.strictEqual(yield* input.flush, 6)
    }).pipe(inMemory)
  )

  it.effect("that was claimed again costs the runs of the claim before, and no others of their batch", () =>
    Effect.gen(function* () {
      const recorder = yield* Recorder.Recorder
      const claim = yield* Scope.make()
      const stale = yield* recorder.open({
        ...ids,
        input: yield* Scope.provide(recorder.input({ writer: "w" }), claim)
      })
      yield* stale.emit(start(), 1)
      yield* stale.flush()
      yield* Scope.close(claim, Exit.void)
      const sound = yield* recorder.open({
        threadId: "t",
        runId: "sound",
        input: yield* recorder.input({ writer: "w" })
      })
      yield* sound.emit(start("sound"), 10)
      yield* stale.emit(error("too late"), 2)
      yield* sound.flush()
      const failure = yield* Effect.flip(stale.flush())
      assert.propertyVal(failure.cause, "_tag", "Fenced")
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted"])
      assert.deepStrictEqual(yield* kindsIn("sound"), ["RunStarted"])
    }).pipe(Effect.scoped, recording)
  )
})

describe("a run", () => {
  it.effect("whose first event is a start in another thread is started, and found when its process dies", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open(ids)
      yield* run.emit({ _tag: "RunStart", threadId: "another", runId: "r" })
      yield* run.emit(error("a"))
      yield* run.flush()
      yield* process.kill
      yield* startProcess()
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "CaptureGap", "ErrorRecorded", "RunInterrupted"])
      assert.include(yield* statusOf("r"), { status: "done", threadId: "t" })
    }).pipe(quiet, inMemory)
  )

  it.effect("that has a message before its loop says that it starts is started once, live and in the ledger", () => {
    const got: Array<AgentEvent.AgentEvent> = []
    return Effect.gen(function* () {
      const process = yield* startProcess()
      yield* process.record(ids)(
        Effect.gen(function* () {
          const run = yield* Run.Run
          yield* run.message({ role: "user", parts: [{ _tag: "Text", text: "hi" }] })
          yield* run.emitAll([start(), error("a")])
        })
      )
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "MessageCommitted", "ErrorRecorded", "RunFinished"])
      assert.deepStrictEqual(
        got.map(({ _tag }) => _tag),
        ["RunStart", "Error", "RunFinish"]
      )
      assert.deepStrictEqual(yield* ordinalsOf("r"), [1, 2, 3])
    }).pipe(inMemory, Effect.provideService(LiveSink.LiveSink, { deliver: ({ event }) => void got.push(event) }))
  })

  it.effect("covers with its flush what it told of its children, and records those of its children", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open(ids)
      yield* run.emit(start())
      yield* run.flush()
      yield* run.emit(start("child", "r"))
      yield* run.flush()
      assert.deepStrictEqual(yield* kindsIn("child"), ["RunStarted"])
      yield* run.emit(start("grandchild", "child"))
      yield* run.flush()
      assert.deepStrictEqual(yield* kindsIn("grandchild"), ["RunStarted"])
      yield* run.emit(finish("grandchild"))
      yield* run.close
      for (const runId of ["r", "child", "grandchild"]) {
        assert.deepStrictEqual(yield* kindsIn(runId), ["RunStarted", "RunFinished"])
      }
    }).pipe(inMemory)
  )

  it.effect("reports what is too large to be recorded as it was", () => {
    const reports: Array<EventSink.NotRecorded> = []
    return Effect.gen(function* () {
      const process = yield* startProcess({ maxEventBytes: 1000 })
      const run = yield* process.open(ids)
      yield* run.emit(start())
      yield* run.emit(error("x".repeat(2000)))
      yield* run.emit({ _tag: "StateSnapshot", snapshot: "x".repeat(2000) })
      yield* run.close
      assert.deepStrictEqual(
        reports.map(({ ordinal, tag }) => [ordinal, tag]),
        [
          [2, "Error"],
          [3, "StateSnapshot"]
        ]
      )
      assert.deepStrictEqual(yield* kindsIn("r"), ["RunStarted", "ErrorRecorded", "CaptureGap", "RunFinished"])
    }).pipe(
      full,
      inMemory,
      Effect.provideService(EventSink.OnNotRecorded, (report) => Effect.sync(() => void reports.push(report)))
    )
  })
})

describe("a secret", () => {
  const ledger = Effect.map(factsOf(), (facts) => JSON.stringify(facts.map(({ payload }) => payload)))

  it.effect("in the id of a call is not in the state of its run, nor in what is made of that", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open(ids)
      yield* run.emitAll([start(), ready("call-SECRET")])
      yield* run.flush()
      assert.deepStrictEqual((yield* savedOf("r")).calls, [{ id: "call-<redacted>", name: "sh", executing: false }])
      yield* process.kill
      yield* startProcess()
      assert.strictEqual((yield* kindsIn("r")).at(-1), "RunInterrupted")
      assert.notInclude(yield* ledger, "SECRET")
    }).pipe(inMemory, Effect.provideService(Redaction.Redaction, Redaction.fromSecrets([Redacted.make("SECRET")])))
  )

  for (const longest of [Number.NaN, -1]) {
    it.effect(`is not cut, when a redactor does not know how long it may be: ${longest}`, () =>
      Effect.gen(function* () {
        const process = yield* startProcess()
        const run = yield* process.open(ids)
        for (const delta of ["a SEC", "RET b"]) {
          yield* run.emit(text(delta))
          yield* run.flush()
          yield* TestClock.adjust("1 second")
        }
        yield* run.close
        const rows = (yield* factsOf("r")).filter(({ kind }) => kind === "TextDeltaObserved")
        assert.deepStrictEqual(
          rows.map(({ payload }) => payload),
          [text("a * b")]
        )
      }).pipe(
        full,
        inMemory,
        Effect.provideService(Redaction.Redaction, {
          redact: (text) => text.replaceAll("SECRET", "*"),
          longest
        })
      )
    )
  }

  it.effect("with line ends is found within JSON text", () => {
    const key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"
    return Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open(ids)
      yield* run.emit({ _tag: "ToolCallReady", id: "1", name: "sh", arguments: { key } })
      for (const argsDelta of JSON.stringify({ key }).match(/.{1,7}/gs) ?? []) {
        yield* run.emit({ _tag: "ToolCallDelta", id: "1", argsDelta })
      }
      yield* run.close
      const said = yield* ledger
      assert.notInclude(said, "MIIE")
      assert.include(said, JSON.stringify(JSON.stringify({ key: "<redacted>" })))
    }).pipe(full, inMemory, Effect.provideService(Redaction.Redaction, Redaction.fromSecrets([Redacted.make(key)])))
  })
})
