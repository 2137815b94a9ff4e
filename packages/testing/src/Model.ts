/**
 * Holds an event store against a model: a plain list of facts that shares no code with any store. Random commands are
 * done to both, and a difference is shrunk to the few commands that show it.
 *
 * @since 0.1.0
 */
import { Arbitrary, type Duration, Effect, Schema } from "effect"
import { commands, most, print } from "./internal/model/commands.ts"
import { play } from "./internal/model/play.ts"
import { type Fresh, use } from "./TestLedger.ts"

/**
 * A store does something else than the model. The message has the commands that show it, and how to do them again.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelMismatch extends Schema.TaggedError<ModelMismatch>()("ModelMismatch", {
  message: Schema.String,
  commands: Schema.Array(Schema.String),
  replay: Schema.String
}) {}

/**
 * How much to try.
 *
 * **Details**
 *
 * - `runs`: how many sequences of up to 80 commands, each on a fresh ledger; 100 by default.
 * - `seed`: makes them the same each time.
 * - `replay`: that of a `ModelMismatch`, to see it again.
 * - `timeout`: how long one sequence may take, on the live clock; 30 seconds by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly runs?: number | undefined
  readonly seed?: string | undefined
  readonly replay?: string | undefined
  readonly timeout?: Duration.Input | undefined
}

/**
 * Checks a store against the model: appends with retries, conflicts, expected cursors, writers, run states and labels;
 * claims that are held and freed; reading, listing and following with every option; pruning, erasing, and opening the
 * ledger again, over several handles.
 *
 * @category running
 * @since 0.1.0
 */
export const check = Effect.fnUntraced(function* (fresh: Fresh, { timeout = "30 seconds", ...options }: Options = {}) {
  const result = yield* Arbitrary.checkEffect(
    commands,
    (commands) =>
      Effect.as(
        use(fresh, (open) => play(open, commands), { timeout }),
        true
      ),
    { size: most, maxShrinks: 1000, ...options }
  )
  if (result._tag === "Falsified") {
    const lines = result.shrunkInput.map(print)
    const what = result.failure._tag === "PropertyError" ? result.failure.error : "it said no"
    return yield* new ModelMismatch({
      message: `after these commands, ${what}\n${lines.map((line) => `  - ${line}\n`).join("")}replay: ${result.replay}`,
      commands: lines,
      replay: result.replay
    })
  }
  const problem = Arbitrary.formatCheckFailure(result)
  if (problem !== undefined) {
    return yield* new ModelMismatch({ message: problem, commands: [], replay: options.replay ?? "" })
  }
  return undefined
})
