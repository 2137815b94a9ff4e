/**
 * What is said in a thread: messages of the user, the system, a tool, and those of the model, put together from its
 * pieces.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Count } from "./internal/numbers.ts"

/** What a provider adds to a part, such as a signature; opaque. */
const metadata = Schema.optionalKey(Schema.Json)

/**
 * A part of a message.
 *
 * **Details**
 *
 * - `Text`, `Reasoning`: what was said and thought. `encrypted` is the value by which a provider knows its reasoning again.
 * - `ToolCall`: where in the message a call stands. Its arguments are in the `ToolCallReady` with the same id.
 * - `Data`: anything else, a file or an image; `mediaType` says what.
 *
 * @category models
 * @since 0.1.0
 */
export const Part = Schema.TaggedUnion({
  Text: { text: Schema.String, metadata },
  Reasoning: { text: Schema.String, encrypted: Schema.optionalKey(Schema.String), metadata },
  ToolCall: { id: Schema.String, name: Schema.String, metadata },
  Data: { mediaType: Schema.String, data: Schema.Json, metadata }
})

/**
 * @category models
 * @since 0.1.0
 */
export type Part = typeof Part.Type

/**
 * Who says it.
 *
 * @category models
 * @since 0.1.0
 */
export const Role = Schema.Literals(["user", "assistant", "system", "tool"])

/**
 * @category models
 * @since 0.1.0
 */
export type Role = typeof Role.Type

/**
 * A message.
 *
 * **Details**
 *
 * `messageId` is the one that the step began with, or the app's own; `step` counts the steps of the run from 1.
 * `fromOrdinal` is the ordinal of the first event that went into a message that was put together from events.
 * `partial` says that its end never came. When the producer sends these events again, the whole message follows, with
 * the same `fromOrdinal`, and takes the place of the partial one.
 *
 * @category models
 * @since 0.1.0
 */
export const Message = Schema.Struct({
  role: Role,
  parts: Schema.Array(Part),
  messageId: Schema.optionalKey(Schema.String),
  step: Schema.optionalKey(Count),
  fromOrdinal: Schema.optionalKey(Count),
  partial: Schema.optionalKey(Schema.Literal(true))
})

/**
 * @category models
 * @since 0.1.0
 */
export type Message = typeof Message.Type
