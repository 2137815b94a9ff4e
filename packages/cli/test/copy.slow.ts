/**
 * What copies of large ledgers take.
 */
import { it } from "@effect/vitest"
import { roundTrip } from "./copying.ts"
import { newDatabase } from "./postgres.ts"

it("a million facts go to Postgres and back, in flat memory", { timeout: 900_000 }, async ({ annotate, skip }) => {
  if (process.platform !== "linux") {
    skip("only Linux tells how much memory a process has had")
  }
  await annotate(await roundTrip(1_000_000, await newDatabase()))
})
