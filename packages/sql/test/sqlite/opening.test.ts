import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventStore, LedgerError } from "@runledger/core"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { asPlainUser, event, events, folder, newPath, readAll, run, sha256, thread } from "./support.ts"

const open = (options: Parameters<typeof layer>[0], make = layerInThread) =>
  Effect.map(Layer.build(make(options)), (context) => Context.get(context, EventStore.EventStore))

/** A closed ledger with 500 facts. */
const ledger = Effect.gen(function* () {
  const path = yield* newPath
  yield* Effect.scoped(Effect.flatMap(open({ path }), (store) => store.append(events(1, 500))))
  return path
})

/** What opening fails with, in both threads, for writing and for reading; the file must stay as it was. */
const refusals = Effect.fnUntraced(function* (path: string) {
  const before = existsSync(path) ? sha256(path) : undefined
  const errors = []
  for (const make of [layer, layerInThread]) {
    for (const readOnly of [true, false]) {
      errors.push(yield* Effect.flip(Effect.scoped(open({ path, readOnly }, make))))
    }
  }
  assert.strictEqual(existsSync(path) ? sha256(path) : undefined, before)
  return errors
})

const write = (path: string, sql: string): void => {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

describe("opening", () => {
  it.effect("refuses what is no ledger, and leaves it as it is", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const cases: ReadonlyArray<readonly [make: () => void, says: RegExp]> = [
        [() => writeFileSync(path, "a diary, which nobody wants to lose".repeat(9)), /is not an SQLite database/],
        [() => writeFileSync(path, "SQLite format 3\0"), /is not an SQLite database/],
        [() => write(path, "CREATE TABLE notes (text)"), /database of another program/],
        [() => write(path, "PRAGMA application_id = 7; CREATE TABLE events (text)"), /database of another program/]
      ]
      for (const [make, says] of cases) {
        make()
        for (const error of yield* refusals(path)) {
          assert.instanceOf(error, LedgerError.IntegrityError)
          assert.match(error.message, says)
          assert.include(error.message, path)
        }
        assert.deepStrictEqual(readdirSync(dirname(path)), ["ledger.db"])
        rmSync(path)
      }
    })
  )

  it.effect("refuses a ledger of a newer format, also when the newer format is still in its log", () =>
    Effect.gen(function* () {
      const path = yield* ledger
      write(path, "PRAGMA user_version = 2")
      for (const error of yield* refusals(path)) {
        assert.instanceOf(error, LedgerError.IntegrityError)
        assert.match(error.message, /newer runledger: it has format 2, this version knows 1; upgrade/)
      }
      write(path, "PRAGMA user_version = 1")
      const other = new DatabaseSync(path)
      other.exec("PRAGMA user_version = 2")
      const error = yield* Effect.flip(Effect.scoped(open({ path })))
      other.close()
      assert.match(error.message, /newer runledger/)
    })
  )

  it.effect("refuses a folder, a device and a folder that does not exist", () =>
    Effect.gen(function* () {
      const path = yield* folder
      for (const make of [layer, layerInThread]) {
        for (const [where, says] of [
          [path, /is a folder/],
          ["/dev/null", /device or pipe/]
        ] as const) {
          const error = yield* Effect.flip(Effect.scoped(open({ path: where }, make)))
          assert.instanceOf(error, LedgerError.IntegrityError)
          assert.match(error.message, says)
        }
        const error = yield* Effect.flip(Effect.scoped(open({ path: join(path, "no", "ledger.db") }, make)))
        assert.instanceOf(error, LedgerError.UnavailableError)
        assert.match(error.message, /folder does not exist; create/)
      }
      assert.deepStrictEqual(readdirSync(path), [])
    })
  )

  it.effect("makes a ledger of no file and of an empty one, but not to read it", () =>
    Effect.gen(function* () {
      for (const make of [layer, layerInThread]) {
        const path = yield* newPath
        for (const prepare of [() => {}, () => writeFileSync(path, "")]) {
          prepare()
          const error = yield* Effect.flip(Effect.scoped(open({ path, readOnly: true }, make)))
          assert.instanceOf(error, LedgerError.NotFound)
          assert.match(error.message, /there is no ledger at .*ledger.db; check the path/)
          assert.strictEqual(existsSync(path) ? readFileSync(path).length : 0, 0)
        }
        yield* Effect.scoped(Effect.flatMap(open({ path }, make), (store) => store.append([event(1)])))
        assert.deepStrictEqual(readdirSync(dirname(path)), ["ledger.db"])
      }
      const memory = yield* Effect.flip(Effect.scoped(open({ path: ":memory:", readOnly: true })))
      assert.instanceOf(memory, LedgerError.NotFound)
    })
  )

  it.effect("says in the main file from the start that it is a ledger", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      yield* open({ path })
      assert.strictEqual(readFileSync(path).toString("latin1", 68, 72), "RLDG")
    })
  )

  it.effect("reads a ledger without writing it, also while another has it open", () =>
    Effect.gen(function* () {
      const path = yield* ledger
      const before = sha256(path)
      for (const make of [layer, layerInThread]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const reader = yield* open({ path, readOnly: true }, make)
            assert.strictEqual((yield* readAll(reader, thread)).length, 500)
            const error = yield* Effect.flip(reader.append([event(501)]))
            assert.instanceOf(error, LedgerError.UnavailableError)
          })
        )
        assert.strictEqual(sha256(path), before)
      }
      const reader = yield* open({ path, readOnly: true })
      const writer = yield* open({ path })
      yield* writer.append(events(501, 510))
      assert.strictEqual(yield* reader.count(run), 510)
    })
  )

  it.effect("says what is missing when the user may not open the file or its folder", () =>
    Effect.gen(function* () {
      const path = yield* ledger
      chmodSync(path, 0o444)
      chmodSync(dirname(path), 0o755)
      const readOnlyFile = yield* asPlainUser(Effect.flip(Effect.scoped(open({ path }))))
      chmodSync(path, 0o000)
      const unreadable = yield* asPlainUser(Effect.flip(Effect.scoped(open({ path, readOnly: true }))))
      chmodSync(dirname(path), 0o555)
      const readOnlyFolder = yield* asPlainUser(
        Effect.flip(Effect.scoped(open({ path: join(dirname(path), "new.db") })))
      )
      chmodSync(dirname(path), 0o755)
      for (const error of [readOnlyFile, unreadable, readOnlyFolder]) {
        assert.instanceOf(error, LedgerError.UnavailableError)
        assert.match(error.message, /permissions/)
      }
    })
  )

  it.effect("stays the same file when the process changes its folder", () =>
    Effect.gen(function* () {
      const [here, there] = [process.cwd(), yield* folder]
      process.chdir(there)
      const store = yield* open({ path: "ledger.db" })
      process.chdir(here)
      yield* store.append([event(1)])
      assert.isTrue(existsSync(join(there, "ledger.db")))
    })
  )
})

