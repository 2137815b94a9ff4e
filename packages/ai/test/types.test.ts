import { Agent, Conversation, ModelStream } from "@runledger/ai/effect"
import type { EventStore, LedgerError, Recorder, Run } from "@runledger/core"
import { Effect, Schema, type Stream } from "effect"
import { type AiError, type LanguageModel, type Prompt, type Response, Tool, Toolkit } from "effect/ai"
import { describe, expectTypeOf, it } from "vitest"

class Failure extends Schema.TaggedError<Failure>()("Failure", { message: Schema.String }) {}

const tools = Toolkit.make(
  Tool.make("look", { success: Schema.String }),
  Tool.make("break", { success: Schema.String, failure: Failure, failureMode: "return" })
)
const failing = Toolkit.make(Tool.make("break", { success: Schema.String, failure: Failure }))

const ids = { threadId: "t", runId: "r", input: "Hello?" }

type Ledger = LanguageModel.LanguageModel | Recorder.Recorder | EventStore.EventStore
type Failures = AiError.AiError | LedgerError.RecordError | LedgerError.CursorExpired

describe("the types of the recorder for effect/ai", () => {
  it("say what an agent needs and fails with", () => {
    const agent = Effect.flatMap(tools, (toolkit) => Agent.run({ ...ids, toolkit }))
    expectTypeOf<Effect.Success<typeof agent>>().toEqualTypeOf<Agent.Outcome>()
    expectTypeOf<Effect.Error<typeof agent>>().toEqualTypeOf<Failures>()
    expectTypeOf<Ledger>().toExtend<Effect.Services<typeof agent>>()
  })

  it("have the errors of tools that fail, and those of the app", () => {
    const agent = Effect.flatMap(failing, (toolkit) =>
      Agent.run({ ...ids, toolkit, onPart: () => Effect.fail("app" as const) })
    )
    expectTypeOf<Effect.Error<typeof agent>>().toEqualTypeOf<Failures | Failure | "app">()
  })

  it("keep those of a stream", () => {
    type Parts = Response.StreamPart<{ readonly look: (typeof tools.tools)["look"] }>
    expectTypeOf(
      ModelStream.record<{ readonly look: (typeof tools.tools)["look"] }, "error", "service">
    ).returns.toEqualTypeOf<Stream.Stream<Parts, "error", "service" | Run.Run>>()
  })

  it("say what reading a conversation needs and fails with", () => {
    expectTypeOf(Conversation.prompt).returns.toEqualTypeOf<
      Effect.Effect<Prompt.Prompt, LedgerError.ReadError | LedgerError.CursorExpired, EventStore.EventStore>
    >()
  })
})
