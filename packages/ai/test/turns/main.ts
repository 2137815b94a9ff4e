/**
 * A conversation of twenty turns, each a run that uses tools, into the ledger that is named. Started again, it goes on where
 * it was.
 */
import { EventStore, Recorder } from "@runledger/core"
import { Agent } from "@runledger/ai/effect"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { ScriptedModel } from "@runledger/testing"
import { Effect, Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const [path = ""] = process.argv.slice(2)
const { answer, call, reasoning, text } = ScriptedModel

const tools = Toolkit.make(
  Tool.make("double", { parameters: Schema.Struct({ of: Schema.Int }), success: Schema.Int }).annotate(
    Tool.Idempotent,
    true
  )
)

const turns = Array.from({ length: 20 }, (_, index) => index + 1)

/** Reasoning has a signature, as providers want it back. */
const signed = (parts: ReadonlyArray<ScriptedModel.Part>, signature: string) =>
  parts.map((part) => (part.type === "reasoning-end" ? { ...part, metadata: { provider: { signature } } } : part))

const model = ScriptedModel.layer(
  turns.flatMap((turn) => [
    answer(
      signed(reasoning(`Turn ${turn} wants two numbers.`), `signature ${turn}`),
      text(`Let me double ${turn} and ${turn + 1}.`),
      call(`${turn}-a`, "double", { of: turn }),
      call(`${turn}-b`, "double", { of: turn + 1 })
    ),
    answer(text(`They are ${turn * 2} and ${turn * 2 + 2}.`), text("Anything else?", "second"))
  ]),
  { delay: "1 millis" }
)

const program = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const toolkit = yield* tools
  for (const turn of turns) {
    const runId = `turn-${turn}`
    const isDone = yield* store.run(runId).pipe(
      Effect.map(({ doneReason }) => doneReason === "natural"),
      Effect.catchTag("NotFound", () => Effect.succeed(false))
    )
    if (!isDone) {
      yield* Agent.run({ threadId: "turns", runId, input: `Double ${turn} and ${turn + 1}.`, toolkit })
    }
  }
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(
      Layer.mergeAll(
        Recorder.layer(),
        model,
        tools.toLayer({ double: ({ of }) => Effect.as(Effect.sleep("3 millis"), of * 2) })
      ).pipe(Layer.provideMerge(SqliteLedger.layerInThread({ path })))
    )
  )
)
process.stdout.write("done\n")
