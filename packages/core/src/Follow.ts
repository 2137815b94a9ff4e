/**
 * Following a scope: what is there, then what comes, with no gap and no duplicate. A store gives it its pages and a
 * signal, and has `follow`.
 *
 * @since 0.1.0
 */
import { Effect, Latch, type Scope, Stream } from "effect"
import type { CanonicalEvent } from "./CanonicalEvent.ts"
import * as Cursor from "./Cursor.ts"
import type { EventPage, EventStoreShape, Followed, FollowOptions } from "./EventStore.ts"
import { FollowerLagged } from "./LedgerError.ts"

/**
 * Says that something was committed. `changed` begins to listen, for as long as the scope lives; what it gives waits for
 * the next change since it last waited, or since it began to listen.
 *
 * @category models
 * @since 0.1.0
 */
export interface Signal {
  readonly notify: () => void
  readonly changed: Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const signal = (): Signal => {
  const latches = new Set<Latch.Latch>()
  return {
    notify: () => {
      for (const latch of latches) {
        latch.openUnsafe()
      }
    },
    changed: Effect.acquireRelease(
      Effect.sync(() => {
        const latch = Latch.makeUnsafe()
        latches.add(latch)
        return latch
      }),
      (latch) => Effect.sync(() => latches.delete(latch))
    ).pipe(Effect.map((latch) => Effect.andThen(latch.await, latch.close)))
  }
}

/** How many facts are read at once. */
const pageFacts = 1000

const lagged = (behind: number, maxBehind: number, cursor: Cursor.Cursor): FollowerLagged =>
  new FollowerLagged({
    message: `this follower is ${behind} facts behind, and may be ${maxBehind}; take facts faster, allow more, or follow again from ${cursor}`,
    cursor
  })

/**
 * Makes the `follow` of a store.
 *
 * **Details**
 *
 * It listens before it reads, so what is committed during a read is read next. One page is in memory at a time, and
 * nothing is read before it is asked for: a slow follower holds up nobody, and pays with its distance.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make =
  ({ changed, read }: Pick<EventStoreShape, "read"> & Pick<Signal, "changed">): EventStoreShape["follow"] =>
  ({ filter, from = "start", maxBehind = 10_000, scope }: FollowOptions) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const wait = yield* changed
        let after: Cursor.Cursor | undefined = from === "start" || from === "now" ? undefined : from
        let scanned = 0
        let caughtUp = false
        let idle = false

        const end = () => read({ scope, reverse: true, limit: 0 })

        const items = (page: EventPage, atEnd: boolean): ReadonlyArray<Followed> => {
          const cursorAt = Cursor.within(scope, page.floor)
          const at = (fact: CanonicalEvent) => Cursor.sequenceOf(scope, fact)
          const items: Array<Followed> = page.facts.map((fact) => ({
            _tag: "Fact" as const,
            fact,
            cursor: cursorAt(at(fact))
          }))
          const last = page.facts.at(-1)
          const marker = { cursor: page.next, scannedThrough: page.scannedThrough }
          if (atEnd && !caughtUp) {
            items.push({ _tag: "CaughtUp", ...marker })
          } else if (page.scannedThrough > (last === undefined ? scanned : at(last))) {
            items.push({ _tag: "Scanned", ...marker })
          }
          return items
        }

        const next = Effect.gen(function* () {
          while (true) {
            if (idle) {
              yield* wait
            }
            const first = after === undefined && from === "now"
            // With a page no larger than the bound, one that is not the last shows that it may be exceeded.
            const limit = caughtUp ? Math.min(pageFacts, Math.max(maxBehind || 0, 1)) : pageFacts
            const page = yield* first ? end() : read({ scope, after, filter, limit })
            if (caughtUp && page.hasMore && after !== undefined) {
              const behind = (yield* end()).scannedThrough - scanned
              if (behind > maxBehind) {
                return yield* lagged(behind, maxBehind, after)
              }
            }
            idle = first || !page.hasMore
            const given = items(page, idle)
            after = page.next
            scanned = page.scannedThrough
            caughtUp ||= idle
            if (given.length > 0) {
              return given
            }
          }
        })

        return Stream.fromIterableEffectRepeat(next)
      })
    )
