/**
 * Which facts are kept.
 *
 * @since 0.1.0
 */
import { Config, Context, Effect, Layer, Schema } from "effect"
import type { Fidelity } from "./CanonicalEvent.ts"

/**
 * `disabled` keeps nothing, `compacted` all but observed events, `full_fidelity` everything.
 *
 * @category models
 * @since 0.1.0
 */
export const DurabilityMode = Schema.Literals(["disabled", "compacted", "full_fidelity"])

/**
 * @category models
 * @since 0.1.0
 */
export type DurabilityMode = typeof DurabilityMode.Type

/**
 * The durability policy in force. A sink reads it once, when it is made.
 *
 * @category services
 * @since 0.1.0
 */
export const Durability: Context.Reference<DurabilityMode> = Context.Reference<DurabilityMode>(
  "@runledger/core/Durability",
  {
    defaultValue: () => "compacted"
  }
)

/**
 * Whether a mode keeps facts of this fidelity.
 *
 * @category predicates
 * @since 0.1.0
 */
export const shouldPersist = (mode: DurabilityMode, fidelity: Fidelity): boolean =>
  mode === "full_fidelity" || (mode === "compacted" && fidelity !== "observed_runtime_event")

/**
 * The policy from the configuration: `RUNLEDGER_DURABILITY`, `compacted` when it is not set. Another value than the
 * three modes fails with a `ConfigError` that lists them.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<DurabilityMode> = Config.schema(DurabilityMode, "DURABILITY").pipe(
  Config.nested("RUNLEDGER"),
  Config.withDefault("compacted" as const)
)

/**
 * Sets {@link Durability} from {@link config}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<never, Config.ConfigError> = Layer.effect(
  Durability,
  Effect.gen(function* () {
    return yield* config
  })
)
