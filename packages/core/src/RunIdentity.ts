/**
 * Who runs, for whom, and as whose child.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"

/**
 * Who asked for the run.
 *
 * @category models
 * @since 0.1.0
 */
export const RunOrigin = Schema.Literals(["user", "mcp", "subagent", "internal"])

/**
 * @category models
 * @since 0.1.0
 */
export type RunOrigin = typeof RunOrigin.Type

/**
 * How the run came to start.
 *
 * @category models
 * @since 0.1.0
 */
export const RunMode = Schema.Literals(["foreground", "scheduled", "resume", "internal_wake"])

/**
 * @category models
 * @since 0.1.0
 */
export type RunMode = typeof RunMode.Type

/**
 * The protocol through which the run was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export const RunAdapter = Schema.Literals(["internal", "acp", "ai_sdk", "ag_ui", "a2a", "mcp"])

/**
 * @category models
 * @since 0.1.0
 */
export type RunAdapter = typeof RunAdapter.Type

const user = Effect.succeed("user" as const)
const foreground = Effect.succeed("foreground" as const)
const internal = Effect.succeed("internal" as const)

/**
 * The identity that a run carries in its first and last event. Only thread, run and agent are required; `origin`,
 * `runMode` and `adapter` default to `user`, `foreground` and `internal`, as in the seed.
 *
 * @category models
 * @since 0.1.0
 */
export const RunIdentity = Schema.Struct({
  threadId: Schema.String,
  runId: Schema.String,
  agentId: Schema.String,
  parentThreadId: Schema.optionalKey(Schema.String),
  parentRunId: Schema.optionalKey(Schema.String),
  parentToolCallId: Schema.optionalKey(Schema.String),
  dispatchId: Schema.optionalKey(Schema.String),
  sessionId: Schema.optionalKey(Schema.String),
  transportRequestId: Schema.optionalKey(Schema.String),
  origin: RunOrigin.pipe(Schema.withConstructorDefault(user), Schema.withDecodingDefaultKey(user)),
  runMode: RunMode.pipe(Schema.withConstructorDefault(foreground), Schema.withDecodingDefaultKey(foreground)),
  adapter: RunAdapter.pipe(Schema.withConstructorDefault(internal), Schema.withDecodingDefaultKey(internal))
})

/**
 * @category models
 * @since 0.1.0
 */
export type RunIdentity = typeof RunIdentity.Type
