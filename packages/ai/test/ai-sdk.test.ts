import { assert, describe, it } from "@effect/vitest"
import { Durability, EventStore, LedgerError, MemoryEventStore, Recorder, Run, RunView } from "@runledger/core"
import * as AiSdk from "@runledger/ai/ai-sdk"
import {
  isStepCount,
  jsonSchema,
  type LanguageModel,
  type ModelMessage,
  simulateReadableStream,
  streamText,
  type TextStreamPart,
  tool,
  type ToolSet
} from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { type Cause, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"

type Result = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>
type ModelPart = Result["stream"] extends ReadableStream<infer Part> ? Part : never

const usage = {
  inputTokens: { total: 10, noCache: 4, cacheRead: 5, cacheWrite: 1 },
  outputTokens: { total: 7, text: 4, reasoning: 3 }
}

const finish = (unified: "stop" | "tool-calls" | "length" | "content-filter" = "stop"): ModelPart => ({
  type: "finish",
  usage,
  finishReason: { unified, raw: undefined }
})

const text = (text: string, id = "t"): ReadonlyArray<ModelPart> => [
  { type: "text-start", id },
  { type: "text-delta", id, delta: text },
  { type: "text-end", id }
]

const call = (toolCallId: string, toolName: string, input: unknown): ModelPart => ({
  type: "tool-call",
  toolCallId,
  toolName,
  input: JSON.stringify(input)
})

/** A model that says these parts, an answer a step. */
const modelOf = (...answers: ReadonlyArray<ReadonlyArray<ModelPart>>): LanguageModel =>
  new MockLanguageModelV4({
    doStream: answers.map((parts) => ({
      stream: simulateReadableStream({
        chunks: [{ type: "response-metadata", modelId: "model-1" }, ...parts],
        initialDelayInMs: null,
        chunkDelayInMs: null
      })
    }))
  })

const ids = { threadId: "t", runId: "r" }

const ledger = (store: Layer.Layer<EventStore.EventStore> = Layer.fresh(MemoryEventStore.layer)) =>
  Layer.provideMerge(Recorder.layer(), store)

const readRun = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const { facts } = yield* store.read({ scope: { _tag: "Run", runId: "r" } })
  return { facts, view: RunView.fromFacts("r", facts), kinds: facts.map(({ kind }) => kind) }
})

/** Records what is streamed, and reads the run. */
const recorded = <E, R>(stream: Stream.Stream<TextStreamPart<ToolSet>, E, R>) =>
  Effect.gen(function* () {
    const received = yield* Stream.runCollect(stream)
    return { received }
  }).pipe(
    Recorder.record(ids),
    Effect.flatMap(({ received }) => Effect.map(readRun, (run) => ({ ...run, received })))
  )

const scripted = (...parts: ReadonlyArray<TextStreamPart<ToolSet>>) =>
  recorded(AiSdk.record(simulateReadableStream({ chunks: [...parts], initialDelayInMs: null, chunkDelayInMs: null })))

const startStep: TextStreamPart<ToolSet> = { type: "start-step", request: {}, warnings: [] }

const finishStep = {
  type: "finish-step",
  response: { id: "1", timestamp: new Date(0), modelId: "model-1" },
  usage: {},
  finishReason: "stop",
  rawFinishReason: undefined,
  providerMetadata: undefined
} as never

const finishPart = (finishReason = "stop") => ({ type: "finish", finishReason, rawFinishReason: undefined }) as never

const stateOf = (view: RunView.RunView, id: string) => RunView.calls(view).find((call) => call.id === id)?.state

const partsOf = (view: RunView.RunView) => view.messages.flatMap(({ parts }) => parts)

const schema = jsonSchema<{ readonly at: string }>({ type: "object" })

const look = tool({ inputSchema: schema, execute: ({ at }: { readonly at: string }) => `seen ${at}` })

const unavailable = new LedgerError.UnavailableError({ message: "the disk is full" })

/** A store in memory with another way to append. */
const storeThat = (
  append: (store: EventStore.EventStoreShape) => EventStore.EventStoreShape["append"]
): Layer.Layer<EventStore.EventStore> =>
  Layer.effect(
    EventStore.EventStore,
    Effect.map(EventStore.EventStore, (store) => ({ ...store, append: append(store) }))
  ).pipe(Layer.provide(Layer.fresh(MemoryEventStore.layer)))

