import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schedule, type Scope } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { inject, vi } from "vitest"
import { createDatabase, dropDatabase, startServer } from "../../../../scripts/postgres.ts"

const module = new URL("../../../../scripts/postgres.ts", import.meta.url).href

const connect = (url: string) =>
  PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(Effect.provide(Reactivity.layer))

const answer = (url: string) => Effect.scoped(Effect.flatMap(connect(url), (sql) => sql`SELECT 1`))

const server = Effect.acquireRelease(
  Effect.promise(() => startServer()),
  ({ stop }) => Effect.promise(stop)
)

const withEnvironment = (name: string, value: string | undefined): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => void vi.stubEnv(name, value)),
    () => Effect.sync(() => void vi.unstubAllEnvs())
  )

const failure = (start: () => Promise<unknown>) =>
  Effect.promise(() =>
    start().then(
      () => "no failure",
      ({ message }: Error) => message
    )
  )

describe("the PostgreSQL of the tests", () => {
  it.live("answers, with a database for each test", () =>
    Effect.gen(function* () {
      const url = inject("postgresUrl")
      const database = yield* Effect.promise(() => createDatabase(url))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const sql = yield* connect(database)
          const rows = yield* sql.unsafe("SELECT current_database(), current_setting('server_version_num')::int4")
            .values
          assert.strictEqual(`/${rows[0]?.[0]}`, new URL(database).pathname)
          assert.isAtLeast(Number(rows[0]?.[1]), 150_000)
        })
      )
      yield* Effect.promise(() => dropDatabase(url, database))
      const error = yield* Effect.flip(answer(database))
      assert.include(String(error.reason.cause), "does not exist")
    })
  )

  it.live("keeps its port and its data over a restart, and says its version", () =>
    Effect.gen(function* () {
      yield* withEnvironment("RUNLEDGER_TEST_POSTGRES_URL", undefined)
      const { restart, url, version } = yield* server
      assert.match(version, process.env["RUNLEDGER_TEST_POSTGRES_BIN"] === undefined ? /^18\./ : /^\d+/)
      const sql = yield* connect(url)
      yield* sql`CREATE TABLE kept AS SELECT 7 AS value`
      yield* Effect.promise(restart)
      assert.deepStrictEqual(yield* sql`SELECT value FROM kept`, [{ value: 7 }])
    })
  )

  it.live("ends with the process that started it, even when that is killed", () =>
    Effect.gen(function* () {
      const script = `import { startServer } from ${JSON.stringify(module)}; console.log((await startServer()).url)`
      const { RUNLEDGER_TEST_POSTGRES_URL: _, ...env } = process.env
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], { env })
      const [line] = yield* Effect.promise(() => once(child.stdout.setEncoding("utf8"), "data"))
      const url = String(line).trim()
      yield* answer(url)
      child.kill("SIGKILL")
      yield* Effect.flip(answer(url)).pipe(
        Effect.filterOrFail(({ reason }) => String(reason.cause).includes("ECONNREFUSED")),
        Effect.retry(Schedule.spaced("20 millis"))
      )
    })
  )

  it.live("says what is wrong with a server that is named, and does not restart it", () =>
    Effect.gen(function* () {
      yield* withEnvironment("RUNLEDGER_TEST_POSTGRES_URL", inject("postgresUrl"))
      const named = yield* server
      assert.include(yield* failure(named.restart), "RUNLEDGER_TEST_POSTGRES_URL")
      yield* withEnvironment("RUNLEDGER_TEST_POSTGRES_URL", "postgres://user:secret@127.0.0.1:1/postgres")
      const message = yield* failure(startServer)
      assert.match(message, /^RUNLEDGER_TEST_POSTGRES_URL names a PostgreSQL that cannot be used: .*ECONNREFUSED/)
      assert.notInclude(message, "secret")
    })
  )

  it.live("says which folder of binaries is wrong", () =>
    Effect.gen(function* () {
      const message = yield* failure(() => startServer({ bin: "/nowhere" }))
      assert.match(message, /^No PostgreSQL could be started from \/nowhere: .*\/nowhere\/initdb/)
      assert.include(message, "RUNLEDGER_TEST_POSTGRES_BIN")
    })
  )
})
