/**
 * Event stores that are broken on purpose, each in one way: proof that the conformance suite catches what it says, and a
 * way to find out whether tests of your own do.
 *
 * @since 0.1.0
 */
import { type CanonicalEvent, Cursor, EventStore, Json, MemoryEventStore } from "@runledger/core"
import { Context, Effect, Layer, Result, Scope, Stream, Struct } from "effect"
import { randomUUID } from "node:crypto"
import type { Fresh } from "./TestLedger.ts"

type Store = EventStore.EventStoreShape

/**
 * A way to be broken: what such a store does, the id of the check that is meant to catch it, and how to break a sound
 * store in this way.
 *
 * @category models
 * @since 0.1.0
 */
export interface BrokenStore {
  readonly name: string
  readonly does: string
  readonly caughtBy: string
  readonly breaks: (sound: Store) => Store
}

/**
 * Makes fresh ledgers in memory whose store is broken.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fresh = ({ breaks }: BrokenStore): Fresh =>
  Effect.map(Layer.build(Layer.fresh(MemoryEventStore.layer)), (context) => ({
    open: Layer.succeed(EventStore.EventStore, breaks(Context.get(context, EventStore.EventStore)))
  }))

/** A store that shows its facts otherwise, wherever it does. */
const showing = (
  sound: Store,
  show: (fact: CanonicalEvent.CanonicalEvent) => CanonicalEvent.CanonicalEvent
): Store => ({
  ...sound,
  get: (eventId) => Effect.map(sound.get(eventId), show),
  read: (options) => Effect.map(sound.read(options), (page) => ({ ...page, facts: page.facts.map(show) })),
  follow: (options) =>
    Stream.map(sound.follow(options), (item) => (item._tag === "Fact" ? { ...item, fact: show(item.fact) } : item))
})

/** Fails unless all scopes end as expected, now. */
const meets = Effect.fnUntraced(function* (sound: Store, expected: ReadonlyArray<EventStore.Expected> = []) {
  for (const one of expected) {
    const { next } = yield* Effect.orDie(sound.read({ scope: one.scope, reverse: true, limit: 0 }))
    if (next !== one.cursor) {
      return yield* EventStore.expectedCursorConflict(one, next)
    }
  }
  return undefined
})

/** The number in a cursor, of whatever scope it is. */
const numberIn = (cursor: Cursor.Cursor): number => Number(cursor.split(".")[1] ?? 0)

/**
 * All broken stores.
 *
 * @category broken stores
 * @since 0.1.0
 */
