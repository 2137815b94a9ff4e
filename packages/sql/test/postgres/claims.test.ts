import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scope } from "effect"
import { event } from "../sqlite/support.ts"
import { changed, claimLocks, claims, connect, execute, newDatabase, open, waiting } from "./support.ts"

const sessions = `SELECT pid FROM ${claimLocks}`

const terminate = `SELECT pg_terminate_backend(pid, 5000) FROM (SELECT DISTINCT pid FROM ${claimLocks}) AS claims`

describe("a claim whose connection is lost", () => {
  it.live("is taken again, and held against others as before", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      const names = ["v", "w"]
      const held = yield* Effect.forEach(names, store.claimWriter)
      for (let times = 1; times <= 2; times += 1) {
        const before = yield* execute(url, sessions)
        yield* execute(url, terminate)
        yield* claims(url, names.length)
        assert.notDeepEqual(yield* execute(url, sessions), before)
        for (const writer of names) {
          assert.strictEqual((yield* Effect.flip(Effect.scoped(other.claimWriter(writer))))._tag, "WriterHeld")
          assert.strictEqual((yield* Effect.flip(Effect.scoped(store.claimWriter(writer))))._tag, "WriterHeld")
        }
        yield* store.append([event(times)], { writers: held })
      }
    })
  )

  it.live("is fenced when somebody else has claimed the name meanwhile, and does not come back", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      const held = yield* store.claimWriter("w")
      // In line for the lock, so that it has it before the first can take it again.
      const append = yield* Effect.scoped(
        Effect.gen(function* () {
          const sql = yield* connect(url)
          const [[key] = []] = yield* execute(url, `SELECT (classid::int8 << 32) | objid::int8 FROM ${claimLocks}`)
          const taking = yield* Effect.forkScoped(
            Effect.andThen(
              sql.unsafe(`SELECT pg_advisory_lock(${String(key)})`).values,
              sql.unsafe("UPDATE writers SET epoch = epoch + 1").values
            )
          )
          yield* waiting(url, 1)
          yield* execute(url, terminate)
          yield* Fiber.join(taking)
          return yield* Effect.flip(store.append([event(1)], { writers: [held] }))
        })
      )
      assert.strictEqual(append._tag, "Fenced")
      // As long as the handle believes that it holds the name, it claims it for nobody.
      const next = yield* Effect.retry(store.claimWriter("w"), {
        while: ({ _tag }) => _tag === "WriterHeld",
        schedule: Schedule.spaced("10 millis")
      })
      assert.strictEqual(next.epoch, 3)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(other.claimWriter("w"))))._tag, "WriterHeld")
    })
  )

  it.live("ends with its handle, and with its scope when its connection is gone", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [scope, handle] = [yield* Scope.make(), yield* Scope.make()]
      const [store, other] = [yield* Scope.provide(open(url), handle), yield* open(url)]
      yield* Scope.provide(store.claimWriter("w"), scope)
      yield* Scope.close(handle, Exit.void)
      yield* claims(url, 0)
      yield* Scope.close(scope, Exit.void)

      yield* Effect.scoped(Effect.andThen(other.claimWriter("w"), execute(url, terminate)))
      yield* claims(url, 0)
      assert.strictEqual((yield* other.claimWriter("w")).epoch, 3)
    })
  )
})

describe("claims in one database", () => {
  it.live("are those of a ledger each", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      yield* execute(url, "CREATE SCHEMA other")
      const stores = [yield* open(url), yield* open(changed(url, { search: "?options=-c%20search_path%3Dother" }))]
      for (const store of stores) {
        assert.strictEqual((yield* store.claimWriter("w")).epoch, 1)
      }
      yield* claims(url, 2)
    })
  )

  it.live("need a connection only as long as there are any", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const store = yield* open(url)
      const connections =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%_advisory_%' AND pid <> pg_backend_pid()"
      for (let times = 0; times < 2; times += 1) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Effect.forEach(["v", "w"], store.claimWriter)
            assert.strictEqual((yield* Effect.flip(Effect.scoped(store.claimWriter("v"))))._tag, "WriterHeld")
            assert.strictEqual((yield* execute(url, connections)).length, 1)
          })
        )
        yield* Effect.repeat(execute(url, connections), { until: (rows) => rows.length === 0 })
      }
    })
  )

  it.live("are not for who only reads", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      yield* open(url)
      const reader = yield* open(url, { readOnly: true })
      const error = yield* Effect.flip(reader.claimWriter("w"))
      assert.match(error.message, /cannot be written: it was opened read-only/)
      yield* claims(url, 0)
    })
  )
})

describe("a name that was freed", () => {
  it.live("is free for another handle at once, however often it changes hands", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const [store, other] = [yield* open(url), yield* open(url)]
      // This one keeps its connection, and is quick to ask.
      yield* store.claimWriter("v")
      for (let turn = 1; turn <= 50; turn += 1) {
        for (const claimant of [other, store]) {
          const { epoch } = yield* Effect.scoped(claimant.claimWriter("w"))
          assert.strictEqual(epoch, claimant === other ? turn * 2 - 1 : turn * 2)
        }
      }
    })
  )
})
