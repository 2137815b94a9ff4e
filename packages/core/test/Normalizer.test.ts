import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, CanonicalEvent, Durability, Normalizer } from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Effect, Layer, Result } from "effect"

const ids = { threadId: "t", runId: "r" }
const context = { ...ids, origin: "native", correlationId: "trace" }
const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const finish = (tag: "NaturalEnd" | "Suspended" | "Cancelled"): AgentEvent.AgentEvent => ({
  _tag: "RunFinish",
  ...ids,
  termination: { _tag: tag }
})

const make = (options?: Normalizer.NormalizerOptions) => Effect.runSync(Normalizer.make(context, options))

const drafts = (
  normalizer: Normalizer.NormalizerShape,
  events: ReadonlyArray<AgentEvent.AgentEvent>,
  durability?: Durability.DurabilityMode
): ReadonlyArray<CanonicalEvent.NormalizedEvent> =>
  events.flatMap((event) => Result.getOrElse(normalizer.normalizeMany(event, durability), () => []))

const kinds = (normalized: ReadonlyArray<CanonicalEvent.NormalizedEvent>) => normalized.map(({ draft }) => draft.kind)

const runKinds = new Set(["RunFinished", "RunSuspended", "RunCancelled", "RunErrored", "RunTerminated"])

const compaction = (state: object): AgentEvent.AgentEvent => ({
  _tag: "StateSnapshot",
  snapshot: { extensions: { __context_compaction: JSON.parse(JSON.stringify(state)) } }
})

