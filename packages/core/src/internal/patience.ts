/**
 * How long a store is waited for.
 */
import { Schedule } from "effect"

/** What failed for a passing reason is tried again, soon and then less often, for ten seconds. */
export const retries = Schedule.exponential("50 millis").pipe(
  Schedule.jittered,
  Schedule.upTo({ duration: "10 seconds" })
)

/** How long the store may take to answer; what it answers later changes nothing. */
export const answerTimeout = "30 seconds"
