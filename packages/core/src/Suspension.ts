/**
 * A tool call that waits: the ticket it leaves, the decision it gets, and the status it goes through.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { Millis } from "./internal/numbers.ts"

/**
 * What happens to a suspended call when its decision arrives: run it again, take the decision as its result, or hand
 * the decision to the tool.
 *
 * @category models
 * @since 0.1.0
 */
export const ToolCallResumeMode = Schema.Literals([
  "replay_tool_call",
  "use_decision_as_tool_result",
  "pass_decision_to_tool"
])

/**
 * @category models
 * @since 0.1.0
 */
export type ToolCallResumeMode = typeof ToolCallResumeMode.Type

const emptyText = Schema.String.pipe(
  Schema.withConstructorDefault(Effect.succeed("")),
  Schema.withDecodingDefaultKey(Effect.succeed(""))
)

const nullJson = Schema.NullOr(Schema.Json).pipe(
  Schema.withConstructorDefault(Effect.succeed(null)),
  Schema.withDecodingDefaultKey(Effect.succeed(null))
)

/**
 * What a call is suspended on: an id to answer to, the action asked for, a message for a person, and the parameters
 * of the question. All have empty defaults, as in the seed.
 *
 * @category models
 * @since 0.1.0
 */
export const Suspension = Schema.Struct({
  id: emptyText,
  action: emptyText,
  message: emptyText,
  parameters: nullJson,
  responseSchema: Schema.optionalKey(Schema.Json)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Suspension = typeof Suspension.Type

/**
 * The call that is shown to the audience while the decision is pending.
 *
 * @category models
 * @since 0.1.0
 */
export const PendingToolCall = Schema.Struct({ id: Schema.String, name: Schema.String, arguments: Schema.Json })

/**
 * @category models
 * @since 0.1.0
 */
export type PendingToolCall = typeof PendingToolCall.Type

const noSuspension = Effect.succeed({ id: "", action: "", message: "", parameters: null })
const noPending = Effect.succeed({ id: "", name: "", arguments: null })
const replay = Effect.succeed("replay_tool_call" as const)

/**
 * What a suspended call leaves behind.
 *
 * **Details**
 *
 * With `resumeMode` `replay_tool_call` and a suspension id that is not blank, the suspended call also is a permission
 * request (from the seed).
 *
 * @category models
 * @since 0.1.0
 */
export const SuspendTicket = Schema.Struct({
  suspension: Suspension.pipe(Schema.withConstructorDefault(noSuspension), Schema.withDecodingDefaultKey(noSuspension)),
  pending: PendingToolCall.pipe(Schema.withConstructorDefault(noPending), Schema.withDecodingDefaultKey(noPending)),
  resumeMode: ToolCallResumeMode.pipe(Schema.withConstructorDefault(replay), Schema.withDecodingDefaultKey(replay))
})

/**
 * @category models
 * @since 0.1.0
 */
export type SuspendTicket = typeof SuspendTicket.Type

/**
 * The decision on a suspended call. `updatedAt` is in milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export const ToolCallResume = Schema.Struct({
  decisionId: emptyText,
  action: Schema.Literals(["resume", "cancel"]),
  result: nullJson,
  reason: Schema.optionalKey(Schema.String),
  updatedAt: Millis.pipe(
    Schema.withConstructorDefault(Effect.succeed(0)),
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type ToolCallResume = typeof ToolCallResume.Type

/**
 * Where a tool call stands.
 *
 * @category models
 * @since 0.1.0
 */
export const ToolCallStatus = Schema.Literals([
  "new",
  "running",
  "suspended",
  "resuming",
  "succeeded",
  "failed",
  "cancelled"
])

/**
 * @category models
 * @since 0.1.0
 */
export type ToolCallStatus = typeof ToolCallStatus.Type

const nextStatus: { readonly [Status in ToolCallStatus]: ReadonlyArray<ToolCallStatus> } = {
  new: ToolCallStatus.literals,
  running: ["suspended", "succeeded", "failed", "cancelled"],
  suspended: ["resuming", "cancelled"],
  resuming: ["running", "suspended", "succeeded", "failed", "cancelled"],
  succeeded: [],
  failed: [],
  cancelled: []
}

/**
 * Whether a call may go from one status to another; staying is always allowed (the seed's table).
 *
 * @category predicates
 * @since 0.1.0
 */
export const canTransition = (from: ToolCallStatus, to: ToolCallStatus): boolean =>
  from === to || nextStatus[from].includes(to)
