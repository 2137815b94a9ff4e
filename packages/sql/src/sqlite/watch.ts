/**
 * How followers learn that another process has committed: SQLite is asked, again and again, for as long as there are
 * followers.
 */
import { type EventStore, Follow } from "@runledger/core"
import { Effect, RcRef, type Scope } from "effect"
import * as SqlEventStore from "../SqlEventStore.ts"
import type { SqliteCalls } from "./InThreadStore.ts"

/** How often it is asked. The median follower learns of a commit in half this time, for about 1 % of a core. */
const interval = "100 millis"

/**
 * A store of calls that followers are told about: at once of what it commits itself and of what `notify` is called for,
 * and soon of what others do, and of what went on after its caller was interrupted.
 */
export const watched = Effect.fnUntraced(function* <Opened extends { readonly calls: SqliteCalls }, E, R>(
  open: Effect.Effect<Opened, E, R>
): Effect.fn.Return<
  { readonly opened: Opened; readonly store: EventStore.EventStoreShape; readonly notify: () => void },
  E,
  R | Scope.Scope
> {
  const { changed, notify } = Follow.signal()
  // Before the ledger is opened, so that it is done after it was closed: who waits then reads, and fails.
  yield* Effect.addFinalizer(() => Effect.sync(notify))
  const opened = yield* open
  const { calls } = opened

  const poll = Effect.gen(function* () {
    let seen: number | undefined
    while (true) {
      // What is wrong with the ledger, a follower learns when it reads.
      const found = yield* Effect.orElseSucceed(calls.version(), () => undefined)
      if (found === undefined || found !== seen) {
        seen = found
        notify()
      }
      yield* Effect.sleep(interval)
    }
  })

  const polling = yield* RcRef.make({ acquire: Effect.forkScoped(poll) })
  const store = SqlEventStore.fromCalls(calls, { notify, changed: Effect.andThen(RcRef.get(polling), changed) })
  return { opened, store, notify }
})
