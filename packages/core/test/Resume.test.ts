import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  type CanonicalEvent,
  Durability,
  EventStager,
  EventStore,
  Json,
  MemoryEventStore,
  MemoryStager,
  type Run
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Deferred, Effect, Layer, Random, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { isDelta } from "../src/internal/coalesce.ts"
import { factsIn, settle, startProcess, unavailable, unit } from "./support.ts"

/** An event of a run at its position in the input of the producer. */
interface Line {
  readonly runId: string
  readonly event: AgentEvent.AgentEvent
}

/** What happens between two events. */
const Pause = Schema.Literals(["nothing", "yield", "moment", "while", "flush", "flush input"])
type Pause = typeof Pause.Type

const runs = ["r1", "r2"] as const
/** Each run has a thread of its own, with all facts that it brings; those about its context are in no run. */
const threadOf = (runId: string) => `thread of ${runId}`

/** The lines of a producer that works for two runs, the first of which has children, in turns. */
const interleave = (
  streams: ReadonlyArray<ReadonlyArray<AgentEvent.AgentEvent>>,
  turns: ReadonlyArray<number>
): ReadonlyArray<Line> => {
  const rest = streams.map((events) => [...events])
  const lines: Array<Line> = []
  for (let turn = 0; rest.some((events) => events.length > 0); turn++) {
    const wanted = (turns[turn % Math.max(turns.length, 1)] ?? 0) % rest.length
    const index = (rest[wanted]?.length ?? 0) > 0 ? wanted : rest.findIndex((events) => events.length > 0)
    const event = rest[index]?.shift()
    if (event !== undefined) {
      lines.push({ runId: runs[index] ?? runs[0], event })
    }
  }
  return lines
}

/**
 * What a process of the producer is told of its life: after which part of the lines that are left it is killed, or stopped
 * in good order, what happens just before that, and what between its events.
 */
interface Life {
  readonly killedAfter: number | undefined
  readonly before: Pause
  readonly isStopped: boolean
  readonly pauses: ReadonlyArray<Pause>
}

const uncut: Life = { killedAfter: undefined, before: "nothing", isStopped: false, pauses: [] }

/** Sends every line after the last ack, until it is through, or killed. */
const produce = (lines: ReadonlyArray<Line>, { before, isStopped, killedAfter, pauses }: Life) =>
  Effect.gen(function* () {
    const process = yield* startProcess()
    const input = yield* process.input({ writer: "producer" })
    const open = new Map<string, Run.RunShape>()

    const pause = (what: Pause, run: Run.RunShape) => {
      switch (what) {
        case "nothing":
          return Effect.void
        case "yield":
          return settle
        case "moment":
          return TestClock.adjust(10)
        case "while":
          return TestClock.adjust(300)
        case "flush":
          return run.flush()
        case "flush input":
          return input.flush
      }
    }

    const left = lines.length - input.acked
    const kill = killedAfter === undefined ? undefined : Math.min(Math.ceil(left * killedAfter), left)
    for (const [sent, { event, runId }] of lines.slice(input.acked).entries()) {
      const run = open.get(runId) ?? (yield* process.open({ threadId: threadOf(runId), runId, input }))
      open.set(runId, run)
      yield* run.emit(event, input.acked + sent + 1)
      if (sent + 1 === kill) {
        yield* pause(before, run)
        return yield* isStopped ? process.stop : process.kill
      }
      yield* pause(pauses[sent % Math.max(pauses.length, 1)] ?? "nothing", run)
    }
    yield* input.flush
    return yield* process.stop
  })

const key = (event: AgentEvent.AgentEvent) =>
  Json.canonical([event._tag, "id" in event ? event.id : "", "name" in event ? event.name : ""])

