/**
 * The command is killed while it records. The slow lane does it more often, and on Postgres too.
 */
import { assert, describe, it } from "@effect/vitest"
import { crash, sabotages } from "./crash.ts"

describe("a command that is killed and sent its input again", () => {
  it("records what it would have recorded at once", { timeout: 300_000 }, async () => {
    assert.deepStrictEqual(await crash({ rounds: 20 }), {
      rounds: 20,
      lost: 0,
      duplicated: 0,
      holes: 0,
      complaints: ""
    })
  })

  it.each(sabotages)("is caught when it breaks its promise: %s", { timeout: 300_000 }, async (sabotage) => {
    const { duplicated, lost } = await crash({ rounds: 6, sabotage })
    assert.isAbove(lost + duplicated, 0)
  })
})
