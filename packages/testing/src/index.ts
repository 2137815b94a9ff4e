/**
 * What tests of agent runs and of event stores need: arbitraries for events, runs and streams; a conformance suite for
 * stores, a model to hold them against, and broken stores to try both on.
 *
 * @since 0.1.0
 */
export * as Arbitraries from "./Arbitraries.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as TestLedger from "./TestLedger.ts"
export * as Check from "./Check.ts"
export * as Conformance from "./Conformance.ts"
export * as Model from "./Model.ts"
export * as BrokenStores from "./BrokenStores.ts"