describe("an open ledger", () => {
  it.effect("fails to append once its file was deleted or replaced", () =>
    Effect.gen(function* () {
      for (const make of [layer, layerInThread]) {
        for (const remove of [
          (path: string) => rmSync(path),
          (path: string) => (copyFileSync(path, `${path}.copy`), renameSync(`${path}.copy`, path))
        ]) {
          const path = yield* newPath
          const store = yield* open({ path }, make)
          yield* store.append([event(1)])
          remove(path)
          for (let tries = 0; tries < 2; tries += 1) {
            const error = yield* Effect.flip(store.append([event(2)]))
            assert.instanceOf(error, LedgerError.UnavailableError)
            assert.match(
              error.message,
              /was deleted or replaced while it was open; what was committed since is not in it/
            )
          }
        }
      }
    })
  )

  it.effect("names the position of a fact that cannot be read, and reads the others", () =>
    Effect.gen(function* () {
      for (const [damage, says] of [
        ["UPDATE events SET payload = '{' WHERE position = 250", /payload of the fact at position 250 is no JSON/],
        ["UPDATE events SET flags = 9 WHERE position = 250", /position 250 has a kind, an origin or flags \(9\)/],
        ["UPDATE events SET kind = 999 WHERE position = 250", /position 250 has a kind/],
        ["UPDATE events SET run = 999 WHERE position = 250", /position 250 is in a thread or a run that is not there/]
      ] as const) {
        const path = yield* ledger
        write(path, damage)
        const store = yield* open({ path })
        const error = yield* Effect.flip(readAll(store, thread))
        assert.instanceOf(error, LedgerError.IntegrityError)
        assert.match(error.message, says)
        assert.match(error.message, /is damaged: .* restore it from a backup, or copy what can be read/)
        const page = yield* store.read({ scope: thread, after: Cursor.make(thread, 250) })
        assert.strictEqual(page.facts.length, 250)
      }
    })
  )

  it.effect("says that it is damaged when SQLite does", () =>
    Effect.gen(function* () {
      for (const damage of [
        (path: string) => truncateSync(path, 3 * 4096),
        (path: string) => {
          const file = openSync(path, "r+")
          for (let page = 1; page < 30; page += 1) {
            writeSync(file, "rubbish ".repeat(64), page * 4096)
          }
        },
        (path: string) => write(path, "DROP TABLE events")
      ]) {
        const path = yield* ledger
        damage(path)
        for (const make of [layer, layerInThread]) {
          const error = yield* Effect.flip(
            Effect.scoped(
              Effect.gen(function* () {
                const store = yield* open({ path }, make)
                return yield* readAll(store, thread)
              })
            )
          )
          assert.instanceOf(error, LedgerError.IntegrityError)
          assert.match(error.message, /is damaged: .* restore it from a backup/)
        }
      }
    })
  )

  it.live("waits for another process's lock, then fails as unavailable and can be tried again", () =>
    Effect.gen(function* () {
      const path = yield* ledger
      const store = yield* open({ path }, layer)
      const other = new DatabaseSync(path)
      other.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(store.append([event(501)]))
      other.exec("COMMIT")
      other.close()
      assert.instanceOf(error, LedgerError.UnavailableError)
      assert.match(error.message, /is locked: another process has held its write lock for 10 seconds; try again/)
      yield* store.append([event(501)])
      assert.strictEqual(yield* store.count(run), 501)
    })
  )
})

describe("a new ledger", () => {
  it.effect("is made once by workers that open it at the same time", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 3; round += 1) {
        const path = yield* newPath
        const stores = yield* Effect.all(
          Array.from({ length: 6 }, () => open({ path }, layer)),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(stores, (store, n) => store.append(events(n * 10 + 1, n * 10 + 10)), {
          concurrency: "unbounded"
        })
        const positions = (yield* readAll(yield* open({ path }), Cursor.ledger)).map(({ position }) => position)
        assert.deepStrictEqual(
          positions,
          positions.map((_, index) => index + 1)
        )
        assert.strictEqual(positions.length, 60)
      }
    })
  )
})
