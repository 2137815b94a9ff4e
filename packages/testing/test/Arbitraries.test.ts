import { assert, describe, it } from "@effect/vitest"
import { AgentEvent, CanonicalEvent, Json, Normalizer } from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Effect, Result, Schema } from "effect"

const ids = { threadId: "thread-1", runId: "run-1" }
const arbitrary = { runs: 200, seed: "arbitraries" }
const sampled = { count: 300, seed: "arbitraries" }
const everyTag = Object.keys(AgentEvent.AgentEvent.cases).toSorted()

/** Kinds that no event brings. */
const ofNoEvent = new Set([
  "MessageCommitted",
  "ToolCallExecuting",
  "ToolPermissionResolved",
  "RunInterrupted",
  "CaptureGap"
])

const isEvent = Schema.is(AgentEvent.AgentEvent)

const assertSound = (event: AgentEvent.AgentEvent) => {
  assert.isTrue(isEvent(event))
  const text = JSON.stringify(event)
  assert.deepStrictEqual(Json.parse(text), event)
  assert.notMatch(text, /(?<!\\)(?:\\\\)*\\ud[89a-f]/)
}

const assertOneRun = (events: ReadonlyArray<AgentEvent.AgentEvent>) => {
  events.forEach(assertSound)
  for (const event of events) {
    if (event._tag === "RunStart" || event._tag === "RunFinish") {
      assert.deepStrictEqual({ threadId: event.threadId, runId: event.runId }, ids)
    }
  }
  assert.strictEqual(events[0]?._tag, "RunStart")
  assert.strictEqual(events.at(-1)?._tag, "RunFinish")
}

describe("agentEvent", () => {
  it.prop("is an event that survives JSON", [Arbitraries.agentEvent], ([event]) => assertSound(event), { arbitrary })

  it.effect("is each of the 22 events", () =>
    Effect.gen(function* () {
      const events = yield* Arbitrary.sampleEffect(Arbitraries.agentEvent, sampled)
      assert.deepStrictEqual([...new Set(events.map(({ _tag }) => _tag))].toSorted(), everyTag)
    })
  )
})

describe("run", () => {
  it.prop("starts, goes on and finishes", [Arbitraries.run(ids)], ([events]) => assertOneRun(events), { arbitrary })
})

describe("stream", () => {
  it.prop("starts, goes on and finishes", [Arbitraries.stream(ids)], ([events]) => assertOneRun(events), { arbitrary })

  it.prop(
    "ends each call once for each time that it starts",
    [Arbitraries.stream(ids)],
    ([events]) => {
      const open = new Set<string>()
      for (const event of events) {
        switch (event._tag) {
          case "ToolCallStart":
            assert.isFalse(open.has(event.id))
            open.add(event.id)
            break
          case "ToolCallDone":
          case "ToolCallCancel":
            assert.isTrue(open.delete(event.id))
            break
        }
      }
      assert.strictEqual(open.size, 0)
    },
    { arbitrary }
  )

  it.effect("brings every event and every kind of fact that events bring", () =>
    Effect.gen(function* () {
      const streams = yield* Arbitrary.sampleEffect(Arbitraries.stream(ids), sampled)
      const kinds = new Set<string>()
      for (const events of streams) {
        const normalizer = yield* Normalizer.make({ ...ids, origin: "native" })
        for (const event of events) {
          for (const { draft } of Result.getOrThrow(normalizer.normalizeMany(event))) {
            kinds.add(draft.kind)
            const payload = draft.payload as Schema.Json
            assert.isTrue(Result.isSuccess(CanonicalEvent.decodePayload({ ...draft, payload })), draft.kind)
          }
        }
      }
      const expected = Object.keys(CanonicalEvent.payloads).filter((kind) => !ofNoEvent.has(kind))
      assert.deepStrictEqual([...kinds].toSorted(), expected.toSorted())
      assert.deepStrictEqual([...new Set(streams.flat().map(({ _tag }) => _tag))].toSorted(), everyTag)
    })
  )

  it.effect("is small by default", () =>
    Effect.gen(function* () {
      const streams = yield* Arbitrary.sampleEffect(Arbitraries.stream(ids), sampled)
      assert.isBelow(Math.max(...streams.map(({ length }) => length)), 250)
    })
  )
})
