/**
 * Runs the conformance suite on every store of this repository: `npm run conformance`.
 *
 * `--only PREFIX` runs the checks whose id begins so; `--json` lists the checks and runs none; `--broken`
 * runs them on the stores that are broken on purpose, and tells which checks catch each.
 */
import { MemoryEventStore } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { BrokenStores, Conformance, TestLedger } from "@runledger/testing"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { createDatabase, dropDatabase, startServer } from "./postgres.ts"

const { values } = parseArgs({
  options: { json: { type: "boolean" }, broken: { type: "boolean" }, only: { type: "string" } }
})

const inDatabase = (server: string): TestLedger.Fresh =>
  Effect.acquireRelease(
    Effect.promise(() => createDatabase(server)),
    (url) => Effect.promise(() => dropDatabase(server, url))
  ).pipe(Effect.map((url) => ({ open: PostgresLedger.layer({ url }) })))

const stores = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.promise(() => startServer()),
    ({ stop }) => Effect.promise(() => stop())
  )
  return {
    memory: TestLedger.shared(MemoryEventStore.layer),
    SQLite: TestLedger.inFile((path) => SqliteLedger.layer({ path })),
    Postgres: inDatabase(server.url)
  }
})

const checks = Conformance.checks.filter(({ id }) => id.startsWith(values.only ?? ""))

const print = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const main = Effect.gen(function* () {
  if (checks.length === 0) {
    process.exitCode = 2
    return yield* print(`no check has an id that begins with ${values.only}; see them all with --json`)
  }
  if (values.json === true) {
    const list = checks.map(({ id, must }) => ({ id, must }))
    return yield* print(JSON.stringify(list, undefined, 2))
  }
  if (values.broken === true) {
    for (const broken of BrokenStores.all) {
      const { failed } = yield* Conformance.run(BrokenStores.fresh(broken), {
        checks,
        timeout: "2 seconds",
        concurrency: checks.length
      })
      yield* print(`${broken.name}: ${failed.map(({ check }) => check.id).join(", ")}`)
    }
    return undefined
  }
  for (const [name, fresh] of Object.entries(yield* stores)) {
    const { failed, passed } = yield* Conformance.run(fresh, { checks })
    yield* print(`${name}: ${passed.length} passed, ${failed.length} failed`)
    for (const { check, failure } of failed) {
      process.exitCode = 1
      yield* print(`  ${check.id}\n    ${check.must}\n    ${failure.message}`)
    }
  }
  return undefined
})

await Effect.runPromise(Effect.scoped(main))
