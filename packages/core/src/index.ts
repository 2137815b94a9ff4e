/**
 * The vocabulary and services of a ledger for AI agent runs, in the order in which an event passes through them.
 *
 * @since 0.1.0
 */
export * as RunIdentity from "./RunIdentity.ts"
export * as TokenUsage from "./TokenUsage.ts"
export * as Lifecycle from "./Lifecycle.ts"
export * as Suspension from "./Suspension.ts"
export * as Tool from "./Tool.ts"
export * as AgentEvent from "./AgentEvent.ts"
export * as LiveSink from "./LiveSink.ts"
export * as EventSink from "./EventSink.ts"
export * as CanonicalEvent from "./CanonicalEvent.ts"
export * as RunContext from "./RunContext.ts"
export * as Normalizer from "./Normalizer.ts"
export * as Durability from "./Durability.ts"
export * as StagedEvent from "./StagedEvent.ts"
export * as EventStager from "./EventStager.ts"
export * as Cursor from "./Cursor.ts"
export * as EventStore from "./EventStore.ts"
export * as Follow from "./Follow.ts"
export * as MemoryEventStore from "./MemoryEventStore.ts"
export * as Upcast from "./Upcast.ts"
export * as LedgerError from "./LedgerError.ts"
export * as Json from "./Json.ts"
