import { assert, describe, it } from "@effect/vitest"
import { AgentEvent, CanonicalEvent, Durability, Json, type Message, Normalizer, type Tool } from "@runledger/core"
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
  payload: object | Schema.Json,
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
  payload: Json.parse(JSON.stringify(payload)) as Schema.Json,
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
        fact(draft.kind, Object(draft.payload), {
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
    const done = ["12:00:00.400  ok         build · [1,2] · 300 ms · call-1"]
    assert.deepStrictEqual(render(unready).slice(1), done)
    const again = "12:00:00.400  ok         build · [1,2] · call-1"
    assert.deepStrictEqual(render([...unready, ...unready.slice(-1)]).slice(1), [...done, again])
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

  it("is not marked while another waits", () => {
    const waits = factsOf([start, { ...finish, termination: { _tag: "Suspended" } }])
    const error = { _tag: "Error", message: "m" } as const
    const goesOn = factsOf([{ ...start, runId: "run-2" }, error, error], { runId: "run-2" })
    assert.notMatch(render([...waits, ...goesOn]).at(-1) ?? "", /\[run-2\]/)
  })
})

describe("a message that was committed", () => {
  const parts: ReadonlyArray<Message.Part> = [
    { _tag: "Reasoning", text: "hm\nso", encrypted: "c2VjcmV0" },
    { _tag: "Text", text: "Let me look." },
    { _tag: "ToolCall", id: "call-1", name: "build" },
    { _tag: "Text", text: "Done." }
  ]
  const committed = (more: Partial<Message.Message> = {}) =>
    fact("MessageCommitted", { role: "assistant", parts, fromOrdinal: 2, ...more }, { occurredAt: noon + 700 })
  const message = [
    "12:00:00.700  thinks     hm",
    "                         so",
    "12:00:00.700  thinks     (8 characters of encrypted reasoning)",
    "12:00:00.700  says       Let me look.",
    "12:00:00.700  says       Done."
  ]

  it("is told whole where its pieces were not kept", () => {
    assert.deepStrictEqual(render([committed()]), message)
    const call = fact("ToolCallReady", { _tag: "ToolCallReady", id: "call-1", name: "build", arguments: {} })
    assert.deepStrictEqual(render([call, committed()]).slice(1), message, "after its call")
  })

  it("is told once where its pieces were kept, and whole where some of them were not", () => {
    const pieces: ReadonlyArray<AgentEvent.AgentEvent> = [
      { _tag: "ReasoningDelta", delta: "hm\nso" },
      { _tag: "TextDelta", delta: "Let me " },
      { _tag: "TextDelta", delta: "look." },
      { _tag: "ToolCallReady", id: "call-1", name: "build", arguments: {} },
      { _tag: "TextDelta", delta: "Done." }
    ]
    const placed = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) =>
      facts.map((fact, index) => Object.assign(fact, { ordinal: index + 2 }))
    const told = render([...placed(factsOf(pieces)), committed()])
    assert.deepStrictEqual([withLabel(told, "says").length, withLabel(told, "thinks").length], [2, 1])
    const holed = render([...placed(factsOf(pieces.toSpliced(2, 1))), committed()])
    assert.deepStrictEqual(holed.slice(-message.length), message)
  })

  it("is the answer", () => {
    const answered = [...factsOf([start], { mode: "compacted" }), committed()]
    const end = factsOf([{ ...finish, result: { response: "Done." } }])
    assert.isEmpty(withLabel(render([...answered, ...end]), "answer"))
    const other = factsOf([{ ...finish, result: { response: "Let me look." } }])
    assert.lengthOf(withLabel(render([...answered, ...other]), "answer"), 1)
  })

  it("tells who says it, what else is in it, and that it breaks off", () => {
    const user = committed({
      role: "user",
      parts: [
        { _tag: "Text", text: "Fix it." },
        { _tag: "Data", mediaType: "image/png", data: { url: "a.png" } }
      ]
    })
    assert.deepStrictEqual(render([user]), [
      "12:00:00.700  user       Fix it.",
      '12:00:00.700  user       image/png · {"url":"a.png"}'
    ])
    const echo = committed({ role: "user", parts: [{ _tag: "Text", text: "again" }] })
    const told = render([...factsOf([{ _tag: "TextDelta", delta: "again" }]), echo])
    assert.deepStrictEqual([withLabel(told, "says").length, withLabel(told, "user").length], [1, 1])
    assert.deepStrictEqual(render([committed({ parts: [{ _tag: "Text", text: "Let" }], partial: true })]), [
      "12:00:00.700  says       Let",
      "12:00:00.700  says       (it breaks off here)"
    ])
  })
})

