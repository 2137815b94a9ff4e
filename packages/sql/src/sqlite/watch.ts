/**
 * How followers learn that another process has committed: SQLite is asked, again and again, for as long as there are
 * followers.
 */
import { Follow, type LedgerError } from "@runledger/core"
import { Effect, RcRef, type Scope } from "effect"

/** How often it is asked. The median follower learns of a commit in half this time, for about 1 % of a core. */
const interval = "100 millis"

/** The signal of a ledger: its own commits, and those of which `version` tells. */
export const signal = Effect.fnUntraced(function* (
  version: () => Effect.Effect<number, LedgerError.ReadError>
): Effect.fn.Return<Follow.Signal, never, Scope.Scope> {
  const { changed, notify } = Follow.signal()

  const poll = Effect.gen(function* () {
    let seen: number | undefined
    while (true) {
      // What is wrong with the ledger, a follower learns when it reads.
      const found = yield* Effect.orElseSucceed(version(), () => undefined)
      if (found === undefined || found !== seen) {
        seen = found
        notify()
      }
      yield* Effect.sleep(interval)
    }
  })

  const polling = yield* RcRef.make({ acquire: Effect.forkScoped(poll) })
  return { notify, changed: Effect.andThen(RcRef.get(polling), changed) }
})
