/**
 * The coding agent on the AI SDK: it reads files by itself, and runs a command when somebody has approved it.
 *
 * It ends with 75 when it waits for a decision, and goes on from the ledger when it is started again.
 */
import { Recorder, Run } from "@runledger/core"
import * as AiSdk from "@runledger/ai/ai-sdk"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { isStepCount, jsonSchema, simulateReadableStream, streamText, tool } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { Console, Effect, Layer, Stream } from "effect"
import { exec } from "node:child_process"
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Options } from "./main.ts"

const ids = { threadId: "mend-the-sum", runId: "mend-the-sum-ai-sdk" }

/** The tools. Each execution leaves the id of its call in `tool.log`. */
const toolsIn = (workDir: string) => {
  const log = (id: string) => appendFileSync(join(workDir, "tool.log"), `${id}\n`)
  return {
    read_file: tool({
      inputSchema: jsonSchema<{ readonly path: string }>({ type: "object", properties: { path: { type: "string" } } }),
      execute: async ({ path }, { toolCallId }) => {
        log(toolCallId)
        return readFileSync(join(workDir, path), "utf8")
      }
    }),
    run_command: tool({
      inputSchema: jsonSchema<{ readonly command: string }>({
        type: "object",
        properties: { command: { type: "string" } }
      }),
      needsApproval: true,
      execute: async ({ command }, { toolCallId }) => {
        log(toolCallId)
        return (await promisify(exec)(command, { cwd: workDir })).stdout
      }
    })
  }
}

const call = (toolCallId: string, toolName: string, input: object) =>
  ({ type: "tool-call", toolCallId, toolName, input: JSON.stringify(input) }) as const

const text = (delta: string) =>
  [
    { type: "text-start", id: "text" },
    { type: "text-delta", id: "text", delta },
    { type: "text-end", id: "text" }
  ] as const

const answers = [
  [...text("I'll read the file."), call("call-1", "read_file", { path: "add.js" })],
  [call("call-2", "run_command", { command: "sed -i.old 's/a - b/a + b/' add.js && cat add.js" })],
  text("Mended: 1 + 2 is 3 again.")
]

/** A model that needs no key: it gives the answer that comes after those in the conversation. */
const model = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const answer = answers[prompt.filter(({ role }) => role === "assistant").length] ?? []
    const reason = answer.some(({ type }) => type === "tool-call") ? "tool-calls" : "stop"
    const usage = {
      inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 5, text: 5, reasoning: 0 }
    }
    return {
      stream: simulateReadableStream({
        chunks: [...answer, { type: "finish", finishReason: { unified: reason, raw: undefined }, usage }],
        chunkDelayInMs: 5
      })
    }
  }
})

const question = "The test of add.js fails. Mend it."

const agent = (workDir: string) =>
  Effect.gen(function* () {
    const run = yield* Run.Run
    const { hasFinished, messages, waiting } = yield* AiSdk.conversation(ids.threadId, ids.runId)
    if (waiting.length > 0) {
      yield* AiSdk.suspend
      return 75
    }
    if (hasFinished) {
      return 0
    }
    if (messages.length === 0) {
      messages.push({ role: "user", content: question })
      yield* run.message({ role: "user", parts: [{ _tag: "Text", text: question }] })
    }
    const tools = yield* AiSdk.tools(toolsIn(workDir))
    const result = streamText({ model, messages, tools, stopWhen: isStepCount(10) })
    const parts = yield* Stream.runCollect(AiSdk.record(result.stream))
    if (parts.some(({ type }) => type === "tool-approval-request")) {
      return 75
    }
    yield* Console.log(yield* Effect.promise(async () => result.text))
    return 0
  }).pipe(Recorder.record(ids))

export const main = ({ ledger, workDir }: Options) =>
  Effect.gen(function* () {
    if (!existsSync(join(workDir, "add.js"))) {
      writeFileSync(join(workDir, "add.js"), "module.exports = (a, b) => a - b\n")
    }
    const status = yield* agent(workDir)
    if (status === 75) {
      yield* Console.log(`a command waits for a decision: runledger pending --ledger ${ledger}`)
    }
    return status
  }).pipe(Effect.provide(Layer.provideMerge(Recorder.layer(), SqliteLedger.layer({ path: ledger }))))
