import { assert, describe, it } from "@effect/vitest"
import { AgentEvent, CanonicalEvent, Durability, Normalizer, type Tool } from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Effect, Result, Schema } from "effect"
import { readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import * as Format from "../src/Format.ts"
import * as Timeline from "../src/Timeline.ts"

const noon = Date.UTC(2025, 11, 1, 12)

const inRun = { threadId: "thread-1", runId: "run-1" }

const fact = (
  kind: CanonicalEvent.Kind,
  payload: Schema.Json,
  {
    occurredAt = noon,
    scope = inRun
  }: {
    readonly occurredAt?: number
    readonly scope?: { readonly threadId?: string; readonly runId?: string }
  } = {}
): CanonicalEvent.CanonicalEvent => ({
  eventId: "event-1",
  kind,
  fidelity: "committed_runtime_event",
  visibility: "public",
  ...scope,
  position: 1,
  payload,
  origin: "native",
  schemaVersion: 1,
  occurredAt,
  recordedAt: occurredAt
})

/** The facts of one run, of which an event comes every 100 ms. */
const factsOf = (
  events: ReadonlyArray<AgentEvent.AgentEvent>,
  {
    mode = "full_fidelity",
    runId = "run-1",
    threadId = "thread-1"
  }: {
    readonly mode?: Durability.DurabilityMode
    readonly runId?: string
    readonly threadId?: string
  } = {}
): ReadonlyArray<CanonicalEvent.CanonicalEvent> => {
  const normalizer = Effect.runSync(Normalizer.make({ threadId, runId, origin: "native" }))
  return events.flatMap((event, index) =>
    Result.getOrThrow(normalizer.normalizeMany(event))
      .filter(({ fidelity }) => Durability.shouldPersist(mode, fidelity))
      .map(({ draft }) =>
        fact(draft.kind, JSON.parse(JSON.stringify(draft.payload)), {
          occurredAt: noon + index * 100,
          scope: CanonicalEvent.scopeIds(draft.scopes)
        })
      )
  )
}

const render = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>, color = false): ReadonlyArray<string> => {
  const timeline = Timeline.make({ color })
  return [...facts.flatMap(timeline.push), ...timeline.end()]
}

