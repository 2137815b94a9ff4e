import { assert, describe, it } from "@effect/vitest"
import * as AiSdk from "@runledger/ai/ai-sdk"
import { Approval, EventStore, MemoryEventStore, Recorder, Redaction, RunView } from "@runledger/core"
import { isStepCount, jsonSchema, simulateReadableStream, streamText, tool, type ToolSet } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { Deferred, Effect, Fiber, Layer, Redacted, Stream } from "effect"

type Result = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>
type Part = Result["stream"] extends ReadableStream<infer Part> ? Part : never

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 }
}

const finish = (unified: "stop" | "tool-calls"): Part => ({
  type: "finish",
  finishReason: { unified, raw: undefined },
  usage
})

const call = (toolCallId: string, at: string): Part => ({
  type: "tool-call",
  toolCallId,
  toolName: "look",
  input: JSON.stringify({ at })
})

const thought: ReadonlyArray<Part> = [
  { type: "reasoning-start", id: "1" },
  { type: "reasoning-delta", id: "1", delta: "Hm." },
  { type: "reasoning-end", id: "1", providerMetadata: { provider: { signature: "s" } } }
]

const done: ReadonlyArray<Part> = [
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta: "Done." },
  { type: "text-end", id: "1" },
  finish("stop")
]

/** A model that gives the answer after those that are in its prompt. */
const modelOf = (...answers: ReadonlyArray<ReadonlyArray<Part>>) =>
  new MockLanguageModelV4({
    doStream: async ({ prompt }) => ({
      stream: simulateReadableStream({
        chunks: [...(answers[prompt.filter(({ role }) => role === "assistant").length] ?? done)],
        initialDelayInMs: null,
        chunkDelayInMs: null
      })
    })
  })

const ids = { threadId: "t", runId: "r" }

const look = (execute: (at: string) => Promise<string>, needsApproval = false): ToolSet => ({
  look: tool({
    inputSchema: jsonSchema<{ readonly at: string }>({ type: "object", properties: { at: { type: "string" } } }),
    needsApproval,
    execute: async ({ at }) => execute(at)
  })
})

/** An agent as the docs have it. */
const agent = (model: MockLanguageModelV4, tools: ToolSet) =>
  Effect.gen(function* () {
    const { hasFinished, messages, waiting } = yield* AiSdk.conversation(ids.threadId, ids.runId)
    if (waiting.length > 0) {
      yield* AiSdk.suspend
    } else if (!hasFinished) {
      const claimed = yield* AiSdk.tools(tools)
      const asked = messages.length === 0 ? [{ role: "user" as const, content: "Look!" }] : messages
      const { stream } = streamText({ model, messages: asked, tools: claimed, stopWhen: isStepCount(5) })
      yield* Stream.runDrain(AiSdk.record(stream))
    }
    return waiting.map(({ id }) => id)
  }).pipe(Recorder.record(ids), Effect.provide(Recorder.layer()))

const pending = Effect.map(Stream.runCollect(Approval.pending), (all) =>
  all.map(({ callId, state }) => `${callId} ${state}`)
)

const readRun = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const { facts } = yield* store.read({ scope: { _tag: "Run", runId: "r" } })
  return { kinds: facts.map(({ kind }) => kind), view: RunView.fromFacts("r", facts) }
})

const inMemory = Effect.provide(Layer.fresh(MemoryEventStore.layer))

describe("an agent on the AI SDK", () => {
  it.live("claims each call after it was made, also when ids are used again", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const model = modelOf(
        [call("call_0", "a"), finish("tool-calls")],
        [call("call_0", "b"), finish("tool-calls")],
        done
      )
      yield* agent(
        model,
        look(async (at) => {
          seen.push(at)
          return `saw ${at}`
        })
      )
      assert.deepStrictEqual(seen, ["a", "b"])
      const { kinds } = yield* readRun
      assert.deepStrictEqual(
        kinds.filter((kind) => kind === "ToolCallReady" || kind === "ToolCallExecuting" || kind === "ToolCallDone"),
        ["ToolCallReady", "ToolCallExecuting", "ToolCallDone", "ToolCallReady", "ToolCallExecuting", "ToolCallDone"]
      )
      const { hasFinished, messages } = yield* AiSdk.conversation("t", "r")
      assert.isTrue(hasFinished)
      assert.deepStrictEqual(
        messages.flatMap(({ content, role }) =>
          role === "tool" ? content.map((part) => Object(Object(part).output).value as unknown) : []
        ),
        ["saw a", "saw b"]
      )
    }).pipe(inMemory)
  )

  it.live("that was interrupted within a tool waits for a decision, and has what was thought before the call", () =>
    Effect.gen(function* () {
      const entered = yield* Deferred.make<void>()
      const model = modelOf([...thought, call("1", "a"), finish("tool-calls")], done)
      const hanging = look(() => {
        Deferred.doneUnsafe(entered, Effect.void)
        return new Promise(() => {})
      })
      const running = yield* Effect.forkChild(agent(model, hanging))
      yield* Deferred.await(entered)
      yield* Fiber.interrupt(running)
      const { messages, waiting } = yield* AiSdk.conversation("t", "r")
      assert.deepStrictEqual(
        waiting.map(({ id, state }) => [id, state]),
        [["1", "unknown"]]
      )
      assert.deepInclude(Object(messages[0]?.content)[0], {
        type: "reasoning",
        text: "Hm.",
        providerOptions: { provider: { signature: "s" } }
      })
      let seen = 0
      const tools = look(async () => `saw it ${(seen += 1)}`)
      for (const _ of [1, 2]) {
        assert.deepStrictEqual(yield* agent(model, tools), ["1"])
        assert.deepStrictEqual(yield* pending, ["1 outcome_unknown"])
      }
      yield* Approval.decide({ callId: "1", approved: true })
      assert.deepStrictEqual(yield* agent(model, tools), [])
      assert.strictEqual(seen, 1)
      const { view } = yield* readRun
      assert.deepInclude(view, { status: "done", doneReason: "natural" })
    }).pipe(inMemory)
  )

  it.live("takes a decision once, and asks nobody when it has finished", () =>
    Effect.gen(function* () {
      let seen = 0
      const tools = look(async () => `saw it ${(seen += 1)}`, true)
      const model = modelOf([call("1", "a"), finish("tool-calls")], done)
      yield* agent(model, tools)
      assert.deepStrictEqual(yield* pending, ["1 waits_for_permission"])
      assert.deepStrictEqual(yield* agent(model, tools), ["1"])
      yield* Approval.decide({ callId: "1", approved: true })
      yield* agent(model, tools)
      const calls = model.doStreamCalls.length
      yield* agent(model, tools)
      assert.deepStrictEqual([seen, model.doStreamCalls.length], [1, calls])
    }).pipe(inMemory)
  )

  it.live("runs no approved call whose arguments had a secret", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const tools = look(async (at) => {
        seen.push(at)
        return "seen"
      }, true)
      const model = modelOf([call("1", "sesame"), call("2", "plain"), finish("tool-calls")], done)
      yield* agent(model, tools)
      for (const callId of ["1", "2"]) {
        yield* Approval.decide({ callId, approved: true })
      }
      yield* agent(model, tools)
      assert.deepStrictEqual(seen, ["plain"])
      const { view } = yield* readRun
      assert.deepStrictEqual(
        RunView.calls(view).map(({ state }) => state),
        ["rejected", "succeeded"]
      )
    }).pipe(inMemory, Effect.provideService(Redaction.Redaction, Redaction.fromSecrets([Redacted.make("sesame")])))
  )
})
