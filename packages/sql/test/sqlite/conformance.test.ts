import { describe, it } from "@effect/vitest"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Conformance, Model, TestLedger } from "@runledger/testing"

describe("the SQLite store in the thread", () => {
  const fresh = TestLedger.inFile((path) => layerInThread({ path }))

  for (const check of Conformance.checks) {
    it.effect(check.id, () => check.run(fresh))
  }

  it.effect("does what the model does", () => Model.check(fresh, { runs: 25, seed: "sqlite" }))
})

// To start a worker takes longer than most checks, so here are those whose calls and errors cross the thread in every
// shape; the slow lane has them all.
describe("the SQLite store in a worker", () => {
  const fresh = TestLedger.inFile((path) => layer({ path }))

  for (const check of Conformance.checks.filter(({ id }) =>
    /^(expected|writers|restore|runs\.(by-)?labels|append\.last-ordinal)/.test(id)
  )) {
    it.effect(check.id, () => check.run(fresh))
  }
})