/** Any control character but the tab: a line has no newline either. */
const control = /[^\P{Cc}\t]/u

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(AgentEvent.AgentEvent))
const demo = readFileSync(new URL("../demo/run.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => decode(line))
const demoFacts = (mode: Durability.DurabilityMode) => factsOf(demo, { mode, threadId: "fix-login-test" })

const occurrences = (lines: ReadonlyArray<string>, text: string): number => lines.join("\n").split(text).length - 1

const withLabel = (lines: ReadonlyArray<string>, label: string): ReadonlyArray<string> =>
  lines.filter((line) => line.slice(14, 25).trim() === label)

const start = { _tag: "RunStart", ...inRun } as const
const finish = { _tag: "RunFinish", ...inRun, termination: { _tag: "NaturalEnd" } } as const

describe("the demo run", () => {
  const full = render(demoFacts("full_fidelity"))
  const compacted = render(demoFacts("compacted"))

  it("tells what the model said and thought, each once and whole", () => {
    for (const [label, tag] of [
      ["says", "TextDelta"],
      ["thinks", "ReasoningDelta"]
    ] as const) {
      const all = demo.map((event) => (event._tag === tag ? event.delta : "")).join("")
      const shown = withLabel(full, label).map((line) => line.slice(25))
      assert.strictEqual(shown.filter((text) => !text.startsWith("(")).join(""), all)
    }
    assert.strictEqual(occurrences(full, "please review and push the branch yourself."), 1)
  })

  for (const [mode, lines] of [
    ["full_fidelity", full],
    ["compacted", compacted]
  ] as const) {
    it(`tells how each call ended, ${mode}`, () => {
      const outcomes: Array<readonly [string, string]> = [
        ["call-1", "ok"],
        ["call-2", "ok"],
        ["call-3", "ok"],
        ["call-4", "cancelled"],
        ["call-5", "ok"],
        ["call-6", "ok"],
        ["call-7", "ok"],
        ["call-8", "rejected"],
        ["call-9", "suspended"],
        ["call-9", "resumed"],
        ["call-10", "ok"],
        ["call-11", "ok"]
      ]
      const labels = new Set(outcomes.map(([, label]) => label))
      const seen = lines
        .filter((line) => labels.has(line.slice(14, 25).trim()))
        .map((line) => [line.split(" · ").at(-1) ?? "", line.slice(14, 25).trim()] as const)
      assert.sameDeepMembers(seen, outcomes)
    })

    it(`tells the rest of the story, ${mode}`, () => {
      const text = lines.join("\n")
      assert.match(text, /^── run run-1 · thread fix-login-test · agent coder · 2025-12-01 12:00:00\.000 UTC$/m)
      assert.match(text, /^── run run-1 resumed · thread fix-login-test/m)
      assert.match(
        text,
        /^── run run-1 suspended, waits for a decision · took .* · 16,274 tokens \(15,515 in, 759 out\)$/m
      )
      assert.match(
        text,
        /permission run_command asks for tool:PermissionConfirm · .* deletes all rows .* perm_call-9$/m
      )
      assert.match(text, /compaction started · compact-1 · up to msg-3$/m)
      assert.match(text, /compaction completed · 4,398 -> 1,260 tokens · compact-1 · up to msg-3$/m)
      assert.match(text, /model {6}claude-sonnet-4-5 · 3,184 in \(2,560 cached\) · 96 out \(38 thinking\) · 1\.8 s$/m)
      assert.match(text, /error {6}the model provider is overloaded \(529\), retrying · overloaded$/m)
      assert.match(text, /reset .* retry after 529 overloaded$/m)
      assert.match(text, /rejected {3}run_command · policy: `git push` needs a person/)
      assert.match(
        text,
        /tool {7}run_command \{"command":"npm run db:reset && npm test","timeoutSeconds":600\} · call-9/
      )
    })
  }

  it("has steps, output and snapshots only where they were kept", () => {
    for (const label of ["step 1", "step 7", "output", "state", "activity", "messages"]) {
      assert.isNotEmpty(withLabel(full, label), label)
      assert.isEmpty(withLabel(compacted, label), label)
    }
  })
})

describe("a paragraph", () => {
  it("is held until something else comes, and keeps its lines and the time of its first piece", () => {
    const timeline = Timeline.make({ color: false })
    const [started, one, two, three, error] = factsOf([
      start,
      { _tag: "TextDelta", delta: "\none \ud83d" },
      { _tag: "TextDelta", delta: "\ude00\r\n\ttwo" },
      { _tag: "TextDelta", delta: " three\n" },
      { _tag: "Error", message: "m" }
    ])
    assert.isDefined(error)
    assert.lengthOf(
      [started, one, two, three].flatMap((f) => (f === undefined ? [] : timeline.push(f))),
      1
    )
    assert.deepStrictEqual(timeline.push(error), [
      "12:00:00.100  says       one 😀",
      "                         \ttwo three",
      "12:00:00.400  error      m"
    ])
    assert.isEmpty(timeline.end())
  })

  it("comes at the end when nothing else does", () => {
    const lines = render(factsOf([start, { _tag: "ReasoningDelta", delta: "hm" }]))
    assert.deepStrictEqual(lines.slice(1), ["12:00:00.100  thinks     hm"])
  })

  it("of arguments does not break the text, nor does an empty one show", () => {
    const lines = render(
      factsOf([
        start,
        { _tag: "TextDelta", delta: "a" },
        { _tag: "ToolCallDelta", id: "call-1", argsDelta: "{" },
        { _tag: "TextDelta", delta: "b" },
        { _tag: "ReasoningDelta", delta: " \n" },
        { _tag: "StepEnd" }
      ])
    )
    assert.deepStrictEqual(lines.slice(1), ["12:00:00.100  says       ab"])
  })

  it("of output shows its end, for each call", () => {
    const rows = Array.from({ length: 40 }, (_, index) => `row ${index}\n`).join("")
    const text = render(
      factsOf([
        start,
        { _tag: "ToolCallStreamDelta", id: "call-1", name: "build", delta: rows },
        { _tag: "ToolCallStreamDelta", id: "call-2", name: "lint", delta: "clean" }
      ])
    ).join("\n")
    assert.match(text, /output {5}build · call-1\n *│ … 30 more lines\n *│ row 30\n/)
    assert.match(text, /│ row 39\n.*output {5}lint · call-2\n *│ clean$/)
  })
})

describe("a tool call", () => {
  const failed = (result: Partial<Tool.ToolResult>) =>
    render(
      factsOf([
        start,
        { _tag: "ToolCallStart", id: "call-1", name: "build" },
        { _tag: "StepEnd" },
        { _tag: "ToolCallReady", id: "call-1", name: "build", arguments: {} },
        { _tag: "StepEnd" },
        {
          _tag: "ToolCallDone",
          id: "call-1",
          messageId: "m",
          result: { toolName: "build", status: "error", data: null, metadata: {}, ...result },
          outcome: "failed"
        }
      ])
    ).slice(2)

  it("takes from ready to done, or from started when it never became ready", () => {
    assert.deepStrictEqual(failed({}), ["12:00:00.500  failed     build · 200 ms · call-1"])
    const unready = factsOf([
      start,
      { _tag: "ToolCallStart", id: "call-1", name: "build" },
      { _tag: "StepEnd" },
      { _tag: "StepEnd" },
      {
        _tag: "ToolCallDone",
        id: "call-1",
        messageId: "m",
        result: { toolName: "build", status: "success", data: [1, 2], metadata: {} },
        outcome: "succeeded"
      }
    ])
    assert.deepStrictEqual(render(unready).slice(1), ["12:00:00.400  ok         build · [1,2] · 300 ms · call-1"])
  })

  it("that timed out says so", () => {
    assert.deepStrictEqual(failed({ message: "60 s", metadata: { timed_out: true } }), [
      "12:00:00.500  timed out  build · 60 s · 200 ms · call-1"
    ])
  })

  it("that asks a question tells it where it is suspended, and waits from there on", () => {
    const result = {
      toolName: "ask",
      status: "pending",
      data: null,
      message: "which one?",
      suspension: {
        suspension: { id: "ask-1", action: "user:Question", message: "which one?", parameters: null },
        pending: { id: "ask-1", name: "question", arguments: null },
        resumeMode: "use_decision_as_tool_result"
      },
      metadata: {}
    } as const
    const lines = render(
      factsOf([
        start,
        { _tag: "ToolCallDone", id: "call-1", messageId: "m", result, outcome: "suspended" },
        start,
        { _tag: "ToolCallResumed", targetId: "ask-1", result: { data: "blue" } }
      ])
    )
    assert.include(lines, "12:00:00.100  suspended  ask · user:Question · which one? · call-1")
    assert.include(lines, '12:00:00.300  resumed    ask · {"data":"blue"} · waited 200 ms · ask-1')
  })
})

describe("a run", () => {
  const ends: ReadonlyArray<readonly [(typeof AgentEvent.RunFinish.Type)["termination"], string]> = [
    [{ _tag: "NaturalEnd" }, "finished"],
    [{ _tag: "BehaviorRequested" }, "finished at the request of a behavior"],
    [{ _tag: "Suspended" }, "suspended, waits for a decision"],
    [{ _tag: "Cancelled" }, "cancelled"],
    [{ _tag: "Stopped", code: "max_rounds", detail: "8" }, "stopped: max_rounds · 8"],
    [{ _tag: "Blocked", reason: "quota" }, "blocked: quota"],
    [{ _tag: "Error", message: "no model" }, "failed: no model"]
  ]
  for (const [termination, text] of ends) {
    it(`ends: ${text}`, () => {
      const lines = render(factsOf([start, { ...finish, termination }]))
      assert.strictEqual(lines.at(-1), `── run run-1 ${text} · took 100 ms`)
    })
  }

  it("shows its answer when it was not just said", () => {
    const events: ReadonlyArray<AgentEvent.AgentEvent> = [
      start,
      { _tag: "TextDelta", delta: "Done." },
      { ...finish, result: { response: "Done." } }
    ]
    const full = render(factsOf(events))
    const compacted = render(factsOf(events, { mode: "compacted" }))
    assert.deepStrictEqual([occurrences(full, "Done."), occurrences(compacted, "Done.")], [1, 1])
    assert.lengthOf(withLabel(compacted, "answer"), 1)
  })

  it("names its parent", () => {
    assert.include(render(factsOf([{ ...start, parentRunId: "run-0" }]))[0], "parent run-0")
  })

  it("is marked while another is active, and not when it is alone", () => {
    const error = { _tag: "Error", message: "m" } as const
    const one = factsOf([start, error, error, error, finish])
    const two = factsOf([{ ...start, runId: "run-2" }, error, { ...finish, runId: "run-2" }, error], { runId: "run-2" })
    const order = [one[0], one[1], two[0], two[1], one[2], two[2], one[3], one[4]]
    const marks = render(order.flatMap((f) => (f === undefined ? [] : [f])))
      .filter((line) => line.includes("error"))
      .map((line) => line.match(/\[.*?\]/)?.[0])
    assert.deepStrictEqual(marks, [undefined, "[run-2]", "[run-1]", "[run-1]"])
  })
})

describe("context compaction", () => {
  const lineOf = (kind: CanonicalEvent.KnownKind, payload: Schema.Json) =>
    render([fact(kind, payload, { scope: { threadId: "thread-1" } })]).map((line) => line.slice(14))

  it("shows each way it goes", () => {
    const task = { threadId: "thread-1", taskId: "task-1", boundaryMessageId: "msg-1" }
    assert.deepStrictEqual(
      lineOf("ContextCompactionFailed", { ...task, failureIndex: 0, error: "e", timestampMs: 1 }),
      ["compaction failed · e · task-1 · up to msg-1"]
    )
    assert.deepStrictEqual(
      lineOf("ContextCompactionSkipped", { ...task, skipIndex: 0, reason: "small", preTokens: 1000, postTokens: 900 }),
      ["compaction skipped · small · 1,000 -> 900 tokens · task-1 · up to msg-1"]
    )
    assert.deepStrictEqual(lineOf("ContextCompactionCancelled", { ...task, cancelledAtMs: 0 }), [
      "compaction cancelled · task-1 · up to msg-1"
    ])
  })
})

describe("what is not known", () => {
  it("is shown as it is, shortened", () => {
    const [line] = render([fact("TicketOpened", { ticket: 7, body: "x".repeat(1000) })])
    assert.include(line, 'fact       TicketOpened · {"ticket":7,"body":"xxx')
    assert.isBelow(line?.length ?? 0, 250)
  })

  it("includes a known kind with the payload of another", () => {
    assert.include(render([fact("ToolCallReady", { truncated: { bytes: 9 } })])[0], 'ToolCallReady · {"truncated"')
    assert.include(render([fact("ContextCompactionFailed", null)])[0], "ContextCompactionFailed · null")
    assert.include(render([fact("RunStarted", { _tag: "TextDelta", delta: "d" })])[0], "fact       RunStarted")
  })
})

describe("hostile content", () => {
  const hostile = "a\u001b[31mb\u009bc\rd\u0000e\u007f\u202ef\n\tg"

  it("is written out in every place, and changes nothing on a terminal", () => {
    const ids = { threadId: hostile, runId: hostile }
    const result = { toolName: hostile, status: "error", data: null, message: hostile, metadata: {} } as const
    const events: ReadonlyArray<AgentEvent.AgentEvent> = [
      { _tag: "RunStart", ...ids, parentRunId: hostile },
      { _tag: "StepStart", messageId: hostile },
      { _tag: "TextDelta", delta: hostile },
      { _tag: "ReasoningDelta", delta: hostile },
      { _tag: "ToolCallReady", id: hostile, name: hostile, arguments: { [hostile]: hostile } },
      { _tag: "ToolCallStreamDelta", id: hostile, name: hostile, delta: hostile },
      { _tag: "ToolCallDone", id: hostile, messageId: hostile, result, outcome: "failed" },
      { _tag: "ToolCallCancel", id: hostile, name: hostile, reason: hostile },
      { _tag: "InferenceComplete", model: hostile, durationMs: Number.MAX_SAFE_INTEGER },
      { _tag: "Error", message: hostile, code: hostile },
      { _tag: "RunFinish", ...ids, termination: { _tag: "Error", message: hostile } }
    ]
    const facts = [
      ...factsOf(events, ids),
      fact(hostile, hostile, { occurredAt: Number.MAX_SAFE_INTEGER }),
      fact("RunStarted", { ...start }, { occurredAt: Number.MAX_SAFE_INTEGER })
    ]
    const lines = render(facts)
    for (const line of lines) {
      assert.notMatch(line, control)
      assert.notInclude(line, "\u202e")
    }
    assert.include(lines.join("\n"), String.raw`says       a\x1b[31mb\x9bc\x0dd\x00e\x7f\u202ef`)
    assert.deepStrictEqual(render(facts, true).map(stripVTControlCharacters), lines)
  })

  it.prop(
    "of any event never throws and never reaches the terminal raw",
    [Arbitraries.agentEvent],
    ([event]) => {
      const normalizer = Effect.runSync(Normalizer.make({ ...inRun, origin: "native" }))
      const normalized = Result.getOrElse(normalizer.normalizeMany(event), () => [])
      const lines = render(normalized.map(({ draft }) => fact(draft.kind, JSON.parse(JSON.stringify(draft.payload)))))
      lines.forEach((line) => assert.notMatch(line, control))
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop(
    "of any stream neither, with or without colours",
    [Arbitraries.stream(inRun)],
    ([events]) => {
      const lines = render(factsOf(events))
      lines.forEach((line) => assert.notMatch(line, control))
      assert.deepStrictEqual(render(factsOf(events), true).map(stripVTControlCharacters), lines)
    },
    { arbitrary: { runs: 200 } }
  )
})

describe("Format", () => {
  it("gives durations in human units", () => {
    const durations = [-5, 0, 340, 999, 1000, 2349, 59_949, 59_960, 65_000, 3_599_600, 7_800_000]
    assert.deepStrictEqual(durations.map(Format.duration), [
      "0 ms",
      "0 ms",
      "340 ms",
      "999 ms",
      "1 s",
      "2.3 s",
      "59.9 s",
      "1 min 0 s",
      "1 min 5 s",
      "1 h 0 min",
      "2 h 10 min"
    ])
  })

  it("shortens without cutting a character", () => {
    assert.strictEqual(Format.inline("ab😀cd", 4), "ab…")
    assert.strictEqual(Format.inline("ab😀cd", 5), "ab😀…")
    assert.strictEqual(Format.short("0193b1c2-7a5e-7000-8000-0123456789ab"), "…456789ab")
  })
})