/** What the ledger says of a run, but for where the deltas of a text were joined. */
const said = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) => {
  const texts: Record<string, string> = {}
  const others: Array<unknown> = []
  for (const { kind, lastOrdinal, ordinal, origin, payload, visibility } of facts) {
    const event = payload as AgentEvent.AgentEvent
    if (origin === "recovery" || Object(payload).partial === true) {
      continue
    }
    if (kind.endsWith("DeltaObserved") && isDelta(event)) {
      texts[key(event)] = (texts[key(event)] ?? "") + (event._tag === "ToolCallDelta" ? event.argsDelta : event.delta)
    } else {
      others.push({ kind, ordinal, lastOrdinal, visibility, payload })
    }
  }
  return { texts, others }
}

const recorded = [...runs, "child", "grandchild"] as const

const ledger = Effect.all(Object.fromEntries(recorded.map((runId) => [runId, factsIn(threadOf(runId))])))

/** The ledger after the lives of a producer, the last of which is not cut short. */
const ledgerAfter = (lines: ReadonlyArray<Line>, lives: ReadonlyArray<Life>) =>
  Effect.gen(function* () {
    for (const life of lives) {
      yield* produce(lines, life)
    }
    return yield* ledger
  }).pipe(Effect.provide(Layer.fresh(MemoryEventStore.layer)))

const check = (lines: ReadonlyArray<Line>, lives: ReadonlyArray<Life>) =>
  Effect.gen(function* () {
    const straight = yield* ledgerAfter(lines, [uncut])
    const resumed = yield* ledgerAfter(lines, [...lives, uncut])
    for (const runId of recorded) {
      const [expected, actual] = [said(straight[runId] ?? []), said(resumed[runId] ?? [])]
      assert.deepStrictEqual(actual.others, expected.others)
      assert.deepStrictEqual(actual.texts, expected.texts)
      const facts = resumed[runId] ?? []
      assert.deepStrictEqual(
        facts.map(({ threadSequence }) => threadSequence),
        facts.map((_, index) => index + 1)
      )
      assert.strictEqual(new Set(facts.map(({ eventId }) => eventId)).size, facts.length)
    }
  })

const startOf = (runId: string, parentRunId: string): AgentEvent.AgentEvent => ({
  _tag: "RunStart",
  threadId: threadOf(runId),
  runId,
  parentRunId
})
const finishOf = (runId: string): AgentEvent.AgentEvent => ({
  _tag: "RunFinish",
  threadId: threadOf(runId),
  runId,
  termination: { _tag: "NaturalEnd" }
})

/** What is said of children: one starts another, and goes on when both have ended. */
const children = [
  startOf("child", "r1"),
  startOf("grandchild", "child"),
  finishOf("grandchild"),
  finishOf("child"),
  startOf("child", "r1"),
  finishOf("child")
]

const Lives = Schema.Array(
  Schema.Struct({
    killedAfter: Schema.Literals([0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1]),
    before: Pause,
    isStopped: Schema.Literals([false, false, true]),
    pauses: Schema.Array(Pause).check(Schema.isMaxLength(7))
  })
).check(Schema.isMinLength(1), Schema.isMaxLength(4))

const Turns = Schema.Array(Schema.Literals([0, 0, 0, 1, 2])).check(Schema.isMaxLength(9))

describe("a producer that sends everything after its last ack again", () => {
  for (const durability of Durability.DurabilityMode.literals) {
    it.effect.prop(
      `leaves the ledger of one that never stopped, ${durability}`,
      [
        Arbitraries.stream({ threadId: threadOf("r1"), runId: "r1" }),
        Arbitraries.stream({ threadId: threadOf("r2"), runId: "r2" }),
        Arbitrary.schema(Turns),
        Arbitrary.schema(Lives)
      ],
      ([first, second, turns, lives]) =>
        check(interleave([first, second, children], turns), lives).pipe(
          Effect.provideService(Durability.Durability, durability)
        ),
      { arbitrary: { runs: durability === "disabled" ? 5 : 60 }, timeout: 60_000 }
    )
  }
})

