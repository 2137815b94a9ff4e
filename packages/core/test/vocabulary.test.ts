import { assert, describe, it } from "@effect/vitest"
import { AgentEvent, Json, Lifecycle, RunContext, RunIdentity, Suspension, TokenUsage, Tool } from "@runledger/core"
import { Arbitrary, Exit, Result, Schema } from "effect"

const decodes = (schema: Schema.Codec<unknown, unknown>, value: unknown): boolean =>
  Exit.isSuccess(Schema.decodeUnknownExit(schema)(value))

describe("AgentEvent", () => {
  it("has 22 variants", () => {
    assert.strictEqual(Object.keys(AgentEvent.AgentEvent.cases).length, 22)
  })

  it("is terminal when it is a finish or an error", () => {
    const finish = AgentEvent.RunFinish.make({ threadId: "t", runId: "r", termination: { _tag: "NaturalEnd" } })
    assert.isTrue(AgentEvent.isTerminal(finish))
    assert.isTrue(AgentEvent.isTerminal({ _tag: "Error", message: "" }))
    assert.isFalse(AgentEvent.isTerminal({ _tag: "StepEnd" }))
  })

  it("takes the response text from a finish that has one", () => {
    const finish = (result?: Schema.Json) =>
      AgentEvent.RunFinish.make({
        threadId: "t",
        runId: "r",
        termination: { _tag: "NaturalEnd" },
        ...(result === undefined ? {} : { result })
      })
    assert.strictEqual(AgentEvent.responseText(finish({ response: "done" })), "done")
    for (const result of [undefined, null, "text", 1, [], {}, { response: 1 }]) {
      assert.strictEqual(AgentEvent.responseText(finish(result)), "")
    }
  })

  it("guards and fills in defaults", () => {
    assert.isTrue(AgentEvent.guards.TextDelta({ _tag: "TextDelta", delta: "x" }))
    assert.isFalse(AgentEvent.guards.TextDelta({ _tag: "TextDelta" }))
    assert.deepStrictEqual(AgentEvent.StepStart.make({}), { _tag: "StepStart", messageId: "" })
  })

  it("refuses what is not JSON in an opaque field", () => {
    assert.isFalse(decodes(AgentEvent.AgentEvent, { _tag: "StateSnapshot", snapshot: undefined }))
    assert.isFalse(decodes(AgentEvent.AgentEvent, { _tag: "StateSnapshot", snapshot: { at: new Date() } }))
  })

  it("keeps durations from 0 to 2^53 - 1 and token counts in 32 bits", () => {
    const inference = (durationMs: number) => ({ _tag: "InferenceComplete", model: "m", durationMs })
    for (const [durationMs, good] of [
      [0, true],
      [Number.MAX_SAFE_INTEGER, true],
      [-0, false],
      [-1, false],
      [0.5, false],
      [2 ** 53, false]
    ] as const) {
      assert.strictEqual(decodes(AgentEvent.AgentEvent, inference(durationMs)), good)
    }
    assert.isTrue(decodes(TokenUsage.TokenUsage, { totalTokens: -2147483648 }))
    assert.isFalse(decodes(TokenUsage.TokenUsage, { totalTokens: 2147483648 }))
  })
})

describe("Tool", () => {
  it("makes results as the seed does", () => {
    assert.deepStrictEqual(Tool.error("x", "no"), {
      toolName: "x",
      status: "error",
      data: null,
      message: "no",
      metadata: {}
    })
    assert.deepStrictEqual(Tool.error("x", "no", "E1"), {
      toolName: "x",
      status: "error",
      data: { error: { code: "E1", message: "no" } },
      message: "[E1] no",
      metadata: {}
    })
    assert.strictEqual(Tool.suspended("x", "wait").status, "pending")
    assert.deepStrictEqual(Tool.success("x", 1).data, 1)
    for (const result of [Tool.error("x", "no"), Tool.suspended("x", "wait"), Tool.success("x", null)]) {
      assert.isTrue(Schema.is(Tool.ToolResult)(result))
    }
  })

  it("derives the outcome from the status", () => {
    assert.deepStrictEqual(Tool.ToolStatus.literals.map(Tool.outcomeOf), ["succeeded", "suspended", "failed"])
  })
})

describe("Suspension", () => {
  it("fills in a ticket", () => {
    assert.deepStrictEqual(Suspension.SuspendTicket.make({}), {
      suspension: { id: "", action: "", message: "", parameters: null },
      pending: { id: "", name: "", arguments: null },
      resumeMode: "replay_tool_call"
    })
  })

  it("lets a call go only where the seed does", () => {
    const allowed = Suspension.ToolCallStatus.literals.flatMap((from) =>
      Suspension.ToolCallStatus.literals
        .filter((to) => from !== to && Suspension.canTransition(from, to))
        .map((to) => `${from}>${to}`)
    )
    assert.deepStrictEqual(allowed, [
      "new>running",
      "new>suspended",
      "new>resuming",
      "new>succeeded",
      "new>failed",
      "new>cancelled",
      "running>suspended",
      "running>succeeded",
      "running>failed",
      "running>cancelled",
      "suspended>resuming",
      "suspended>cancelled",
      "resuming>running",
      "resuming>suspended",
      "resuming>succeeded",
      "resuming>failed",
      "resuming>cancelled"
    ])
    assert.isTrue(Suspension.canTransition("failed", "failed"))
  })
})

