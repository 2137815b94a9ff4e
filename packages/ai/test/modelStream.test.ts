import { assert, describe, it } from "@effect/vitest"
import { ModelStream } from "@runledger/ai/effect"
import { Durability, EventStore, MemoryEventStore, Recorder, Run, RunView } from "@runledger/core"
import { Arbitrary, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { Response } from "effect/ai"

const ids = { threadId: "t", runId: "r" }

/** What a model says, block by block. */
const Block = Schema.Union([
  Schema.Struct({
    _tag: Schema.Literals(["text", "reasoning"]),
    deltas: Schema.Array(Schema.String.check(Schema.isMaxLength(8))).check(Schema.isMaxLength(6)),
    isSigned: Schema.Boolean
  }),
  Schema.Struct({
    _tag: Schema.Literal("call"),
    params: Schema.Json,
    isStreamed: Schema.Boolean,
    isTheirs: Schema.Boolean
  }),
  Schema.Struct({ _tag: Schema.Literals(["file", "source"]) })
])
type Block = typeof Block.Type

const Blocks = Schema.Array(Block).check(Schema.isMaxLength(8))
const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
const Usage = Schema.Struct({ prompt: Count, completion: Count, reasoning: Count, cached: Count })
const Sizes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(5)
)

const signed = { provider: { signature: "s" } }

const partsOf = (block: Block, index: number): ReadonlyArray<Response.AnyPart> => {
  const id = String(index)
  switch (block._tag) {
    case "text":
      return [
        Response.makePart("text-start", { id }),
        ...block.deltas.map((delta) => Response.makePart("text-delta", { id, delta })),
        Response.makePart("text-end", { id, metadata: block.isSigned ? signed : {} })
      ]
    case "reasoning":
      return [
        Response.makePart("reasoning-start", { id, metadata: block.isSigned ? signed : {} }),
        ...block.deltas.map((delta) => Response.makePart("reasoning-delta", { id, delta })),
        Response.makePart("reasoning-end", { id })
      ]
    case "call": {
      const call = { id, name: "tool", providerExecuted: block.isTheirs }
      const streamed = [
        Response.makePart("tool-params-start", { id, name: "tool", providerExecuted: block.isTheirs }),
        Response.makePart("tool-params-delta", { id, delta: JSON.stringify(block.params) }),
        Response.makePart("tool-params-end", { id })
      ]
      return [
        ...(block.isStreamed ? streamed : []),
        Response.makePart("tool-call", { ...call, params: block.params }),
        Response.makePart("tool-result", {
          ...call,
          result: 1,
          encodedResult: 1,
          isFailure: false,
          preliminary: false
        })
      ]
    }
    case "file":
      return [Response.makePart("file", { mediaType: "image/png", data: new Uint8Array([1, 2, 3]) })]
    case "source":
      return [
        Response.makePart("source", {
          sourceType: "url",
          id,
          url: new URL("http://example.com"),
          title: "t"
        } as Omit<Response.UrlSourcePart, "type">)
      ]
  }
}

/** The message that the blocks say. */
const messageOf = (blocks: ReadonlyArray<Block>): ReadonlyArray<unknown> =>
  blocks.flatMap((block, index): ReadonlyArray<unknown> => {
    switch (block._tag) {
      case "text": {
        const text = block.deltas.join("")
        return text === "" && !block.isSigned ? [] : [{ _tag: "Text", text, metadata: block.isSigned ? signed : {} }]
      }
      case "reasoning": {
        const text = block.deltas.join("")
        return text === "" && !block.isSigned
          ? []
          : [{ _tag: "Reasoning", text, metadata: block.isSigned ? signed : {} }]
      }
      case "call":
        return [
          {
            _tag: "ToolCall",
            id: String(index),
            name: "tool",
            ...(block.isTheirs ? { metadata: { runledger: { providerExecuted: true } } } : {})
          }
        ]
      case "file":
        return [{ _tag: "Data", mediaType: "image/png", data: "AQID" }]
      case "source":
        return [
          {
            _tag: "Data",
            mediaType: "application/vnd.runledger.source+json",
            data: { sourceType: "url", id: String(index), url: "http://example.com/", title: "t" }
          }
        ]
    }
  })

const finish = ({ cached, completion, prompt, reasoning }: typeof Usage.Type): Response.AnyPart =>
  Response.makePart("finish", {
    reason: "stop",
    usage: new Response.Usage({
      inputTokens: { uncached: undefined, total: prompt, cacheRead: cached, cacheWrite: undefined },
      outputTokens: { total: completion, text: undefined, reasoning }
    }),
    response: undefined
  })

/** The parts in chunks of these sizes, in turns. */
const chunked = (parts: ReadonlyArray<Response.AnyPart>, sizes: ReadonlyArray<number>) => {
  const chunks: Array<ReadonlyArray<Response.AnyPart>> = []
  let from = 0
  for (let turn = 0; from < parts.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    chunks.push(parts.slice(from, from + size))
    from += size
  }
  return Stream.fromIterable(chunks).pipe(
    Stream.rechunk(1),
    Stream.flatMap((chunk) => Stream.fromArray(chunk))
  ) as Stream.Stream<Response.StreamPart<{}>>
}

