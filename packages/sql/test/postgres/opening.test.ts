import { assert, describe, it } from "@effect/vitest"
import { Cursor, type EventStore, LedgerError } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import { Effect, Latch, Layer, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import { inspect } from "node:util"
import { expectTypeOf } from "vitest"
import { event, events, readAll, thread } from "../sqlite/support.ts"
import { changed, execute, hold, newDatabase, open } from "./support.ts"

const inSchema = (url: string, schema: string) => changed(url, { search: `?options=-c%20search_path%3D${schema}` })

const tables = (url: string) =>
  execute(url, "SELECT count(*)::int4 FROM pg_class WHERE relname IN ('ledger', 'events', 'positions')")

/** The URL with a new role, which may make tables if the role `PUBLIC` may. */
const newRole = (url: string, options: string) => {
  const role = `role_${randomBytes(8).toString("hex")}`
  return Effect.acquireRelease(
    Effect.as(
      execute(url, `CREATE ROLE ${role} LOGIN PASSWORD 'sesame-opens' ${options}`),
      changed(url, { username: role, password: "sesame-opens" })
    ),
    () => Effect.orDie(execute(url, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`))
  )
}

describe("opening a ledger in PostgreSQL", () => {
  it("has the store as its only output and typed errors (types)", () => {
    expectTypeOf(PostgresLedger.layer({ url: Redacted.make("") })).toEqualTypeOf<
      Layer.Layer<
        EventStore.EventStore,
        LedgerError.IntegrityError | LedgerError.UnavailableError | LedgerError.NotFound
      >
    >()
  })

  it.live("makes the ledger once when many open it at the same time", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const stores = yield* Effect.forEach(Array.from({ length: 8 }), () => open(url), { concurrency: "unbounded" })
      yield* Effect.forEach(stores, (store, n) => store.append([event(n + 1)]), { concurrency: "unbounded" })
      const facts = yield* readAll(yield* open(url), thread)
      assert.deepStrictEqual(
        facts.map(({ threadSequence }) => threadSequence),
        [1, 2, 3, 4, 5, 6, 7, 8]
      )
    })
  )

  it.live("keeps ledgers in different schemas of one database apart", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      yield* execute(url, "CREATE SCHEMA one", "CREATE SCHEMA other")
      const [one, other] = [yield* open(inSchema(url, "one")), yield* open(inSchema(url, "other,one"))]
      yield* one.append(events(1, 3))
      yield* other.append([event(1, { kind: "Other" })])
      assert.strictEqual(yield* one.count(Cursor.ledger), 3)
      assert.deepStrictEqual(
        (yield* readAll(other, Cursor.ledger)).map(({ kind, position }) => [kind, position]),
        [["Other", 1]]
      )
    })
  )

  it.live("reads what is there and writes nothing when read-only", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const missing = yield* Effect.flip(open(url, { readOnly: true }))
      assert.instanceOf(missing, LedgerError.NotFound)
      assert.match(missing.message, /^there is no ledger at 127\.0\.0\.1:\d+\/test_\w+ in the schema "public"; check/)
      assert.deepStrictEqual(yield* tables(url), [[0]])

      const writer = yield* open(url)
      yield* writer.append(events(1, 3))
      const reader = yield* open(url, { readOnly: true })
      assert.strictEqual((yield* readAll(reader, Cursor.ledger)).length, 3)
      const refused = yield* Effect.flip(reader.append([event(4)]))
      assert.instanceOf(refused, LedgerError.UnavailableError)
      assert.match(refused.message, /cannot be written: it was opened read-only/)
      assert.strictEqual(yield* writer.count(Cursor.ledger), 3)
    })
  )

  it.live("refuses a newer format, and tables of another program, and leaves them as they are", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      yield* Effect.scoped(open(url))
      yield* execute(url, "UPDATE ledger SET runledger_format = 2")
      const other = yield* newDatabase
      yield* execute(
        other,
        "CREATE TABLE events (id int)",
        "CREATE TABLE ledger (id int)",
        "CREATE TABLE mine (id int)"
      )
      for (const readOnly of [false, true]) {
        const newer = yield* Effect.flip(open(url, { readOnly }))
        assert.instanceOf(newer, LedgerError.IntegrityError)
        assert.match(newer.message, /newer runledger: it has format 2, this version knows 1; upgrade/)
        const foreign = yield* Effect.flip(open(other, { readOnly }))
        assert.instanceOf(foreign, LedgerError.IntegrityError)
        assert.match(foreign.message, /the schema "public" of .* has tables of another program .* \(events, ledger\)/)
        assert.include(foreign.message, "?options=-c%20search_path%3D")
      }
      assert.deepStrictEqual(yield* tables(other), [[2]])
      yield* execute(other, "DROP TABLE events", "DROP TABLE ledger")
      yield* open(other)
    })
  )

  it.live("says what is wrong with the URL, the server, the user, the database and the schema, at once", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      const { password } = new URL(url)
      yield* execute(url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
      const stranger = yield* newRole(url, "")
      const cases: ReadonlyArray<readonly [url: string | Redacted.Redacted, says: RegExp]> = [
        ["postgres//user:sesame-opens@host", /is not one of PostgreSQL; give one like postgres:\/\//],
        ["mysql://user:sesame-opens@host/db", /is not one of PostgreSQL/],
        [
          Redacted.make(changed(url, { password: "sesame-wrong" })),
          /does not let this user in; check user and password/
        ],
        [changed(url, { pathname: "/nowhere" }), /^the ledger 127\.0\.0\.1:\d+\/nowhere has no database of this name/],
        [changed(url, { port: "1" }), /:1\/test_\w+ cannot be reached \(.*ECONNREFUSED.*\); check host and port/],
        [url.replace("127.0.0.1", "nowhere.invalid"), /cannot be reached \(.*ENOTFOUND.*\); check host and port/],
        [`${url}?sslmode=require`, /cannot be reached \(The server does not support TLS\)/],
        [inSchema(url, "nowhere"), /has no schema to be in: the search_path .* create the schema/],
        [stranger, /may not be used so by this user \(permission denied for schema public\); grant/]
      ]
      for (const [given, says] of cases) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(PostgresLedger.layer({ url: given })))).pipe(
          Effect.timeout("5 seconds")
        )
        assert.instanceOf(error, LedgerError.UnavailableError)
        assert.match(error.message, says)
        assert.notInclude(error.message, "runledger:")
        assert.notInclude(inspect(error, { depth: 9 }), "sesame")
        assert.notInclude(inspect(error, { depth: 9 }), password)
      }
    })
  )

  it.live("waits for connections that others will give back", () =>
    Effect.gen(function* () {
      const url = yield* newDatabase
      yield* execute(url, "GRANT CREATE ON SCHEMA public TO PUBLIC")
      const limited = yield* newRole(url, "CONNECTION LIMIT 1")
      const held = yield* Latch.make()
      yield* Effect.forkChild(
        Effect.scoped(Effect.andThen(hold(limited, "SELECT 1"), Effect.andThen(held.open, Effect.sleep("300 millis"))))
      )
      yield* held.await
      const store = yield* open(limited)
      assert.strictEqual(yield* store.count(Cursor.ledger), 0)
    })
  )
})