describe("what a recorder adds", () => {
  it("tells that a call runs, and since when", () => {
    const [ready, done] = factsOf([
      { _tag: "ToolCallReady", id: "call-1", name: "build", arguments: {} },
      {
        _tag: "ToolCallDone",
        id: "call-1",
        messageId: "m",
        result: { toolName: "build", status: "success", data: null, metadata: {} },
        outcome: "succeeded"
      }
    ])
    assert.isDefined(ready)
    assert.isDefined(done)
    const executing = fact("ToolCallExecuting", { id: "call-1", name: "build" }, { occurredAt: noon + 60 })
    assert.deepStrictEqual(render([ready, executing, done]).slice(1), [
      "12:00:00.060  executing  build · call-1",
      "12:00:00.100  ok         build · 40 ms · call-1"
    ])
  })

  it("tells what was decided, and how long that took", () => {
    const asked = demoFacts("compacted").filter(({ kind }) => kind === "ToolPermissionRequested")
    const occurredAt = (asked[0]?.occurredAt ?? 0) + 2000
    const decided = (payload: object) =>
      render([...asked, fact("ToolPermissionResolved", { id: "call-9", ...payload }, { occurredAt })]).map((line) =>
        line.slice(14)
      )
    assert.deepStrictEqual(decided({ approved: true }).slice(1), [
      "decision   run_command · approved · waited 2 s · call-9"
    ])
    assert.deepStrictEqual(decided({ id: "call-1", approved: true }).slice(1), ["decision   approved · call-1"])
    assert.deepStrictEqual(decided({ approved: false, reason: "not on Friday" }).slice(1), [
      "decision   run_command · denied · not on Friday · waited 2 s · call-9"
    ])
  })

  it("tells that a run was interrupted, and which calls that left open", () => {
    const lines = render([
      ...factsOf([
        start,
        { _tag: "InferenceComplete", model: "m", usage: { promptTokens: 1000, completionTokens: 1 }, durationMs: 1 }
      ]),
      fact(
        "RunInterrupted",
        {
          ...inRun,
          openCalls: [
            { id: "call-1", name: "deploy", executing: true },
            { id: "call-2", name: "build", executing: false }
          ]
        },
        { occurredAt: noon + 400 }
      )
    ])
    assert.deepStrictEqual(lines.slice(2), [
      "12:00:00.400  open       deploy · outcome unknown · call-1",
      "12:00:00.400  open       build · not done · call-2",
      "── run run-1 interrupted · took 400 ms · 1,001 tokens (1,000 in, 1 out)"
    ])
  })

  it("tells what is missing, and why", () => {
    const gap = (payload: object) =>
      render([fact("CaptureGap", { firstOrdinal: 2, lastOrdinal: 9, ...payload })]).map((line) => line.slice(14))
    assert.deepStrictEqual(gap({ reason: "overload", events: 3, tags: { TextDelta: 3 } }), [
      "gap        3 events are missing (overload): TextDelta x3"
    ])
    assert.deepStrictEqual(
      gap({ reason: "too_large", events: 1, tags: { StateSnapshot: 1 }, message: "5 MB are too much" }),
      ["gap        1 event is missing (too large): StateSnapshot x1 · 5 MB are too much"]
    )
    assert.deepStrictEqual(gap({ reason: "store_away", events: 1001, tags: { TextDelta: 1000, StepEnd: 1 } }), [
      "gap        1,001 events are missing (store away): TextDelta x1,000, StepEnd x1"
    ])
  })
})

describe("what was not kept", () => {
  const truncated = { truncated: { bytes: 1_234_567, sha256: "00" } }

  it("says how large it was, or why it was withheld, and what the call came to", () => {
    const ready = factsOf([{ _tag: "ToolCallReady", id: "call-1", name: "build", arguments: {} }])
    const lines = render([
      ...ready,
      fact("ToolCallTimedOut", { _tag: "ToolCallDone", id: "call-1", outcome: "failed", ...truncated }),
      fact("MessageCommitted", { role: "user", withheld: "not_redacted" }),
      fact("app.note", { withheld: "not_json" })
    ]).map((line) => line.slice(14))
    assert.deepStrictEqual(lines.slice(1), [
      "fact       ToolCallTimedOut · build · timed out · too large: 1,234,567 bytes · call-1",
      "fact       MessageCommitted · withheld: it could not be redacted",
      "fact       app.note · withheld: it has no JSON text"
    ])
  })

  it("still ends its run, as far as ids and outcome tell", () => {
    const end = fact("RunFinished", { ...finish, ...truncated }, { occurredAt: noon + 100 })
    assert.deepStrictEqual(render([...factsOf([start]), end]).slice(1), [
      "── run run-1 finished · took 100 ms",
      "12:00:00.100  fact       RunFinished · too large: 1,234,567 bytes"
    ])
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
    const call = { id: hostile, name: hostile }
    const facts = [
      ...factsOf(events, ids),
      fact(hostile, hostile, { occurredAt: Number.MAX_SAFE_INTEGER }),
      fact("RunStarted", start, { occurredAt: Number.MAX_SAFE_INTEGER }),
      fact("MessageCommitted", { role: "user", parts: [{ _tag: "Text", text: hostile }] }),
      fact("MessageCommitted", {
        role: "tool",
        parts: [
          { _tag: "Reasoning", text: hostile },
          { _tag: "Data", mediaType: hostile, data: hostile }
        ]
      }),
      fact("ToolCallExecuting", call),
      fact("ToolPermissionResolved", { id: hostile, approved: false, reason: hostile }),
      fact("RunInterrupted", { ...ids, openCalls: [{ ...call, executing: true }] }),
      fact("CaptureGap", {
        reason: "refused",
        events: 1,
        tags: { [hostile]: 1 },
        firstOrdinal: 1,
        lastOrdinal: 1,
        message: hostile
      }),
      fact("ToolCallExecuting", { ...call, truncated: { bytes: 1, sha256: hostile } })
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
      const lines = render(normalized.map(({ draft }) => fact(draft.kind, Object(draft.payload))))
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
