import { assert, describe, it } from "@effect/vitest"
import { Cursor, type EventStore } from "@runledger/core"
import { Effect, Fiber, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { event, events, thread } from "../sqlite/support.ts"
import { connect, execute, hold, newDatabase, open, waiting } from "./support.ts"

/** What a follower gets, as it gets it: the positions of facts. */
const followed = Effect.fnUntraced(function* (store: EventStore.EventStoreShape, scope: Cursor.ReadScope) {
  const queue = yield* Queue.unbounded<number>()
  yield* store.follow({ scope }).pipe(
    Stream.runForEach((item) => (item._tag === "Fact" ? Queue.offer(queue, item.fact.ordinal ?? 0) : Effect.void)),
    Effect.forkScoped
  )
  return Queue.take(queue)
})

/** Resolves once as many sessions listen. */
const listeners = (url: string, sessions: number) =>
  Effect.repeat(
    execute(
      url,
      "SELECT count(*)::int4 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'"
    ),
    { until: (rows) => rows[0]?.[0] === sessions }
  )

describe("following a ledger in PostgreSQL", () => {
  // The clock stands still, so that nobody looks now and then.
  it.effect("is woken by what another process commits", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      const next = yield* followed(other, thread)
      yield* listeners(url, 1)
      yield* store.append([event(1)])
      assert.strictEqual(yield* next, 1)
    })
  )

  it.effect("says one time that many have committed", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const store = yield* open(url)
      const sql = yield* connect(url)
      const [[oid] = []] = yield* execute(url, "SELECT 'events'::regclass::oid")
      const heard = yield* sql.listen(`runledger_${oid}`)
      yield* Effect.forEach(events(1, 30), (event) => store.append([event]))
      yield* Queue.take(heard)
      yield* Effect.repeat(TestClock.adjust("20 millis"), {
        until: () => Effect.map(Queue.size(heard), (size) => size > 0)
      })
      yield* Queue.take(heard)
      yield* TestClock.adjust("500 millis")
      yield* execute(url, "SELECT 1")
      assert.strictEqual(yield* Queue.size(heard), 0)
    })
  )

  it.live("does not listen when nobody follows", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const store = yield* open(url)
      yield* store.append([event(1)])
      yield* listeners(url, 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.andThen(followed(store, thread), followed(store, Cursor.ledger))
          yield* listeners(url, 1)
        })
      )
      yield* listeners(url, 0)
    })
  )

  it.live("goes on when the listening connection is ended", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      const next = yield* followed(other, thread)
      for (const n of [1, 2, 3]) {
        yield* store.append([event(n)])
        assert.strictEqual(yield* next, n)
        yield* execute(
          url,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
      }
    })
  )

  it.live("gives what an append held back when that is rolled back", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      const next = yield* followed(other, Cursor.ledger)
      yield* store.append([event(1, { threadId: "held", runId: "held" })])
      assert.strictEqual(yield* next, 1)
      const release = yield* hold(url, "SELECT FROM runs WHERE run_id = 'held' FOR UPDATE")
      const first = yield* Effect.forkChild(
        store.append([event(2)], { runs: [{ runId: "held", ordinal: 2, state: "{}" }] })
      )
      yield* waiting(url, 1)
      yield* store.append([event(3, { threadId: "other", runId: "other" })])
      yield* execute(
        url,
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
      )
      const error = yield* Effect.flip(Fiber.join(first))
      assert.match(error.message, /canceling statement due to user request/)
      assert.strictEqual(yield* next, 3)
      yield* release
    })
  )
})
