import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  type CanonicalEvent,
  Durability,
  EventSink,
  EventStore,
  LiveSink,
  Normalizer,
  Recorder,
  Run
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Effect, Exit, Fiber, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { assemble, initial, message } from "../src/internal/assemble.ts"
import { isDelta } from "../src/internal/coalesce.ts"
import { type Around, countingFibers, countingSleeps, factsIn, settle, storeAround, unavailable } from "./support.ts"

/** Each run has a thread of its own, with all facts that it brings; those about its context are in no run. */
const threadOf = (runId: string) => `thread of ${runId}`
const runIds = ["r1", "r2", "r3"] as const

/** What becomes of an append; those after the last fault go well. */
const Fault = Schema.Literals([
  "none",
  "none",
  "none",
  "fails",
  "loses its answer",
  "dies",
  "is slow",
  "hangs",
  "is away"
])

const Plan = Schema.Struct({
  faults: Schema.Array(Fault).check(Schema.isMaxLength(12)),
  whenFull: Schema.Literals(["backpressure", "shedObserved"]),
  capacity: Schema.Literals([1, 20, 1000]),
  durability: Schema.Literals(["compacted", "full_fidelity"])
})

/** How the program of a run goes: how much of its stream it emits, how, and how it ends. */
const Script = Schema.Struct({
  share: Schema.Literals([0, 0.3, 0.7, 1, 1, 1]),
  steps: Schema.Array(Schema.Literals(["emit", "emit", "emit all", "cut short", "yield", "wait"])).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(8)
  ),
  ends: Schema.Literals(["succeeds", "fails", "is interrupted"])
})

type Plan = typeof Plan.Type
type Script = typeof Script.Type

const faultsOf = ({ faults }: Plan): Around => {
  return (append, _, index) => {
    switch (faults[index]) {
      case "fails":
        return Effect.fail(unavailable)
      case "loses its answer":
        return Effect.andThen(append, Effect.fail(unavailable))
      case "dies":
        return Effect.die("boom")
      case "is slow":
        return Effect.andThen(Effect.sleep("3 seconds"), append)
      case "hangs":
        return Effect.andThen(Effect.sleep("2 minutes"), append)
      case "is away":
        return Effect.andThen(Effect.sleep("15 seconds"), Effect.fail(unavailable))
      default:
        return append
    }
  }
}

/** Emits a stream as its script says; an emit that is cut short is interrupted if it waits. */
const program = (events: ReadonlyArray<AgentEvent.AgentEvent>, { ends, steps }: Script) =>
  Effect.gen(function* () {
    const run = yield* Run.Run
    let index = 0
    for (let turn = 0; index < events.length; turn++) {
      const step = steps[turn % steps.length]
      const [event] = events.slice(index, index + 1)
      if (event === undefined) {
        break
      }
      switch (step) {
        case "emit all":
          yield* run.emitAll(events.slice(index, index + 3))
          index += 3
          break
        case "cut short":
          yield* Fiber.interrupt(yield* Effect.forkChild(run.emit(event), { startImmediately: true }))
          index += 1
          break
        case "wait":
          yield* Effect.sleep("100 millis")
          yield* run.emit(event)
          index += 1
          break
        case "yield":
          yield* settle
          yield* run.emit(event)
          index += 1
          break
        default:
          yield* run.emit(event)
          index += 1
      }
    }
    if (ends === "fails") {
      return yield* Effect.fail("failed")
    }
    return yield* ends === "is interrupted" ? Effect.interrupt : Effect.void
  })

interface Emitted {
  readonly runId: string
  readonly events: ReadonlyArray<AgentEvent.AgentEvent>
  readonly live: ReadonlyArray<LiveSink.Envelope>
}

/** Records all runs at once, until they are closed, as long as that may take. */
const record = (
  plan: Plan,
  runs: ReadonlyArray<{
    readonly runId: string
    readonly events: ReadonlyArray<AgentEvent.AgentEvent>
    readonly script: Script
  }>
) =>
  Effect.gen(function* () {
    const { layer } = storeAround(faultsOf(plan))
    const options = {
      capacity: { events: plan.capacity },
      whenFull: plan.whenFull,
      closeTimeout: "10 minutes"
    } as const
    const all = Effect.forEach(
      runs,
      ({ events, runId, script }) => {
        const live: Array<LiveSink.Envelope> = []
        const recorded = Recorder.record({ threadId: threadOf(runId), runId })(program(events, script))
        return Effect.exit(recorded).pipe(
          Effect.provideService(LiveSink.LiveSink, { deliver: (envelope) => void live.push(envelope) }),
          Effect.map((exit) => ({ runId, events, live, exit }))
        )
      },
      { concurrency: "unbounded" }
    )
    return yield* Effect.gen(function* () {
      const emitted = yield* all.pipe(Effect.provide(Recorder.layer(options)))
      const store = yield* EventStore.EventStore
      return yield* Effect.forEach(emitted, (run) =>
        Effect.all({
          run: Effect.succeed(run),
          facts: factsIn(threadOf(run.runId)),
          entry: store.run(run.runId)
        })
      )
    }).pipe(Effect.provide(layer))
  })

