import { describe, it } from "@effect/vitest"
import { Conformance } from "@runledger/testing"
import { stores } from "./stores.ts"

for (const [name, fresh] of Object.entries(stores)) {
  describe(name, () => {
    for (const check of Conformance.checks) {
      it.effect(check.id, () => check.run(fresh))
    }
  })
}
