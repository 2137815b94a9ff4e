import { assert, describe, it } from "@effect/vitest"
import {
  AgentEvent,
  CanonicalEvent,
  EventStore,
  Json,
  MemoryEventStore,
  Normalizer,
  StagedEvent
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Awaken } from "@runledger/wire"
import { Effect, Result } from "effect"

const ids = { threadId: "t", runId: "r" }

/** What the seed cannot tell apart from an absent member: null in the two opaque fields that may be absent. */
const withoutNulls = (event: AgentEvent.AgentEvent): AgentEvent.AgentEvent => {
  if (event._tag === "RunFinish" && event.result === null) {
    const { result: _, ...rest } = event
    return rest
  }
  const suspension = event._tag === "ToolCallDone" ? event.result.suspension?.suspension : undefined
  if (event._tag === "ToolCallDone" && event.result.suspension && suspension?.responseSchema === null) {
    const { responseSchema: _, ...rest } = suspension
    return { ...event, result: { ...event.result, suspension: { ...event.result.suspension, suspension: rest } } }
  }
  return event
}

const overJson = (value: unknown): unknown => Json.parse(JSON.stringify(value))

const message = (value: unknown): string =>
  Result.match(Awaken.decodeAgentEvent(value), {
    onFailure: (error) => error.message,
    onSuccess: () => "an event"
  })

describe("the codec of agent events", () => {
  it.prop(
    "gives back what it wrote, there and back",
    [Arbitraries.agentEvent],
    ([generated]) => {
      const event = withoutNulls(generated)
      const wire = overJson(Awaken.encodeAgentEvent(event))
      const decoded = Result.getOrThrow(Awaken.decodeAgentEvent(wire))
      assert.deepStrictEqual(decoded, event)
      assert.deepStrictEqual(overJson(Awaken.encodeAgentEvent(decoded)), wire)
      assert.deepStrictEqual(Result.getOrThrow(Awaken.parseAgentEvent(JSON.stringify(wire))), event)
    },
    { arbitrary: { runs: 500 } }
  )

  it("leaves opaque JSON alone", () => {
    const opaque = { camelCase: { snake_case: [{ _tag: "x", event_type: "y", null: null }] }, run_id: 1, runId: 2 }
    const events: ReadonlyArray<AgentEvent.AgentEvent> = [
      { _tag: "ToolCallReady", id: "c", name: "x", arguments: opaque },
      { _tag: "ToolCallResumed", targetId: "c", result: opaque },
      { _tag: "StateSnapshot", snapshot: opaque },
      { _tag: "StateDelta", delta: [opaque] },
      { _tag: "MessagesSnapshot", messages: [opaque] },
      { _tag: "ActivitySnapshot", messageId: "m", activityType: "a", content: opaque },
      { _tag: "ActivityDelta", messageId: "m", activityType: "a", patch: [opaque] }
    ]
    for (const event of events) {
      assert.include(JSON.stringify(Awaken.encodeAgentEvent(event)), JSON.stringify(opaque))
    }
    const done = AgentEvent.ToolCallDone.make({
      id: "c",
      messageId: "m",
      outcome: "succeeded",
      result: { toolName: "x", status: "success", data: opaque, metadata: { metaKey: opaque } }
    })
    assert.strictEqual(JSON.stringify(Awaken.encodeAgentEvent(done)).split(JSON.stringify(opaque)).length, 3)
  })

  it("names the path of what is wrong", () => {
    assert.include(message({ event_type: "text_delta", delta: 1 }), '["delta"]')
    assert.include(
      message({
        event_type: "tool_call_done",
        id: "c",
        message_id: "m",
        outcome: "failed",
        result: { tool_name: "x", status: "nope", data: null }
      }),
      '["result"]["status"]'
    )
    assert.include(message({ event_type: "run_start", thread_id: "t" }), '["run_id"]')
    assert.include(
      message({
        event_type: "run_finish",
        thread_id: "t",
        run_id: "r",
        termination: { type: "stopped", value: { code: 1 } }
      }),
      '["termination"]'
    )
  })

  it("says what it misses in what is no event at all", () => {
    assert.strictEqual(message({}), 'Missing key at ["event_type"]')
    assert.strictEqual(message({ event_type: "nope" }), 'Unknown event_type "nope"')
    assert.strictEqual(message([]), 'Expected an object with "event_type"')
    assert.strictEqual(message(null), 'Expected an object with "event_type"')
  })

  it("writes and reads the defaults of the seed", () => {
    const wire = {
      event_type: "run_start",
      thread_id: "t",
      run_id: "r",
      identity: { thread_id: "t", run_id: "r", agent_id: "a", origin: "user" }
    }
    const event = Result.getOrThrow(Awaken.decodeAgentEvent({ ...wire, parent_run_id: null, unknown: 1 }))
    assert.deepStrictEqual(event, {
      _tag: "RunStart",
      ...ids,
      identity: { ...ids, agentId: "a", origin: "user", runMode: "foreground", adapter: "internal" }
    })
    assert.deepStrictEqual(overJson(Awaken.encodeAgentEvent(event)), wire)
  })
})

const normalizedOf = (events: ReadonlyArray<AgentEvent.AgentEvent>) => {
  const normalizer = Effect.runSync(Normalizer.make({ ...ids, origin: "native", correlationId: "trace" }))
  return events.flatMap((event) => Result.getOrElse(normalizer.normalizeMany(withoutNulls(event)), () => []))
}

