/**
 * How long a store is waited for.
 */
import { Effect, Schedule } from "effect"
import { UnavailableError } from "../LedgerError.ts"

/** What failed for a passing reason is tried again, soon and then less often, for ten seconds. */
export const retries = Schedule.exponential("50 millis").pipe(
  Schedule.jittered,
  Schedule.upTo({ duration: "10 seconds" })
)

/** How long the store may take to answer; what it answers later changes nothing. */
const answerTimeout = "30 seconds"

/** Fails when the store has not answered in time. */
export const answered = <A, E, R>(asking: Effect.Effect<A, E, R>): Effect.Effect<A, E | UnavailableError, R> =>
  Effect.timeoutOrElse(asking, {
    duration: answerTimeout,
    orElse: () => Effect.fail(new UnavailableError({ message: `the store has not answered for ${answerTimeout}` }))
  })

/** How long closing waits for the store, when nothing else is said. */
export const closeTimeout = "30 seconds"