describe("Normalizer", () => {
  it.prop(
    "records at most one start and one end of a run",
    [Arbitrary.array(Arbitraries.agentEvent, { maxLength: 30 })],
    ([events]) => {
      const normalized = drafts(make(), [start, ...events, finish("NaturalEnd"), start, finish("Suspended")])
      const ofRun = (runId: string) =>
        kinds(
          normalized.filter(({ draft }) => {
            const payload = draft.payload as { readonly runId?: string }
            return payload.runId === runId
          })
        )
      for (const runId of new Set(events.flatMap((event) => ("runId" in event ? [event.runId] : [])).concat("r"))) {
        const seen = ofRun(runId)
        assert.isAtMost(seen.filter((kind) => kind === "RunStarted").length, 1)
        assert.isAtMost(seen.filter((kind) => runKinds.has(kind)).length, 1)
      }
      assert.strictEqual(ofRun("r").filter((kind) => runKinds.has(kind)).length, 1)
    },
    { arbitrary: { runs: 200 } }
  )

  it.prop(
    "keeps less with less durability, and what it keeps is the same",
    [Arbitraries.stream(ids)],
    ([events]) => {
      const kept = (mode: Durability.DurabilityMode) =>
        drafts(make(), events, mode).filter(({ fidelity }) => Durability.shouldPersist(mode, fidelity))
      const full = kept("full_fidelity")
      assert.deepStrictEqual(kept("disabled"), [])
      assert.deepStrictEqual(
        kept("compacted"),
        full.filter(({ fidelity }) => fidelity !== "observed_runtime_event")
      )
      assert.deepStrictEqual(full, drafts(make(), events))
    },
    { arbitrary: { runs: 100 } }
  )

  it("does no work for what policy drops", () => {
    const untouchable: AgentEvent.AgentEvent = {
      _tag: "TextDelta",
      get delta(): string {
        throw new Error("touched")
      }
    }
    assert.deepStrictEqual(make().normalizeMany(untouchable, "compacted"), Result.succeed([]))
  })

  it("gives the primary alone, or with its companions", () => {
    const suspended: AgentEvent.AgentEvent = {
      _tag: "ToolCallDone",
      id: "c",
      messageId: "m",
      outcome: "suspended",
      result: {
        toolName: "x",
        status: "pending",
        data: null,
        metadata: {},
        suspension: {
          suspension: { id: "p", action: "", message: "", parameters: null },
          pending: { id: "", name: "", arguments: null },
          resumeMode: "replay_tool_call"
        }
      }
    }
    const primary = Result.getOrThrow(make().normalize(suspended))
    assert.strictEqual(primary?.draft.kind, "ToolCallSuspended")
    assert.strictEqual(primary?.draft.correlationId, "trace")
    assert.deepStrictEqual(kinds(drafts(make(), [suspended])), ["ToolCallSuspended", "ToolPermissionRequested"])
    assert.isUndefined(
      Result.getOrThrow(
        [finish("NaturalEnd"), finish("NaturalEnd")].map(make().normalize).at(-1) ?? Result.succeed(undefined)
      )
    )
  })

  it("sees a compaction again that starts anew after the agent cleared its state", () => {
    const done = compaction({ total_compactions: 1, boundaries: [{ task_id: "a", summary: "s" }] })
    const normalized = drafts(make(), [
      compaction({ total_compactions: 0, in_flight: { task_id: "a" } }),
      done,
      done,
      compaction({ total_compactions: 0, in_flight: { task_id: "a" } }),
      done
    ])
    assert.deepStrictEqual(
      kinds(normalized).filter((kind) => kind.startsWith("ContextCompaction")),
      [
        "ContextCompactionStarted",
        "ContextCompactionCompleted",
        "ContextCompactionStarted",
        "ContextCompactionCompleted"
      ]
    )
    const observed = normalized.find(({ draft }) => draft.kind === "ContextCompactionCompleted")?.draft
    assert.deepStrictEqual(observed?.scopes, [{ _tag: "Thread", threadId: "t" }])
    assert.strictEqual(observed?.visibility, "internal")
    assert.isUndefined(observed?.correlationId)
    assert.notInclude(JSON.stringify(observed?.payload), '"s"')
  })

  it("swallows the finish after a suspension, as the seed does, unless it reopens runs", () => {
    const events = [start, finish("Suspended"), start, finish("NaturalEnd"), finish("NaturalEnd")]
    assert.deepStrictEqual(kinds(drafts(make(), events)), ["RunStarted", "RunSuspended", "RunResumed"])
    assert.deepStrictEqual(kinds(drafts(make({ reopen: true }), events)), [
      "RunStarted",
      "RunSuspended",
      "RunResumed",
      "RunFinished"
    ])
  })

  it("reopens a run that ended, for one finish more", () => {
    const events = [start, finish("NaturalEnd"), start, finish("Cancelled"), finish("NaturalEnd")]
    assert.deepStrictEqual(kinds(drafts(make({ reopen: true }), events)), [
      "RunStarted",
      "RunFinished",
      "RunResumed",
      "RunCancelled"
    ])
  })

  it("takes a negative zero in the agent's compaction state for no count, as the seed does", () => {
    const snapshot = { extensions: { __context_compaction: { skipped: [{ pre_tokens: -0, post_tokens: 0 }] } } }
    const [, skipped] = drafts(make(), [{ _tag: "StateSnapshot", snapshot }])
    assert.deepStrictEqual(skipped?.draft.payload, { threadId: "t", skipIndex: 0, reason: "unknown", postTokens: 0 })
  })

  it("counts the run of its context as started when it is resumed", () => {
    assert.deepStrictEqual(kinds(drafts(make({ resumed: true }), [start])), ["RunResumed"])
  })

  it("takes normalizeMany from normalize when there is only that", () => {
    const { normalize } = make()
    const derived = Normalizer.fromNormalize(normalize)
    assert.deepStrictEqual(kinds(drafts(derived, [start, finish("NaturalEnd"), finish("NaturalEnd")])), [
      "RunStarted",
      "RunFinished"
    ])
    const failing = Normalizer.fromNormalize((event) =>
      make().normalize({ ...start, ...event, threadId: " " } as never)
    )
    assert.isTrue(Result.isFailure(failing.normalizeMany(start)))
  })

  it.effect("refuses a context that is not valid, as a layer", () =>
    Effect.gen(function* () {
      const error = yield* Layer.build(Normalizer.layer({ ...context, runId: "" })).pipe(Effect.scoped, Effect.flip)
      assert.strictEqual(error.message, "validation error: run_id is required")
    })
  )
})
