import { assert, describe, it } from "@effect/vitest"
import { CanonicalEvent, Durability } from "@runledger/core"
import { ConfigProvider, Effect, Exit } from "effect"

const kept = (mode: Durability.DurabilityMode) =>
  CanonicalEvent.Fidelity.literals.filter((fidelity) => Durability.shouldPersist(mode, fidelity))

const configured = (env: Record<string, string>) =>
  Effect.gen(function* () {
    return yield* Durability.Durability
  }).pipe(
    Effect.provide(Durability.layerConfig),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

describe("Durability", () => {
  it("keeps nothing, all but observed events, or everything", () => {
    assert.deepStrictEqual(kept("disabled"), [])
    assert.deepStrictEqual(kept("compacted"), ["committed_runtime_event", "domain_event", "control_event"])
    assert.deepStrictEqual(kept("full_fidelity"), [...CanonicalEvent.Fidelity.literals])
  })

  it.effect("is compacted unless it is set", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Durability.Durability, "compacted")
      assert.strictEqual(yield* configured({}), "compacted")
    })
  )

  it.effect("is read from RUNLEDGER_DURABILITY", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* configured({ RUNLEDGER_DURABILITY: "full_fidelity" }), "full_fidelity")
      assert.strictEqual(yield* configured({ RUNLEDGER_DURABILITY: "disabled" }), "disabled")
    })
  )

  it.effect("refuses another value", () =>
    Effect.gen(function* () {
      assert.isTrue(Exit.isFailure(yield* Effect.exit(configured({ RUNLEDGER_DURABILITY: "all" }))))
    })
  )
})