const ids = { threadId: threadOf("r1"), runId: "r1" }
const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const step: AgentEvent.AgentEvent = { _tag: "StepStart", messageId: "m" }
const stepEnd: AgentEvent.AgentEvent = { _tag: "StepEnd" }
const text = (delta: string): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta })
const ready = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallReady", id, name: "sh", arguments: {} })
const inference: AgentEvent.AgentEvent = { _tag: "InferenceComplete", model: "m", durationMs: 1 }
const finish: AgentEvent.AgentEvent = { _tag: "RunFinish", ...ids, termination: { _tag: "NaturalEnd" } }
const compaction = (state: object): AgentEvent.AgentEvent => ({
  _tag: "StateSnapshot",
  snapshot: { extensions: { __context_compaction: state as never } }
})
const done = compaction({ total_compactions: 1, boundaries: [{ task_id: "a", summary: "s" }] })
const inFlight = compaction({ total_compactions: 0, in_flight: { task_id: "a" } })

/** Streams that are cut behind each of their events. */
const streams: ReadonlyArray<readonly [string, ReadonlyArray<AgentEvent.AgentEvent>]> = [
  ["an open message", [start, step, text("a"), text("b"), inference, stepEnd, step, text("c"), stepEnd, finish]],
  [
    "a message that was reset",
    [start, step, text("a"), { _tag: "StreamReset", reason: "" }, text("b"), inference, finish]
  ],
  [
    "open calls",
    [
      start,
      step,
      ready("1"),
      ready("2"),
      inference,
      { _tag: "ToolCallCancel", id: "1", name: "sh", reason: "" },
      finish
    ]
  ],
  ["a compaction in flight", [start, inFlight, stepEnd, inFlight, done, done, finish]],
  [
    "a compaction state that was cleared",
    [start, inFlight, done, compaction({ total_compactions: 0 }), stepEnd, inFlight, done, finish]
  ],
  ["steps that said nothing", [start, step, stepEnd, step, stepEnd, step, text("a"), inference, finish]],
  [
    "a child and a child of that",
    [
      start,
      startOf("child", "r1"),
      text("a"),
      startOf("grandchild", "child"),
      inference,
      finishOf("grandchild"),
      stepEnd,
      finishOf("child"),
      startOf("child", "r1"),
      finishOf("child"),
      finish
    ]
  ],
  ["a child that did not end", [start, startOf("child", "r1"), stepEnd, stepEnd, finish]],
  ["a run without a start or an end", [text("a"), step, text("b"), inference, stepEnd, text("c")]]
]

describe("a producer that is killed within", () => {
  for (const [what, events] of streams) {
    for (const durability of ["compacted", "full_fidelity"] as const) {
      it.effect(`${what}, at any event, leaves the ledger of one that never stopped, ${durability}`, () =>
        Effect.gen(function* () {
          const lines = events.map((event) => ({ runId: "r1", event }))
          for (let cut = 1; cut <= lines.length; cut++) {
            for (const before of ["nothing", "yield", "while", "flush input"] as const) {
              for (const isStopped of [false, true]) {
                yield* check(lines, [{ killedAfter: cut / lines.length, before, isStopped, pauses: [before] }])
              }
            }
          }
        }).pipe(Effect.provideService(Durability.Durability, durability))
      )
    }
  }
})

