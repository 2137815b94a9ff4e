/**
 * The wire format of the seed, awakenworks/awaken 0.6.0.
 *
 * @since 0.1.0
 */
export * from "./AgentEvent.ts"
export * from "./CanonicalEvent.ts"
export * from "./RunContext.ts"
