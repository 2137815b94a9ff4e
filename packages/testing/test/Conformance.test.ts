import { describe, it } from "@effect/vitest"
import { MemoryEventStore } from "@runledger/core"
import { Conformance, Model, TestLedger } from "@runledger/testing"

const fresh = TestLedger.shared(MemoryEventStore.layer)

describe("the store in memory", () => {
  for (const check of Conformance.checks) {
    it.effect(check.id, () => check.run(fresh))
  }

  it.effect("does what the model does", () => Model.check(fresh, { runs: 200, seed: "memory" }))
})
