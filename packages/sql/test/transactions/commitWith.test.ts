import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventStore, LedgerError } from "@runledger/core"
import { Cause, Data, Deferred, Effect, Exit, Fiber, Latch, Queue, Stream } from "effect"
import { SqlError } from "effect/sql"
import { event, events, readAll, thread } from "../sqlite/support.ts"
import { commit, fact, inThread, newApp, order, orders, postgres, worker } from "./backends.ts"

class Refusal extends Data.TaggedError("Refusal")<{ readonly why: string }> {}

/** The event loop turns once. */
const tick = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const elsewhere = (n: number) => event(10_000 + n, { threadId: "thread-2", runId: "run-2" })

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined =>
  Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined

for (const backend of [worker, inThread, postgres]) {
  describe(`commitWith on ${backend.name}`, () => {
    it.live("commits the writes and the facts, and gives what the writes give", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const given = yield* app.commitWith(Effect.as(order(app, 1), "done"), fact(1))
        assert.strictEqual(given, "done")
        yield* commit(app, 2, 3)
        assert.deepStrictEqual(yield* orders(app), [1, 2, 3])
      })
    )

    it.live("appends what is there after the writes, of which there can be many", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const batch: Array<ReturnType<typeof event>> = []
        yield* app.commitWith(
          Effect.forEach(events(1, 10), ({ ordinal = 0 }) =>
            Effect.andThen(
              order(app, ordinal),
              Effect.sync(() => batch.push(event(ordinal)))
            )
          ),
          Effect.sync(() => ({ batch, options: { runs: [{ runId: "run-1", ordinal: 10, state: "{}" }] } }))
        )
        assert.deepStrictEqual((yield* orders(app)).length, 10)
        assert.strictEqual((yield* app.store.run("run-1")).state, "{}")
      })
    )

    it.live("leaves nothing of a failure at any step, and nothing reserved", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        yield* commit(app, 1)
        const statements = 4
        for (let step = 0; step <= statements; step += 1) {
          // A statement that breaks a constraint, in the place of each, and the app's own failure after each.
          const broken = Array.from({ length: statements }, (_, at) => order(app, at === step ? 1 : 100 + at))
          const refused = Array.from({ length: statements }, (_, at) =>
            at === step ? Effect.fail(new Refusal({ why: `${step}` })) : order(app, 100 + at)
          )
          const error = failureOf(
            yield* Effect.exit(
              app.commitWith(
                step < statements
                  ? Effect.all(broken, { discard: true })
                  : Effect.andThen(Effect.all(broken), Effect.fail(new Refusal({ why: "last" }))),
                fact(100)
              )
            )
          )
          if (step < statements) {
            assert.isTrue(SqlError.isSqlError(error), "the error of an app's statement is its own")
            assert.strictEqual(error?._tag === "SqlError" ? error.reason._tag : error, "UniqueViolation")
            assert.deepStrictEqual(
              failureOf(yield* Effect.exit(app.commitWith(Effect.all(refused, { discard: true }), fact(100)))),
              new Refusal({ why: `${step}` })
            )
          } else {
            assert.deepStrictEqual(error, new Refusal({ why: "last" }))
          }
          assert.deepStrictEqual(yield* orders(app), [1, ...Array.from({ length: step }, (_, at) => at + 2)])
          yield* commit(app, step + 2)
        }
        const defect = yield* Effect.exit(app.commitWith(Effect.andThen(order(app, 100), Effect.die("bug")), fact(100)))
        assert.isTrue(Exit.hasDies(defect))
        yield* commit(app, 50)
        assert.strictEqual((yield* orders(app)).at(-1), 50)
      })
    )

    it.live("leaves nothing when the append is refused, and says why", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const stale = yield* Effect.scoped(app.store.claimWriter("w"))
        const writer = yield* app.store.claimWriter("w")
        yield* commit(app, 1)
        const end = Cursor.make(thread, 1)
        const refusals: ReadonlyArray<readonly [append: ReturnType<typeof fact>, tag: string]> = [
          [fact(2, { writers: [{ ...stale, highWater: 9 }] }), "Fenced"],
          [fact(2, { expected: [{ scope: thread, cursor: Cursor.start(thread) }] }), "ExpectedCursorConflict"],
          [Effect.succeed({ batch: [event(1, { payload: "1" })], options: {} }), "IdempotencyConflict"],
          [fact(2, { runs: [{ runId: "nobody", ordinal: 1, state: "{}" }] }), "ValidationError"],
          [Effect.succeed({ batch: [event(2, { payload: "{" })], options: {} }), "SerializationError"]
        ]
        for (const [append, tag] of refusals) {
          const error = yield* Effect.flip(app.commitWith(order(app, 2), append))
          assert.strictEqual(error._tag, tag)
          assert.deepStrictEqual(yield* orders(app), [1], tag)
        }
        assert.strictEqual((yield* Stream.runCollect(app.store.writers))[0]?.highWater, 0)
        yield* app.commitWith(
          order(app, 2),
          fact(2, { writers: [{ ...writer, highWater: 9 }], expected: [{ scope: thread, cursor: end }] })
        )
        assert.deepStrictEqual(yield* orders(app), [1, 2])
        assert.strictEqual((yield* Stream.runCollect(app.store.writers))[0]?.highWater, 9)
      })
    )

    it.live("commits once when it is called again after a conflict", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const attempt = (n: number, cursor: Cursor.Cursor) =>
          app.commitWith(order(app, n), fact(n, { expected: [{ scope: thread, cursor }] }))
        const decide = (n: number) =>
          Effect.catchTag(
            attempt(n, Cursor.start(thread)),
            "ExpectedCursorConflict",
            function again({ actual }: LedgerError.ExpectedCursorConflict): ReturnType<typeof attempt> {
              return Effect.catchTag(attempt(n, Cursor.Cursor.make(actual)), "ExpectedCursorConflict", again)
            }
          )
        yield* Effect.all([1, 2, 3].map(decide), { concurrency: "unbounded" })
        assert.deepStrictEqual((yield* orders(app)).toSorted(), [1, 2, 3])
      })
    )

    it.live("takes facts that were committed before for what they are", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        yield* commit(app, 1)
        // The answer was lost: the app looks what it has done, and sends the facts again.
        yield* app.commitWith(app.sql.unsafe("SELECT id FROM orders WHERE id = 1"), fact(1))
        yield* app.commitWith(
          order(app, 2),
          Effect.succeed({
            batch: events(1, 2),
            options: { expected: [{ scope: thread, cursor: Cursor.make(thread, 1) }] }
          })
        )
        assert.deepStrictEqual(yield* orders(app), [1, 2])
      })
    )

    it.live("leaves all or nothing when it is interrupted at any time, and nothing reserved", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const ticks = Effect.fnUntraced(function* (n: number, limit: number) {
          const fiber = yield* Effect.forkChild(commit(app, n, n + 1), { startImmediately: true })
          let passed = 0
          while (passed < limit && fiber.pollUnsafe() === undefined) {
            yield* tick
            passed += 1
          }
          yield* Fiber.interrupt(fiber)
          return passed
        })
        const whole = Math.max(yield* ticks(1, 10_000), yield* ticks(3, 10_000))
        const interrupts = Math.min(whole + 1, 40)
        for (let nth = 0; nth < interrupts; nth += 1) {
          const n = 10 * (nth + 1)
          const before = yield* orders(app)
          yield* ticks(n, Math.floor((whole * nth) / interrupts))
          const after = yield* orders(app)
          assert.includeDeepMembers([before, [...before, n, n + 1]], [after])
          yield* app.store.append([elsewhere(n)])
        }
        yield* commit(app, 7)
        assert.strictEqual((yield* orders(app)).at(-1), 7)
      })
    )

    it.live("leaves nothing when it is interrupted before, during or after each statement", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const statements = [1, 2, 3]
        for (const at of statements) {
          for (const when of ["before", "during", "after"] as const) {
            const reached = yield* Deferred.make<void>()
            const stop = Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
            const fiber = yield* Effect.forkChild(
              app.commitWith(
                Effect.forEach(statements, (n) => {
                  const write = order(app, n)
                  if (n !== at) {
                    return write
                  }
                  switch (when) {
                    case "before":
                      return Effect.andThen(stop, write)
                    case "during":
                      return Effect.andThen(
                        Effect.withFiber(() => {
                          queueMicrotask(() => fiber.interruptUnsafe())
                          return write
                        }),
                        stop
                      )
                    case "after":
                      return Effect.andThen(write, stop)
                  }
                }),
                fact(1)
              )
            )
            if (when === "during") {
              yield* Fiber.await(fiber)
            } else {
              yield* Deferred.await(reached)
              yield* Fiber.interrupt(fiber)
            }
            assert.deepStrictEqual(yield* orders(app), [])
            yield* app.store.append([elsewhere(at)])
          }
        }
      })
    )

    it.live("keeps sequences dense while others append, and some are rolled back", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const rounds = 15
        const committing = Effect.forEach(Array.from({ length: rounds }), (_, n) =>
          Effect.all([
            commit(app, n + 1),
            // After the facts have got their sequences, and before.
            Effect.exit(
              app.commitWith(order(app, 100 + n), fact(100 + n, { runs: [{ runId: "no", ordinal: 1, state: "" }] }))
            ),
            Effect.exit(app.commitWith(Effect.andThen(order(app, 200 + n), Effect.fail("no")), fact(200 + n)))
          ])
        )
        const appending = Effect.forEach(Array.from({ length: rounds * 3 }), (_, n) =>
          app.store.append([elsewhere(1000 + 2 * n), elsewhere(1001 + 2 * n)])
        )
        const beside = Effect.forEach(Array.from({ length: rounds }), (_, n) => commit(app, 50 + n))
        yield* Effect.all([committing, beside, appending], { concurrency: "unbounded" })
        assert.strictEqual((yield* orders(app)).length, 2 * rounds)
        const others = yield* readAll(app.store, { _tag: "Thread", threadId: "thread-2" })
        assert.deepStrictEqual(
          others.map(({ threadSequence }) => threadSequence),
          others.map((_, index) => index + 1)
        )
        assert.strictEqual(others.length, rounds * 6)
        const positions = (yield* readAll(app.store, Cursor.ledger)).map(({ position }) => position)
        assert.strictEqual(new Set(positions).size, 8 * rounds)
      })
    )

    // The clock stands still, so that nobody looks now and then.
    it.effect("shows followers and readers nothing that is not committed, and what is at once", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const queues = yield* Effect.forEach([thread, Cursor.ledger], (scope) =>
          Effect.gen(function* () {
            const queue = yield* Queue.unbounded<EventStore.Followed>()
            yield* app.store.follow({ scope }).pipe(
              Stream.runForEach((item) => Queue.offer(queue, item)),
              Effect.forkScoped
            )
            assert.strictEqual((yield* Queue.take(queue))._tag, "CaughtUp")
            return queue
          })
        )
        const inside = yield* Latch.make()
        const go = yield* Latch.make()
        const rolledBack = yield* Effect.forkChild(
          app.commitWith(
            Effect.andThen(order(app, 1), Effect.andThen(inside.open, go.await)),
            Effect.die("there is no batch")
          )
        )
        yield* inside.await
        assert.strictEqual(yield* app.store.count(Cursor.ledger), 0)
        assert.deepStrictEqual(yield* readAll(app.store, thread), [])
        yield* go.open
        assert.isTrue(Exit.isFailure(yield* Fiber.await(rolledBack)))
        assert.deepStrictEqual(yield* readAll(app.store, thread), [])
        // Refused after its facts were inserted.
        yield* Effect.exit(
          app.commitWith(order(app, 2), fact(2, { runs: [{ runId: "nobody", ordinal: 1, state: "{}" }] }))
        )
        yield* commit(app, 3)
        for (const queue of queues) {
          const item = yield* Queue.take(queue)
          assert.strictEqual(item._tag === "Fact" ? item.fact.ordinal : item._tag, 3)
        }
        yield* commit(app, 4)
        for (const queue of queues) {
          const item = yield* Queue.take(queue)
          assert.strictEqual(item._tag === "Fact" ? item.fact.ordinal : item._tag, 4)
        }
      })
    )

    it.live("reads the ledger in the writes as it is committed", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        yield* commit(app, 1)
        const counts = yield* app.commitWith(
          Effect.all([app.store.count(thread), order(app, 2), app.store.count(thread)]),
          fact(2)
        )
        assert.deepStrictEqual([counts[0], counts[2]], [1, 1])
      })
    )

    it.live("is refused within a transaction that may still be rolled back", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        for (const outer of [
          app.sql.withTransaction,
          (writes: ReturnType<typeof commit>) => app.commitWith(writes, fact(9))
        ]) {
          const error = yield* Effect.flip(outer(commit(app, 1)))
          assert.instanceOf(error, LedgerError.ValidationError)
          assert.match(error.message, /commitWith was called in a transaction .* call it outside/)
        }
        assert.deepStrictEqual(yield* orders(app), [])
      })
    )

    it.live("rolls back to a savepoint in its writes, and commits the rest", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const inner = (n: number, end: Effect.Effect<void, Refusal>) =>
          app.sql.withTransaction(Effect.andThen(order(app, n), end))
        yield* app.commitWith(
          Effect.all([
            order(app, 1),
            Effect.ignore(inner(2, Effect.fail(new Refusal({ why: "" })))),
            inner(3, Effect.void)
          ]),
          Effect.succeed({ batch: [event(1), event(3)], options: {} })
        )
        assert.deepStrictEqual(yield* orders(app), [1, 3])
      })
    )
  })

  describe(`the client of ${backend.name}`, () => {
    it.live("has transactions without facts, and savepoints in them", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const { sql, store } = app
        const ids = Effect.map(sql.unsafe("SELECT id FROM orders ORDER BY id").values, (rows) =>
          rows.map(([id]) => Number(id))
        )
        yield* sql.withTransaction(Effect.all([order(app, 1), order(app, 2)]))
        yield* Effect.exit(sql.withTransaction(Effect.andThen(order(app, 3), Effect.fail("no"))))
        yield* sql.withTransaction(
          Effect.andThen(
            order(app, 4),
            Effect.exit(sql.withTransaction(Effect.andThen(order(app, 5), Effect.fail("no"))))
          )
        )
        assert.deepStrictEqual(yield* ids, [1, 2, 4])
        yield* store.append([event(1)])
        assert.strictEqual(yield* store.count(thread), 1)
      })
    )

    it.live("runs the statements of other fibers outside of a transaction", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const inside = yield* Latch.make()
        const transaction = yield* Effect.forkChild(
          app.sql.withTransaction(Effect.andThen(order(app, 1), Effect.andThen(inside.open, Effect.never)))
        )
        yield* inside.await
        const other = yield* Effect.forkChild(order(app, 2), { startImmediately: true })
        yield* tick
        yield* Fiber.interrupt(transaction)
        yield* Fiber.join(other)
        assert.deepStrictEqual(yield* app.sql.unsafe("SELECT id FROM orders").values, [[2]])
      })
    )
  })
}