describe("a stream of the AI SDK", () => {
  for (const mode of ["full_fidelity", "compacted"] as const) {
    it.effect(`is recorded step by step, with parallel calls (${mode})`, () =>
      Effect.gen(function* () {
        const model = modelOf(
          [
            { type: "reasoning-start", id: "0" },
            { type: "reasoning-delta", id: "0", delta: "Two " },
            { type: "reasoning-delta", id: "0", delta: "places." },
            { type: "reasoning-end", id: "0", providerMetadata: { test: { signature: "s" } } },
            ...text("I look."),
            call("1", "look", { at: "a" }),
            call("2", "look", { at: "b" }),
            finish("tool-calls")
          ],
          [...text("All is "), ...text("well.", "t2"), finish()]
        )
        const { facts, view } = yield* Effect.gen(function* () {
          const tools = yield* AiSdk.tools({ look })
          const result = streamText({ model, prompt: "Look!", tools, stopWhen: isStepCount(5) })
          yield* Stream.runDrain(AiSdk.record(result.stream))
        }).pipe(Recorder.record(ids), Effect.andThen(readRun))
        assert.strictEqual(view.doneReason, "natural")
        assert.deepStrictEqual(view.result, { finishReason: "stop" })
        assert.deepStrictEqual(
          view.messages.map(({ parts }) => parts),
          [
            [
              { _tag: "Reasoning", text: "Two places.", metadata: { test: { signature: "s" } } },
              { _tag: "Text", text: "I look.", metadata: {} },
              { _tag: "ToolCall", id: "1", name: "look" },
              { _tag: "ToolCall", id: "2", name: "look" }
            ],
            [
              { _tag: "Text", text: "All is ", metadata: {} },
              { _tag: "Text", text: "well.", metadata: {} }
            ]
          ]
        )
        assert.deepStrictEqual(
          RunView.calls(view).map(({ arguments: args, id, result, state }) => [id, state, args, result?.data]),
          [
            ["1", "succeeded", { at: "a" }, "seen a"],
            ["2", "succeeded", { at: "b" }, "seen b"]
          ]
        )
        assert.deepStrictEqual(view.tokens, {
          promptTokens: 20,
          completionTokens: 14,
          totalTokens: 34,
          cacheReadTokens: 10,
          cacheCreationTokens: 2,
          thinkingTokens: 6
        })
        assert.strictEqual(view.inferences, 2)
        assert.deepStrictEqual(
          facts.flatMap(({ kind, payload }) =>
            kind.startsWith("ToolCall") && Reflect.get(Object(payload), "id") === "1" ? [kind] : []
          ),
          ["ToolCallStarted", "ToolCallReady", "ToolCallExecuting", "ToolCallDone"].slice(mode === "compacted" ? 1 : 0)
        )
      }).pipe(Effect.provideService(Durability.Durability, mode), Effect.provide(ledger()))
    )
  }

  it.effect("reaches the app unaltered, unknown and raw parts too", () =>
    Effect.gen(function* () {
      const parts: ReadonlyArray<TextStreamPart<ToolSet>> = [
        { type: "start" },
        startStep,
        { type: "raw", rawValue: { any: 1 } },
        { type: "of-the-future", what: 1 } as never,
        { type: "ping" },
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", text: "Hi" },
        { type: "text-end", id: "0" },
        finishStep,
        finishPart()
      ]
      const { received, view } = yield* scripted(...parts)
      assert.strictEqual(received.length, parts.length)
      received.forEach((part, index) => assert.strictEqual(part, parts[index]))
      assert.deepStrictEqual(partsOf(view), [{ _tag: "Text", text: "Hi", metadata: {} }])
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("has been recorded as far as it was handed on", () =>
    Effect.gen(function* () {
      const run = yield* Run.Run
      const ordinals: Array<number> = []
      yield* AiSdk.record(streamText({ model: modelOf([...text("Hi"), finish()]), prompt: "…" }).stream).pipe(
        Stream.filter(({ type }) => type === "start-step" || type === "text-delta" || type === "finish"),
        Stream.runForEach(() => Effect.map(run.status, ({ ordinal }) => void ordinals.push(ordinal)))
      )
      // RunStart, StepStart; TextDelta; InferenceComplete, StepEnd, RunFinish.
      assert.deepStrictEqual(ordinals, [2, 3, 6])
    }).pipe(Recorder.record(ids), Effect.provide(ledger()))
  )

  it.effect("keeps blocks apart, also when one begins within another, and what it refers to behind them", () =>
    Effect.gen(function* () {
      const { view } = yield* scripted(
        startStep,
        { type: "reasoning-start", id: "r0", providerMetadata: { test: { item: 1 } } },
        { type: "reasoning-delta", id: "r0", text: "One." },
        { type: "reasoning-start", id: "r1" },
        { type: "reasoning-delta", id: "r1", text: "Two." },
        { type: "reasoning-end", id: "r1", providerMetadata: { test: { secret: "b" } } },
        { type: "reasoning-end", id: "r0", providerMetadata: { test: { secret: "a" } } },
        { type: "text-start", id: "t" },
        { type: "text-delta", id: "t", text: "See " },
        { type: "source", sourceType: "url", id: "s", url: "https://a.example/" },
        { type: "text-delta", id: "t", text: "there.", providerMetadata: { test: { x: 1 } } },
        { type: "text-end", id: "t", providerMetadata: { test: { y: 2 }, other: { z: 3 } } },
        {
          type: "file",
          file: { base64: "aGk=", mediaType: "image/png", uint8Array: new Uint8Array() },
          providerMetadata: { test: { f: 1 } }
        },
        { type: "custom", kind: "test.compaction", providerMetadata: { test: { c: 1 } } },
        finishStep,
        finishPart()
      )
      assert.deepStrictEqual(partsOf(view), [
        { _tag: "Reasoning", text: "One.", metadata: {} },
        { _tag: "Reasoning", text: "Two.", metadata: { test: { secret: "b" } } },
        { _tag: "Reasoning", text: "", metadata: { test: { item: 1, secret: "a" } } },
        { _tag: "Text", text: "See there.", metadata: { test: { x: 1, y: 2 }, other: { z: 3 } } },
        {
          _tag: "Data",
          mediaType: "application/vnd.runledger.source+json",
          data: { sourceType: "url", id: "s", url: "https://a.example/" }
        },
        { _tag: "Data", mediaType: "image/png", data: "aGk=", metadata: { test: { f: 1 } } },
        {
          _tag: "Data",
          mediaType: "application/vnd.runledger.custom+json",
          data: { kind: "test.compaction" },
          metadata: { test: { c: 1 } }
        }
      ])
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("keeps what is known of a block whose end does not come", () =>
    Effect.gen(function* () {
      const { view } = yield* scripted(
        startStep,
        { type: "text-start", id: "t", providerMetadata: { test: { item: 1 } } },
        { type: "text-delta", id: "t", text: "See" },
        { type: "source", sourceType: "url", id: "s", url: "https://a.example/" },
        finishStep,
        finishPart("interrupted")
      )
      assert.deepStrictEqual(partsOf(view), [
        { _tag: "Text", text: "See", metadata: { test: { item: 1 } } },
        {
          _tag: "Data",
          mediaType: "application/vnd.runledger.source+json",
          data: { sourceType: "url", id: "s", url: "https://a.example/" }
        }
      ])
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("may have calls that the provider runs, that fail, are not valid or not allowed", () =>
    Effect.gen(function* () {
      const made = (toolCallId: string, more = {}) =>
        ({ type: "tool-call", toolCallId, toolName: "look", input: {}, ...more }) as TextStreamPart<ToolSet>
      const came = (type: string, toolCallId: string, more = {}) =>
        ({ type, toolCallId, toolName: "look", input: {}, ...more }) as TextStreamPart<ToolSet>
      const loop: { self?: unknown } = {}
      loop.self = loop
      const { view } = yield* scripted(
        startStep,
        { type: "tool-input-start", id: "1", toolName: "look" },
        { type: "tool-input-delta", id: "1", delta: "{" },
        made("1", { providerExecuted: true, providerMetadata: { test: { item: "i" } } }),
        came("tool-result", "1", {
          output: { at: new Date(0), left: undefined },
          providerExecuted: true,
          providerMetadata: { test: { item: "o" } }
        }),
        made("2"),
        came("tool-error", "2", { error: new TypeError("no such place") }),
        made("3", { invalid: true, dynamic: true, error: new Error("not valid"), input: undefined }),
        came("tool-error", "3", { error: "not valid" }),
        made("4"),
        came("tool-output-denied", "4"),
        made("5"),
        came("tool-result", "5", { output: { part: 1 }, preliminary: true }),
        came("tool-result", "5", { output: loop }),
        made("6"),
        came("tool-result", "6", { output: undefined }),
        finishStep,
        finishPart()
      )
      assert.deepStrictEqual(
        RunView.calls(view).map(({ id, result, state }) => [id, state, result?.data, result?.metadata]),
        [
          [
            "1",
            "succeeded",
            { at: "1970-01-01T00:00:00.000Z" },
            { providerExecuted: true, providerMetadata: { test: { item: "o" } } }
          ],
          ["2", "failed", { name: "TypeError", message: "no such place" }, {}],
          ["3", "failed", "not valid", {}],
          ["4", "rejected", null, { rejected: true }],
          ["5", "succeeded", "[a value that has no JSON]", {}],
          ["6", "succeeded", null, {}]
        ]
      )
      assert.strictEqual(RunView.calls(view)[4]?.output, '{"part":1}')
      assert.deepStrictEqual(partsOf(view).slice(0, 3), [
        {
          _tag: "ToolCall",
          id: "1",
          name: "look",
          metadata: { test: { item: "i" }, runledger: { providerExecuted: true } }
        },
        { _tag: "ToolCall", id: "2", name: "look" },
        { _tag: "ToolCall", id: "3", name: "look", metadata: { runledger: { invalid: true, error: "not valid" } } }
      ])
    }).pipe(Effect.provideService(Durability.Durability, "full_fidelity"), Effect.provide(ledger()))
  )

  it.effect("takes the time of the model, not that of the tools", () =>
    Effect.gen(function* () {
      const parts = async function* (): AsyncGenerator<TextStreamPart<ToolSet>> {
        yield startStep
        await Effect.runPromise(clock.adjust("2 seconds"))
        yield { type: "tool-call", toolCallId: "1", toolName: "look", input: {} }
        await Effect.runPromise(clock.adjust("1 minute"))
        yield { type: "tool-result", toolCallId: "1", toolName: "look", input: {}, output: 1 }
        yield finishStep
        yield startStep
        await Effect.runPromise(clock.adjust("3 seconds"))
        yield finishStep
        yield finishPart()
      }
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const { view } = yield* recorded(AiSdk.record(parts()))
      assert.strictEqual(view.modelMs, 5000)
    }).pipe(Effect.provide(ledger()))
  )
})

describe("the end of a stream", () => {
  const error = (error: unknown): TextStreamPart<ToolSet> => ({ type: "error", error })

  it.effect.each([
    ["stop", "natural"],
    ["tool-calls", "natural"],
    ["length", "stopped:length"],
    ["interrupted", "stopped:interrupted"],
    ["content-filter", "blocked:content-filter"],
    ["error", "error"]
  ] as const)("for the reason %s is the end %s of the run", ([reason, doneReason]) =>
    Effect.gen(function* () {
      const { view } = yield* scripted(startStep, finishStep, finishPart(reason))
      assert.strictEqual(view.doneReason, doneReason)
      assert.deepStrictEqual(view.result, { finishReason: reason })
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("after an error is an error, with and without a finish", () =>
    Effect.gen(function* () {
      for (const last of [[finishStep, finishPart()], []]) {
        const { view } = yield* scripted(
          startStep,
          error(Object.assign(new Error("over quota"), { code: "quota" })),
          error("and more"),
          ...last
        ).pipe(Effect.provide(ledger()))
        assert.strictEqual(view.doneReason, "error")
        assert.deepStrictEqual(view.termination, { _tag: "Error", message: "over quota" })
        assert.deepStrictEqual(
          view.errors.map(({ code, message }) => [message, code]),
          [
            ["over quota", "quota"],
            ["and more", undefined]
          ]
        )
      }
    })
  )

  it.effect("is an error when the model cannot be asked", () =>
    Effect.gen(function* () {
      const model = new MockLanguageModelV4({ doStream: () => Promise.reject(new Error("no network")) })
      const { view } = yield* recorded(
        AiSdk.record(streamText({ model, prompt: "…", maxRetries: 0, onError: () => undefined }).stream)
      )
      assert.strictEqual(view.doneReason, "error")
      assert.deepStrictEqual(view.termination, { _tag: "Error", message: "no network" })
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("that comes with an exception is an error of the effect, and of the run", () =>
    Effect.gen(function* () {
      const parts = async function* (): AsyncGenerator<TextStreamPart<ToolSet>> {
        yield startStep
        yield { type: "text-delta", id: "0", text: "Half" }
        throw new Error("cut")
      }
      const exit = yield* Effect.exit(recorded(AiSdk.record(parts())))
      assert.isTrue(Exit.isFailure(exit))
      const { view } = yield* readRun
      assert.deepStrictEqual(view.termination, { _tag: "Error", message: "cut" })
      assert.deepStrictEqual(
        view.messages.map(({ partial, parts }) => [partial, parts]),
        [[true, [{ _tag: "Text", text: "Half" }]]]
      )
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("that is aborted is cancelled", () =>
    Effect.gen(function* () {
      const abort = new AbortController()
      const result = streamText({
        model: modelOf([...text("Hi"), ...text("Ho", "2"), finish()]),
        prompt: "…",
        abortSignal: abort.signal
      })
      const { received, view } = yield* recorded(
        Stream.tap(AiSdk.record(result.stream), ({ type }) => Effect.sync(() => type === "text-delta" && abort.abort()))
      )
      assert.strictEqual(received.at(-1)?.type, "abort")
      assert.strictEqual(view.doneReason, "cancelled")
    }).pipe(Effect.provide(ledger()))
  )

  it.live("that nobody waits for is cancelled", () =>
    Effect.gen(function* () {
      let closed = false
      const parts = async function* (): AsyncGenerator<TextStreamPart<ToolSet>> {
        try {
          yield startStep
          yield { type: "text-delta", id: "0", text: "Half" }
          await new Promise((resolve) => setTimeout(resolve, 50))
          yield { type: "text-delta", id: "0", text: "more" }
        } finally {
          closed = true
        }
      }
      const fiber = yield* Effect.forkChild(recorded(AiSdk.record(parts())))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      const { view } = yield* readRun
      yield* Effect.sleep("100 millis")
      assert.strictEqual(view.doneReason, "cancelled")
      assert.isTrue(closed)
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("is not the end of the run when another follows", () =>
    Effect.gen(function* () {
      const parts = () =>
        simulateReadableStream<TextStreamPart<ToolSet>>({
          chunks: [startStep, { type: "text-delta", id: "0", text: "Hi" }, finishStep, finishPart()]
        })
      yield* Effect.andThen(Stream.runDrain(AiSdk.record(parts())), Stream.runDrain(AiSdk.record(parts()))).pipe(
        Recorder.record(ids)
      )
      const { kinds, view } = yield* readRun
      assert.strictEqual(view.status, "done")
      assert.lengthOf(view.messages, 2)
      assert.deepStrictEqual(
        kinds.filter((kind) => kind.startsWith("Run")),
        ["RunStarted", "RunFinished", "RunResumed", "RunFinished"]
      )
    }).pipe(Effect.provide(ledger()))
  )
})

describe("an approval", () => {
  const erase = (done: Array<string>) =>
    tool({
      inputSchema: schema,
      needsApproval: true,
      execute: ({ at }: { readonly at: string }) => {
        done.push(at)
        return `erased ${at}`
      }
    })

  const ask = (model: LanguageModel, erase: ToolSet[string], messages: Array<ModelMessage>) =>
    Effect.gen(function* () {
      const tools = yield* AiSdk.tools({ erase })
      const result = streamText({ model, messages, tools })
      yield* Stream.runDrain(AiSdk.record(result.stream))
      return yield* Effect.promise(() => Promise.resolve(result.responseMessages))
    }).pipe(Recorder.record(ids))

  it.effect.each([true, false])("that is given (%s) is waited for", (approved) =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const asked: Array<ModelMessage> = [{ role: "user", content: "Erase a." }]
      const first = modelOf([call("1", "erase", { at: "a" }), finish("tool-calls")])
      const answered = yield* ask(first, erase(done), asked)
      const waiting = (yield* readRun).view
      assert.strictEqual(waiting.status, "waiting")
      assert.strictEqual(stateOf(waiting, "1"), "suspended")
      assert.deepStrictEqual(
        waiting.permissions.map(({ action, callId, parameters }) => [callId, action, parameters]),
        [["1", "tool:erase", { at: "a" }]]
      )
      assert.deepStrictEqual(done, [])
      const [permission] = waiting.permissions
      yield* ask(modelOf([...text("So be it."), finish()]), erase(done), [
        ...asked,
        ...answered,
        {
          role: "tool",
          content: [{ type: "tool-approval-response", approvalId: permission?.suspensionId ?? "", approved }]
        }
      ])
      const { view } = yield* readRun
      assert.strictEqual(view.doneReason, "natural")
      assert.deepStrictEqual(view.permissions, [])
      assert.strictEqual(stateOf(view, "1"), approved ? "succeeded" : "rejected")
      assert.deepStrictEqual(done, approved ? ["a"] : [])
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("that the app's own rules give is none", () =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const { view } = yield* Effect.gen(function* () {
        const tools = yield* AiSdk.tools({ erase: erase(done), keep: erase(done) })
        const model = modelOf([call("1", "erase", { at: "a" }), call("2", "keep", { at: "b" }), finish("tool-calls")])
        const result = streamText({
          model,
          prompt: "…",
          tools,
          toolApproval: { erase: "approved", keep: "denied" }
        })
        yield* Stream.runDrain(AiSdk.record(result.stream))
      }).pipe(Recorder.record(ids), Effect.andThen(readRun))
      assert.strictEqual(view.doneReason, "natural")
      assert.deepStrictEqual(view.permissions, [])
      assert.deepStrictEqual(done, ["a"])
      assert.deepStrictEqual([stateOf(view, "1"), stateOf(view, "2")], ["succeeded", "rejected"])
    }).pipe(Effect.provide(ledger()))
  )
})

describe("a tool", () => {
  const model = () => modelOf([...text("I look."), call("1", "look", { at: "a" }), finish("tool-calls")])

  it.effect("is entered when the ledger has its call, the arguments, and that it is about to run", () =>
    Effect.gen(function* () {
      const runPromise = Effect.runPromiseWith(yield* Effect.context<EventStore.EventStore>())
      const seen: Array<RunView.ToolCall> = []
      const slow = tool({
        inputSchema: schema,
        execute: async () => {
          seen.push(...RunView.calls((await runPromise(readRun)).view))
          return "seen"
        }
      })
      yield* Effect.gen(function* () {
        const tools = yield* AiSdk.tools({ look: slow })
        yield* Stream.runDrain(AiSdk.record(streamText({ model: model(), prompt: "…", tools }).stream))
      }).pipe(Recorder.record(ids))
      assert.deepStrictEqual(
        seen.map(({ arguments: args, state }) => [state, args]),
        [["executing", { at: "a" }]]
      )
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("is not entered when that cannot be committed", () =>
    Effect.gen(function* () {
      let entered = false
      let claimed: Promise<unknown> = Promise.resolve()
      const agent = Effect.gen(function* () {
        const { look } = yield* AiSdk.tools({
          look: tool({ inputSchema: schema, execute: () => (entered = true) })
        })
        const options = { toolCallId: "1", messages: [], context: {} }
        claimed = Promise.resolve(look.execute?.({ at: "a" }, options)).catch((error: unknown) => error)
        yield* Effect.promise(() => claimed)
      })
      const fiber = yield* Effect.forkChild(Effect.exit(Recorder.record(ids)(agent)))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
      assert.strictEqual(Reflect.get(Object(yield* Effect.promise(() => claimed)), "_tag"), "StagingFailed")
      assert.isFalse(entered)
    }).pipe(
      Effect.provide(
        Recorder.layer({ onStoreFailure: "failRun" }).pipe(
          Layer.provide(
            storeThat(
              (store) => (batch, options) =>
                batch.some(({ kind }) => kind === "ToolCallExecuting")
                  ? Effect.fail(unavailable)
                  : store.append(batch, options)
            )
          )
        )
      )
    )
  )

  it.effect("is not held up for good by an app that never reads of its call", () =>
    Effect.gen(function* () {
      const agent = Effect.gen(function* () {
        const tools = yield* AiSdk.tools({ look })
        const result = streamText({
          model: model(),
          prompt: "…",
          tools,
          experimental_transform: () =>
            new TransformStream({
              transform: (part, controller) => {
                if (part.type !== "tool-call") {
                  controller.enqueue(part)
                }
              }
            })
        })
        yield* Stream.runDrain(AiSdk.record(result.stream))
      })
      const fiber = yield* Effect.forkChild(Recorder.record(ids)(agent))
      while (fiber.pollUnsafe() === undefined) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("1 second")
      }
      const { kinds, view } = yield* readRun
      assert.strictEqual(stateOf(view, "1"), "succeeded")
      assert.include(kinds, "ToolCallExecuting")
    }).pipe(Effect.provide(ledger()))
  )

  it.effect("can put out one result after the other", () =>
    Effect.gen(function* () {
      const counting = tool({
        inputSchema: schema,
        async *execute({ at }: { readonly at: string }) {
          yield `${at} 1`
          yield `${at} 2`
        }
      })
      const returned = tool({
        inputSchema: schema,
        execute: ({ at }: { readonly at: string }) =>
          (async function* () {
            yield `${at} 1`
            yield `${at} 2`
          })()
      })
      const two = modelOf([
        call("1", "counting", { at: "a" }),
        call("2", "returned", { at: "b" }),
        finish("tool-calls")
      ])
      const { view } = yield* Effect.gen(function* () {
        const tools = yield* AiSdk.tools({ counting, returned })
        yield* Stream.runDrain(AiSdk.record(streamText({ model: two, prompt: "…", tools }).stream))
      }).pipe(Recorder.record(ids), Effect.andThen(readRun))
      assert.deepStrictEqual(
        RunView.calls(view).map(({ output, result, state }) => [state, result?.data, output]),
        [
          ["succeeded", "a 2", '"a 1""a 2"'],
          ["succeeded", "b 2", ""]
        ]
      )
    }).pipe(Effect.provideService(Durability.Durability, "full_fidelity"), Effect.provide(ledger()))
  )

  it.effect("that nobody runs here, and all else that it has, stays as it is", () =>
    Effect.gen(function* () {
      const here = tool({ inputSchema: schema, outputSchema: jsonSchema<string>({ type: "string" }) })
      const tools = yield* AiSdk.tools({ here, look })
      assert.strictEqual(tools.here, here)
      assert.deepStrictEqual(Object.keys(tools.look), Object.keys(look))
      assert.notStrictEqual(tools.look.execute, look.execute)
    }).pipe(Recorder.record(ids), Effect.provide(ledger()))
  )

  it.effect("is claimed without a stream, too", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const tools = yield* AiSdk.tools({ look })
        const options = { toolCallId: "1", messages: [], context: {} }
        const output = yield* Effect.promise(() => Promise.resolve(tools.look.execute?.({ at: "a" }, options)))
        assert.strictEqual(output, "seen a")
      }).pipe(Recorder.record(ids))
      assert.include((yield* readRun).kinds, "ToolCallExecuting")
    }).pipe(Effect.provide(ledger()))
  )
})

describe("the types", () => {
  it("say what is needed and how it fails", () => {
    type Tools = { readonly look: typeof look }
    const stream = {} as AsyncIterable<TextStreamPart<Tools>>
    expectTypeOf(AiSdk.record<Tools>)
      .parameter(0)
      .toEqualTypeOf(stream)
    expectTypeOf(AiSdk.record<Tools>).returns.toEqualTypeOf<
      Stream.Stream<TextStreamPart<Tools>, Cause.UnknownError, Run.Run>
    >()
    expectTypeOf(AiSdk.tools<Tools>).returns.toEqualTypeOf<Effect.Effect<Tools, never, Run.Run>>()
  })
})
