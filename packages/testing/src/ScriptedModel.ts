/**
 * A language model that says what it was told to.
 *
 * @since 0.1.0
 */
import { type Duration, Effect, Layer, Stream } from "effect"
import { AiError, LanguageModel, type Response } from "effect/ai"

/**
 * A part of a response.
 *
 * @category models
 * @since 0.1.0
 */
export type Part = Response.StreamPartEncoded

/**
 * A response: its parts, and after how many of them the provider fails, if it does.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly parts: ReadonlyArray<Part>
  readonly failsAfter?: number | undefined
}

/** Texts come in words, as those of a model do. */
const words = (text: string): ReadonlyArray<string> => text.match(/\S+\s*|\s+/g) ?? []

/**
 * What the model says.
 *
 * @category constructors
 * @since 0.1.0
 */
export const text = (said: string, id = "text"): ReadonlyArray<Part> => [
  { type: "text-start", id },
  ...words(said).map((delta): Part => ({ type: "text-delta", id, delta })),
  { type: "text-end", id }
]

/**
 * What the model thinks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reasoning = (thought: string, id = "reasoning"): ReadonlyArray<Part> => [
  { type: "reasoning-start", id },
  ...words(thought).map((delta): Part => ({ type: "reasoning-delta", id, delta })),
  { type: "reasoning-end", id }
]

/**
 * A tool call, with its arguments, encoded.
 *
 * @category constructors
 * @since 0.1.0
 */
export const call = (id: string, name: string, params: object): ReadonlyArray<Part> => [
  { type: "tool-params-start", id, name },
  { type: "tool-params-delta", id, delta: JSON.stringify(params) },
  { type: "tool-params-end", id },
  { type: "tool-call", id, name, params }
]

/**
 * The end of a response. Its usage is 10 tokens in and 5 out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const finish = (reason: Response.FinishReason = "stop"): Part => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { uncached: 10, total: 10, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 5, text: 5, reasoning: 0 }
  },
  response: undefined
})

/**
 * A response that says these parts, and ends: for its tool calls, if there are any.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answer = (...parts: ReadonlyArray<ReadonlyArray<Part>>): Answer => {
  const said = parts.flat()
  const reason = said.some(({ type }) => type === "tool-call") ? "tool-calls" : "stop"
  return { parts: [{ type: "response-metadata", modelId: "scripted" }, ...said, finish(reason)] }
}

const failure = AiError.make({
  module: "ScriptedModel",
  method: "streamText",
  reason: new AiError.InternalProviderError({ description: "the scripted model fails here" })
})

const partsOf = (
  { failsAfter, parts }: Answer,
  delay: Duration.Input | undefined
): Stream.Stream<Part, AiError.AiError> => {
  const said = Stream.fromIterable(parts.slice(0, failsAfter ?? parts.length)).pipe(Stream.rechunk(1))
  const paced = delay === undefined ? said : Stream.tap(said, () => Effect.sleep(delay))
  return failsAfter === undefined ? paced : Stream.concat(paced, Stream.fail(failure))
}

/**
 * A model whose answers come in turns: the first when it has not said anything in the conversation, the second when it has
 * said one message, and so on. So a program that is started again gets the answer that it did not get before. It waits for
 * `delay` before each part.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  answers: ReadonlyArray<Answer>,
  { delay }: { readonly delay?: Duration.Input } = {}
): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: () => Effect.fail(failure),
      streamText: ({ prompt }) => {
        const turn = prompt.content.filter(({ role }) => role === "assistant").length
        const answer = answers[turn]
        return answer === undefined ? Stream.fail(failure) : partsOf(answer, delay)
      }
    })
  )
