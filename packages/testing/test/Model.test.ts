import { describe, it } from "@effect/vitest"
import { Model } from "@runledger/testing"
import { stores } from "./stores.ts"

describe("the model", () => {
  for (const [name, fresh] of Object.entries(stores)) {
    it.effect(`agrees with ${name}`, () => Model.check(fresh, { runs: 200, seed: "model" }))
  }
})