export const all: ReadonlyArray<BrokenStore> = [
  {
    name: "hole",
    does: "leaves a number out",
    caughtBy: "append.dense-sequences",
    breaks: (sound) =>
      showing(sound, (fact) => {
        const { threadSequence = 0 } = fact
        return threadSequence > 2 ? { ...fact, threadSequence: threadSequence + 1 } : fact
      })
  },
  {
    name: "reorder",
    does: "writes a batch from its end",
    caughtBy: "append.commit-order",
    breaks: (sound) => ({ ...sound, append: (batch, options) => sound.append(batch.toReversed(), options) })
  },
  {
    name: "cut batch",
    does: "writes at most a thousand events of a batch",
    caughtBy: "append.large-batch",
    breaks: (sound) => ({ ...sound, append: (batch, options) => sound.append(batch.slice(0, 1000), options) })
  },
  {
    name: "collapsed scopes",
    does: "keeps a run with the thread of the same id",
    caughtBy: "append.several-scopes",
    breaks: (sound) => ({
      ...sound,
      read: Effect.fnUntraced(function* (options) {
        const { scope } = options
        const thread = { _tag: "Thread", threadId: scope._tag === "Run" ? scope.runId : "" } as const
        return yield* sound.read((yield* sound.count(thread)) > 0 ? { ...options, scope: thread } : options)
      })
    })
  },
  {
    name: "collapsed ids",
    does: "takes ids that differ in case for the same",
    caughtBy: "append.hostile-ids",
    breaks: (sound) => ({
      ...sound,
      append: (batch, options) =>
        sound.append(
          batch.map((event) =>
            event.threadId === undefined ? event : { ...event, threadId: event.threadId.toLowerCase() }
          ),
          options
        )
    })
  },
  {
    name: "sorted keys",
    does: "keeps payloads as values, and not their text",
    caughtBy: "append.payload-kept",
    breaks: (sound) => ({
      ...sound,
      append: (batch, options) =>
        sound.append(
          batch.map((event) => ({ ...event, payload: Json.canonical(Json.parse(event.payload)) })),
          options
        )
    })
  },
  {
    name: "first ordinal only",
    does: "does not keep how far the events go that a fact stands for",
    caughtBy: "append.last-ordinal",
    breaks: (sound) => ({
      ...sound,
      append: (batch, options) =>
        sound.append(
          batch.map((event) => Struct.omit(event, ["lastOrdinal"])),
          options
        )
    })
  },
  {
    name: "leaked rollback",
    does: "keeps the first event of a batch that it refuses",
    caughtBy: "append.all-or-nothing",
    breaks: (sound) => ({
      ...sound,
      append: (batch, options) =>
        Effect.tapError(sound.append(batch, options), () => Effect.ignore(sound.append(batch.slice(0, 1))))
    })
  },
  {
    name: "duplicate on retry",
    does: "gives an event that it knows a new id",
    caughtBy: "idempotency.retry",
    breaks: (sound) => ({
      ...sound,
      append: Effect.fnUntraced(function* (batch, options) {
        const renamed = yield* Effect.forEach(batch, (event) =>
          Effect.map(Effect.result(sound.get(event.eventId)), (known) =>
            Result.isSuccess(known) ? { ...event, eventId: randomUUID() } : event
          )
        )
        yield* sound.append(renamed, options)
      })
    })
  },
  {
    name: "digest by text",
    does: "compares the text of payloads",
    caughtBy: "idempotency.key-order",
    breaks: (sound) => {
      const texts = new Map<string, string>()
      return {
        ...sound,
        append: Effect.fnUntraced(function* (batch, options) {
          const other = batch.find(({ eventId, payload }) => (texts.get(eventId) ?? payload) !== payload)
          if (other !== undefined) {
            return yield* EventStore.idempotencyConflict(other.eventId)
          }
          yield* sound.append(batch, options)
          for (const { eventId, payload } of batch) {
            texts.set(eventId, payload)
          }
          return undefined
        })
      }
    }
  },
  {
    name: "state of a retry",
    does: "brings the run state of a batch back when it is sent again",
    caughtBy: "idempotency.old-state",
    breaks: (sound) => ({
      ...sound,
      append: (batch, options = {}) =>
        Effect.andThen(sound.append(batch, options), sound.append([], { runs: options.runs ?? [] }))
    })
  },
  {
    name: "expectations first",
    does: "asks a batch that it knows for the cursors that it expects",
    caughtBy: "idempotency.before-expected",
    breaks: (sound) => ({
      ...sound,
      append: (batch, options) => Effect.andThen(meets(sound, options?.expected), sound.append(batch, options))
    })
  },
  {
    name: "racy expectations",
    does: "looks at the end of a scope before its transaction",
    caughtBy: "expected.one-winner-empty",
    breaks: (sound) => ({
      ...sound,
      append: (batch, { expected = [], ...options } = {}) =>
        meets(sound, expected).pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(sound.append(batch, options)))
    })
  },
  {
    name: "stale writers",
    does: "accepts any epoch",
    caughtBy: "writers.stale-fenced",
    breaks: (sound) => ({
      ...sound,
      append: (batch, { writers = [], ...options } = {}) =>
        Effect.catchTag(sound.append(batch, { ...options, writers }), "Fenced", () => sound.append(batch, options))
    })
  },
  {
    name: "claims for all",
    does: "refuses nobody a name that is held",
    caughtBy: "writers.held",
    breaks: (sound) => ({
      ...sound,
      // Whoever claims holds it for no longer than the call.
      claimWriter: (writer) => Effect.scoped(sound.claimWriter(writer))
    })
  },
  {
    name: "claims for good",
    does: "never frees a name",
    caughtBy: "writers.free-again",
    breaks: (sound) => {
      const forever = Scope.makeUnsafe()
      return { ...sound, claimWriter: (writer) => Scope.provide(sound.claimWriter(writer), forever) }
    }
  },
  {
    name: "epoch first",
    does: "gives a claim its epoch before it looks whether the name is held",
    caughtBy: "writers.refused-claim",
    breaks: (sound) => {
      const held = new Set<string>()
      return {
        ...sound,
        claimWriter: (writer) =>
          Effect.flatMap(Effect.scoped(sound.claimWriter(writer)), (claimed) =>
            held.has(writer)
              ? Effect.fail(EventStore.writerHeld(writer))
              : Effect.acquireRelease(
                  Effect.sync(() => (held.add(writer), claimed)),
                  () => Effect.sync(() => void held.delete(writer))
                )
          )
      }
    }
  },
  {
    name: "marks that go back",
    does: "sets a high-water mark to the one that came last",
    caughtBy: "writers.high-water-never-back",
    breaks: (sound) => {
      const marks = new Map<string, number>()
      const marked = (writer: EventStore.Writer) => ({
        ...writer,
        highWater: marks.get(writer.writer) ?? writer.highWater
      })
      return {
        ...sound,
        append: Effect.fnUntraced(function* (batch, options) {
          yield* sound.append(batch, options)
          for (const { highWater, writer } of options?.writers ?? []) {
            marks.set(writer, highWater)
          }
        }),
        claimWriter: (writer) => Effect.map(sound.claimWriter(writer), marked),
        writers: Stream.map(sound.writers, marked)
      }
    }
  },
  {
    name: "lost labels",
    does: "forgets the labels of a run when its state is committed without any",
    caughtBy: "runs.labels",
    breaks: (sound) => ({
      ...sound,
      append: (batch, { runs = [], ...options } = {}) =>
        sound.append(batch, { ...options, runs: runs.map((run) => ({ labels: {}, ...run })) })
    })
  },
  {
    name: "any label",
    does: "lists the runs that have one of the labels asked for",
    caughtBy: "runs.by-labels",
    breaks: (sound) => ({
      ...sound,
      runs: ({ labels = {}, status } = {}) =>
        Stream.filter(
          sound.runs({ status }),
          (run) =>
            Object.keys(labels).length === 0 ||
            Object.entries(labels).some(([name, value]) => run.labels?.[name] === value)
        )
    })
  },
  {
    name: "foreign cursors",
    does: "takes the number of any cursor",
    caughtBy: "read.cursor-of-another-scope",
    breaks: (sound) => ({
      ...sound,
      read: ({ after, ...options }) =>
        sound.read({ ...options, after: after && Cursor.make(options.scope, numberIn(after)) })
    })
  },
  {
    name: "reverse off by one",
    does: "leaves out the fact before the cursor when it reads backwards",
    caughtBy: "read.cursor-exclusive",
    breaks: (sound) => ({
      ...sound,
      read: ({ after, ...options }) =>
        sound.read({
          ...options,
          after: after && options.reverse ? Cursor.make(options.scope, Math.max(numberIn(after) - 1, 0)) : after
        })
    })
  },
  {
    name: "no limit",
    does: "gives all there is when no limit is asked for",
    caughtBy: "read.limits",
    breaks: (sound) => ({ ...sound, read: (options) => sound.read({ ...options, limit: options.limit ?? 10_000 }) })
  },
  {
    name: "hidden scan",
    does: "says that a page with a filter was scanned through its last fact",
    caughtBy: "filter.scanned-through",
    breaks: (sound) => ({
      ...sound,
      read: (options) =>
        Effect.map(sound.read(options), (page) => {
          const last = page.facts.at(-1)
          return options.filter === undefined || options.reverse === true || last === undefined
            ? page
            : { ...page, scannedThrough: Cursor.sequenceOf(options.scope, last) }
        })
    })
  },
  {
    name: "lossy follower",
    does: "begins to listen only when it has read all there is",
    caughtBy: "follow.racing-joiners",
    breaks: (sound) => ({
      ...sound,
      follow: (options) =>
        Stream.concat(
          Stream.takeUntil(sound.follow(options), ({ _tag }) => _tag === "CaughtUp"),
          Stream.drop(sound.follow({ ...options, from: "now" }), 1)
        )
    })
  },
  {
    name: "two markers",
    does: "says after each fact again that the follower is caught up",
    caughtBy: "follow.one-caught-up",
    breaks: (sound) => ({
      ...sound,
      follow: (options) =>
        Stream.flatMap(sound.follow(options), (item) =>
          Stream.make(item, {
            _tag: "CaughtUp" as const,
            cursor: item.cursor,
            scannedThrough: numberIn(item.cursor)
          })
        )
    })
  },
  {
    name: "unbounded follower",
    does: "never gives up on a slow follower",
    caughtBy: "follow.slow-follower-fails-alone",
    breaks: (sound) => ({ ...sound, follow: (options) => sound.follow({ ...options, maxBehind: Infinity }) })
  },
  {
    name: "wrong floor",
    does: "does not know what it pruned",
    caughtBy: "prune.floor",
    breaks: (sound) => ({
      ...sound,
      read: (options) => Effect.map(sound.read(options), (page) => ({ ...page, floor: 0 }))
    })
  },
  {
    name: "cursors that do not expire",
    does: "begins anew when the facts after a cursor were pruned",
    caughtBy: "prune.cursor-below-floor",
    breaks: (sound) => ({
      ...sound,
      read: ({ after, ...options }) =>
        Effect.catchTag(sound.read({ ...options, after }), "CursorExpired", (expired) =>
          after !== undefined && Result.isSuccess(Cursor.sequence(options.scope, after))
            ? sound.read(options)
            : Effect.fail(expired)
        )
    })
  },
  {
    name: "renumbered",
    does: "counts from 1 again after it pruned",
    caughtBy: "prune.keeps-the-rest",
    breaks: (sound) => {
      let pruned = 0
      return {
        ...showing(sound, (fact) => ({ ...fact, position: fact.position - pruned })),
        prune: (options) =>
          Effect.tap(sound.prune(options), (count) =>
            Effect.sync(() => {
              pruned += count
            })
          )
      }
    }
  },
  {
    name: "text left by erasing",
    does: "marks facts as erased, and shows their payload",
    caughtBy: "erase.payloads",
    breaks: (sound) => {
      const payloads = new Map<string, CanonicalEvent.CanonicalEvent["payload"]>()
      return {
        ...showing(sound, (fact) =>
          fact.erased === true ? { ...fact, payload: payloads.get(fact.eventId) ?? null } : fact
        ),
        append: (batch, options) =>
          Effect.tap(sound.append(batch, options), () =>
            Effect.sync(() => {
              for (const { eventId, payload } of batch) {
                payloads.set(eventId, Json.parse(payload) as never)
              }
            })
          )
      }
    }
  },
  {
    name: "restored as new",
    does: "records restored facts at their restoration",
    caughtBy: "restore.facts",
    breaks: (sound) => ({
      ...sound,
      restore: (part) => {
        const now = Date.now()
        const facts = Array.from(part.facts ?? [], (fact) => ({ ...fact, recordedAt: now }))
        return sound.restore({ ...part, facts })
      }
    })
  }
]