describe("the codecs of drafts, normalized events and facts", () => {
  it.effect.prop(
    "give back what they wrote",
    [Arbitraries.stream(ids)],
    ([events]) =>
      Effect.gen(function* () {
        const normalized = normalizedOf(events)
        for (const one of normalized) {
          const wire = overJson(Awaken.encodeNormalized(one))
          const decoded = Result.getOrThrow(Awaken.decodeNormalized(wire))
          assert.deepStrictEqual(decoded, one)
          assert.deepStrictEqual(
            Result.getOrThrow(Awaken.decodeDraft(Json.parse(Awaken.draftText(one.draft)))),
            one.draft
          )
        }
        const store = yield* EventStore.EventStore
        const { position } = { position: yield* store.count({ _tag: "Ledger" }) }
        yield* store.append(Result.getOrThrow(StagedEvent.make(normalized, { ordinal: 1, occurredAt: 5 })))
        const { facts } = yield* store.read({ scope: { _tag: "Ledger" } })
        for (const fact of facts.slice(position)) {
          const wire = overJson(Awaken.encodeFact(fact))
          assert.deepStrictEqual(Result.getOrThrow(Awaken.decodeFact(wire)), fact)
        }
      }).pipe(Effect.provide(MemoryEventStore.layer)),
    { arbitrary: { runs: 50 } }
  )

  it("give back facts whose payload is gone, and those that stand for several events", () => {
    const fact: CanonicalEvent.CanonicalEvent = {
      eventId: "00000000-0000-7000-8000-000000000001",
      kind: "ToolCallDone",
      fidelity: "committed_runtime_event",
      visibility: "public",
      runId: "r",
      runSequence: 3,
      position: 9,
      ordinal: 4,
      payload: { _tag: "ToolCallDone", id: "c", outcome: "failed", truncated: { bytes: 9, sha256: "0f" } },
      origin: "native",
      schemaVersion: 1,
      occurredAt: 5,
      recordedAt: 6
    }
    for (const one of [
      fact,
      { ...fact, payload: { id: "c", withheld: "not_json" } },
      { ...fact, payload: null, erased: true as const },
      { ...fact, kind: "TextDeltaObserved", lastOrdinal: 9, payload: { _tag: "TextDelta", delta: "x" } },
      {
        ...fact,
        kind: "MessageCommitted",
        payload: { role: "assistant", parts: [{ _tag: "Text", text: "x" }], messageId: "m", fromOrdinal: 2 }
      }
    ]) {
      assert.deepStrictEqual(Result.getOrThrow(Awaken.decodeFact(overJson(Awaken.encodeFact(one)))), one)
    }
  })

  const draft: CanonicalEvent.CanonicalEventDraft = {
    scopes: [{ _tag: "Run", runId: "r" }],
    kind: "MyKind",
    payload: { camelCase: 1, b: null },
    causationId: "cause",
    origin: "mine",
    visibility: "audit",
    schemaVersion: 3
  }

  it("leave the payload of an unknown kind alone", () => {
    const wire = {
      scopes: [{ scope_type: "run", run_id: "r" }],
      event_kind: "MyKind",
      payload: { camelCase: 1, b: null },
      causation_id: "cause",
      origin: "mine",
      visibility: "audit",
      schema_version: 3
    }
    assert.deepStrictEqual(overJson(Awaken.encodeDraft(draft)), wire)
    assert.deepStrictEqual(Result.getOrThrow(Awaken.decodeDraft(wire)), draft)
  })

  it("fill in what the seed fills in, and require what it requires", () => {
    const least = { scopes: [], event_kind: "MyKind", origin: "", schema_version: 1 }
    assert.deepStrictEqual(Result.getOrThrow(Awaken.decodeDraft(least)), {
      scopes: [],
      kind: "MyKind",
      payload: null,
      origin: "",
      visibility: "public",
      schemaVersion: 1
    })
    for (const key of ["scopes", "event_kind", "origin", "schema_version"]) {
      const { [key]: _, ...rest } = { ...least } as Record<string, unknown>
      const error = Result.getOrThrow(Result.flip(Awaken.decodeDraft(rest)))
      assert.include(error.message, `["${key}"]`)
    }
  })

  it("refuse a fact whose cursor is of another scope", () => {
    const wire = {
      event_id: "1",
      scopes: [{ scope_type: "run", run_id: "r" }],
      cursors_by_scope: [{ scope: { scope_type: "run", run_id: "r" }, cursor: "cur_mem_1" }],
      event_kind: "MyKind",
      payload: null,
      run_id: "r",
      origin: "mine",
      visibility: "public",
      schema_version: 1,
      created_at: 1,
      fidelity: "domain_event",
      position: 1,
      occurred_at: 1
    }
    const error = Result.getOrThrow(Result.flip(Awaken.decodeFact(wire)))
    assert.include(error.message, '["cursors_by_scope"]')
  })
})

describe("the codec of run contexts", () => {
  it("checks ids, or leaves them unchecked", () => {
    const wire = { thread_id: "t", run_id: " ", origin: "o" }
    assert.strictEqual(
      Result.getOrThrow(Result.flip(Awaken.decodeRunContext(wire))).message,
      "validation error: run_id is required"
    )
    const context = Result.getOrThrow(Awaken.decodeRunContextUnchecked({ ...wire, correlation_id: null }))
    assert.deepStrictEqual(context, { threadId: "t", runId: " ", origin: "o" })
    assert.deepStrictEqual(Awaken.encodeRunContext(context), wire)
    assert.include(Result.getOrThrow(Result.flip(Awaken.decodeRunContext({}))).message, '["thread_id"]')
  })
})
