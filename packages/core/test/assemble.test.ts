import { assert, describe, it } from "@effect/vitest"
import type { AgentEvent, Message } from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { add, assemble, type Assembly, initial, message } from "../src/internal/assemble.ts"

const ids = { threadId: "t", runId: "r" }
const start: AgentEvent.AgentEvent = { _tag: "RunStart", ...ids }
const finish = (termination: (typeof AgentEvent.RunFinish.Type)["termination"]): AgentEvent.AgentEvent => ({
  _tag: "RunFinish",
  ...ids,
  termination
})
const step = (messageId = ""): AgentEvent.AgentEvent => ({ _tag: "StepStart", messageId })
const text = (delta: string): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta })
const thought = (delta: string): AgentEvent.AgentEvent => ({ _tag: "ReasoningDelta", delta })
const encrypted = (encryptedValue: string): AgentEvent.AgentEvent => ({
  _tag: "ReasoningEncryptedValue",
  encryptedValue
})
const call = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallStart", id, name: "build" })
const ready = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallReady", id, name: "build", arguments: {} })
const cancel = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallCancel", id, name: "build", reason: "" })
const reset: AgentEvent.AgentEvent = { _tag: "StreamReset", reason: "" }
const inference: AgentEvent.AgentEvent = { _tag: "InferenceComplete", model: "m", durationMs: 1 }

const run = (events: ReadonlyArray<AgentEvent.AgentEvent>) => {
  let state: Assembly = initial
  const messages: Array<Message.Message> = []
  for (const [index, event] of events.entries()) {
    const [next, ended] = assemble(state, event, { ordinal: index + 1, position: undefined })
    state = next
    if (ended !== undefined) {
      messages.push(ended)
    }
  }
  return { state, messages }
}

/** The parts of the message that these events say, ended by the inference. */
const parts = (...events: ReadonlyArray<AgentEvent.AgentEvent>) =>
  run([...events, inference]).messages.map((message) => message.parts)

const Text = (text: string): Message.Part => ({ _tag: "Text", text })
const Reasoning = (text: string, encrypted?: string): Message.Part => ({
  _tag: "Reasoning",
  text,
  ...(encrypted === undefined ? {} : { encrypted })
})
const ToolCall = (id: string): Message.Part => ({ _tag: "ToolCall", id, name: "build" })

describe("the parts of a message", () => {
  it("stand in the order in which they began", () => {
    assert.deepStrictEqual(
      parts(thought("h"), thought("m"), text("a"), call("1"), text("b"), text("c"), call("2"), ready("2"), ready("1")),
      [[Reasoning("hm"), Text("a"), ToolCall("1"), Text("bc"), ToolCall("2")]]
    )
  })

  it("have what no event brings, where it was added", () => {
    const metadata = { provider: { id: 1 } }
    const file: Message.Part = { _tag: "Data", mediaType: "image/png", data: "AAAA" }
    const said: ReadonlyArray<AgentEvent.AgentEvent | Message.Part> = [
      thought("h"),
      { ...Reasoning("m"), metadata } as Message.Part,
      thought("n"),
      { ...Reasoning(""), metadata } as Message.Part,
      { ...Reasoning(""), metadata } as Message.Part,
      Text(""),
      text("a"),
      Text("b"),
      text("c"),
      call("1"),
      file,
      { ...ToolCall("1"), metadata } as Message.Part,
      ready("1"),
      text("d")
    ]
    let state = initial
    for (const [index, what] of said.entries()) {
      const place = { ordinal: index + 1, position: undefined }
      state = ["Text", "Reasoning", "ToolCall", "Data"].includes(what._tag)
        ? add(state, what as Message.Part, place)
        : assemble(state, what as AgentEvent.AgentEvent, place)[0]
    }
    assert.deepStrictEqual<unknown>(message(state, false)?.parts, [
      { ...Reasoning("hm"), metadata },
      { ...Reasoning("n"), metadata },
      { ...Reasoning(""), metadata },
      Text("abc"),
      { ...ToolCall("1"), metadata },
      file,
      Text("d")
    ])
    assert.strictEqual(message(state, false)?.fromOrdinal, 1)
  })

  it("are not broken by arguments and outputs", () => {
    const piece: AgentEvent.AgentEvent = { _tag: "ToolCallDelta", id: "1", argsDelta: "{" }
    const output: AgentEvent.AgentEvent = { _tag: "ToolCallStreamDelta", id: "1", name: "build", delta: "o" }
    assert.deepStrictEqual(parts(text("a"), piece, text("b"), output, text("c")), [[Text("abc")]])
  })

  it("are no calls that never got ready, or were cancelled", () => {
    assert.deepStrictEqual(parts(text("a"), call("1"), call("2"), ready("2"), cancel("2")), [[Text("a")]])
    assert.deepStrictEqual(parts(call("1")), [])
  })

  it("have a call once, also when only its end was seen", () => {
    assert.deepStrictEqual(parts(ready("1"), call("1"), ready("1")), [[ToolCall("1")]])
  })

  it("are not empty", () => {
    assert.deepStrictEqual(parts(step("m")), [])
    assert.deepStrictEqual(parts(text(""), thought("")), [])
  })

  it("keep an encrypted value with the reasoning before it, or on its own", () => {
    assert.deepStrictEqual(parts(thought("hm"), encrypted("x"), encrypted("y"), thought("so"), text("a")), [
      [Reasoning("hm", "x"), Reasoning("", "y"), Reasoning("so"), Text("a")]
    ])
    assert.deepStrictEqual(parts(text("a"), encrypted("x")), [[Text("a"), Reasoning("", "x")]])
  })

  it("begin anew after a reset, which keeps where the message began", () => {
    const { messages } = run([start, step("m"), text("a"), ready("1"), reset, text("b"), inference])
    assert.deepStrictEqual(messages, [
      { role: "assistant", parts: [Text("b")], messageId: "m", step: 1, fromOrdinal: 2 }
    ])
    assert.deepStrictEqual(run([reset]).state, initial)
  })
})

