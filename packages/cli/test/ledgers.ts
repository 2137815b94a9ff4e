/**
 * Ledgers that no recording makes quickly: large ones, old ones, and ones with a past.
 */
import { type CanonicalEvent, Cursor, EventStore, type StagedEvent } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Clock, Effect, Stream } from "effect"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"

type Store = EventStore.EventStoreShape

/** Uses the store of a ledger, given by a path or a URL, which is made if it is not there. */
export const withStore = <A, E>(ledger: string, use: (store: Store) => Effect.Effect<A, E>): Promise<A> =>
  Effect.runPromise(
    Effect.flatMap(EventStore.EventStore, use).pipe(
      Effect.provide(
        ledger.startsWith("postgres:")
          ? PostgresLedger.layer({ url: ledger })
          : SqliteLedger.layerInThread({ path: ledger })
      )
    )
  )

let events = 0

/** An event of its own id, of an app's kind unless said otherwise. */
export const event = (changes: Partial<StagedEvent.StagedEvent>): StagedEvent.StagedEvent => {
  events += 1
  return {
    eventId: `01890000-0000-7000-8000-${events.toString(16).padStart(12, "0")}`,
    kind: "app.note",
    fidelity: "committed_runtime_event",
    visibility: "public",
    payload: JSON.stringify({ note: events }),
    origin: "test",
    schemaVersion: 1,
    occurredAt: 1_750_000_000_000 + events,
    ...changes
  }
}

/** The event with which a run starts, or ends. */
export const started = (runId: string, threadId: string) =>
  event({ runId, threadId, kind: "RunStarted", payload: JSON.stringify({ _tag: "RunStart", runId, threadId }) })
export const finished = (runId: string, threadId: string, kind = "RunFinished", termination = "NaturalEnd") =>
  event({
    runId,
    threadId,
    kind,
    payload: JSON.stringify({ _tag: "RunFinish", runId, threadId, termination: { _tag: termination } })
  })

/** What the payloads of the thread "secret" said until it was erased. */
export const secret = "what nobody may read"

/**
 * A ledger with runs in all states, of which some have a state of their own; runs and threads that were pruned, whole or
 * in part, around facts that were kept; an erased thread; facts of a thread or a run alone, of unknown kinds and newer
 * versions, and with hostile texts; and writers.
 */
export const makeEventful = (ledger: string): Promise<void> =>
  withStore(ledger, (store) =>
    Effect.gen(function* () {
      const say = (runId: string, threadId: string, note: string) =>
        event({ runId, threadId, payload: JSON.stringify({ note }) })

      yield* store.append([started("live", "work"), started("old", "work"), finished("old", "work")])
      yield* store.append([say("live", "work", "goes on"), started("older", "gone"), finished("older", "gone")])
      yield* store.append([event({ threadId: "gone" }), event({ runId: "alone" })], {
        runs: [{ runId: "older", ordinal: 2, state: '{"of":"a run that is gone"}' }]
      })
      yield* store.prune({ before: (yield* Clock.currentTimeMillis) + 1 })

      const writer = yield* Effect.scoped(store.claimWriter("laptop"))
      yield* Effect.scoped(store.claimWriter("idle"))
      yield* store.append(
        [
          started("second", "work"),
          say("live", "work", "still there"),
          event({ threadId: "notes" }),
          event({ threadId: "notes", kind: "RunFinished", schemaVersion: 7, payload: '{"new":"shape"}' }),
          event({ runId: "created", visibility: "audit", ordinal: 9, correlationId: "c", causationId: "no uuid" }),
          event({
            runId: "created",
            threadId: "notes",
            payload: '{"__proto__":{"\\u0000":"\\ud800"},"2":1,"1":[1.5e300]}'
          })
        ],
        { writers: [{ ...writer, highWater: 12 }], runs: [{ runId: "second", ordinal: 1, state: '{"at":1}' }] }
      )
      yield* store.append([
        finished("second", "work", "RunSuspended", "Suspended"),
        started("cancelled", "work"),
        finished("cancelled", "work", "RunCancelled", "Cancelled"),
        started("private", "secret"),
        say("private", "secret", secret),
        event({ runId: "private", payload: JSON.stringify({ note: secret }) }),
        finished("private", "secret")
      ])
      yield* store.append([], { runs: [{ runId: "private", ordinal: 3, state: JSON.stringify(secret) }] })
      yield* store.erase({ threadId: "secret" })
      yield* Effect.scoped(store.claimWriter("laptop"))
    })
  )

/** All that a ledger says. */
export const contentsOf = (ledger: string) =>
  withStore(ledger, (store) =>
    Effect.gen(function* () {
      const facts: Array<CanonicalEvent.CanonicalEvent> = []
      let page: EventStore.EventPage | undefined
      do {
        page = yield* store.read({ scope: Cursor.ledger, after: page?.next, limit: 10_000 })
        facts.push(...page.facts)
      } while (page.hasMore)
      const runs = yield* Stream.runCollect(store.runs())
      return {
        facts,
        floor: page.floor,
        threads: yield* Stream.runCollect(store.threads),
        runs: yield* Effect.forEach(runs, ({ runId }) => store.run(runId)),
        writers: yield* Stream.runCollect(store.writers)
      }
    })
  )

/** A ledger with facts that were recorded at these times, each in the thread of its index. */
export const makeOld = (path: string, times: ReadonlyArray<string>): Promise<void> =>
  withStore(path, (store) =>
    store.restore({
      facts: times.map((time, index): CanonicalEvent.CanonicalEvent => {
        const { payload, ...rest } = event({ threadId: `thread-${index}`, occurredAt: Date.parse(time) })
        return { ...rest, payload, threadSequence: 1, position: index + 1, recordedAt: Date.parse(time) }
      })
    })
  )

/** A ledger of so many facts, in runs of 1,000. */
export const makeLarge = (path: string, facts: number): Promise<void> =>
  withStore(path, (store) =>
    Effect.gen(function* () {
      const note = "a text as long as what a tool often has to say, ".repeat(5)
      for (let at = 0; at < facts; at += 1000) {
        const ids = { runId: `run-${at}`, threadId: `thread-${at % 50_000}` }
        const said = Array.from({ length: Math.min(1000, facts - at) - 2 }, (_, index) =>
          event({ ...ids, ordinal: index + 1, payload: JSON.stringify({ index, note }) })
        )
        yield* store.append([started(ids.runId, ids.threadId), ...said, finished(ids.runId, ids.threadId)], {
          runs: [{ runId: ids.runId, ordinal: said.length, state: JSON.stringify({ at }) }]
        })
      }
    })
  )

/** How many facts an SQLite ledger has by now, if it has its tables. */
export const factsIn = (path: string): number => {
  if (!existsSync(path)) {
    return 0
  }
  try {
    using database = new DatabaseSync(path, { readOnly: true })
    return Number(database.prepare("SELECT count(*) AS facts FROM events").get()?.["facts"])
  } catch {
    return 0
  }
}
