/**
 * One of several processes that append to the same ledger at once: some appenders on 8 threads, which now and then race
 * for the first place of a run, and followers. Tells which races it won, what followers saw, and how long the event loop
 * was held up between two SIGUSR2.
 *
 * Arguments: the ledger, the number of this process, appenders, appends of each, the facts that there will be in all.
 */
import { type CanonicalEvent, Cursor, EventStore } from "@runledger/core"
import { Effect, Stream } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { event, layer, say } from "./ledger.ts"

const [ledger = "", ...numbers] = process.argv.slice(2)
const [self = 0, appenders = 0, appends = 0, total = 0] = numbers.map(Number)

const warmUp = 50

const threads = Array.from({ length: 8 }, (_, n) => `thread-${n}`)

const appender = Effect.fnUntraced(function* (store: EventStore.EventStoreShape, number: number) {
  let won = 0
  for (let n = 0; n < appends; n += 1) {
    const thread = `thread-${number % 8}`
    const other = `thread-${(number + n + 1) % 8}`
    const run = `run-${self}-${number}`
    yield* store.append([
      event({ threadId: thread, runId: run, ordinal: 2 * n + 1 }),
      event({ threadId: other, runId: run, ordinal: 2 * n + 2 })
    ])
    const race = { _tag: "Run", runId: `race-${n}` } as const
    won += yield* store
      .append([event({ threadId: thread, runId: race.runId })], {
        expected: [{ scope: race, cursor: Cursor.start(race) }]
      })
      .pipe(
        Effect.as(1),
        Effect.catchTag("ExpectedCursorConflict", () => Effect.succeed(0))
      )
  }
  return won
})

/** Follows a scope up to a number of facts; whether each came once and in order. */
const follower = Effect.fnUntraced(function* (
  store: EventStore.EventStoreShape,
  scope: Cursor.ReadScope,
  facts: number
) {
  const followed = yield* store.follow({ scope, maxBehind: 1_000_000 }).pipe(
    Stream.flatMap((item) => (item._tag === "Fact" ? Stream.succeed(item.fact) : Stream.empty)),
    Stream.take(facts),
    Stream.runCollect
  )
  const sequences = followed.map((fact) => Cursor.sequenceOf(scope, fact))
  const dense = scope._tag !== "Ledger"
  const ordered = sequences.every((sequence, n) => (dense ? sequence === n + 1 : sequence > (sequences[n - 1] ?? 0)))
  return ordered && new Set(followed.map(({ eventId }) => eventId)).size === facts && inScopeOrder(followed)
})

/** Whether each thread's facts are in its order, wherever they are read. */
const inScopeOrder = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>): boolean => {
  const last = new Map<string, number>()
  return facts.every(({ runId = "", runSequence = 0, threadId = "", threadSequence = 0 }) => {
    const ordered = threadSequence > (last.get(`t${threadId}`) ?? 0) && runSequence > (last.get(`r${runId}`) ?? 0)
    last.set(`t${threadId}`, threadSequence).set(`r${runId}`, runSequence)
    return ordered
  })
}

const program = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  // What runs for the first time is slow, whoever holds a lock.
  for (let n = 0; n < warmUp; n += 1) {
    yield* store.append([event({ threadId: "warm-up", runId: `warm-up-${self}` })])
  }
  const delay = monitorEventLoopDelay({ resolution: 1 })
  let measures = false
  process.on("SIGUSR2", () => {
    measures = !measures
    if (measures) {
      delay.enable()
    } else {
      delay.disable()
    }
  })
  say("ready")
  const appended = yield* Effect.all(
    {
      won: Effect.map(
        Effect.forEach(Array.from({ length: appenders }), (_, n) => appender(store, self * appenders + n), {
          concurrency: "unbounded"
        }),
        (won) => won.reduce((sum, n) => sum + n, 0)
      ),
      followed: follower(store, Cursor.ledger, total),
      thread: follower(store, { _tag: "Run", runId: `run-${1 - self}-${(1 - self) * appenders}` }, appends * 2)
    },
    { concurrency: "unbounded" }
  )
  process.removeAllListeners("SIGUSR2")
  const counts = yield* Effect.forEach(threads, (threadId) => store.count({ _tag: "Thread", threadId }))
  say({ ...appended, counts, delay: delay.max / 1e6 })
})

await Effect.runPromise(Effect.provide(program, layer(ledger)))
