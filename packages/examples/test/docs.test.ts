import { assert, describe, it } from "@effect/vitest"
import { MemoryEventStore, Recorder } from "@runledger/core"
import { type LanguageModel, simulateReadableStream, type ToolSet } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { Effect, Layer } from "effect"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const folder = join(root, "packages/examples/.docs")

/** What the code blocks of a page export. */
const load = async (page: string): Promise<ReadonlyArray<Record<string, unknown>>> => {
  const blocks = Array.from(
    readFileSync(join(root, page), "utf8").matchAll(/^```ts\n(.*?)^```/gms),
    ([, code = ""]) => code
  )
  mkdirSync(folder, { recursive: true })
  const modules: Array<Record<string, unknown>> = []
  for (const [index, code] of blocks.entries()) {
    const file = join(folder, `${page.replaceAll(/\W/g, "_")}_${index}.ts`)
    writeFileSync(file, code)
    modules.push(await import(file))
  }
  rmSync(folder, { recursive: true })
  return modules
}

const run = (effect: unknown): Promise<unknown> => Effect.runPromise(effect as Effect.Effect<unknown>)

const ledger = Recorder.layer().pipe(Layer.provideMerge(MemoryEventStore.layer))

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 }
}

type Result = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>
type Part = Result["stream"] extends ReadableStream<infer Part> ? Part : never

/** A model that pays an invoice, and says so. */
const payer = new MockLanguageModelV4({
  doStream: async ({ prompt }) => ({
    stream: simulateReadableStream<Part>({
      chunks: prompt.some(({ role }) => role === "tool")
        ? [
            { type: "text-start", id: "1" },
            { type: "text-delta", id: "1", delta: "Paid." },
            { type: "text-end", id: "1" },
            { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage }
          ]
        : [
            { type: "tool-call", toolCallId: "call-1", toolName: "pay", input: '{"invoice":"7"}' },
            { type: "finish", finishReason: { unified: "tool-calls", raw: undefined }, usage }
          ]
    })
  })
})

describe("the code in the docs runs", () => {
  it("effect-ai.md", async () => {
    const modules = await load("docs/effect-ai.md")
    assert.lengthOf(modules, 2)
    assert.isUndefined(await run(modules[0]?.["main"]))
    assert.deepStrictEqual(await run(modules[1]?.["main"]), ["Suspended", "Finished"])
  })

  it("ai-sdk.md", async () => {
    const [first, second, third, ...others] = await load("docs/ai-sdk.md")
    assert.deepStrictEqual(others, [])
    assert.isUndefined(await run(first?.["main"]))
    type Agent = (model: LanguageModel, prompt: string) => Effect.Effect<string, never, never>
    type GoOn = (model: LanguageModel, tools: ToolSet, ids: object) => Effect.Effect<ReadonlyArray<unknown>>
    const agent = second?.["agent"] as Agent
    const goOn = third?.["goOn"] as GoOn
    const ids = { threadId: "thread-1", runId: "run-2" }
    const both = Effect.zip(agent(payer, "Pay invoice 7."), goOn(payer, {}, ids))
    assert.deepStrictEqual(await run(Effect.provide(both, ledger)), ["Paid.", []])
  })
})
