import { assert, describe, it } from "@effect/vitest"
import { Cursor, LedgerError } from "@runledger/core"
import { Cause, Deferred, Effect, Exit, Fiber, Queue, Stream } from "effect"
import { SqlError } from "effect/sql"
import { event, readAll, thread } from "../sqlite/support.ts"
import { type App, commit, fact, newApp, open, order, orders, postgres } from "../transactions/backends.ts"
import { type Break, changed, execute, newDatabase, open as openStore, proxy, waiting } from "./support.ts"

/** A transaction that has written, and waits until it is told to go on. */
const held = Effect.fnUntraced(function* (app: App, n: number, append = fact(n)) {
  const inside = yield* Deferred.make<void>()
  const go = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkChild(
    app.commitWith(
      Effect.andThen(order(app, n), Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(go))),
      append
    )
  )
  yield* Deferred.await(inside)
  return Effect.andThen(Deferred.succeed(go, undefined), Fiber.join(fiber))
})

const ofRun = (n: number) =>
  Effect.succeed({ batch: [event(n, { threadId: `thread-${n}`, runId: `run-${n}` })], options: {} })

describe("commitWith on PostgreSQL", () => {
  for (const how of ["before", "after", "terminated"] satisfies ReadonlyArray<Break>) {
    it.live(`leaves all or nothing when its connection is lost at any statement, and is tried once: ${how}`, () =>
      Effect.gen(function* () {
        const breakAt = Effect.fnUntraced(function* (nth: number) {
          const url = yield* newDatabase
          const way = yield* proxy(url)
          const [app, direct] = [yield* open(postgres, way.url), yield* open(postgres, url)]
          yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
          yield* commit(app, 1)
          // So that nothing else is said meanwhile.
          yield* Effect.sleep("40 millis")
          let attempts = 0
          way.breakAt(nth, how)
          const exit = yield* Effect.exit(
            app.commitWith(
              Effect.andThen(
                Effect.sync(() => {
                  attempts += 1
                }),
                Effect.andThen(order(app, 2), order(app, 3))
              ),
              Effect.succeed({ batch: [event(2), event(3)], options: {} })
            )
          )
          const broken = way.hasBroken()
          assert.strictEqual(attempts, 1)
          if (Exit.isFailure(exit)) {
            const error = exit.cause.reasons.find(Cause.isFailReason)?.error
            assert.isTrue(
              error instanceof LedgerError.UnavailableError || SqlError.isSqlError(error),
              String(exit.cause)
            )
          }
          const after = yield* orders(direct)
          assert.includeDeepMembers(Exit.isSuccess(exit) ? [[1, 2, 3]] : [[1], [1, 2, 3]], [after], `statement ${nth}`)
          // What an app does that does not know.
          const [row] = yield* app.sql.unsafe("SELECT id FROM orders WHERE id = 2").values
          const again = Effect.succeed({ batch: [event(2), event(3)], options: {} })
          yield* app.commitWith(row === undefined ? Effect.all([order(app, 2), order(app, 3)]) : Effect.void, again)
          assert.deepStrictEqual(yield* orders(direct), [1, 2, 3])
          return broken
        }, Effect.scoped)
        let statements = 0
        while (yield* breakAt(statements + 1)) {
          statements += 1
        }
        // BEGIN, two of the app, those of the append, COMMIT.
        assert.isAbove(statements, 6)
      })
    )
  }

  it.live("rolls back when a deferred constraint fails the commit, and says so", () =>
    Effect.gen(function* () {
      const app = yield* newApp(postgres)
      yield* app.sql.unsafe(
        "CREATE TABLE items (o integer REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED, n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"
      )
      const item = app.sql.unsafe("INSERT INTO items VALUES (1, 1)")
      const foreign = yield* Effect.flip(app.commitWith(item, fact(1)))
      assert.instanceOf(foreign, LedgerError.ValidationError)
      assert.match(foreign.message, /deferred constraint.*nothing.*violates foreign key constraint/)
      const unique = yield* Effect.flip(app.commitWith(Effect.all([order(app, 1), item, item]), fact(1)))
      assert.match(unique.message, /deferred constraint.*nothing.*duplicate key/)
      assert.deepStrictEqual(yield* orders(app), [])
      yield* app.commitWith(Effect.all([item, order(app, 1)]), fact(1))
      assert.deepStrictEqual(yield* orders(app), [1])
    })
  )

  it.live("runs transactions of different runs side by side, and those of one after the other", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const app = yield* open(postgres, url)
      yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
      const first = yield* held(app, 1, ofRun(1))
      yield* app.commitWith(order(app, 2), ofRun(2))
      yield* app.store.append([event(3)])
      yield* first
      assert.strictEqual(yield* app.store.count(Cursor.ledger), 3)
      // The second waits for the first only once it appends.
      const holding = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const stays = yield* Effect.forkChild(
        app.sql.withTransaction(
          app.sql
            .unsafe("UPDATE threads SET sequence = sequence WHERE thread_id = 'thread-1'")
            .pipe(Effect.andThen(Deferred.succeed(holding, undefined)), Effect.andThen(Deferred.await(go)))
        )
      )
      yield* Deferred.await(holding)
      const second = yield* Effect.forkChild(app.commitWith(order(app, 4), fact(4)))
      yield* waiting(url, 1)
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(stays)
      yield* Fiber.join(second)
      assert.deepStrictEqual(
        (yield* readAll(app.store, thread)).map(({ threadSequence }) => threadSequence),
        [1, 2, 3]
      )
    })
  )

  it.live("takes no connection away from the ledger, however many transactions are open", () =>
    Effect.gen(function* () {
      const app = yield* newApp(postgres)
      const all = yield* Effect.forEach(
        Array.from({ length: 10 }, (_, n) => n + 1),
        (n) => held(app, n, ofRun(n))
      )
      yield* app.store.append([event(100)])
      assert.strictEqual(yield* app.store.count(thread), 1)
      yield* Effect.all(all)
      assert.strictEqual(yield* app.store.count(Cursor.ledger), 11)
    })
  )

  it.effect("is told to followers in another process", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [app, other] = [yield* open(postgres, url), yield* openStore(url)]
      yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
      const queue = yield* Queue.unbounded<string>()
      yield* other.follow({ scope: thread }).pipe(
        Stream.runForEach((item) => Queue.offer(queue, item._tag)),
        Effect.forkScoped
      )
      assert.strictEqual(yield* Queue.take(queue), "CaughtUp")
      yield* Effect.repeat(
        execute(
          url,
          "SELECT count(*)::int4 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'"
        ),
        { until: (rows) => rows[0]?.[0] === 1 }
      )
      yield* commit(app, 1)
      assert.strictEqual(yield* Queue.take(queue), "Fact")
    })
  )

  it.live("is READ COMMITTED, and leaves transactions of other clients in its writes as they are", () =>
    Effect.gen(function* () {
      const search = "?options=-c%20default_transaction_isolation%3Dserializable"
      const [app, other] = [
        yield* open(postgres, changed(yield* newDatabase, { search })),
        yield* open(postgres, changed(yield* newDatabase, { search }))
      ]
      const level = ({ sql }: App) => Effect.map(sql.unsafe("SHOW transaction_isolation").values, ([row]) => row?.[0])
      const levels = yield* app.commitWith(Effect.all([level(app), other.sql.withTransaction(level(other))]), fact(1))
      assert.deepStrictEqual(levels, ["read committed", "serializable"])
    })
  )

  it.live("gives the app the types of its client, and takes its own", () =>
    Effect.gen(function* () {
      const app = yield* newApp(postgres)
      const big = 2n ** 62n + 1n
      yield* app.sql.unsafe("CREATE TABLE big (n bigint)")
      yield* app.sql`INSERT INTO big VALUES (${big}), (${-7n})`
      assert.deepStrictEqual(yield* app.sql.unsafe("SELECT n FROM big ORDER BY n").values, [[-7n], [big]])
      yield* commit(app, 1)
      // Facts that are known are read through the app's client.
      yield* app.commitWith(Effect.void, fact(1))
      assert.deepStrictEqual(yield* orders(app), [1])
    })
  )
})
