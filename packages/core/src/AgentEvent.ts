/**
 * What an agent loop says while it runs: 22 events, each a plain readonly object with a `_tag`.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { Millis } from "./internal/numbers.ts"
import { TerminationReason } from "./Lifecycle.ts"
import { RunIdentity } from "./RunIdentity.ts"
import { TokenUsage } from "./TokenUsage.ts"
import { ToolCallOutcome, ToolResult } from "./Tool.ts"

const Text = Schema.String
const Patch = Schema.Array(Schema.Json)

/**
 * The events of an agent loop (the seed's vocabulary).
 *
 * **Details**
 *
 * - Life of a run: `RunStart`, `RunFinish`.
 * - What the model says, piece by piece: `TextDelta`, `ReasoningDelta`, `ReasoningEncryptedValue`; `StreamReset` voids
 *   the pieces of the current turn.
 * - Tool calls: `ToolCallStart`, `ToolCallDelta` (arguments as they arrive), `ToolCallReady` (arguments complete),
 *   `ToolCallStreamDelta` (output while the tool runs), `ToolCallDone`, `ToolCallResumed`, `ToolCallCancel`.
 * - Steps and inference: `StepStart`, `StepEnd`, `InferenceComplete` (`durationMs` in milliseconds).
 * - What an audience is shown: `MessagesSnapshot`, `ActivitySnapshot`, `ActivityDelta`, `StateSnapshot`, `StateDelta`.
 * - `Error`.
 *
 * Fields of type `Json` are opaque: they are never renamed or touched. An event is serialised once, when it is staged.
 *
 * **Example** (Making and matching events)
 *
 * ```ts
 * import { AgentEvent } from "@runledger/core"
 *
 * const delta: AgentEvent.AgentEvent = { _tag: "TextDelta", delta: "Hel" }
 * const start = AgentEvent.RunStart.make({ threadId: "thread-1", runId: "run-1" })
 *
 * const text = AgentEvent.AgentEvent.matchOrElse(
 *   delta,
 *   { TextDelta: (event) => event.delta },
 *   () => ""
 * )
 * console.log(start._tag, text)
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const AgentEvent = Schema.TaggedUnion({
  RunStart: {
    threadId: Text,
    runId: Text,
    parentRunId: Schema.optionalKey(Text),
    identity: Schema.optionalKey(RunIdentity)
  },
  RunFinish: {
    threadId: Text,
    runId: Text,
    identity: Schema.optionalKey(RunIdentity),
    result: Schema.optionalKey(Schema.Json),
    termination: TerminationReason
  },
  TextDelta: { delta: Text },
  ReasoningDelta: { delta: Text },
  ReasoningEncryptedValue: { encryptedValue: Text },
  ToolCallStart: { id: Text, name: Text },
  ToolCallDelta: { id: Text, argsDelta: Text },
  ToolCallReady: { id: Text, name: Text, arguments: Schema.Json },
  ToolCallDone: { id: Text, messageId: Text, result: ToolResult, outcome: ToolCallOutcome },
  ToolCallStreamDelta: { id: Text, name: Text, delta: Text },
  ToolCallResumed: { targetId: Text, result: Schema.Json },
  ToolCallCancel: { id: Text, name: Text, reason: Text },
  StreamReset: { reason: Text },
  MessagesSnapshot: { messages: Schema.Array(Schema.Json) },
  ActivitySnapshot: {
    messageId: Text,
    activityType: Text,
    content: Schema.Json,
    replace: Schema.optionalKey(Schema.Boolean)
  },
  ActivityDelta: { messageId: Text, activityType: Text, patch: Patch },
  StepStart: {
    messageId: Text.pipe(
      Schema.withConstructorDefault(Effect.succeed("")),
      Schema.withDecodingDefaultKey(Effect.succeed(""))
    )
  },
  StepEnd: {},
  InferenceComplete: { model: Text, usage: Schema.optionalKey(TokenUsage), durationMs: Millis },
  StateSnapshot: { snapshot: Schema.Json },
  StateDelta: { delta: Patch },
  Error: { message: Text, code: Schema.optionalKey(Text) }
})

/**
 * @category models
 * @since 0.1.0
 */
export type AgentEvent = typeof AgentEvent.Type

/**
 * The schema of each event; `make` builds one and fills in defaults.
 *
 * @category constructors
 * @since 0.1.0
 */
export const {
  RunStart,
  RunFinish,
  TextDelta,
  ReasoningDelta,
  ReasoningEncryptedValue,
  ToolCallStart,
  ToolCallDelta,
  ToolCallReady,
  ToolCallDone,
  ToolCallStreamDelta,
  ToolCallResumed,
  ToolCallCancel,
  StreamReset,
  MessagesSnapshot,
  ActivitySnapshot,
  ActivityDelta,
  StepStart,
  StepEnd,
  InferenceComplete,
  StateSnapshot,
  StateDelta,
  Error
} = AgentEvent.cases

/**
 * A guard for each event, over any value: `AgentEvent.guards.TextDelta(value)`.
 *
 * @category guards
 * @since 0.1.0
 */
export const guards = AgentEvent.guards

/**
 * Whether an audience should expect nothing more after this event: true for `RunFinish` and `Error` (from the seed).
 *
 * @category predicates
 * @since 0.1.0
 */
export const isTerminal = (event: AgentEvent): boolean => event._tag === "RunFinish" || event._tag === "Error"

/**
 * The final text of a run: `result.response` of its finish when that is a string, else the empty string (from the
 * seed).
 *
 * @category getters
 * @since 0.1.0
 */
export const responseText = (finish: typeof RunFinish.Type): string => {
  const result = finish.result
  if (typeof result !== "object" || result === null || !Object.hasOwn(result, "response")) {
    return ""
  }
  const response: unknown = Reflect.get(result, "response")
  return typeof response === "string" ? response : ""
}
