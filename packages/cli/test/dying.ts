/**
 * Records a run, and is killed while it executes a tool call.
 */
import { CanonicalEvent, Recorder } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect, Layer } from "effect"

const [path = "", runId = ""] = process.argv.slice(2)

Effect.gen(function* () {
  const { open } = yield* Recorder.Recorder
  const run = yield* open({ threadId: "thread-1", runId })
  yield* run.emit({ _tag: "ToolCallReady", id: "call-1", name: "deploy", arguments: { to: "production" } })
  yield* run.emit({ _tag: "InferenceComplete", model: "m", durationMs: 1 })
  yield* run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id: "call-1", name: "deploy" })
  yield* run.flush()
  process.kill(process.pid, "SIGKILL")
  yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(Layer.provide(Recorder.layer(), SqliteLedger.layerInThread({ path }))),
  Effect.runFork
)
