/**
 * How long somebody else's lock is waited for: nobody may hold up all connections of a process for good. A setting of the
 * session would do as well, but what stands between client and server may refuse it.
 */
import { Effect } from "effect"
import { SqlError } from "effect/sql"

const lockTimeout = "10 seconds"

const lockedForLong = new SqlError.SqlError({
  reason: new SqlError.LockTimeoutError({
    message: "a thread, a run or a writer is locked",
    cause: undefined,
    operation: "append"
  })
})

/** Gives up what waits for a lock for too long. */
export const withinLockTimeout = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError.SqlError> =>
  Effect.timeoutOrElse(effect, { duration: lockTimeout, orElse: () => Effect.fail(lockedForLong) })