describe("a message", () => {
  it("knows its step and its first event", () => {
    const { messages } = run([text("a"), inference, step("m"), text("b"), inference, step(), text("c"), inference])
    assert.deepStrictEqual(
      messages.map(({ fromOrdinal, messageId, step }) => [fromOrdinal, messageId, step]),
      [
        [1, undefined, undefined],
        [3, "m", 1],
        [6, undefined, 2]
      ]
    )
  })

  for (const [name, ending, partial] of [
    ["the inference ends", inference, false],
    ["the step ends", { _tag: "StepEnd" }, false],
    ["another step starts", step(), false],
    ["the run finishes", finish({ _tag: "NaturalEnd" }), false],
    ["a behavior asks the run to finish", finish({ _tag: "BehaviorRequested" }), false],
    ["the run is suspended", finish({ _tag: "Suspended" }), false],
    ["the run is cancelled", finish({ _tag: "Cancelled" }), true],
    ["the run is stopped", finish({ _tag: "Stopped", code: "c" }), true],
    ["the run is blocked", finish({ _tag: "Blocked", reason: "r" }), true],
    ["the run fails", finish({ _tag: "Error", message: "m" }), true],
    ["the run starts again", start, true]
  ] as const) {
    it(`ends when ${name}${partial ? ", before all was said" : ""}`, () => {
      const { messages, state } = run([text("a"), ending])
      const whole = { role: "assistant" as const, parts: [Text("a")], fromOrdinal: 1 }
      assert.deepEqual<ReadonlyArray<object>>(messages, [partial ? { ...whole, partial: true } : whole])
      assert.isUndefined(message(state, false))
    })
  }

  it("is known as far as it came", () => {
    const { messages, state } = run([text("a"), call("1")])
    assert.isEmpty(messages)
    assert.deepEqual<object | undefined>(message(state, true), {
      role: "assistant",
      parts: [Text("a")],
      fromOrdinal: 1,
      partial: true
    })
  })

  it.prop(
    "has all that was said since the last reset, and nothing else",
    [Arbitraries.stream(ids)],
    ([events]) => {
      const { messages } = run(events)
      let said = ""
      for (const [index, event] of events.entries()) {
        const isVoid = events
          .slice(index)
          .find(({ _tag }) => _tag === "StreamReset" || _tag === "InferenceComplete" || _tag === "StepStart")
        if (event._tag === "TextDelta" && isVoid?._tag !== "StreamReset") {
          said += event.delta
        }
      }
      assert.strictEqual(
        messages.flatMap(({ parts }) => parts.map((part) => (part._tag === "Text" ? part.text : ""))).join(""),
        said
      )
    },
    { arbitrary: { runs: 200 } }
  )
})
