import { assert, describe, it } from "@effect/vitest"
import { EventStore, LedgerError } from "@runledger/core"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Worker } from "node:worker_threads"
import { asPlainUser, newPath } from "./support.ts"

const open = (options: Parameters<typeof layer>[0], make = layerInThread) =>
  Effect.map(Layer.build(make(options)), (context) => Context.get(context, EventStore.EventStore))

/** Whether a name can be claimed. */
const isFree = (store: EventStore.EventStoreShape, writer = "w") =>
  store.claimWriter(writer).pipe(
    Effect.as(true),
    Effect.catchTag("WriterHeld", () => Effect.succeed(false)),
    Effect.scoped
  )

for (const [where, make] of Object.entries({ "in a worker": layer, "in the thread": layerInThread })) {
  describe(`a claim ${where}`, () => {
    it.live("is a lock on a file beside the ledger, which stays empty", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        const store = yield* open({ path }, make)
        const names = ["w", "../../up", "🧵".repeat(500)]
        yield* Effect.forEach(names, store.claimWriter)
        const files = readdirSync(`${path}-locks`)
        assert.strictEqual(files.length, names.length)
        for (const file of files) {
          assert.match(file, /^[0-9a-f]{64}$/)
          assert.strictEqual(statSync(join(`${path}-locks`, file)).size, 0)
        }
      })
    )

    it.live("holds for every way to the ledger", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        const store = yield* open({ path }, make)
        yield* store.claimWriter("w")
        symlinkSync(path, `${path}.link`)
        mkdirSync(`${path}.folder`)
        for (const other of [path, `${path}.link`, `${path}.folder/../ledger.db`]) {
          assert.isFalse(yield* Effect.flatMap(open({ path: other }), isFree), other)
        }
        assert.isFalse(existsSync(`${path}.link-locks`))
      })
    )

    it.live("ends with its handle, whose end its scope survives", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        const [scope, handle] = [yield* Scope.make(), yield* Scope.make()]
        const store = yield* Scope.provide(open({ path }, make), handle)
        yield* Scope.provide(store.claimWriter("w"), scope)
        const other = yield* open({ path })
        assert.isFalse(yield* isFree(other))
        yield* Scope.close(handle, Exit.void)
        assert.isTrue(yield* isFree(other))
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(yield* isFree(other))
      })
    )

    it.live("is refused with what to do where nothing can be locked", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        const other = yield* newPath
        const locks = `${path}-locks`
        const before = yield* Effect.scoped(
          Effect.gen(function* () {
            const store = yield* open({ path }, make)
            writeFileSync(locks, "")
            return yield* Effect.flip(store.claimWriter("w"))
          })
        )
        assert.instanceOf(before, LedgerError.UnavailableError)
        assert.include(before.message, locks)

        chmodSync(dirname(other), 0o777)
        yield* asPlainUser(
          Effect.gen(function* () {
            const store = yield* open({ path: other }, make)
            assert.isTrue(yield* isFree(store))
            for (const [file, mode, right] of [
              [join(`${other}-locks`, readdirSync(`${other}-locks`)[0] ?? ""), 0o444, 0o644],
              [`${other}-locks`, 0o000, 0o755]
            ] as const) {
              chmodSync(file, mode)
              const error = yield* Effect.flip(store.claimWriter("w"))
              chmodSync(file, right)
              assert.instanceOf(error, LedgerError.UnavailableError)
              assert.match(error.message, /the name of writer "w" cannot be claimed: .*; let this user write it/)
            }
            assert.strictEqual((yield* store.claimWriter("w")).epoch, 2)
          })
        )
      })
    )

    it.live("is not for who only reads, and leaves nothing behind", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        yield* Effect.scoped(open({ path }))
        const reader = yield* open({ path, readOnly: true }, make)
        const error = yield* Effect.flip(reader.claimWriter("w"))
        assert.match(error.message, /cannot be written: it was opened with readOnly/)
        assert.isFalse(existsSync(`${path}-locks`))
      })
    )
  })
}

describe("a claim", () => {
  it.live("ends with the worker that holds it", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const started = yield* Effect.forkChild(
        Effect.callback<Worker>((resume) => {
          process.once("worker", (worker) => resume(Effect.succeed(worker)))
        }),
        { startImmediately: true }
      )
      const [store, other] = [yield* open({ path }, layer), yield* open({ path })]
      const worker = yield* Fiber.join(started)
      yield* store.claimWriter("w")
      assert.isFalse(yield* isFree(other))
      yield* Effect.promise(() => worker.terminate())
      assert.isTrue(yield* isFree(other))
    })
  )

  it.live("is free again when its epoch could not be raised", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const [store, other] = [yield* open({ path }), yield* open({ path })]
      const database = new DatabaseSync(path)
      database.exec("ALTER TABLE writers RENAME TO away")
      assert.instanceOf(yield* Effect.flip(store.claimWriter("w")), LedgerError.IntegrityError)
      database.exec("ALTER TABLE away RENAME TO writers")
      database.close()
      assert.isTrue(yield* isFree(other))
      assert.isTrue(yield* isFree(store))
    })
  )

  it.effect("of a ledger in memory holds within it", () =>
    Effect.gen(function* () {
      const store = yield* open({ path: ":memory:" })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* store.claimWriter("w")
          assert.isFalse(yield* isFree(store))
          assert.isTrue(yield* isFree(store, "v"))
        })
      )
      assert.isTrue(yield* isFree(store))
      assert.isFalse(existsSync(":memory:-locks"))
    })
  )
})
