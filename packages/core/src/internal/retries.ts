/**
 * How often a store is asked again that failed for a passing reason.
 */
import { Schedule } from "effect"

/** Soon, then less often, for ten seconds. */
export const retries = Schedule.exponential("50 millis").pipe(
  Schedule.jittered,
  Schedule.upTo({ duration: "10 seconds" })
)
