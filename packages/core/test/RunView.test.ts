import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  CanonicalEvent,
  Durability,
  EventStore,
  Json,
  type Lifecycle,
  Normalizer,
  RunView,
  type Tool
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { assemble, type Assembly, initial } from "../src/internal/assemble.ts"

const ids = { threadId: "t", runId: "r" }
const at = 1_750_000_000_000

const fact = (
  kind: CanonicalEvent.Kind,
  payload: object | null,
  more: Partial<CanonicalEvent.CanonicalEvent> = {}
): CanonicalEvent.CanonicalEvent => ({
  eventId: "00000000-0000-7000-8000-000000000001",
  kind,
  fidelity: "committed_runtime_event",
  visibility: "public",
  ...ids,
  position: 1,
  payload: Json.parse(JSON.stringify(payload)) as Schema.Json,
  origin: "native",
  schemaVersion: 1,
  occurredAt: at,
  recordedAt: at,
  ...more
})

/** The facts of a run, of which an event comes every millisecond: as the seed keeps them, or with whole messages. */
const ledger = (
  events: ReadonlyArray<AgentEvent.AgentEvent>,
  {
    after = 0,
    messages = true,
    mode = "full_fidelity"
  }: { after?: number; messages?: boolean; mode?: Durability.DurabilityMode } = {}
): ReadonlyArray<CanonicalEvent.CanonicalEvent> => {
  const normalizer = Effect.runSync(Normalizer.make({ ...ids, origin: "native" }, { reopen: true }))
  let assembly: Assembly = initial
  let runSequence = 0
  return events.flatMap((event, index) => {
    const ordinal = after + index + 1
    const placed = (kind: CanonicalEvent.Kind, payload: unknown, scope: object = ids) => {
      const { runId: _, threadId: __, ...rest } = fact(kind, Object(payload))
      return { ...rest, ...scope, ordinal, occurredAt: at + ordinal, runSequence: (runSequence += 1) }
    }
    const [next, message] = assemble(assembly, event, { ordinal, position: undefined })
    assembly = next
    return [
      ...(message === undefined || !messages ? [] : [placed("MessageCommitted", message)]),
      ...Result.getOrThrow(normalizer.normalizeMany(event))
        .filter(({ fidelity }) => Durability.shouldPersist(mode, fidelity))
        .map(({ draft }) => placed(draft.kind, draft.payload, CanonicalEvent.scopeIds(draft.scopes)))
    ]
  })
}

const view = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) => RunView.fromFacts("r", facts)

/** All that can be asked of a view. */
const asked = ({ fold, ...view }: RunView.RunView) => ({
  ...view,
  calls: RunView.calls({ ...view, fold }),
  current: RunView.current({ ...view, fold })
})

const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const finish = (termination: Lifecycle.TerminationReason): typeof AgentEvent.RunFinish.Type => ({
  _tag: "RunFinish",
  ...ids,
  termination
})
const natural = finish({ _tag: "NaturalEnd" })
const text = (delta: string): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta })
const step = (messageId: string): AgentEvent.AgentEvent => ({ _tag: "StepStart", messageId })
const inference: typeof AgentEvent.InferenceComplete.Type = { _tag: "InferenceComplete", model: "m", durationMs: 5 }
const call = (id: string, name = "build"): AgentEvent.AgentEvent => ({ _tag: "ToolCallStart", id, name })
const ready = (id: string, name = "build"): AgentEvent.AgentEvent => ({
  _tag: "ToolCallReady",
  id,
  name,
  arguments: { of: id }
})
const output = (id: string, delta: string): AgentEvent.AgentEvent => ({
  _tag: "ToolCallStreamDelta",
  id,
  name: "build",
  delta
})
const reset: AgentEvent.AgentEvent = { _tag: "StreamReset", reason: "again" }
const done = (id: string, result: Tool.ToolResult, outcome: Tool.ToolCallOutcome): AgentEvent.AgentEvent => ({
  _tag: "ToolCallDone",
  id,
  messageId: "m",
  result,
  outcome
})
const success: Tool.ToolResult = { toolName: "build", status: "success", data: 7, metadata: {} }
const asks = (id: string, suspensionId = `perm_${id}`) =>
  done(
    id,
    {
      toolName: "build",
      status: "pending",
      data: null,
      suspension: {
        suspension: { id: suspensionId, action: "tool:Confirm", message: "may it?", parameters: { of: id } },
        pending: { id: suspensionId, name: "confirm", arguments: null },
        resumeMode: "replay_tool_call"
      },
      metadata: {}
    },
    "suspended"
  )

type Fact = CanonicalEvent.CanonicalEvent