describe("Lifecycle", () => {
  it("gives each reason its status and its done reason", () => {
    const reasons: ReadonlyArray<readonly [Lifecycle.TerminationReason, Lifecycle.RunStatus, string | undefined]> = [
      [{ _tag: "NaturalEnd" }, "done", "natural"],
      [{ _tag: "BehaviorRequested" }, "done", "behavior_requested"],
      [{ _tag: "Stopped", code: "max_turns", detail: "10" }, "done", "stopped:max_turns"],
      [{ _tag: "Cancelled" }, "done", "cancelled"],
      [{ _tag: "Blocked", reason: "unsafe" }, "done", "blocked:unsafe"],
      [{ _tag: "Suspended" }, "waiting", undefined],
      [{ _tag: "Error", message: "boom" }, "done", "error"]
    ]
    for (const [reason, status, done] of reasons) {
      assert.strictEqual(Lifecycle.statusAfter(reason), status)
      assert.strictEqual(Lifecycle.doneReason(reason), done)
    }
  })

  it("ends in done", () => {
    assert.isTrue(Lifecycle.canTransition("waiting", "running"))
    assert.isTrue(Lifecycle.canTransition("done", "done"))
    assert.isFalse(Lifecycle.canTransition("done", "running"))
    assert.isFalse(Lifecycle.canTransition("running", "created"))
  })
})

describe("RunIdentity", () => {
  it("has defaults for origin, mode and adapter", () => {
    assert.deepStrictEqual(RunIdentity.RunIdentity.make({ threadId: "t", runId: "r", agentId: "a" }), {
      threadId: "t",
      runId: "r",
      agentId: "a",
      origin: "user",
      runMode: "foreground",
      adapter: "internal"
    })
  })
})

describe("RunContext", () => {
  it("refuses blank ids and leaves the correlation id alone", () => {
    const context = { threadId: "t", runId: "r", origin: "o", correlationId: " " }
    assert.deepStrictEqual(RunContext.make(context), Result.succeed(context))
    for (const [field, name] of [
      ["threadId", "thread_id"],
      ["runId", "run_id"],
      ["origin", "origin"]
    ] as const) {
      const refused = RunContext.make({ ...context, [field]: "\u2003" })
      assert.strictEqual(
        Result.match(refused, { onFailure: (error) => error.message, onSuccess: () => "" }),
        `validation error: ${name} is required`
      )
    }
  })
})

describe("Json.canonical", () => {
  it("sorts keys by code point at every depth", () => {
    assert.strictEqual(
      Json.canonical({ b: [{ "10": 1, "9": 2 }], a: 1, "\uff5e": 1, "\u{1f600}": 2 }),
      '{"a":1,"b":[{"10":1,"9":2}],"\uff5e":1,"\u{1f600}":2}'
    )
  })
})

describe("Json.parse", () => {
  const read = (value: unknown): unknown => Json.parse(JSON.stringify(value))

  it.prop(
    "gives back what JSON.stringify wrote",
    [Arbitrary.schema(Schema.Json)],
    ([value]) => {
      const text = JSON.stringify(value)
      assert.strictEqual(JSON.stringify(Json.parse(text)), text)
    },
    { arbitrary: { runs: 300 } }
  )

  it("keeps keys with escapes apart, also after a key that ends in a backslash", () => {
    const keys = ["\\", "\n", '"', "\u0001", "a\\", "a\n", 'a"', "a\nb", "é\\", "é\t"]
    for (const poison of ["\\", "a\\", "é\\"]) {
      for (const key of keys) {
        for (let round = 0; round < 3; round++) {
          read({ first: round, [poison]: 1 })
          assert.deepStrictEqual(read({ first: null, [key]: { inner: 1, [key]: "a\n" } }), {
            first: null,
            [key]: { inner: 1, [key]: "a\n" }
          })
        }
      }
    }
  })

  it("reads spaced text, repeated keys, strings that look like keys, and prototype names", () => {
    assert.deepStrictEqual(Json.parse(' { "a\\n" : [ "b\\n" , "c\\":d" ] , "key0" : "\\\\" } '), {
      "a\n": ["b\n", 'c":d'],
      key0: "\\"
    })
    assert.deepStrictEqual(Json.parse('{"\\n":1,"\\u000a":2}'), { "\n": 2 })
    assert.strictEqual(JSON.stringify(Json.parse('{"\\n":{"__proto__":1}}')), '{"\\n":{"__proto__":1}}')
  })

  it("lets the last of repeated keys count, however they are written", () => {
    assert.deepStrictEqual(Json.parse('{"\\u0031":"first","1":"last"}'), { "1": "last" })
    assert.deepStrictEqual(Json.parse('{"a\\u0062":1,"ab":2,"\\n":3,"\\u000A":4}'), { ab: 2, "\n": 4 })
  })

  it("takes a long or deep text with such keys without a hitch", () => {
    const long = JSON.stringify({ "C:\\x": `key${"_".repeat(300_000)}` })
    assert.strictEqual(JSON.stringify(Json.parse(long)), long)
    const wide = JSON.stringify({ "\n": Array.from({ length: 300_000 }, () => 0) })
    assert.strictEqual(JSON.stringify(Json.parse(wide)), wide)
    const deep = `${"[".repeat(20_000)}{"\\n":1}${"]".repeat(20_000)}`
    assert.isTrue(Array.isArray(Json.parse(deep)))
  })

  it("throws what JSON.parse throws", () => {
    assert.throws(() => Json.parse('{"\\n"'), SyntaxError)
  })
})
