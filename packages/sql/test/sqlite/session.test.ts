import { assert, describe, it } from "@effect/vitest"
import { EventStore, LedgerError, Transaction } from "@runledger/core"
import { layerSql, layerSqlInThread } from "@runledger/sql/sqlite"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { readdirSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Worker } from "node:worker_threads"
import { type App, commit, fact, inThread, newApp, open, order, orders, worker } from "../transactions/backends.ts"
import { event, events, newPath, thread } from "./support.ts"

const reasonOf = (error: unknown): string | undefined => (SqlError.isSqlError(error) ? error.reason._tag : undefined)

for (const backend of [worker, inThread]) {
  describe(`an app's client of ${backend.name}`, () => {
    it.live("takes and gives values of all types, as rows, values and streams", () =>
      Effect.gen(function* () {
        const { sql } = yield* newApp(backend)
        yield* sql.unsafe("CREATE TABLE kinds (i INTEGER, r REAL, t TEXT, b BLOB, n ANY) STRICT")
        const blob = new Uint8Array([0, 1, 255])
        const [number, bigint] = [2 ** 53 - 1, 2n ** 63n - 1n]
        yield* sql`INSERT INTO kinds VALUES (${number}, ${1.5}, ${"a\u0000\u{1f600}"}, ${blob}, ${null})`
        yield* sql`INSERT INTO kinds (i, b) VALUES (${bigint}, ${Buffer.from(blob)})`
        const plain = { i: number, r: 1.5, t: "a\u0000\u{1f600}", b: blob, n: null }
        const small = sql`SELECT * FROM kinds WHERE rowid = 1`
        const same = (row: object | undefined) => assert.deepStrictEqual<object>({ ...row }, plain)
        same((yield* small)[0])
        assert.deepStrictEqual(yield* small.values, [Object.values(plain)])
        assert.deepStrictEqual(yield* small.valuesUnprepared, [Object.values(plain)])
        same((yield* small.unprepared)[0])
        same((yield* Stream.runCollect(small.stream))[0])
        const big = Effect.provideService(sql`SELECT i FROM kinds ORDER BY rowid`.values, SqlClient.SafeIntegers, true)
        assert.deepStrictEqual(yield* big, [[BigInt(number)], [bigint]])
        assert.strictEqual((yield* sql`INSERT INTO kinds (i) VALUES (7) RETURNING i`)[0]?.["i"], 7)
      })
    )

    it.live("has errors with the reason that they have", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const { sql } = app
        yield* sql.unsafe("CREATE TABLE strict (i INTEGER NOT NULL CHECK (i > 0)) STRICT")
        yield* order(app, 1)
        const failing: ReadonlyArray<readonly [Effect.Effect<unknown, SqlError.SqlError>, string, RegExp]> = [
          [order(app, 1), "UniqueViolation", /UNIQUE constraint failed: orders.id/],
          [sql`INSERT INTO strict VALUES (0)`, "ConstraintError", /CHECK constraint failed/],
          [sql`INSERT INTO strict VALUES (${null})`, "ConstraintError", /NOT NULL constraint failed/],
          [sql`SELECT missing`, "UnknownError", /no such column: missing/],
          [sql.unsafe("SELECT ?", [new Map()]), "UnknownError", /cannot be bound/],
          [sql.unsafe("SELECT ?", [() => 1]), "UnknownError", /could not be cloned|cannot be bound/],
          [sql.unsafe("SELECT 9007199254740993"), "UnknownError", /too large to be represented/]
        ]
        for (const [statement, reason, message] of failing) {
          for (const where of [statement, sql.withTransaction(statement)]) {
            const error = yield* Effect.flip(where)
            assert.strictEqual(reasonOf(error), reason)
            assert.match(error.message, message)
          }
        }
        const unique = yield* Effect.flip(order(app, 1))
        assert.strictEqual(unique.reason._tag === "UniqueViolation" ? unique.reason.constraint : "", "orders.id")
        yield* commit(app, 2)
      })
    )

    it.live("rolls back when a deferred constraint fails the commit, and says so", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        yield* app.sql.unsafe("PRAGMA foreign_keys = ON")
        yield* app.sql.unsafe("CREATE TABLE items (o INTEGER REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)")
        const item = app.sql.unsafe("INSERT INTO items VALUES (1)")
        const error = yield* Effect.flip(app.commitWith(item, fact(1)))
        assert.instanceOf(error, LedgerError.ValidationError)
        assert.match(error.message, /deferred constraint.*nothing.*FOREIGN KEY constraint failed/)
        assert.strictEqual(reasonOf(yield* Effect.flip(app.sql.withTransaction(item))), "ConstraintError")
        assert.deepStrictEqual(yield* orders(app), [])
        yield* app.commitWith(Effect.andThen(item, order(app, 1)), fact(1))
        assert.deepStrictEqual(yield* orders(app), [1])
      })
    )

    it.live("rolls back when the disk is full, at a statement or in the append", () =>
      Effect.gen(function* () {
        for (const [rows, payload] of [
          [4000, 10],
          [1, 4_000_000]
        ] as const) {
          const app = yield* newApp(backend)
          yield* commit(app, 1)
          const [[pages] = []] = yield* app.sql.unsafe("PRAGMA page_count").values
          yield* app.sql.unsafe(`PRAGMA max_page_count = ${Number(pages) + 10}`)
          const exit = yield* Effect.exit(
            app.commitWith(
              app.sql.withTransaction(
                app.sql.unsafe(
                  `INSERT INTO orders SELECT value, hex(randomblob(50)) FROM (
                     WITH RECURSIVE n (value) AS (SELECT 2 UNION ALL SELECT value + 1 FROM n WHERE value < ${rows})
                     SELECT value FROM n)`
                )
              ),
              Effect.succeed({ batch: [event(2, { payload: JSON.stringify("x".repeat(payload)) })], options: {} })
            )
          )
          const error = Exit.isFailure(exit) ? Exit.findErrorOption(exit) : exit
          assert.match(JSON.stringify(error), /disk is full/)
          yield* app.sql.unsafe("PRAGMA max_page_count = 1000000")
          assert.deepStrictEqual(yield* orders(app), [1])
          yield* commit(app, 2)
          assert.deepStrictEqual(yield* orders(app), [1, 2])
        }
      })
    )

    it.live("waits for the lock of another process, and holds up neither fibers nor readers", () =>
      Effect.gen(function* () {
        const path = yield* backend.place
        const app = yield* open(backend, path)
        yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
        const other = new DatabaseSync(path)
        for (const write of [commit(app, 1), order(app, 2), app.sql.withTransaction(order(app, 3))]) {
          other.exec("BEGIN IMMEDIATE")
          const writing = yield* Effect.forkChild(write, { startImmediately: true })
          // Would never run if it were waited for in the thread.
          yield* Effect.sleep("30 millis")
          yield* app.store.count(thread)
          assert.isUndefined(writing.pollUnsafe())
          other.exec("COMMIT")
          yield* Fiber.join(writing)
        }
        other.close()
        assert.deepStrictEqual((yield* app.sql.unsafe("SELECT id FROM orders ORDER BY id").values).flat(), [1, 2, 3])
      })
    )

    it.live("does nothing of a statement that was interrupted while it waited", () =>
      Effect.gen(function* () {
        const path = yield* backend.place
        const app = yield* open(backend, path)
        yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
        const other = new DatabaseSync(path)
        other.exec("BEGIN IMMEDIATE")
        const writing = yield* Effect.forkChild(order(app, 1), { startImmediately: true })
        yield* app.store.count(thread)
        yield* Fiber.interrupt(writing)
        other.exec("COMMIT")
        other.close()
        yield* commit(app, 2)
        assert.deepStrictEqual(yield* orders(app), [2])
      })
    )

    it.effect("has one transaction after the other, and the ledger's own writes wait for it", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        yield* app.store.append([event(100, { threadId: "thread-2", runId: "run-2" })])
        const inside = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const first = yield* Effect.forkChild(
          app.commitWith(
            Effect.andThen(order(app, 1), Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(go))),
            fact(1)
          )
        )
        yield* Deferred.await(inside)
        const done: Array<string> = []
        const waiting = yield* Effect.forEach(
          [
            ["append", app.store.append([event(101, { threadId: "thread-2", runId: "run-2" })])],
            ["claim", app.store.claimWriter("w")],
            ["prune", app.store.prune({ before: 0 })],
            ["erase", app.store.erase({ threadId: "nothing" })],
            ["second", commit(app, 2)],
            ["statement", order(app, 3)]
          ] as ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, Scope.Scope>]>,
          ([name, effect]) =>
            Effect.forkChild(
              Effect.andThen(
                effect,
                Effect.sync(() => done.push(name))
              ),
              { startImmediately: true }
            )
        )
        // Reads do not wait, and come after what was sent before them.
        assert.strictEqual(yield* app.store.count(thread), 0)
        assert.strictEqual(yield* app.store.count(thread), 0)
        // However long it takes: a lock of another process would not be waited for so long.
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(done, [])
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(first)
        yield* Fiber.joinAll(waiting)
        assert.strictEqual(done.length, waiting.length)
        assert.strictEqual(yield* app.store.count(thread), 2)
      })
    )

    it.live("refuses what would wait for its own transaction, and leaves the rest as it is", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const calls: ReadonlyArray<Effect.Effect<unknown, { readonly message: string }, Scope.Scope>> = [
          app.store.append([event(9)]),
          app.store.claimWriter("w"),
          app.store.prune({ before: 0 }),
          app.store.erase({ threadId: "t" }),
          app.store.restore({})
        ]
        yield* app.commitWith(
          Effect.andThen(
            order(app, 1),
            Effect.forEach(calls, (call) =>
              Effect.map(Effect.flip(call), ({ message }) => assert.match(message, /would wait .* commitWith/))
            )
          ),
          fact(1)
        )
        assert.deepStrictEqual(yield* orders(app), [1])
      })
    )

    it.live("takes no transaction that a statement begins, or ends under commitWith", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        assert.match((yield* Effect.flip(app.sql.unsafe("BEGIN"))).message, /use withTransaction/)
        yield* commit(app, 1)
        const error = yield* Effect.flip(app.commitWith(app.sql.unsafe("ROLLBACK"), fact(2)))
        assert.match(error.message, /ended by its writes/)
        assert.deepStrictEqual(yield* orders(app), [1])
      })
    )

    it.live("refuses a statement of a transaction that has ended", () =>
      Effect.gen(function* () {
        const app = yield* newApp(backend)
        const ended = yield* Deferred.make<void>()
        const late = yield* app.sql.withTransaction(
          Effect.forkChild(Effect.andThen(Deferred.await(ended), order(app, 1)))
        )
        yield* Deferred.succeed(ended, undefined)
        assert.match((yield* Effect.flip(Fiber.join(late))).message, /this transaction has ended/)
        yield* commit(app, 1)
      })
    )

    it.live("sees at once what another process committed, and gives the next sequences", () =>
      Effect.gen(function* () {
        const path = yield* backend.place
        const [app, other] = [yield* open(backend, path), yield* open(backend, path)]
        yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
        for (let n = 1; n < 20; n += 1) {
          yield* commit(n % 2 === 0 ? app : other, n)
          yield* (n % 3 === 0 ? app : other).store.append([event(100 + n, { threadId: "thread-2", runId: "run-2" })])
        }
        assert.deepStrictEqual(
          yield* orders(app),
          Array.from({ length: 19 }, (_, n) => n + 1)
        )
      })
    )

    it.live("closes while a transaction is open, which is rolled back, and leaves one file", () =>
      Effect.gen(function* () {
        const path = yield* backend.place
        const scope = yield* Scope.make()
        const app = yield* Scope.provide(open(backend, path), scope)
        yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
        yield* commit(app, 1)
        const inside = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const opened = yield* Effect.forkChild(
          app.commitWith(
            Effect.andThen(order(app, 2), Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(go))),
            fact(2)
          )
        )
        yield* Deferred.await(inside)
        const waiting = yield* Effect.forkChild(app.store.append([event(100, { threadId: "t", runId: "r" })]), {
          startImmediately: true
        })
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.await(waiting)
        assert.deepStrictEqual(readdirSync(dirname(path)), ["ledger.db"])
        yield* Deferred.succeed(go, undefined)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(opened)))
        assert.deepStrictEqual(yield* orders(yield* open(backend, path)), [1])
      })
    )
  })
}