const textOf = (fact: Fact): string =>
  String(Reflect.get(Object(fact.payload), fact.kind === "ToolCallDeltaObserved" ? "argsDelta" : "delta"))

/** Which deltas are one text; undefined for what is no delta. */
const keyOf = ({ kind, payload }: Fact): string | undefined => {
  switch (kind) {
    case "TextDeltaObserved":
    case "ReasoningDeltaObserved":
      return kind
    case "ToolCallDeltaObserved":
    case "ToolCallStreamDeltaObserved":
      return `${kind} ${String(Reflect.get(Object(payload), "id"))}`
    default:
      return undefined
  }
}

/** One fact of many deltas, up to the next other fact or to one of the cuts. */
const coalesce = (facts: ReadonlyArray<Fact>, cuts: ReadonlySet<number>): ReadonlyArray<Fact> => {
  const out: Array<Fact> = []
  let open: Array<Fact> = []
  const close = () => {
    out.push(...open)
    open = []
  }
  for (const [index, fact] of facts.entries()) {
    const key = keyOf(fact)
    const spoken = open.find(({ kind }) => kind === "TextDeltaObserved" || kind === "ReasoningDeltaObserved")
    const turns = !key?.startsWith("ToolCall") && spoken !== undefined && spoken.kind !== fact.kind
    if (key === undefined || turns || cuts.has(index)) {
      close()
    }
    const row = open.findIndex((other) => keyOf(other) === key)
    const before = open[row]
    if (key === undefined) {
      out.push(fact)
    } else if (before === undefined) {
      open.push(fact)
    } else {
      const joined = textOf(before) + textOf(fact)
      const delta = fact.kind === "ToolCallDeltaObserved" ? { argsDelta: joined } : { delta: joined }
      open[row] = {
        ...before,
        payload: { ...Object(before.payload), ...delta },
        ...(fact.ordinal === undefined ? {} : { lastOrdinal: fact.ordinal })
      }
    }
  }
  close()
  return out
}

const cuts = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))), { maxLength: 5 }),
  (cuts) => new Set(cuts)
)
const place = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120 })))
const stream = Arbitraries.stream(ids)

const inThread = (kind: CanonicalEvent.Kind, payload: object): Fact => {
  const { runId: _, ...rest } = fact(kind, payload)
  return rest
}

/** What may stand between the facts of an agent's events. */
const beside: ReadonlyArray<Fact> = [
  fact("RunStarted", { parentRunId: "r" }, { runId: "child" }),
  fact("MessageCommitted", { role: "user", parts: [{ _tag: "Text", text: "go on" }] }),
  fact("RunInterrupted", { ...ids, openCalls: [{ id: "id-1", name: "build", executing: true }] }),
  fact("CaptureGap", { reason: "overload", events: 3, tags: {}, firstOrdinal: 2, lastOrdinal: 6 }),
  fact("RunStarted", { parentRunId: "r" }, { runId: "other" }),
  fact("RunResumed", start),
  inThread("ContextCompactionStarted", { taskId: "task" }),
  fact("MessageCommitted", { role: "assistant", parts: [{ _tag: "Text", text: "so" }], fromOrdinal: 2 }),
  inThread("ContextCompactionCompleted", { taskId: "task" }),
  fact("RunErrored", {}, { runId: "child" })
]

