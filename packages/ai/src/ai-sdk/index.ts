/**
 * Records agents built on the AI SDK.
 *
 * @since 0.1.0
 */
export { type Conversation, conversation, suspend } from "./Conversation.ts"
export { record } from "./Record.ts"
export { tools } from "./Tools.ts"
