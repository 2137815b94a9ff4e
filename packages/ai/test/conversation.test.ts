import { assert, describe, it } from "@effect/vitest"
import { Conversation } from "@runledger/ai/effect"
import { CanonicalEvent, EventStore, MemoryEventStore, Recorder, Run } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("turns/main.ts", import.meta.url))

/** Runs the conversation; whether it came to its end before it was killed. */
const converse = (ledger: string, killedAfter?: number) =>
  new Promise<boolean>((resolve, reject) => {
    const child = spawn(process.execPath, [main, ledger], { stdio: ["ignore", "pipe", "pipe"] })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (data) => (stdout += String(data)))
    child.stderr.on("data", (data) => (stderr += String(data)))
    const killing =
      killedAfter === undefined
        ? undefined
        : setTimeout(() => {
            child.kill("SIGKILL")
          }, killedAfter)
    child.on("close", (status, signal) => {
      clearTimeout(killing)
      if (signal === "SIGKILL") {
        resolve(false)
      } else if (status === 0 && stdout === "done\n") {
        resolve(true)
      } else {
        reject(new Error(stderr))
      }
    })
  })

const promptOf = (path: string) =>
  Effect.runPromise(
    Conversation.prompt("turns").pipe(Effect.provide(SqliteLedger.layerInThread({ path, readOnly: true })))
  )

describe("a conversation of twenty turns", () => {
  it("is the same in a ledger whose process was killed again and again", { timeout: 240_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "runledger-turns-"))
    const [once, killed] = [join(folder, "once.db"), join(folder, "killed.db")]
    assert.isTrue(await converse(once))
    let kills = 0
    // A life must be long enough to come a little further.
    for (let life = 500; !(await converse(killed, life)); life += 40) {
      kills += 1
    }
    assert.isAtLeast(kills, 5)
    const [expected, found] = [await promptOf(once), await promptOf(killed)]
    assert.strictEqual(expected.content.length, 20 * 4)
    assert.deepStrictEqual(found.content, expected.content)
  })
})

describe("the prompt of a thread", () => {
  const inMemory = Effect.provide(Recorder.layer().pipe(Layer.provideMerge(MemoryEventStore.layer)))

  it.effect("answers calls that have no result, and leaves out what a provider did not finish", () =>
    Effect.gen(function* () {
      yield* Recorder.record({ threadId: "t", runId: "r" })(
        Effect.gen(function* () {
          const run = yield* Run.Run
          yield* run.message({ role: "system", parts: [{ _tag: "Text", text: "Be kind." }] })
          yield* run.message({
            role: "user",
            parts: [
              { _tag: "Text", text: "Look!" },
              { _tag: "Data", mediaType: "image/png", data: "AAAA", metadata: { runledger: { fileName: "a.png" } } }
            ]
          })
          yield* run.emit({ _tag: "ReasoningDelta", delta: "Hm." })
          yield* run.part({ _tag: "Reasoning", text: "", metadata: { provider: { signature: "s" } } })
          for (const id of ["ours", "theirs", "unfinished"]) {
            yield* run.emit({ _tag: "ToolCallReady", id, name: "look", arguments: { at: id } })
          }
          for (const id of ["theirs", "unfinished"]) {
            yield* run.part({
              _tag: "ToolCall",
              id,
              name: "look",
              metadata: { provider: { id }, runledger: { providerExecuted: true } }
            })
          }
          yield* run.emit({
            _tag: "ToolCallDone",
            id: "theirs",
            messageId: "",
            result: { toolName: "look", status: "success", data: ["seen"], metadata: { providerExecuted: true } },
            outcome: "succeeded"
          })
          yield* run.emit({ _tag: "InferenceComplete", model: "m", durationMs: 1 })
        })
      )
      const { content } = yield* Conversation.prompt("t")
      assert.deepStrictEqual(
        content.map(({ role }) => role),
        ["user", "assistant", "tool"]
      )
      const [user, assistant, tool] = content as ReadonlyArray<{ readonly content: ReadonlyArray<object> }>
      assert.deepInclude(user?.content[1], { type: "file", data: "AAAA", fileName: "a.png", options: {} })
      assert.deepInclude(assistant?.content[0], {
        type: "reasoning",
        text: "Hm.",
        options: { provider: { signature: "s" } }
      })
      assert.deepStrictEqual(
        assistant?.content.map((part) => [Object(part).type, Object(part).id, Object(part).options]),
        [
          ["reasoning", undefined, { provider: { signature: "s" } }],
          ["tool-call", "ours", {}],
          ["tool-call", "theirs", { provider: { id: "theirs" } }],
          ["tool-result", "theirs", {}]
        ]
      )
      assert.deepStrictEqual(
        tool?.content.map((part) => [Object(part).id, Object(part).isFailure]),
        [["ours", true]]
      )
    }).pipe(inMemory)
  )

  it.effect("keeps what was said before an interruption, as text, until the run goes on", () =>
    Effect.gen(function* () {
      const cancelled = Recorder.record({ threadId: "t", runId: "r" })(
        Effect.gen(function* () {
          const run = yield* Run.Run
          yield* run.emit({ _tag: "ReasoningDelta", delta: "Hm." })
          yield* run.emit({ _tag: "TextDelta", delta: "I was say" })
          yield* run.emit({ _tag: "ToolCallReady", id: "1", name: "look", arguments: {} })
          return yield* Effect.interrupt
        })
      )
      yield* Effect.exit(cancelled)
      const { content } = yield* Conversation.prompt("t")
      assert.deepStrictEqual(
        content.map(({ content }) => (content as ReadonlyArray<{ readonly text?: string }>).map(({ text }) => text)),
        [["I was say"]]
      )
      const store = yield* EventStore.EventStore
      assert.include(yield* store.run("r"), { doneReason: "cancelled" })
    }).pipe(inMemory)
  )

  it.effect("has the calls of a message that was not finished, if they have begun", () =>
    Effect.gen(function* () {
      yield* Effect.exit(
        Recorder.record({ threadId: "t", runId: "r" })(
          Effect.gen(function* () {
            const run = yield* Run.Run
            for (const id of ["done", "not begun", "running"]) {
              yield* run.emit({ _tag: "ToolCallReady", id, name: "look", arguments: { at: id } })
            }
            for (const id of ["done", "running"]) {
              yield* run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id, name: "look" })
            }
            yield* run.emit({
              _tag: "ToolCallDone",
              id: "done",
              messageId: "",
              result: { toolName: "look", status: "success", data: "seen", metadata: {} },
              outcome: "succeeded"
            })
            return yield* Effect.interrupt
          })
        )
      )
      const { content } = yield* Conversation.prompt("t")
      const ids = content.map(({ content }) => (content as ReadonlyArray<object>).map((part) => Object(part).id))
      assert.deepStrictEqual(ids, [
        ["done", "running"],
        ["done", "running"]
      ])
    }).pipe(inMemory)
  )
})
