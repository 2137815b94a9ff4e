/**
 * What coalescing saves, and that it changes nothing that a run says.
 */
import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, Durability, EventStore, MemoryEventStore, Recorder, Run, RunView } from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Effect, Layer, Stream } from "effect"

const ids = { threadId: "t", runId: "r" }

/** The facts of a run that says these events, in full fidelity. */
const record = (events: ReadonlyArray<AgentEvent.AgentEvent>, exact: boolean) =>
  Effect.gen(function* () {
    const agent = Effect.flatMap(Run.Run, (run) => Stream.runDrain(run.tap(Stream.fromIterable(events))))
    yield* Recorder.record(ids)(agent)
    const store = yield* EventStore.EventStore
    return (yield* store.read({ scope: { _tag: "Run", runId: "r" }, limit: 10_000 })).facts
  }).pipe(
    Effect.provide(Recorder.layer({ exact }).pipe(Layer.provideMerge(MemoryEventStore.layer))),
    Effect.provideService(Durability.Durability, "full_fidelity")
  )

const times = <A>(count: number, make: (index: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, index) => make(index))

/** A step of an agent: it thinks, speaks, and calls two tools at once, whose arguments come token by token, in turns. */
const step = (n: number): ReadonlyArray<AgentEvent.AgentEvent> => {
  const calls = [`${n}-a`, `${n}-b`]
  return [
    { _tag: "StepStart", messageId: `m${n}` },
    ...times(120, (index) => ({ _tag: "ReasoningDelta" as const, delta: `thought ${index} ` })),
    ...times(300, (index) => ({ _tag: "TextDelta" as const, delta: `word ${index} ` })),
    ...calls.map((id) => ({ _tag: "ToolCallStart" as const, id, name: "search" })),
    ...times(80, (index) => ({ _tag: "ToolCallDelta" as const, id: calls[index % 2] ?? "", argsDelta: `${index}` })),
    ...calls.map((id) => ({ _tag: "ToolCallReady" as const, id, name: "search", arguments: { id } })),
    { _tag: "InferenceComplete", model: "m", durationMs: 1, usage: { totalTokens: 500 } },
    ...calls.map((id) => ({
      _tag: "ToolCallDone" as const,
      id,
      messageId: `m${n}`,
      outcome: "succeeded" as const,
      result: { toolName: "search", status: "success" as const, data: null, metadata: {} }
    })),
    { _tag: "StepEnd" }
  ]
}

const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const finish: AgentEvent.AgentEvent = { _tag: "RunFinish", ...ids, termination: { _tag: "NaturalEnd" } }

/** What a person sees of a run. */
const seen = (facts: Parameters<typeof RunView.fromFacts>[1]) => {
  const view = RunView.fromFacts("r", facts)
  return {
    messages: view.messages.map(({ messageId, parts, role }) => ({ messageId, parts, role })),
    calls: RunView.calls(view).map(({ arguments: given, id, name, output, state }) => ({
      given,
      id,
      name,
      output,
      state
    })),
    permissions: view.permissions,
    tokens: view.tokens,
    errors: view.errors.length,
    children: view.children
  }
}

describe("a run whose deltas are joined", () => {
  it.effect("has less than a fifteenth of the rows, and says the same", () =>
    Effect.gen(function* () {
      const events = [start, ...times(10, step).flat(), finish]
      const joined = yield* record(events, false)
      const single = yield* record(events, true)
      assert.isAtMost(joined.length, single.length / 15)
      assert.deepStrictEqual(seen(joined), seen(single))
    })
  )

  it.effect.prop(
    "says the same, whatever it says",
    [Arbitraries.stream(ids)],
    ([events]) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(seen(yield* record(events, false)), seen(yield* record(events, true)))
      }),
    { arbitrary: { runs: 100 } }
  )
})