describe("a view", () => {
  it.prop(
    "of a coalesced ledger is that of one with a fact for each delta, wherever it stops",
    [stream, cuts, place],
    ([events, cuts, length]) => {
      const facts = ledger(events).slice(0, Math.max(length, 1))
      const joined = coalesce(facts, cuts)
      // A fact of many deltas occurred when its first did.
      const same = (facts: ReadonlyArray<Fact>) => {
        const { facts: _, lastSequence: __, updatedAt: ___, ...rest } = asked(view(facts))
        return rest
      }
      assert.deepStrictEqual(same(joined), same(facts))
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "can be folded in pieces, and one that was folded further stays as it was",
    [stream, place],
    ([events, length]) => {
      const facts = ledger(events)
      const early = view(facts.slice(0, length))
      const before = structuredClone(asked(early))
      assert.deepStrictEqual(asked(facts.slice(length).reduce(RunView.push, early)), asked(view(facts)))
      assert.deepStrictEqual(asked(early), before)
    },
    { arbitrary: { runs: 200 } }
  )

  it.prop(
    "is the same whether it is read after each fact or late, and whatever else its facts were followed by",
    [stream, place],
    ([events, length]) => {
      const told = ledger(events).slice(0, 40)
      // Told again in part, so that messages take the place of others and calls begin anew.
      const facts = [...told, ...told.slice(length)].flatMap((fact, index) => [
        fact,
        beside[index % beside.length] ?? fact
      ])
      const prefixes = (read: (view: RunView.RunView) => void) => {
        let seen = RunView.empty("r")
        return facts.map((fact) => {
          const before = seen
          seen = RunView.push(before, fact)
          read(seen)
          // The view that goes another way has what it would have without this one.
          return [seen, beside.reduce(RunView.push, before)] as const
        })
      }
      const shown: Array<object> = []
      const readEarly = prefixes((view) => shown.push(structuredClone(asked(view))))
      const readLate = prefixes(() => undefined)
      const others = (views: typeof readLate) => views.toReversed().map(([, other]) => asked(other))
      assert.deepStrictEqual(others(readLate), others(readEarly))
      for (const views of [readLate, readEarly]) {
        assert.deepStrictEqual(
          views.map(([view]) => asked(view)),
          shown
        )
      }
      const [whole, other] = readLate[length] ?? [view(facts), view([...facts, ...beside])]
      assert.deepStrictEqual(asked(view(facts.slice(0, length + 1))), asked(whole))
      assert.deepStrictEqual(asked(view([...facts.slice(0, length), ...beside])), asked(other))
    },
    { arbitrary: { runs: 30 } }
  )

  it.prop(
    "has the same messages in every ledger that has them: from the seed's deltas, or committed, with and without deltas",
    [stream],
    ([events]) => {
      const full = view(ledger(events))
      assert.deepStrictEqual(view(ledger(events, { messages: false })).messages, full.messages)
      assert.deepStrictEqual(view(ledger(events, { mode: "compacted" })).messages, full.messages)
      assert.isUndefined(RunView.current(full))
    },
    { arbitrary: { runs: 300 } }
  )

  it.prop(
    "tells of calls in a compacted ledger what it does in a full one, but for what they put out",
    [stream],
    ([events]) => {
      const ends = (mode: Durability.DurabilityMode) =>
        RunView.calls(view(ledger(events, { mode })))
          .map((call) => {
            const { output: _, since: __, startedAt: ___, ...rest } = call
            return rest
          })
          .toSorted((a, b) => a.id.localeCompare(b.id))
      assert.deepStrictEqual(ends("compacted"), ends("full_fidelity"))
    },
    { arbitrary: { runs: 300 } }
  )

  it.prop(
    "stands where the store's index does",
    [stream, place],
    ([events, length]) => {
      const facts = ledger(events).slice(0, length)
      const last = facts.flatMap(
        ({ kind, payload }) => EventStore.statusAfter({ kind, payload: JSON.stringify(payload) }) ?? []
      )
      const { doneReason, status } = view(facts)
      assert.deepStrictEqual({ status, doneReason }, last.at(-1) ?? { status: "created", doneReason: undefined })
    },
    { arbitrary: { runs: 200 } }
  )

  it.prop(
    "waits for the permissions that were requested and not resolved, and for no others",
    [stream, place],
    ([events, length]) => {
      const facts = ledger(events).slice(0, length)
      const pending = new Map<string, number>()
      for (const { kind, occurredAt, payload } of facts) {
        const { id, targetId } = Object(payload)
        if (kind === "ToolPermissionRequested") {
          pending.set(id, occurredAt)
        } else if (/^ToolCall(?:Done|Suspended|Rejected|TimedOut|Resumed|Cancelled)$/.test(kind)) {
          pending.delete(id ?? targetId)
        }
      }
      assert.deepStrictEqual(
        new Map(view(facts).permissions.map(({ callId, requestedAt }) => [callId, requestedAt])),
        pending
      )
    },
    { arbitrary: { runs: 300 } }
  )
})

const remnant = (payload: unknown) => ({
  ...Object.fromEntries(
    Object.entries(Object(payload)).filter(([key]) =>
      ["_tag", "id", "targetId", "messageId", "name", "outcome", "role", "termination"].includes(key)
    )
  ),
  truncated: { bytes: 9, sha256: "00" }
})

const withRemnant = (fact: Fact): Fact => ({ ...fact, payload: remnant(fact.payload) })

describe("payloads that are not what their kind says", () => {
  const kinds = [...Object.keys(CanonicalEvent.payloads), "app.note"]
  const anyFact = Arbitrary.all([
    Arbitrary.schema(Schema.Literals(kinds)),
    Arbitraries.agentEvent,
    Arbitrary.schema(Schema.Json),
    Arbitrary.schema(Schema.Literals(["event", "json", "remnant", "erased", "newer"])),
    Arbitrary.schema(Schema.Literals(["r", "other", ""]))
  ]).pipe(
    Arbitrary.map(([kind, event, json, what, runId]): Fact => {
      const { runId: _, ...made } = fact(kind, what === "remnant" ? remnant(event) : event)
      return {
        ...made,
        ...(runId === "" ? {} : { runId }),
        ...(what === "json" ? { payload: json } : {}),
        ...(what === "erased" ? { erased: true, payload: null } : {}),
        schemaVersion: what === "newer" ? 2 : 1
      }
    })
  )

  it.prop(
    "never throw",
    [Arbitrary.array(anyFact, { maxLength: 40 })],
    ([facts]) => {
      const own = facts.filter(({ runId }) => runId === "r")
      const seen = asked(view(facts))
      assert.strictEqual(seen.facts, own.length)
      assert.strictEqual(seen.inferences, own.filter(({ kind }) => kind === "InferenceComplete").length)
      assert.lengthOf(seen.errors, own.filter(({ kind }) => kind === "ErrorRecorded").length)
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "leave status, steps, calls and their outcomes as they are, when only ids were kept",
    [stream],
    ([events]) => {
      const facts = ledger(events)
      const kept = (facts: ReadonlyArray<Fact>) => {
        const { calls, doneReason, inferences, permissions, status, steps } = asked(view(facts))
        return {
          status,
          doneReason: doneReason?.replace(/:.*/, ""),
          steps,
          inferences,
          permissions: permissions.map(({ callId, requestedAt }) => [callId, requestedAt]),
          calls: calls.map(({ id, name, since, startedAt, state }) => ({ id, name, since, startedAt, state }))
        }
      }
      assert.deepStrictEqual(kept(facts.map(withRemnant)), kept(facts))
      assert.deepStrictEqual(kept(facts.map((fact) => ({ ...fact, schemaVersion: 2 }))), kept(facts))
    },
    { arbitrary: { runs: 200 } }
  )

  it("of a message leave its role, and what was put together of it", () => {
    const facts = ledger([start, step("m"), text("a"), inference]).map((fact) =>
      fact.kind === "MessageCommitted" ? withRemnant(fact) : fact
    )
    const [message, ...others] = view(facts).messages
    assert.deepInclude(message, { role: "assistant", lost: true, parts: [{ _tag: "Text", text: "a" }], messageId: "m" })
    assert.isEmpty(others)
    const user = fact("MessageCommitted", remnant({ role: "user" }))
    assert.deepInclude(view([...facts, user]).messages[1], { role: "user", lost: true, parts: [] })
    assert.isEmpty(view([{ ...user, payload: null, erased: true }]).messages)
  })
})

describe("messages", () => {
  const facts = ledger([start, step("m"), text("Hel"), text("lo"), inference, natural])
  const [started, stepped, hel, lo, message, inferred] = facts
  const spoken = [started, stepped, hel, lo].flatMap((fact) => fact ?? [])
  const committed = (more: object): Fact =>
    fact("MessageCommitted", { role: "assistant", parts: [{ _tag: "Text", text: "Hello" }], ...more }, { ordinal: 9 })

  it("are current until they are committed, and then among the others, once", () => {
    assert.deepEqual<object | undefined>(RunView.current(view(spoken)), {
      role: "assistant",
      parts: [{ _tag: "Text", text: "Hello" }],
      messageId: "m",
      step: 1,
      fromOrdinal: 2
    })
    assert.isEmpty(view(spoken).messages)
    assert.isDefined(message)
    const after = RunView.push(view(spoken), message)
    assert.isUndefined(RunView.current(after))
    assert.isDefined(inferred)
    for (const seen of [after, RunView.push(after, inferred), view(facts)]) {
      assert.deepEqual<ReadonlyArray<object>>(seen.messages, [
        {
          role: "assistant",
          parts: [{ _tag: "Text", text: "Hello" }],
          messageId: "m",
          step: 1,
          fromOrdinal: 2,
          ordinal: 5,
          occurredAt: at + 5
        }
      ])
    }
  })

  it("of others do not end what the model is saying", () => {
    for (const other of [committed({ role: "user" }), committed({}), withRemnant(committed({ role: "user" }))]) {
      const after = view([...spoken, other])
      assert.deepStrictEqual(RunView.current(after), RunView.current(view(spoken)))
      assert.lengthOf(after.messages, 1)
    }
  })

  it("end what is left of them where first deltas were shed", () => {
    const after = view([...spoken.slice(3), committed({ fromOrdinal: 2, step: 4 })])
    assert.isUndefined(RunView.current(after))
    assert.strictEqual(after.steps, 4)
    const next = RunView.current(view([...spoken, committed({ fromOrdinal: 3 })]))
    assert.isDefined(next, "a later message does not end an earlier one")
  })

  it("that broke off are replaced by the whole one that the producer sends again, where they stood", () => {
    const partial = committed({ fromOrdinal: 2, partial: true })
    const user = committed({ role: "user" })
    const broken = view([...spoken, partial, fact("RunInterrupted", { ...ids, openCalls: [] }), user])
    assert.deepStrictEqual(
      broken.messages.map(({ partial, role }) => [role, partial]),
      [
        ["assistant", true],
        ["user", undefined]
      ]
    )
    const again = RunView.push(broken, committed({ fromOrdinal: 2 }))
    assert.deepStrictEqual(
      again.messages.map(({ partial, role }) => [role, partial]),
      [
        ["assistant", undefined],
        ["user", undefined]
      ]
    )
  })

  it("that nobody committed are said in part when the run is interrupted or cut short", () => {
    const cut = ledger([text("a"), finish({ _tag: "Cancelled" }), start, text("b"), natural], { messages: false })
    assert.deepStrictEqual(
      view(cut).messages.map(({ partial }) => partial),
      [true, undefined]
    )
    const broken = view([...spoken, fact("RunInterrupted", { ...ids, openCalls: [] })])
    assert.isUndefined(RunView.current(broken))
    assert.deepInclude(broken.messages[0], { partial: true, fromOrdinal: 2 })
    assert.deepStrictEqual(
      view([...spoken, fact("RunInterrupted", { ...ids, openCalls: [] }), ...spoken, ...facts.slice(5)]).messages.map(
        ({ partial }) => partial
      ),
      [undefined]
    )
  })

  it("stay apart where facts have no ordinals", () => {
    const events = [text("a"), inference, text("b"), inference]
    const facts = ledger(events, { messages: false }).map((fact) => {
      const { ordinal: _, ...rest } = fact
      return rest
    })
    assert.lengthOf(view(facts).messages, 2)
  })
})

describe("tool calls", () => {
  const states = (...facts: ReadonlyArray<Fact>) => {
    const all: Array<string | undefined> = []
    let seen = RunView.empty("r")
    for (const fact of facts) {
      seen = RunView.push(seen, fact)
      all.push(RunView.call(seen, "1")?.state)
    }
    return all
  }
  const executing = fact("ToolCallExecuting", { id: "1", name: "build" })
  const ended = (result: Partial<Tool.ToolResult>, outcome: Tool.ToolCallOutcome) =>
    done("1", { ...success, ...result }, outcome)

  it("go through their states", () => {
    const facts = ledger([call("1"), ready("1"), asks("1"), { _tag: "ToolCallResumed", targetId: "1", result: true }])
    assert.deepStrictEqual(states(...facts, executing, ...ledger([ended({}, "succeeded")])), [
      "streaming",
      "ready",
      "suspended",
      "suspended",
      "resumed",
      "executing",
      "succeeded"
    ])
    for (const [event, state] of [
      [ended({}, "failed"), "failed"],
      [ended({ metadata: { rejected: true } }, "failed"), "rejected"],
      [ended({ metadata: { timed_out: true } }, "failed"), "timed_out"],
      [{ _tag: "ToolCallCancel", id: "1", name: "build", reason: "no" }, "cancelled"]
    ] as const) {
      assert.deepStrictEqual(states(...ledger([call("1"), event])), ["streaming", state])
    }
  })

  it("have what is known of them", () => {
    const result = { toolName: "build", status: "success", data: [1], metadata: {} } as const
    const seen = view(
      ledger([call("1"), ready("1"), output("1", "a"), output("1", "b"), done("1", result, "succeeded")])
    )
    assert.deepStrictEqual(RunView.calls(seen), [
      {
        id: "1",
        name: "build",
        state: "succeeded",
        arguments: { of: "1" },
        result,
        suspensionId: undefined,
        decision: undefined,
        approval: undefined,
        reason: undefined,
        output: "ab",
        startedAt: at + 1,
        since: at + 5
      }
    ])
    assert.deepStrictEqual(RunView.calls(seen).filter(RunView.isOpen), [])
  })

  it("run when they put something out, unless they wait", () => {
    assert.deepStrictEqual(states(...ledger([ready("1"), output("1", "a")])), ["ready", "executing"])
    assert.deepStrictEqual(states(...ledger([asks("1"), output("1", "a")])), ["suspended", "suspended", "suspended"])
    assert.deepStrictEqual(states(...ledger([output("1", "a")])), ["executing"])
  })

  it("keep their name, and do not end well, where a fact does not say so", () => {
    const later = (kind: string, payload: object) => fact(kind, { id: "1", ...payload }, { schemaVersion: 2 })
    const seen = view([...ledger([call("1")]), later("ToolCallExecuting", {}), later("ToolCallDone", { ended: "ok" })])
    assert.deepInclude(RunView.call(seen, "1"), { name: "build", state: "unknown", result: undefined })
  })

  it("are found by their suspension too, and resumed by it", () => {
    const seen = view(ledger([asks("1"), { _tag: "ToolCallResumed", targetId: "perm_1", result: { ok: true } }]))
    assert.deepInclude(RunView.call(seen, "perm_1"), { id: "1", state: "resumed", decision: { ok: true } })
    assert.isUndefined(RunView.call(seen, "2"))
    assert.lengthOf(RunView.calls(seen), 1)
  })

  it("that were only streaming go away with the turn that is reset, and no others", () => {
    const seen = view(ledger([call("0"), inference, step("m"), call("1"), call("2"), ready("2"), call("3"), reset]))
    assert.deepStrictEqual(
      RunView.calls(seen).map(({ id, state }) => [id, state]),
      [
        ["0", "streaming"],
        ["2", "ready"]
      ]
    )
    const again = ledger([call("3"), call("1")]).reduce(RunView.push, seen)
    assert.deepStrictEqual(
      RunView.calls(again).map(({ id }) => id),
      ["0", "2", "3", "1"]
    )
  })

  it("begin anew when their id is used again", () => {
    const seen = view(ledger([ready("1"), output("1", "a"), ended({}, "succeeded"), call("1", "lint")]))
    assert.deepInclude(RunView.call(seen, "1"), { name: "lint", state: "streaming", output: "", result: undefined })
  })

  it("are unknown when they were executing as the run was interrupted", () => {
    const openCalls = [
      { id: "1", name: "build", executing: true },
      { id: "2", name: "lint", executing: false },
      { id: "9", name: "pruned", executing: true }
    ]
    const facts = ledger([start, ready("1"), ready("2", "lint"), ready("3"), output("3", "a")])
    const seen = view([...facts, fact("RunInterrupted", { ...ids, openCalls })])
    assert.deepStrictEqual(
      RunView.calls(seen).map(({ name, state }) => [name, state]),
      [
        ["build", "unknown"],
        ["lint", "ready"],
        ["build", "unknown"],
        ["pruned", "unknown"]
      ]
    )
    assert.deepInclude(asked(seen), { status: "done", doneReason: "interrupted" })
  })
})

describe("permissions", () => {
  const requested = ledger([start, ready("1"), asks("1"), ready("2"), asks("2"), finish({ _tag: "Suspended" })])
  const pending = (...more: ReadonlyArray<Fact>) =>
    view([...requested, ...more]).permissions.map(({ callId }) => callId)
  const resolved = (payload: object) => fact("ToolPermissionResolved", { approved: true, ...payload })

  it("have what a person must know to answer", () => {
    assert.deepStrictEqual(view(requested).permissions[0], {
      callId: "1",
      suspensionId: "perm_1",
      toolName: "build",
      action: "tool:Confirm",
      message: "may it?",
      parameters: { of: "1" },
      requestedAt: at + 3
    })
    assert.deepStrictEqual(pending(), ["1", "2"])
  })

  it("that were decided are told by the call, until its tool runs", () => {
    const approvalOf = (...more: ReadonlyArray<Fact>) => RunView.call(view([...requested, ...more]), "1")?.approval
    const decided = resolved({ id: "1", suspensionId: "perm_1", decisionId: "d", reason: "looks good" })
    const executing = fact("ToolCallExecuting", { id: "1", name: "build" })
    const died = fact("RunInterrupted", { threadId: "t", runId: "r", openCalls: [] })
    assert.isUndefined(approvalOf())
    assert.deepStrictEqual(approvalOf(decided), { approved: true, reason: "looks good" })
    assert.deepStrictEqual(approvalOf(decided, died)?.approved, true)
    assert.isUndefined(approvalOf(decided, executing))
    assert.isUndefined(approvalOf(decided, executing, died))
    assert.deepStrictEqual(approvalOf(decided, executing, died, decided)?.approved, true)
  })

  it("stay when the run goes on or is interrupted, until they are answered", () => {
    assert.deepStrictEqual(pending(fact("RunInterrupted", { ...ids, openCalls: [] })), ["1", "2"])
    assert.deepStrictEqual(pending(...ledger([start])), ["1", "2"])
    for (const answer of [
      resolved({ id: "1" }),
      resolved({ id: "1", suspensionId: "perm_1" }),
      fact("ToolCallResumed", { _tag: "ToolCallResumed", targetId: "1", result: null }),
      fact("ToolCallResumed", { _tag: "ToolCallResumed", targetId: "perm_1", result: null }),
      ...ledger([{ _tag: "ToolCallCancel", id: "1", name: "build", reason: "" }, done("1", success, "succeeded")])
    ]) {
      assert.deepStrictEqual(pending(answer), ["2"], JSON.stringify(answer.payload))
    }
  })

  it("are not answered by an answer to another question of the call", () => {
    assert.deepStrictEqual(pending(resolved({ id: "1", suspensionId: "perm_0" })), ["1", "2"])
    const again = ledger([asks("1", "perm_again")])
    assert.deepStrictEqual(pending(...again), ["2", "1"])
    assert.deepStrictEqual(pending(...again, resolved({ id: "1", suspensionId: "perm_1" })), ["2", "1"])
    const requests = [...requested, ...again].filter(({ kind }) => kind === "ToolPermissionRequested")
    assert.deepStrictEqual(
      view(requests).permissions.map(({ suspensionId }) => suspensionId),
      ["perm_2", "perm_again"],
      "a reader of the requests alone"
    )
  })
})

describe("the rest of a run", () => {
  it("is what it cost, and how it ended", () => {
    const usage = (usage: object): AgentEvent.AgentEvent => ({ ...inference, usage })
    const seen = view(
      ledger([
        { ...start, parentRunId: "p" },
        usage({ promptTokens: 10, completionTokens: 2, cacheReadTokens: 4, thinkingTokens: 1 }),
        usage({ promptTokens: 20, totalTokens: 50, cacheCreationTokens: 3 }),
        inference,
        { _tag: "Error", message: "m", code: "c" },
        { ...natural, result: { response: "ok" } }
      ])
    )
    assert.deepStrictEqual(seen.tokens, {
      promptTokens: 30,
      completionTokens: 2,
      totalTokens: 62,
      cacheReadTokens: 4,
      cacheCreationTokens: 3,
      thinkingTokens: 1
    })
    assert.deepInclude(asked(seen), {
      threadId: "t",
      parentRunId: "p",
      status: "done",
      doneReason: "natural",
      termination: { _tag: "NaturalEnd" },
      result: { response: "ok" },
      inferences: 3,
      modelMs: 15,
      startedAt: at + 1,
      updatedAt: at + 6,
      facts: 6,
      lastSequence: 6,
      lastOrdinal: 6
    })
    assert.deepStrictEqual(seen.errors, [{ message: "m", code: "c", occurredAt: at + 5 }])
    const { threadId: _, ...unthreaded } = fact("RunResumed", start)
    const goesOn = RunView.push(seen, unthreaded)
    assert.deepInclude(asked(goesOn), {
      threadId: "t",
      parentRunId: "p",
      status: "running",
      doneReason: undefined,
      termination: undefined
    })
  })

  it("are its gaps", () => {
    const gap = { reason: "overload", events: 3, tags: { TextDelta: 3 }, firstOrdinal: 2, lastOrdinal: 6 }
    const seen = view([fact("CaptureGap", gap, { ordinal: 2, lastOrdinal: 6 })])
    assert.deepEqual<ReadonlyArray<object>>(seen.gaps, [{ ...gap, occurredAt: at }])
    assert.strictEqual(seen.lastOrdinal, 6)
  })

  it("are the compactions that its thread tells of while it is running", () => {
    const task = { threadId: "t", taskId: "task-1", boundaryMessageId: "m" }
    const { runId: _, ...began } = fact("ContextCompactionStarted", { ...task, startedAtMs: 1 })
    const { runId: __, ...completed } = fact("ContextCompactionCompleted", {
      ...task,
      boundaryIndex: 0,
      compactionOrdinal: 1,
      totalCompactions: 1,
      preTokens: 100,
      postTokens: 20,
      timestampMs: 2,
      summaryHash: "00"
    })
    const failed = { ...began, kind: "ContextCompactionFailed", payload: { threadId: "t", error: "no summary" } }
    const running = ledger([start])
    const told = (...facts: ReadonlyArray<Fact>) =>
      view(facts).compactions.map(({ postTokens, reason, state, taskId }) => [state, taskId, postTokens, reason])
    assert.deepStrictEqual(told(...running, began), [["started", "task-1", undefined, undefined]])
    assert.deepStrictEqual(told(...running, began, completed, failed), [
      ["completed", "task-1", 20, undefined],
      ["failed", undefined, undefined, "no summary"]
    ])
    const other = { ...completed, payload: { threadId: "t", taskId: "task-2", postTokens: 9 } }
    assert.deepStrictEqual(told(...running, began, other, { ...began, payload: null }, failed), [
      ["started", "task-1", undefined, undefined],
      ["completed", "task-2", 9, undefined],
      ["started", undefined, undefined, undefined],
      ["failed", undefined, undefined, "no summary"]
    ])
    assert.deepStrictEqual(told(began, ...running, { ...began, threadId: "u" }, ...ledger([natural]), began), [])
    assert.strictEqual(view([...running, began]).facts, 1)
  })

  it("are the runs that it started", () => {
    const of = (runId: string, kind: string, payload: object = {}) => fact(kind, payload, { runId })
    const identity = { ...ids, agentId: "a", parentRunId: "r", parentToolCallId: "1" }
    const seen = view([
      ...ledger([start]),
      of("child", "RunStarted", { parentRunId: "r" }),
      of("agent", "RunStarted", { identity }),
      of("stranger", "RunStarted", { parentRunId: "q" }),
      of("child", "ErrorRecorded", {}),
      of("child", "RunErrored", { termination: { _tag: "Error", message: "m" } }),
      of("stranger", "RunFinished", { termination: { _tag: "NaturalEnd" } }),
      of("unseen", "RunFinished", { termination: { _tag: "NaturalEnd" }, identity })
    ])
    assert.deepStrictEqual(seen.children, [
      { runId: "child", threadId: "t", callId: undefined, status: "done", doneReason: "error", startedAt: at },
      { runId: "agent", threadId: "t", callId: "1", status: "running", doneReason: undefined, startedAt: at }
    ])
    assert.deepInclude(asked(seen), { status: "running", facts: 1, errors: [] })
    const again = RunView.push(seen, of("child", "RunResumed"))
    assert.strictEqual(again.children[0]?.status, "running")
  })
})

describe("one step more", () => {
  /** How many items the methods of arrays, and copies of arrays, go through meanwhile; loops by an index do not count. */
  const itemsOf = (body: () => void): number => {
    const prototype: object = Array.prototype
    let items = 0
    const methods = Reflect.ownKeys(prototype).flatMap((key) => {
      const { value, ...rest } = Reflect.getOwnPropertyDescriptor(prototype, key) ?? {}
      const goesThrough = typeof value === "function" && !["constructor", "at", "push", "pop"].includes(String(key))
      return goesThrough ? [{ key, value, rest }] : []
    })
    for (const { key, rest, value } of methods) {
      Object.defineProperty(prototype, key, {
        ...rest,
        value(this: ReadonlyArray<unknown>, ...args: ReadonlyArray<unknown>) {
          items += this.length
          return Reflect.apply(value, this, args)
        }
      })
    }
    try {
      body()
    } finally {
      for (const { key, rest, value } of methods) {
        Object.defineProperty(prototype, key, { ...rest, value })
      }
    }
    return items
  }

  /** All that may come in a step, and more. */
  const stepOf = (index: number): ReadonlyArray<Fact> => {
    const id = String(index)
    const events = [
      step(id),
      text("a"),
      call(`voided ${id}`),
      reset,
      ready(id),
      inference,
      asks(id),
      finish({ _tag: "Suspended" }),
      start,
      output(id, "a"),
      done(id, success, "succeeded"),
      { _tag: "Error", message: "m" } as const
    ]
    return [
      ...ledger(events, { messages: false, after: index * events.length }),
      fact("CaptureGap", { reason: "overload", events: 1, tags: {}, firstOrdinal: 1, lastOrdinal: 1 }),
      inThread("ContextCompactionStarted", { taskId: id }),
      inThread("ContextCompactionCompleted", { taskId: id }),
      fact("RunStarted", { parentRunId: "r" }, { runId: `child ${id}` }),
      fact("RunErrored", {}, { runId: `child ${id}` })
    ]
  }
  const after = (steps: number) => view(Array.from({ length: steps }, (_, index) => stepOf(index)).flat())

  it("goes through no more items after a thousand steps than after ten", () => {
    const items = (before: number) => {
      const seen = after(before)
      for (const list of [
        seen.messages,
        seen.errors,
        seen.gaps,
        seen.compactions,
        seen.children,
        RunView.calls(seen)
      ]) {
        assert.lengthOf(list, before)
      }
      const more = stepOf(before)
      return itemsOf(() => more.reduce(RunView.push, seen))
    }
    const few = items(10)
    assert.isAbove(few, 0)
    assert.isBelow(items(1000), few + 500)
  })

  it("makes no list anew that it adds nothing to, and no other call", () => {
    const long = after(20)
    const [spoken, put] = ledger([text("a"), output("7", "b")])
    assert.isDefined(spoken)
    assert.isDefined(put)
    const before = RunView.call(long, "8")
    const longer = [spoken, put, spoken].reduce(RunView.push, long)
    for (const list of ["messages", "errors", "gaps", "compactions", "children", "permissions"] as const) {
      assert.strictEqual(longer[list], long[list])
    }
    assert.strictEqual(RunView.call(longer, "8"), before)
  })
})