/** Lets the clock go on until a fiber is through. */
const untilDone = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.gen(function* () {
    for (let seconds = 0; fiber.pollUnsafe() === undefined && seconds < 2000; seconds++) {
      yield* TestClock.adjust(seconds < 200 ? "100 millis" : "5 seconds")
    }
    assert.isDefined(fiber.pollUnsafe(), "it hangs")
    return yield* Fiber.join(fiber)
  })

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

const withoutUndefined = (value: unknown) =>
  Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Json))(JSON.stringify(value))

/** Every event of a run is in the ledger, once, or counted in a gap. */
const checkAccount = (
  { events, live, runId }: Emitted,
  facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>,
  durability: Durability.DurabilityMode
) => {
  // The recorder's own start and finish are events as well.
  const seen = live.map(({ event }) => event)
  const own = seen.length - events.length
  assert.isAtMost(own, 2)
  const normalizer = Effect.runSync(
    Normalizer.make({ threadId: threadOf(runId), runId, origin: "native" }, { reopen: true })
  )
  const gaps = facts.flatMap(({ kind, payload }) => (kind === "CaptureGap" ? [Object(payload)] : []))
  const lost = new Map<string, number>()
  for (const { tags } of gaps) {
    for (const [tag, count] of Object.entries(tags)) {
      lost.set(tag, (lost.get(tag) ?? 0) + Number(count))
    }
  }
  const ofOrdinal = new Map<number, Array<CanonicalEvent.CanonicalEvent>>()
  const covered = new Map<string, Set<number>>()
  const texts = new Map<string, string>()
  for (const fact of facts) {
    const { kind, lastOrdinal, ordinal = 0, payload } = fact
    const event = payload as AgentEvent.AgentEvent
    if (kind.endsWith("DeltaObserved") && isDelta(event)) {
      const ordinals = covered.get(event._tag) ?? new Set()
      range(ordinal, lastOrdinal ?? ordinal).forEach((covering) => ordinals.add(covering))
      covered.set(event._tag, ordinals)
      const key = textKey(event)
      texts.set(key, (texts.get(key) ?? "") + textOf(event))
    } else if (kind !== "MessageCommitted" && kind !== "CaptureGap") {
      ofOrdinal.set(ordinal, [...(ofOrdinal.get(ordinal) ?? []), fact])
    }
  }
  const expectedTexts = new Map<string, string>()
  const missing = new Map<string, number>()
  for (const [index, event] of seen.entries()) {
    const drafts = Result.getOrElse(normalizer.normalizeMany(event, durability), () => [])
    const kept = drafts.filter(({ fidelity }) => Durability.shouldPersist(durability, fidelity))
    if (kept.length === 0) {
      continue
    }
    const there = ofOrdinal.get(index + 1) ?? []
    if (isDelta(event)) {
      const key = textKey(event)
      expectedTexts.set(key, (expectedTexts.get(key) ?? "") + textOf(event))
      if (covered.get(event._tag)?.has(index + 1) !== true) {
        missing.set(event._tag, (missing.get(event._tag) ?? 0) + 1)
      }
    } else if (there.length === 0) {
      missing.set(event._tag, (missing.get(event._tag) ?? 0) + 1)
    } else {
      assert.deepStrictEqual(
        there.map(({ fidelity, kind, payload }) => ({ kind, fidelity, payload })),
        kept.map(({ draft, fidelity }) => ({
          kind: draft.kind,
          fidelity,
          payload: withoutUndefined(draft.payload)
        })) as never
      )
    }
    ofOrdinal.delete(index + 1)
  }
  assert.deepStrictEqual([...ofOrdinal.values()].flat(), [], "facts that no event brought")
  for (const tag of new Set([...lost.keys(), ...missing.keys()])) {
    const [gone, counted] = [missing.get(tag) ?? 0, lost.get(tag) ?? 0]
    // A fact may stand for a delta that was left out between those that it is made of.
    const isText = tag.endsWith("Delta") && tag !== "StateDelta" && tag !== "ActivityDelta"
    if (tag === "MessageCommitted") {
      // No event: what was said up to the one that ended it.
      continue
    }
    assert.isTrue(isText ? gone <= counted : gone === counted, `${gone} of ${tag} are missing, ${counted} are counted`)
  }
  for (const [key, text] of expectedTexts) {
    if (!gaps.some(({ tags }) => Object.keys(tags).some((tag) => key.startsWith(`${tag} `)))) {
      assert.strictEqual(texts.get(key) ?? "", text)
    }
  }
  return { gaps, seen }
}

