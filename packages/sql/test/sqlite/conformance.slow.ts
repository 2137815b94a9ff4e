import { describe, it } from "@effect/vitest"
import { layer } from "@runledger/sql/sqlite"
import { Conformance, Model, TestLedger } from "@runledger/testing"

describe("the SQLite store in a worker", () => {
  const fresh = TestLedger.inFile((path) => layer({ path }))

  for (const check of Conformance.checks) {
    it.effect(check.id, () => check.run(fresh))
  }

  it.effect("does what the model does", () => Model.check(fresh, { runs: 30, seed: "worker" }), 300_000)
})