const view = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const { facts } = yield* store.read({ scope: { _tag: "Run", runId: "r" }, limit: 10_000 })
  return RunView.fromFacts("r", facts)
})

const inMemory = Effect.provide(
  Layer.fresh(Recorder.layer().pipe(Layer.provideMerge(Layer.fresh(MemoryEventStore.layer))))
)

describe("a recorded stream", () => {
  for (const durability of ["compacted", "full_fidelity"] as const) {
    it.effect.prop(
      `says in the ledger what it said, whatever its chunks, ${durability}`,
      [Arbitrary.schema(Blocks), Arbitrary.schema(Usage), Arbitrary.schema(Sizes)],
      ([blocks, usage, sizes]) =>
        Effect.gen(function* () {
          const parts = [...blocks.flatMap(partsOf), finish(usage)]
          const seen = yield* chunked(parts, sizes).pipe(ModelStream.record, Stream.runCollect, Recorder.record(ids))
          assert.strictEqual(seen.length, parts.length)
          seen.forEach((part, index) => assert.strictEqual<unknown>(part, parts[index]))
          const found = yield* view
          const expected = messageOf(blocks)
          assert.deepStrictEqual<unknown>(
            found.messages.map(({ parts }) => parts),
            expected.length === 0 ? [] : [expected]
          )
          assert.deepStrictEqual<unknown>(
            RunView.calls(found).map(({ arguments: args, state }) => [args, state]),
            blocks.flatMap((block) => (block._tag === "call" ? [[block.params, "succeeded"]] : []))
          )
          assert.deepInclude(found.tokens, {
            promptTokens: usage.prompt,
            completionTokens: usage.completion,
            totalTokens: usage.prompt + usage.completion,
            cacheReadTokens: usage.cached,
            thinkingTokens: usage.reasoning
          })
          assert.deepInclude(found, { status: "done", doneReason: "natural", inferences: 1 })
        }).pipe(inMemory, Effect.provideService(Durability.Durability, durability)),
      { arbitrary: { runs: 60 } }
    )

    it.effect.prop(
      `that is interrupted at any part leaves what it said, and an end, ${durability}`,
      [Arbitrary.schema(Blocks), Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })))],
      ([blocks, after]) =>
        Effect.gen(function* () {
          const parts = blocks.flatMap(partsOf).slice(0, after)
          const endless = Stream.concat(chunked(parts, [1]), Stream.never)
          const recording = yield* Effect.forkChild(
            endless.pipe(ModelStream.record, Stream.runDrain, Recorder.record(ids)),
            { startImmediately: true }
          )
          for (let turn = 0; turn < 200; turn++) {
            yield* Effect.yieldNow
          }
          yield* Fiber.interrupt(recording)
          const found = yield* view
          assert.deepInclude(found, { status: "done", doneReason: "cancelled" })
          const said = parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")
          const texts = found.messages.flatMap(({ parts }) =>
            parts.map((part) => (part._tag === "Text" ? part.text : ""))
          )
          assert.strictEqual(texts.join(""), said)
          if (said !== "") {
            assert.propertyVal(found.messages[0], "partial", true)
          }
        }).pipe(inMemory, Effect.provideService(Durability.Durability, durability)),
      { arbitrary: { runs: 30 } }
    )
  }

  it.effect("that breaks off and is run again leaves what it said in the end", () =>
    Effect.gen(function* () {
      let attempts = 0
      const model = Stream.suspend(() => {
        attempts += 1
        const parts = [
          Response.makePart("text-start", { id: "1" }),
          Response.makePart("text-delta", { id: "1", delta: `attempt ${attempts}` })
        ]
        const said = chunked(parts, [1])
        return attempts === 1
          ? Stream.concat(said, Stream.fail("the connection broke"))
          : Stream.concat(
              said,
              chunked(
                [
                  Response.makePart("text-end", { id: "1" }),
                  finish({ prompt: 1, completion: 1, reasoning: 0, cached: 0 })
                ],
                [1]
              )
            )
      })
      yield* model.pipe(ModelStream.record, Stream.runDrain, Effect.retry({ times: 1 }), Recorder.record(ids))
      const found = yield* view
      assert.deepStrictEqual(
        found.messages.map(({ parts }) => parts.map((part) => (part._tag === "Text" ? part.text : ""))),
        [["attempt 2"]]
      )
    }).pipe(inMemory)
  )

  it.effect("that fails ends its run with the error, and keeps what it said", () =>
    Effect.gen(function* () {
      const said = chunked([Response.makePart("text-delta", { id: "1", delta: "I was say" })], [1])
      const exit = yield* Stream.concat(said, Stream.fail(new Error("it broke"))).pipe(
        ModelStream.record,
        Stream.runDrain,
        Recorder.record(ids),
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit))
      const found = yield* view
      assert.deepInclude(found, { doneReason: "error", termination: { _tag: "Error", message: "it broke" } })
      assert.deepInclude(found.messages[0], { partial: true })
    }).pipe(inMemory)
  )

  it("keeps its types", () => {
    const stream = Stream.empty as Stream.Stream<Response.StreamPart<{}>, "error", "service">
    const recorded: Stream.Stream<Response.StreamPart<{}>, "error", "service" | Run.Run> = ModelStream.record(stream)
    assert.isDefined(recorded)
  })
})
