/**
 * What tests of agent runs need: arbitraries for events, runs and streams.
 *
 * @since 0.1.0
 */
export * as Arbitraries from "./Arbitraries.ts"
