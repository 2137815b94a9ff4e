/**
 * What a tool call came to: its result, and the outcome that the run took from it.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { SuspendTicket } from "./Suspension.ts"

/**
 * How a tool ended, as the tool says it.
 *
 * @category models
 * @since 0.1.0
 */
export const ToolStatus = Schema.Literals(["success", "pending", "error"])

/**
 * @category models
 * @since 0.1.0
 */
export type ToolStatus = typeof ToolStatus.Type

/**
 * How a call ended, as the run takes it: a pending result suspends the call.
 *
 * @category models
 * @since 0.1.0
 */
export const ToolCallOutcome = Schema.Literals(["suspended", "succeeded", "failed"])

/**
 * @category models
 * @since 0.1.0
 */
export type ToolCallOutcome = typeof ToolCallOutcome.Type

const noMetadata = Effect.succeed({})

/**
 * What a tool returned.
 *
 * **Details**
 *
 * `data`, `metadata` and everything inside them are opaque JSON and kept as they are. Two metadata keys decide the kind
 * of the fact when the outcome is `failed` (from the seed): `rejected`, present with any value, and `timed_out`, present
 * with `true`.
 *
 * @category models
 * @since 0.1.0
 */
export const ToolResult = Schema.Struct({
  toolName: Schema.String,
  status: ToolStatus,
  data: Schema.Json,
  message: Schema.optionalKey(Schema.String),
  suspension: Schema.optionalKey(SuspendTicket),
  metadata: Schema.Record(Schema.String, Schema.Json).pipe(
    Schema.withConstructorDefault(noMetadata),
    Schema.withDecodingDefaultKey(noMetadata)
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type ToolResult = typeof ToolResult.Type

/**
 * The result of a tool that did its work.
 *
 * @category constructors
 * @since 0.1.0
 */
export const success = (toolName: string, data: Schema.Json): ToolResult => ({
  toolName,
  status: "success",
  data,
  metadata: {}
})

/**
 * The result of a tool that failed. With a `code`, the data is `{ error: { code, message } }` and the message
 * `[code] message`, as the seed writes them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const error = (toolName: string, message: string, code?: string): ToolResult => ({
  toolName,
  status: "error",
  data: code === undefined ? null : { error: { code, message } },
  message: code === undefined ? message : `[${code}] ${message}`,
  metadata: {}
})

/**
 * The result of a tool that waits for a decision; the ticket says for which.
 *
 * @category constructors
 * @since 0.1.0
 */
export const suspended = (toolName: string, message: string, suspension?: SuspendTicket): ToolResult => ({
  toolName,
  status: "pending",
  data: null,
  message,
  ...(suspension === undefined ? {} : { suspension }),
  metadata: {}
})

/**
 * The outcome that follows from a status when nothing else decides it.
 *
 * @category getters
 * @since 0.1.0
 */
export const outcomeOf = (status: ToolStatus): ToolCallOutcome =>
  status === "pending" ? "suspended" : status === "error" ? "failed" : "succeeded"
