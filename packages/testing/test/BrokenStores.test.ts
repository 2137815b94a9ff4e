import { assert, describe, it } from "@effect/vitest"
import { BrokenStores, Conformance, Model } from "@runledger/testing"
import { Effect } from "effect"

describe("the conformance suite catches", () => {
  for (const broken of BrokenStores.all) {
    it.effect(`${broken.name}: a store that ${broken.does}`, () =>
      Effect.gen(function* () {
        const checks = Conformance.checks.filter(({ id }) => id === broken.caughtBy)
        const { failed } = yield* Conformance.run(BrokenStores.fresh(broken), { checks, timeout: "2 seconds" })
        assert.deepStrictEqual(
          failed.map(({ check }) => check.id),
          [broken.caughtBy]
        )
      })
    )
  }
})

describe("the model catches", () => {
  const names = new Set(["duplicate on retry", "leaked rollback", "foreign cursors", "wrong floor"])
  for (const broken of BrokenStores.all.filter(({ name }) => names.has(name))) {
    it.effect(`${broken.name}, in a few commands`, () =>
      Effect.gen(function* () {
        const mismatch = yield* Effect.flip(Model.check(BrokenStores.fresh(broken), { seed: "broken" }))
        assert.isAtMost(mismatch.commands.length, 6, mismatch.message)
        const again = yield* Effect.flip(Model.check(BrokenStores.fresh(broken), { replay: mismatch.replay }))
        assert.deepStrictEqual(again.commands, mismatch.commands)
      })
    )
  }
})
