import { describe, it } from "@effect/vitest"
import * as PostgresLedger from "@runledger/sql/postgres"
import { Conformance, Model } from "@runledger/testing"
import { Effect } from "effect"
import { newDatabase } from "./support.ts"

const fresh = Effect.map(newDatabase, (url) => ({ open: PostgresLedger.layer({ url }) }))

describe("the PostgreSQL store", () => {
  for (const check of Conformance.checks) {
    it.effect(check.id, () => check.run(fresh))
  }

  it.effect("does what the model does", () => Model.check(fresh, { runs: 20, seed: "postgres" }))
})
