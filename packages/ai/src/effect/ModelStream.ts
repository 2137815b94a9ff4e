/**
 * The stream of one response of a model, recorded as it passes.
 *
 * @since 0.1.0
 */
import { Run } from "@runledger/core"
import { Cause, Clock, Effect, Exit, Stream } from "effect"
import type { Response, Tool } from "effect/ai"
import { event, say, type Saying } from "../internal/saying.ts"
import * as Parts from "./Parts.ts"

/** The runs in which a response failed that may be asked for again. */
const brokenOff = new WeakSet<Run.RunShape>()

/**
 * Records the parts of a response into the run that is being recorded, as a step of it. They reach whoever runs the stream
 * unaltered, in order, in the same chunks, each after it was recorded.
 *
 * **Details**
 *
 * Texts and reasoning with what the provider says of them, calls with their arguments as the model wrote them, results,
 * requests for an approval, files, sources, the usage and how long the model took. When the next stream is recorded in the
 * same run after this one failed, what this one said is void. One whose reader stops before its end says what it said so far.
 * A run takes one stream at a time.
 *
 * **Example** (A chat that is recorded)
 *
 * ```ts
 * import { Run } from "@runledger/core"
 * import { ModelStream } from "@runledger/ai/effect"
 * import { Effect, Stream } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * export const answer = (question: string) =>
 *   Effect.gen(function* () {
 *     const run = yield* Run.Run
 *     yield* run.message({ role: "user", parts: [{ _tag: "Text", text: question }] })
 *     return yield* LanguageModel.streamText({ prompt: question }).pipe(
 *       ModelStream.record,
 *       Stream.runFold(
 *         () => "",
 *         (text, part) => (part.type === "text-delta" ? text + part.delta : text)
 *       )
 *     )
 *   })
 * ```
 *
 * @category recording
 * @since 0.1.0
 */
export const record = <Tools extends Record<string, Tool.Any>, E, R>(
  stream: Stream.Stream<Response.StreamPart<Tools>, E, R>
): Stream.Stream<Response.StreamPart<Tools>, E, R | Run.Run> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const run = yield* Run.Run
      const clock = yield* Clock.Clock
      let inference = Parts.initial
      const recorded = Stream.mapArrayEffect(stream, (parts) =>
        Effect.suspend(() => {
          const now = Math.floor(clock.currentTimeMillisUnsafe())
          const sayings: Array<Saying> = brokenOff.delete(run)
            ? [event({ _tag: "StreamReset", reason: "the response before broke off" })]
            : []
          for (const part of parts as ReadonlyArray<Response.AnyPart>) {
            const [next, said] = Parts.push(inference, part, now)
            inference = next
            sayings.push(...said)
            if (part.type === "finish") {
              sayings.push(event({ _tag: "StepEnd" }))
            }
          }
          return Effect.as(say(run, sayings), parts)
        })
      )
      return Stream.onExit(recorded, (exit) =>
        Effect.suspend(() => {
          if (inference.startedAt === undefined || inference.finishReason !== undefined) {
            return Effect.void
          }
          if (Exit.isSuccess(exit)) {
            return run.emit({ _tag: "StepEnd" })
          }
          if (!Cause.hasInterruptsOnly(exit.cause)) {
            brokenOff.add(run)
          }
          return Effect.void
        })
      )
    })
  )
