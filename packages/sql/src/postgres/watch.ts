/**
 * How followers learn that another process has committed: it says so, to those who listen. What is not heard, because a
 * connection was lost or an open append held a later one back, is found by looking now and then.
 */
import type { PgClient } from "@effect/sql-pg"
import { Follow } from "@runledger/core"
import { Effect, Latch, Queue, RcRef, type Scope } from "effect"

/** How often followers look, whatever they hear. */
const interval = "1 second"

/** How long one saying stands for all commits. */
const pause = "20 millis"

/** The signal of a ledger, and how others are told of a commit: soon, and without anybody waiting for it. */
export const make = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  channel: string
): Effect.fn.Return<{ readonly signal: Follow.Signal; readonly committed: Effect.Effect<void> }, never, Scope.Scope> {
  const { changed, notify } = Follow.signal()
  // Who waits when the ledger is closed reads, and fails.
  yield* Effect.addFinalizer(() => Effect.sync(notify))

  const unsaid = Latch.makeUnsafe()
  yield* unsaid.await.pipe(
    Effect.andThen(unsaid.close),
    Effect.andThen(Effect.ignoreCause(sql.notify(channel, ""))),
    Effect.andThen(Effect.sleep(pause)),
    Effect.forever,
    Effect.forkScoped
  )

  const listen = sql.listen(channel).pipe(
    // What was committed while nobody listened was not heard.
    Effect.tap(() => Effect.sync(notify)),
    Effect.flatMap((heard) => Effect.forever(Effect.andThen(Queue.takeAll(heard), Effect.sync(notify)))),
    Effect.scoped,
    Effect.ignore,
    Effect.andThen(Effect.sleep(interval)),
    Effect.forever
  )
  const look = Effect.forever(Effect.andThen(Effect.sleep(interval), Effect.sync(notify)))
  const listening = yield* RcRef.make({
    acquire: Effect.andThen(Effect.forkScoped(listen), Effect.forkScoped(look))
  })
  return {
    signal: { notify, changed: Effect.andThen(RcRef.get(listening), changed) },
    committed: Effect.asVoid(unsaid.open)
  }
})
