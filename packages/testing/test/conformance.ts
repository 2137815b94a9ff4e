/**
 * Runs the conformance suite on every store of this repository: `npm run conformance`.
 *
 * `--only PREFIX` runs the checks whose id begins so; `--json` lists the checks and runs none; `--broken`
 * runs them on the stores that are broken on purpose, and tells which checks catch each.
 */
import { BrokenStores, Conformance } from "@runledger/testing"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { stores } from "./stores.ts"

const { values } = parseArgs({
  options: { json: { type: "boolean" }, broken: { type: "boolean" }, only: { type: "string" } }
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
  for (const [name, fresh] of Object.entries(stores)) {
    const { failed, passed } = yield* Conformance.run(fresh, { checks })
    yield* print(`${name}: ${passed.length} passed, ${failed.length} failed`)
    for (const { check, failure } of failed) {
      process.exitCode = 1
      yield* print(`  ${check.id}\n    ${check.must}\n    ${failure.message}`)
    }
  }
  return undefined
})

await Effect.runPromise(main)