const textKey = (event: AgentEvent.AgentEvent) =>
  `${event._tag} ${"id" in event ? event.id : ""} ${"name" in event ? event.name : ""}`
const textOf = (event: AgentEvent.AgentEvent) =>
  event._tag === "ToolCallDelta"
    ? event.argsDelta
    : "delta" in event && typeof event.delta === "string"
      ? event.delta
      : ""

/** The messages of a run, put together by themselves. */
const messagesOf = (events: ReadonlyArray<AgentEvent.AgentEvent>) => {
  let state = initial
  const messages: Array<unknown> = []
  for (const [index, event] of events.entries()) {
    const [next, ended] = assemble(state, event, { ordinal: index + 1, position: undefined })
    state = next
    if (ended !== undefined) {
      messages.push(ended)
    }
  }
  const last = message(state, true)
  return last === undefined ? messages : [...messages, last]
}

const ends = new Set(["RunFinished", "RunSuspended", "RunCancelled", "RunErrored", "RunTerminated"])

describe("runs that are recorded at once, over a store that errs", () => {
  it.effect.prop(
    "are delivered as they were, and recorded once, whatever the store does",
    [
      Arbitrary.schema(Plan),
      Arbitrary.all(runIds.map((runId) => Arbitraries.stream({ threadId: threadOf(runId), runId }))),
      Arbitrary.schema(Schema.Array(Script).check(Schema.isMinLength(3), Schema.isMaxLength(3)))
    ],
    ([plan, streams, scripts]) =>
      countingSleeps((sleeping) =>
        Effect.gen(function* () {
          const runs = scripts.map((script, index) => {
            const events = streams[index] ?? []
            return {
              runId: runIds[index] ?? "",
              script,
              events: events.slice(0, Math.ceil(events.length * script.share))
            }
          })
          const fiber = yield* Effect.forkChild(countingFibers(record(plan, runs)))
          const { alive, result: recorded, started } = yield* untilDone(fiber)
          for (const { entry, facts, run } of recorded) {
            // 1. Live: each event once, unaltered, in order.
            assert.deepStrictEqual(
              run.live.map(({ ordinal }) => ordinal),
              run.live.map((_, index) => index + 1)
            )
            const first = run.live.length > 0 && run.live[0]?.event !== run.events[0] ? 1 : 0
            run.events.forEach((event, index) => assert.strictEqual(run.live[index + first]?.event, event))
            // 4, 5. Dense, and each fact once.
            assert.deepStrictEqual(
              facts.map(({ threadSequence }) => threadSequence),
              facts.map((_, index) => index + 1)
            )
            // 2, 3. All of it is there, or counted.
            const { gaps, seen } = checkAccount(run, facts, plan.durability)
            if (!gaps.some(({ reason }) => reason === "store_away")) {
              assert.deepStrictEqual(
                facts.flatMap(({ kind, payload }) => (kind === "MessageCommitted" ? [payload] : [])),
                withoutUndefined(messagesOf(seen)) as never
              )
            }
            // 7. It ended.
            const last = facts.findLastIndex(({ kind }) => ends.has(kind))
            const started = facts.findLastIndex(({ kind }) => kind === "RunStarted" || kind === "RunResumed")
            assert.isAbove(last, started)
            assert.include(["done", "waiting"], entry.status)
            assert.strictEqual(
              Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)))(
                entry.state ?? "{}"
              )["owner"],
              undefined
            )
          }
          // Nothing is left behind.
          yield* settle
          assert.strictEqual(sleeping(), 0)
          assert.isAbove(started, 3)
          assert.strictEqual(alive(), 0)
          for (const [index, { run }] of recorded.entries()) {
            assert.strictEqual(Exit.isSuccess(run.exit), scripts[index]?.ends === "succeeds")
          }
        })
      ).pipe(
        Effect.provideService(Durability.Durability, plan.durability),
        Effect.provideService(EventSink.OnNotRecorded, () => Effect.void),
        Effect.provide(Layer.empty)
      ),
    { arbitrary: { runs: 60 }, timeout: 60_000 }
  )
})
