/**
 * The command is killed while it records, often.
 */
import { assert, describe, it } from "@effect/vitest"
import { createDatabase, dropDatabase } from "../../../../scripts/postgres.ts"
import { serverUrl } from "../postgres.ts"
import { crash } from "./crash.ts"

const minutes = 60_000

describe("a command that is killed and sent its input again", () => {
  it("records what it would have recorded at once, on SQLite", { timeout: 30 * minutes }, async () => {
    assert.deepStrictEqual(await crash({ rounds: 200 }), {
      rounds: 200,
      lost: 0,
      duplicated: 0,
      holes: 0,
      complaints: ""
    })
  })

  it("records what it would have recorded at once, on Postgres", { timeout: 30 * minutes }, async () => {
    const ledger = await createDatabase(serverUrl())
    try {
      assert.deepStrictEqual(await crash({ rounds: 100, ledger }), {
        rounds: 100,
        lost: 0,
        duplicated: 0,
        holes: 0,
        complaints: ""
      })
    } finally {
      await dropDatabase(serverUrl(), ledger)
    }
  })
})