describe("an input", () => {
  it.effect("acks what is in the ledger, but not past a message that is open", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "producer" })
      const acks: Array<number> = []
      yield* Effect.forkChild(
        Stream.runForEach(input.acks, (ack) => Effect.sync(() => void acks.push(ack))),
        { startImmediately: true }
      )
      const run = yield* process.open({ ...ids, input })
      assert.strictEqual(input.acked, 0)
      yield* run.emit(start, 3)
      assert.deepStrictEqual(acks, [])
      assert.strictEqual(yield* input.flush, 3)
      yield* run.emit(step, 4)
      yield* run.emit(text("a"), 5)
      yield* input.advance(9)
      yield* run.flush()
      assert.strictEqual(yield* input.flush, 3)
      yield* run.emit(inference, 10)
      assert.strictEqual(yield* input.flush, 10)
      yield* input.advance(12)
      yield* input.advance(11)
      assert.strictEqual(yield* input.flush, 12)
      yield* settle
      assert.deepStrictEqual(acks, [3, 10, 12])
      yield* process.stop
      const next = yield* startProcess()
      assert.strictEqual((yield* next.input({ writer: "producer" })).acked, 12)
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("acks nothing that is only counted, before the gap that counts it", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      const gate = yield* Deferred.make<void>()
      let appends = 0
      const process = yield* startProcess({ capacity: { events: 2 }, whenFull: "shedObserved" }).pipe(
        Effect.provideService(EventStore.EventStore, {
          ...store,
          append: (batch, options) =>
            Effect.suspend(() =>
              appends++ === 0
                ? store.append(batch, options)
                : Effect.andThen(Deferred.await(gate), store.append(batch, options))
            )
        })
      )
      const input = yield* process.input({ writer: "producer" })
      const run = yield* process.open({ ...ids, input })
      const emit = (event: AgentEvent.AgentEvent, position: number) =>
        Effect.forkChild(run.emit(event, position), { startImmediately: true })
      yield* run.emit(start, 1)
      yield* input.flush
      yield* emit({ _tag: "Error", message: "2" }, 2)
      yield* emit(text("3"), 3)
      yield* emit({ _tag: "Error", message: "4" }, 4)
      yield* emit({ _tag: "Error", message: "5" }, 5)
      yield* emit({ _tag: "StateDelta", delta: [] }, 6)
      yield* emit({ _tag: "StateDelta", delta: [] }, 7)
      yield* emit(inference, 8)
      yield* emit({ _tag: "StateDelta", delta: [] }, 9)
      yield* emit({ _tag: "StateDelta", delta: [] }, 10)
      assert.strictEqual((yield* run.status).shed, 4)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* input.flush, 8)
      yield* process.kill

      // Who sends them again has them recorded.
      const next = yield* startProcess()
      const again = yield* next.input({ writer: "producer" })
      const resumed = yield* next.open({ ...ids, input: again })
      yield* resumed.emit({ _tag: "StateDelta", delta: [] }, 9)
      yield* resumed.emit({ _tag: "Error", message: "10" }, 10)
      assert.strictEqual(yield* again.flush, 10)
      const facts = yield* factsIn(ids.threadId)
      assert.deepStrictEqual(
        facts
          .filter(({ origin }) => origin !== "recovery")
          .map(({ kind, lastOrdinal, ordinal }) => [kind, ordinal, lastOrdinal]),
        [
          ["RunStarted", 1, undefined],
          ["ErrorRecorded", 2, undefined],
          ["TextDeltaObserved", 3, undefined],
          ["ErrorRecorded", 4, undefined],
          ["ErrorRecorded", 5, undefined],
          ["CaptureGap", 6, 7],
          ["MessageCommitted", 8, undefined],
          ["InferenceComplete", 8, undefined],
          ["StateDeltaObserved", 9, undefined],
          ["ErrorRecorded", 10, undefined]
        ]
      )
    }).pipe(Effect.provide(MemoryEventStore.layer), Effect.provideService(Durability.Durability, "full_fidelity"))
  )

  it.effect("saves the ordinals of events that left no fact up to a gap that is not staged", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      let isAway = false
      const process = yield* startProcess({ capacity: { events: 2 } }).pipe(
        Effect.provideService(EventStore.EventStore, {
          ...store,
          append: (batch, options) =>
            Effect.suspend(() => (isAway ? Effect.fail(unavailable) : store.append(batch, options)))
        })
      )
      const failure = (position: number): AgentEvent.AgentEvent => ({ _tag: "Error", message: String(position) })
      const other = { threadId: threadOf("r2"), runId: "r2" }
      const input = yield* process.input({ writer: "producer" })
      const [one, two] = [yield* process.open({ ...ids, input }), yield* process.open({ ...other, input })]
      yield* one.emit(start, 1)
      yield* two.emit({ _tag: "RunStart", ...other }, 2)
      // The other run has a message open, which no ack may pass.
      yield* two.emit(text("open"), 3)
      assert.strictEqual(yield* input.flush, 2)
      isAway = true
      yield* one.emit(failure(4), 4)
      yield* TestClock.adjust("20 seconds")
      yield* one.emitAll([failure(5), failure(6)])
      yield* one.emit(stepEnd, 7)
      yield* one.emit(failure(8), 8)
      yield* two.emit(inference, 9)
      assert.deepInclude(yield* one.status, { isAway: true, shed: 1 })
      isAway = false
      while ((yield* one.status).isAway) {
        yield* TestClock.adjust(1)
      }
      assert.strictEqual(yield* input.flush, 7)
      yield* process.kill

      const next = yield* startProcess()
      const again = yield* next.input({ writer: "producer" })
      const resumed = yield* next.open({ ...ids, input: again })
      yield* resumed.emit(failure(8), 8)
      yield* again.flush
      assert.deepInclude((yield* factsIn(ids.threadId)).at(-1), { ordinal: 6, payload: failure(8) })
    }).pipe(Random.withSeed("when it is back"), Effect.provide(MemoryEventStore.layer))
  )

  it.effect("numbers events that come without a position", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "producer" })
      const run = yield* process.open({ ...ids, input })
      yield* run.emitAll([start, stepEnd])
      yield* run.emit({ _tag: "Error", message: "" })
      assert.strictEqual(yield* input.flush, 3)
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("without a writer acks what this process was handed, and begins at nothing", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({})
      const run = yield* process.open({ ...ids, input })
      yield* run.emit(start, 1)
      assert.strictEqual(yield* input.flush, 1)
      assert.strictEqual((yield* process.input({})).acked, 0)
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("has a name that only one process at a time can have", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* startProcess(), yield* startProcess()]
      yield* first.input({ writer: "producer" })
      assert.strictEqual((yield* Effect.flip(second.input({ writer: "producer" })))._tag, "WriterHeld")
      assert.strictEqual((yield* Effect.flip(second.input({ writer: " " })))._tag, "ValidationError")
      yield* first.kill
      yield* second.input({ writer: "producer" })
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("leaves a run that did not finish interrupted when it closes, with what was said so far", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "producer" })
      const run = yield* process.open({ ...ids, input })
      yield* run.emitAll([start, step, text("a")])
      yield* process.stop
      const facts = yield* factsIn(ids.threadId)
      assert.deepStrictEqual(
        facts.map(({ kind, origin }) => [kind, origin]),
        [
          ["RunStarted", "native"],
          ["MessageCommitted", "native"],
          ["RunInterrupted", "recovery"]
        ]
      )
      assert.propertyVal(facts[1]?.payload, "partial", true)
      const store = yield* EventStore.EventStore
      assert.include(yield* store.run("r1"), { status: "done", doneReason: "interrupted" })
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )

  it.effect("acks nothing past what one of its runs lost", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "producer" })
      const good = yield* process.open({ ...ids, input })
      const bad = yield* process.open({ threadId: "t", runId: "r2", input })
      yield* good.emit(start, 1)
      yield* input.flush
      // Somebody else writes into the run, so that what the recorder expects of it is not so.
      const store = yield* EventStore.EventStore
      yield* store.append(unit("other", { run: "r2" }))
      yield* bad.emit(stepEnd, 2)
      yield* bad.emit(ready("1"), 3)
      yield* good.emit(ready("1"), 4)
      assert.strictEqual((yield* Effect.flip(input.flush))._tag, "StagingFailed")
      yield* good.flush()
      yield* process.kill
      const next = yield* startProcess()
      assert.isBelow((yield* next.input({ writer: "producer" })).acked, 3)
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )
})

describe("the state of a run that did not say that it started", () => {
  it.effect("does not have its first event before that is recorded", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const input = yield* process.input({ writer: "producer" })
      const { layer, staged } = MemoryStager.make()
      const run = yield* process.open({ ...ids, input, stager: yield* Effect.provide(EventStager.EventStager, layer) })
      yield* run.emit({ _tag: "Error", message: "" }, 7)
      const states = staged.map(({ beside }) => Object(Json.parse(beside.after?.state() ?? "null")).inputs[0].position)
      assert.deepStrictEqual(states, [6, 7])
    }).pipe(Effect.provide(MemoryEventStore.layer))
  )
})