describe("the worker of an app's client", () => {
  const nextWorker = Effect.callback<Worker>((resume) => {
    process.once("worker", (worker) => resume(Effect.succeed(worker)))
  })

  it.live("leaves nothing of a transaction in which it dies, at any statement, and fails what comes", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      yield* Effect.scoped(
        Effect.flatMap(open(worker, path), (app) =>
          Effect.andThen(app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)"), commit(app, 1))
        )
      )
      const dieAt = Effect.fnUntraced(function* (at: number) {
        const started = yield* Effect.forkChild(nextWorker, { startImmediately: true })
        const app = yield* open(worker, path)
        const thread = yield* Fiber.join(started)
        const die = Effect.promise(() => thread.terminate())
        const error = yield* Effect.flip(
          app.commitWith(
            Effect.forEach([2, 3, 4], (n) => (n === at ? Effect.andThen(die, order(app, n)) : order(app, n))),
            at === 5 ? Effect.andThen(die, fact(2)) : fact(2)
          )
        )
        assert.strictEqual(error._tag, at === 5 ? "UnavailableError" : "SqlError")
        assert.match(error.message, /the worker of the ledger .* stopped/)
        for (const later of [yield* Effect.flip(commit(app, 6)), yield* Effect.flip(app.store.append([event(6)]))]) {
          assert.strictEqual(later._tag, "UnavailableError")
          assert.match(later.message, /^the worker of the ledger .* stopped .*open the ledger again/)
        }
        assert.strictEqual(reasonOf(yield* Effect.flip(order(app, 6))), "ConnectionError")
      }, Effect.scoped)
      for (const at of [2, 3, 4, 5]) {
        yield* dieAt(at)
        assert.deepStrictEqual(yield* Effect.scoped(Effect.flatMap(open(worker, path), orders)), [1])
      }
    })
  )

  it.live("answers ten statements in a transaction within a few milliseconds", () =>
    Effect.gen(function* () {
      const app = yield* newApp(worker)
      const times: Array<number> = []
      for (let round = 0; round < 20; round += 1) {
        const numbers = Array.from({ length: 10 }, (_, n) => round * 10 + n + 1)
        const start = performance.now()
        yield* commit(app, ...numbers)
        times.push(performance.now() - start)
      }
      assert.strictEqual((yield* orders(app)).length, 200)
      assert.isBelow(Math.min(...times), 20)
    })
  )
})

