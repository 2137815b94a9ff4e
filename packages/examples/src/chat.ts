/**
 * A chat, as small as it can be. Each start asks one more question, and the model sees what was said before.
 */
import { Recorder, Run } from "@runledger/core"
import { Conversation, ModelStream } from "@runledger/ai/effect"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { ScriptedModel } from "@runledger/testing"
import { Effect, Layer, Stream } from "effect"
import { LanguageModel, Prompt } from "effect/ai"
import type { Options } from "./main.ts"

const model = ScriptedModel.layer(
  ["Hello!", "We have met.", "You again."].map((said) => ScriptedModel.answer(ScriptedModel.text(said)))
)

const ask = (question: string) =>
  Effect.gen(function* () {
    const run = yield* Run.Run
    const before = yield* Conversation.prompt(run.threadId)
    yield* run.message({ role: "user", parts: [{ _tag: "Text", text: question }] })
    yield* LanguageModel.streamText({ prompt: Prompt.concat(before, question) }).pipe(
      ModelStream.record,
      Stream.runForEach((part) => Effect.sync(() => part.type === "text-delta" && process.stdout.write(part.delta)))
    )
    process.stdout.write("\n")
  })

export const main = ({ ledger }: Options) =>
  ask("Hello?").pipe(
    Recorder.record({ threadId: "chat", runId: `chat-${Date.now()}` }),
    Effect.as(0),
    Effect.provide([Recorder.layer().pipe(Layer.provideMerge(SqliteLedger.layer({ path: ledger }))), model])
  )
