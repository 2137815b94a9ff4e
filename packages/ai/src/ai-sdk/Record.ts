/**
 * The parts of a stream of the AI SDK, recorded as they pass.
 */
import { Redaction, Run } from "@runledger/core"
import type { TextStreamPart, ToolSet } from "ai"
import { Cause, Clock, Effect, Stream } from "effect"
import { say, type Saying } from "../internal/saying.ts"
import * as Failure from "./Failure.ts"
import * as Parts from "./Parts.ts"
import * as Told from "./Told.ts"

const failure = (cause: unknown): Cause.UnknownError => new Cause.UnknownError(cause, Failure.message(cause))

/** Says all of it, and lets the calls run that can. */
const tell = (run: Run.RunShape, sayings: ReadonlyArray<Saying>): Effect.Effect<void> =>
  Effect.andThen(
    say(run, sayings),
    Effect.sync(() => {
      for (const saying of sayings) {
        if (saying._tag === "Event" && saying.event._tag === "ToolCallReady") {
          Told.ready(run, saying.event.id)
        }
        if (saying._tag === "Event" && saying.event._tag === "StepStart") {
          Told.step(run)
        }
        if (saying._tag === "Event" && saying.event._tag === "RunFinish") {
          Told.ended(run)
        }
      }
    })
  )

/**
 * Records the parts of `streamText(…).stream` as they pass, in the run that is being recorded. Whoever reads them gets the
 * same parts in the same order, each after what it says was handed to the ledger.
 *
 * **Details**
 *
 * The run ends with the stream: naturally, suspended when a tool call waits for an approval, blocked by a content filter,
 * stopped at the length limit or when the provider broke off, cancelled, or failed when the stream had an error. A further stream in the same run lets it
 * go on. A stream that is not read to its end says nothing of the end of the run.
 *
 * **Example** (An answer that is printed and recorded)
 *
 * ```ts
 * import { Recorder } from "@runledger/core"
 * import * as AiSdk from "@runledger/ai/ai-sdk"
 * import { type LanguageModel, streamText } from "ai"
 * import { Effect, Stream } from "effect"
 *
 * export const answer = (model: LanguageModel, prompt: string) =>
 *   Effect.suspend(() => AiSdk.record(streamText({ model, prompt }).stream).pipe(
 *     Stream.runForEach((part) =>
 *       Effect.sync(() => part.type === "text-delta" && process.stdout.write(part.text))
 *     )
 *   )).pipe(Recorder.record({ threadId: "thread-1", runId: "run-1" }))
 * ```
 *
 * @category recording
 * @since 0.1.0
 */
export const record = <TOOLS extends ToolSet>(
  stream: AsyncIterable<TextStreamPart<TOOLS>>
): Stream.Stream<TextStreamPart<TOOLS>, Cause.UnknownError, Run.Run> =>
  Effect.gen(function* () {
    const run = yield* Run.Run
    const clock = yield* Clock.Clock
    const { runId, threadId } = run
    let state = Parts.initial({ threadId, runId, redactor: yield* Redaction.Redaction })
    const goesOn = yield* Effect.acquireRelease(
      Effect.sync(() => Told.begin(run)),
      () => Effect.sync(() => Told.end(run))
    )
    if (goesOn) {
      yield* run.emit({ _tag: "RunStart", threadId, runId })
    }
    const take = (part: TextStreamPart<TOOLS>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const now = Math.floor(clock.currentTimeMillisUnsafe())
        const [next, sayings] = Parts.transition(state, part as TextStreamPart<ToolSet>, now)
        state = next
        return tell(run, sayings)
      })
    return Stream.fromAsyncIterable(stream, failure).pipe(
      Stream.tap(take),
      Stream.onEnd(Effect.suspend(() => tell(run, Parts.end(state))))
    )
  }).pipe(Stream.unwrap)