describe("an app's client in memory", () => {
  for (const make of [layerSqlInThread, layerSql]) {
    it.live(`has a ledger of its own, whose readers wait: ${make === layerSql ? "worker" : "thread"}`, () =>
      Effect.gen(function* () {
        const inMemory = { ...inThread, place: Effect.succeed(":memory:"), layer: (path: string) => make({ path }) }
        const [app, other]: readonly [App, App] = [yield* newApp(inMemory), yield* newApp(inMemory)]
        yield* commit(app, 1)
        const inside = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const first = yield* Effect.forkChild(
          app.commitWith(
            Effect.andThen(order(app, 2), Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(go))),
            fact(2)
          )
        )
        yield* Deferred.await(inside)
        const counting = yield* Effect.forkChild(app.store.count(thread), { startImmediately: true })
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(first)
        assert.strictEqual(yield* Fiber.join(counting), 2)
        assert.deepStrictEqual(yield* orders(app), [1, 2])
        assert.deepStrictEqual(yield* orders(other), [])
      })
    )
  }
})

describe("a ledger that is only read", () => {
  it.live("lets an app read its tables, and commits nothing", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      yield* Effect.scoped(
        Effect.flatMap(open(worker, path), (app) =>
          Effect.andThen(app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)"), commit(app, 1))
        )
      )
      for (const make of [layerSql, layerSqlInThread]) {
        const services = yield* Layer.build(Layer.fresh(make({ path, readOnly: true })))
        const app = {
          store: Context.get(services, EventStore.EventStore),
          sql: Context.get(services, SqlClient.SqlClient),
          ...Context.get(services, Transaction.Transaction)
        }
        assert.deepStrictEqual(yield* orders(app), [1])
        const error = yield* Effect.flip(
          app.commitWith(app.sql`SELECT 1`, Effect.succeed({ batch: events(2, 2), options: {} }))
        )
        assert.match(error.message, /opened with readOnly/)
      }
    })
  )
})
