import { assert, describe, it } from "@effect/vitest"
import { Cursor, type EventStore } from "@runledger/core"
import { Effect, Fiber, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { event, events, readAll, run, thread } from "../sqlite/support.ts"
import { execute, hold, newDatabase, open, waiting } from "./support.ts"

/** The nth event, in a thread and a run of their own. */
const eventIn = (scope: number | string, n: number) => event(n, { threadId: `thread-${scope}`, runId: `run-${scope}` })

/** Whether sequences are 1, 2, 3 …, and positions ascend with them. */
const assertDense = Effect.fnUntraced(function* (
  store: EventStore.EventStoreShape,
  scope: Cursor.ReadScope,
  expected: number
) {
  const facts = yield* readAll(store, scope)
  assert.deepStrictEqual(
    facts.map((fact) => Cursor.sequenceOf(scope, fact)),
    Array.from({ length: expected }, (_, index) => index + 1)
  )
  assert.isTrue(facts.every(({ position }, index) => position > (facts[index - 1]?.position ?? 0)))
})

const positions = (facts: ReadonlyArray<{ readonly position: number }>) => facts.map(({ position }) => position)

/** The deadlocks and rollbacks of a database, which sessions tell when they end. */
const failures = (url: string) =>
  Effect.andThen(
    Effect.repeat(execute(url, "SELECT count(*)::int4 FROM pg_stat_activity WHERE datname = current_database()"), {
      until: (rows) => rows[0]?.[0] === 1
    }),
    execute(url, "SELECT deadlocks::int4, xact_rollback::int4 FROM pg_stat_database WHERE datname = current_database()")
  )

describe("the PostgreSQL store", () => {
  for (const shared of ["threads", "runs"]) {
    it.live(`lets many append to the same ${shared} in any order, each at the first attempt`, () =>
      Effect.gen(function* () {
        const url = yield* newDatabase
        // What a transaction has to see does not depend on what the server does by default.
        yield* execute(
          url,
          "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$"
        )
        const [appenders, appends, scopes] = [8, 20, 6]
        yield* Effect.scoped(
          Effect.gen(function* () {
            const stores = yield* Effect.forEach(Array.from({ length: appenders }), () => open(url), {
              concurrency: "unbounded"
            })
            yield* Effect.forEach(
              stores,
              (store, appender) =>
                Effect.forEach(Array.from({ length: appends }), (_, nth) =>
                  store.append(
                    Array.from({ length: scopes }, (_, index) => {
                      // Every other appender goes through them backwards.
                      const scope = appender % 2 === 0 ? index : scopes - 1 - index
                      return event((appender * appends + nth) * scopes + index + 1, {
                        threadId: `thread-${shared === "threads" ? scope : `of-${appender}`}`,
                        runId: `run-${shared === "runs" ? scope : `of-${appender}`}`
                      })
                    })
                  )
                ),
              { concurrency: "unbounded", discard: true }
            )
            const store = yield* open(url)
            const sharers = appenders * appends
            for (let scope = 0; scope < scopes; scope += 1) {
              yield* assertDense(
                store,
                { _tag: "Thread", threadId: `thread-${scope}` },
                shared === "threads" ? sharers : 0
              )
              yield* assertDense(store, { _tag: "Run", runId: `run-${scope}` }, shared === "runs" ? sharers : 0)
            }
            assert.strictEqual((yield* readAll(store, Cursor.ledger)).length, sharers * scopes)
          })
        )
        assert.deepStrictEqual(yield* failures(url), [[0, 0]])
      })
    )
  }

  it.live("adds the same new names in one order", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(url)
          // So that kind and origin are there.
          yield* store.append([event(100)])
          const names = ["a", "b", "c", "d", "e"]
          const release = yield* hold(url, "INSERT INTO names (name) VALUES ('c')")
          const appending = yield* Effect.forEach([names, names.toReversed()], (names, appender) =>
            Effect.forkChild(
              store.append(
                names.map((name, index) => ({ ...eventIn(appender, appender * 5 + index + 1), correlationId: name }))
              )
            )
          )
          yield* waiting(url, 2)
          yield* release
          yield* Effect.forEach(appending, Fiber.join)
          assert.deepStrictEqual(
            (yield* readAll(store, Cursor.ledger)).map(({ correlationId }) => correlationId).toSorted(),
            [...names, ...names, undefined].toSorted()
          )
        })
      )
      assert.deepStrictEqual(yield* failures(url), [[0, 0]])
    })
  )

  // The low 32 bits of a position are in the key of a lock: over the ends of both halves too.
  for (const start of [0, 2 ** 31 - 3, 2 ** 32 - 3, 2 ** 32 - 2]) {
    it.live(`shows the ledger up to the first append that is still open: after position ${start}`, () =>
      Effect.gen(function* () {
        const url = yield* newDatabase
        const [store, other] = [yield* open(url), yield* open(url)]
        yield* execute(url, `SELECT setval('positions', ${start})`)
        yield* store.append([eventIn("held", 1), eventIn(1, 2)])
        const { next } = yield* store.read({ scope: Cursor.ledger })

        const release = yield* hold(url, "SELECT FROM runs WHERE run_id = 'run-held' FOR UPDATE")
        // It has its positions when it comes to the state of the run.
        const first = yield* Effect.forkChild(
          store.append([eventIn(2, 3), eventIn(2, 4)], { runs: [{ runId: "run-held", ordinal: 1, state: "{}" }] })
        )
        yield* waiting(url, 1)
        yield* other.append([eventIn(3, 5), eventIn(3, 6)])

        for (const options of [
          {},
          { after: next },
          { reverse: true },
          { filter: { visibility: ["public"] } }
        ] as const) {
          const page = yield* store.read({ scope: Cursor.ledger, ...options })
          assert.deepStrictEqual(
            positions(page.facts).toSorted((a, b) => a - b),
            "after" in options ? [] : [start + 1, start + 2]
          )
          assert.strictEqual(page.scannedThrough, "reverse" in options ? start : start + 2)
        }
        assert.strictEqual(yield* store.count({ _tag: "Thread", threadId: "thread-3" }), 2)
        yield* release
        yield* Fiber.join(first)
        const { facts } = yield* store.read({ scope: Cursor.ledger, after: next })
        assert.deepStrictEqual(positions(facts), [start + 3, start + 4, start + 5, start + 6])
      })
    )
  }

  it.live("shows readers and followers of the ledger each fact once while many append", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const reader = yield* open(url)
      let seen = 0
      const reading = Effect.forever(
        Effect.gen(function* () {
          const { facts } = yield* reader.read({ scope: Cursor.ledger })
          assert.isAtLeast(facts.length, seen)
          seen = facts.length
        })
      )
      const stores = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7], () => open(url))
      const appends = 40
      const follower = yield* Effect.forkChild(
        Stream.runCollect(
          reader.follow({ scope: Cursor.ledger }).pipe(
            Stream.filter((item) => item._tag === "Fact"),
            Stream.take(stores.length * appends)
          )
        )
      )
      yield* Effect.forEach(
        stores,
        (store, scope) =>
          Effect.forEach(Array.from({ length: appends }), (_, n) =>
            store.append([eventIn(scope, scope * appends + n + 1)])
          ),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.raceFirst(reading))
      const followed = (yield* Fiber.join(follower)).map(({ fact }) => fact)
      assert.deepStrictEqual(positions(followed), positions(yield* readAll(reader, Cursor.ledger)))
    })
  )

  it.live("leaves a run as it is when its start is sent again with something new", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* newDatabase)
      const started = event(1, { kind: "RunStarted" })
      yield* store.append([started, event(2, { kind: "RunFinished" })])
      yield* store.append([started, event(3)])
      assert.strictEqual((yield* store.run("run-1")).status, "done")
      yield* assertDense(store, run, 3)
    })
  )

  it.live("finds the thread of a run in any fact of a batch", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* newDatabase)
      const { threadId: _, ...outside } = event(1)
      yield* store.append([outside, event(2), event(3, { threadId: "thread-2" })])
      assert.strictEqual((yield* store.run("run-1")).threadId, "thread-1")
    })
  )

  it.live("adds a batch once that is sent by several at the same time", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const stores = yield* Effect.forEach([0, 1, 2, 3], () => open(url))
      for (let round = 0; round < 10; round += 1) {
        const batch = events(round * 20 + 1, round * 20 + 20)
        yield* Effect.forEach(stores, (store) => store.append(batch), { concurrency: "unbounded" })
      }
      const store = yield* open(url)
      yield* assertDense(store, thread, 200)
      yield* assertDense(store, run, 200)
      assert.strictEqual(yield* store.count(Cursor.ledger), 200)
    })
  )

  it.live("keeps integers, texts and payloads of any size", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* newDatabase)
      const extremes = [
        event(1, { occurredAt: Number.MAX_SAFE_INTEGER, ordinal: Number.MAX_SAFE_INTEGER, schemaVersion: 2 ** 40 }),
        event(2, { occurredAt: 0, ordinal: 2 ** 32 - 1, schemaVersion: 2 ** 31 }),
        event(3, { occurredAt: 2 ** 32, ordinal: 0, schemaVersion: 0 }),
        event(4, { threadId: "' -- 🧵", runId: "r\u0301un", correlationId: "", causationId: "{}", payload: '"?$1"' }),
        // More than the client takes in one message, unless it is told to.
        event(5, { payload: JSON.stringify("x".repeat(20 * 2 ** 20)) })
      ]
      yield* store.append(extremes)
      for (const said of extremes) {
        const {
          payload,
          position: _,
          recordedAt,
          runSequence: __,
          threadSequence: ___,
          ...fact
        } = yield* store.get(said.eventId)
        assert.deepStrictEqual({ ...fact, payload: JSON.stringify(payload) }, said)
        assert.isBelow(Math.abs(recordedAt - Date.now()), 60_000)
      }
      // A time need not be a whole one.
      assert.strictEqual(yield* store.prune({ before: 0.5 }), 0)
    })
  )

  it.live("keeps a done reason that it cannot hold, as well as it can", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* newDatabase)
      const termination = { _tag: "Blocked", reason: "a\0b" }
      yield* store.append([event(1, { kind: "RunFinished", payload: JSON.stringify({ termination }) })])
      assert.strictEqual((yield* store.run("run-1")).doneReason, "blocked:a\ufffdb")
    })
  )

  it.live("finds nothing by an id that it cannot hold", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* newDatabase)
      yield* store.append([event(1, { threadId: "\ufffd", kind: "\ufffd" })])
      for (const threadId of ["\ud800", "\0"]) {
        assert.strictEqual(yield* store.count({ _tag: "Thread", threadId }), 0)
        const page = yield* store.read({ scope: Cursor.ledger, filter: { kinds: [threadId] } })
        assert.deepStrictEqual(page.facts, [])
      }
    })
  )

  it.live("goes on after what was restored, wherever an append was rolled back before", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      yield* store.append([eventIn(1, 1)])
      yield* execute(url, "SELECT nextval('positions') FROM generate_series(1, 50)")
      const { payload, ...said } = eventIn(1, 2)
      const fact = { ...said, payload: JSON.parse(payload), recordedAt: 7 }
      yield* execute(url, "INSERT INTO runs (run_id, status) VALUES ('run-held', 'created')")
      const release = yield* hold(url, "SELECT FROM runs WHERE run_id = 'run-held' FOR UPDATE")
      const restoring = yield* Effect.forkChild(
        store.restore({
          facts: [
            { ...fact, position: 9, threadSequence: 5, runSequence: 4 },
            { ...fact, eventId: event(3).eventId, position: 70, threadSequence: 8, runSequence: 9 }
          ],
          runs: [{ runId: "run-held", status: "done", facts: 0, floor: 0 }]
        })
      )
      yield* waiting(url, 1)
      assert.deepStrictEqual(positions(yield* readAll(other, Cursor.ledger)), [1])
      const appending = yield* Effect.forkChild(other.append([eventIn(2, 4)]))
      yield* waiting(url, 2)
      yield* release
      yield* Fiber.join(restoring)
      yield* Fiber.join(appending)
      yield* store.append([eventIn(1, 5)])
      assert.deepStrictEqual(
        (yield* readAll(other, Cursor.ledger)).map((fact) => [fact.position, fact.threadSequence, fact.runSequence]),
        [
          [1, 1, 1],
          [9, 5, 4],
          [70, 8, 9],
          [71, 1, 1],
          [72, 9, 10]
        ]
      )
    })
  )

  it.live("restores nothing where facts were pruned", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* newDatabase)
      yield* store.append([eventIn(1, 1), { ...eventIn(1, 2), kind: "RunFinished" }])
      assert.strictEqual(yield* store.prune({ before: Date.now() + 60_000 }), 2)
      const { payload: _, ...said } = eventIn(2, 3)
      const fact = { ...said, payload: null, recordedAt: 7, threadSequence: 1, runSequence: 1 }
      const refused = yield* Effect.flip(store.restore({ facts: [{ ...fact, position: 2 }] }))
      assert.match(refused.message, /the fact at position 2 does not go on/)
      yield* store.restore({ facts: [{ ...fact, position: 3 }] })
    })
  )

  it.live("leaves no byte of what is erased, and waits for transactions that could still see it", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const store = yield* open(url)
      const secret = "sesame-opens"
      yield* store.append([
        event(1, { payload: JSON.stringify(secret) }),
        // Too long for a row, so it is kept elsewhere.
        event(2, { payload: JSON.stringify(Array.from({ length: 3000 }, (_, n) => `${n * n}${secret}`)) })
      ])
      yield* store.append([], { runs: [{ runId: "run-1", ordinal: 2, state: "{}", labels: { of: secret } }] })
      const files = ["events", "runs", "threads", "names"].map(
        (table) => `coalesce(pg_read_binary_file(pg_relation_filepath('${table}')), '')`
      )
      const isThere = execute(
        url,
        "CHECKPOINT",
        `SELECT position('${secret}'::bytea IN ${files.join(" || ")} ||
           (SELECT pg_read_binary_file(pg_relation_filepath(reltoastrelid)) FROM pg_class WHERE oid = 'events'::regclass)) > 0`
      )
      assert.deepStrictEqual(yield* isThere, [[true]])

      const release = yield* hold(url, "SELECT count(*) FROM ledger").pipe(
        Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL REPEATABLE READ")
      )
      const erasing = yield* Effect.forkChild(store.erase(thread))
      yield* Effect.repeat(store.read({ scope: thread }), { until: ({ facts }) => facts[0]?.erased === true })
      yield* store.append([eventIn("other", 3)])
      yield* Effect.sleep("200 millis")
      assert.isUndefined(erasing.pollUnsafe())
      yield* release
      assert.strictEqual(yield* Fiber.join(erasing), 2)
      assert.deepStrictEqual(yield* isThere, [[false]])
      yield* assertDense(store, thread, 2)
    })
  )
})
