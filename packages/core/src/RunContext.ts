/**
 * The run that a normalizer works for.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import { requireText } from "./CanonicalEvent.ts"
import type { ValidationError } from "./LedgerError.ts"

/**
 * Thread and run of the facts, the origin of the events (a lower-kebab label such as `native` or `ai-sdk`), and a
 * request or trace key that links them to what asked for them.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunContext {
  readonly threadId: string
  readonly runId: string
  readonly origin: string
  readonly correlationId?: string
}

/**
 * Checks a context: thread, run and origin must not be blank; the correlation id is not checked (from the seed). An
 * object of this shape that did not pass here is taken by a normalizer too, which then refuses each event.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (context: RunContext): Result.Result<RunContext, ValidationError> => {
  const problem =
    requireText("thread_id", context.threadId) ??
    requireText("run_id", context.runId) ??
    requireText("origin", context.origin)
  return problem === undefined ? Result.succeed(context) : Result.fail(problem)
}
