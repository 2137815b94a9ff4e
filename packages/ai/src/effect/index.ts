/**
 * Records agents that are built on `effect/ai`.
 *
 * @since 0.1.0
 */
export * as Agent from "./Agent.ts"
export * as Conversation from "./Conversation.ts"
export * as ModelStream from "./ModelStream.ts"
