/**
 * What happens in a generated stream, as plain data that shrinks well, and its performance as events.
 */
import { AgentEvent, Lifecycle, RunIdentity, Tool } from "@runledger/core"
import { Schema } from "effect"
import type { RunIds } from "../Arbitraries.ts"

const upTo = <S extends Schema.Constraint>(length: number, item: S) =>
  Schema.Array(item).check(Schema.isMaxLength(length))

const Pieces = upTo(3, Schema.String)
const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200_000 }))

const Call = Schema.Struct({
  tool: Schema.Literals(["search", "read_file", "edit_file", "run_command"]),
  argumentPieces: Pieces,
  arguments: Schema.Json,
  output: Pieces,
  ending: Schema.Literals([
    "succeeded",
    "failed",
    "rejected",
    "timed_out",
    "asks_permission",
    "asks_question",
    "cancelled"
  ]),
  data: Schema.Json
})

const Step = Schema.Struct({
  /** The first attempt breaks off: its calls are cancelled, its stream is reset, and the step starts over. */
  breaksOff: Schema.Boolean,
  reasoning: Pieces,
  encrypted: Schema.Boolean,
  text: Pieces,
  calls: upTo(3, Call),
  /** Results come back in the order of the calls, or the other way round. */
  lastFirst: Schema.Boolean,
  usage: Schema.optionalKey(
    Schema.Struct({
      promptTokens: Tokens,
      completionTokens: Tokens,
      cacheReadTokens: Schema.optionalKey(Tokens),
      thinkingTokens: Schema.optionalKey(Tokens)
    })
  ),
  durationMs: Tokens,
  shown: upTo(2, Schema.Literals(["messages", "activity", "activity_patch", "state_patch"])),
  compaction: Schema.Literals(["none", "start", "complete", "fail", "skip", "lose", "clear"]),
  snapshot: Schema.Boolean,
  state: Schema.Json
})

/** The script of one stream. */
export const Script = Schema.Struct({
  parentRunId: Schema.optionalKey(Schema.String),
  identity: Schema.optionalKey(
    Schema.Struct({
      agentId: Schema.String,
      origin: RunIdentity.RunOrigin,
      runMode: RunIdentity.RunMode,
      adapter: RunIdentity.RunAdapter
    })
  ),
  steps: upTo(4, Step),
  termination: Lifecycle.TerminationReason,
  response: Schema.optionalKey(Schema.String),
  /** Whether a run that waits at its end is resumed. */
  resumed: Schema.Boolean
})

type Call = typeof Call.Type
type Step = typeof Step.Type

/** The compaction state of an agent, with the keys that its snapshots have. */
interface Compaction {
  readonly boundaries: ReadonlyArray<Schema.Json>
  readonly failures?: ReadonlyArray<Schema.Json>
  readonly skipped?: ReadonlyArray<Schema.Json>
  readonly total_compactions: number
  readonly in_flight?: {
    readonly task_id: string
    readonly boundary_message_id: string
    readonly started_at_ms: number
  }
}

const noCompaction: Compaction = { boundaries: [], total_compactions: 0 }

/** The compaction state after a step; `at` is unique to the step. */
const compact = (before: Compaction, step: Step["compaction"], at: number): Compaction => {
  const { in_flight, ...settled } = before
  const task = in_flight ?? { task_id: `task-${at}`, boundary_message_id: `msg-${at}`, started_at_ms: at }
  const { started_at_ms: _, ...entry } = { ...task, timestamp_ms: at + 500 }
  switch (step) {
    case "none":
      return before
    case "start":
      return { ...settled, in_flight: task }
    case "complete":
      return {
        ...settled,
        boundaries: [...settled.boundaries, { ...entry, summary: `until ${at}`, pre_tokens: at, post_tokens: 200 }],
        total_compactions: settled.total_compactions + 1
      }
    case "fail":
      return { ...settled, failures: [...(settled.failures ?? []), { ...entry, error: "no summary" }] }
    case "skip":
      return {
        ...settled,
        skipped: [
          ...(settled.skipped ?? []),
          {
            ...entry,
            reason: "min_savings_ratio",
            pre_tokens: at,
            post_tokens: at - 100,
            savings_ratio_ppm: 100_000,
            min_savings_ratio_ppm: 300_000
          }
        ]
      }
    case "lose":
      return settled
    case "clear":
      return noCompaction
  }
}

const finished = (
  { data, ending, tool, ...call }: Call,
  id: string
): readonly [Tool.ToolResult, Tool.ToolCallOutcome] => {
  const ask = (suspensionId: string, action: string, resumeMode: "replay_tool_call" | "use_decision_as_tool_result") =>
    Tool.suspended(tool, `may ${tool} run?`, {
      suspension: { id: suspensionId, action, message: `may ${tool} run?`, parameters: call.arguments },
      pending: { id: suspensionId, name: "permission_confirm", arguments: call.arguments },
      resumeMode
    })
  switch (ending) {
    case "asks_permission":
      return [ask(`perm_${id}`, "tool:PermissionConfirm", "replay_tool_call"), "suspended"]
    case "asks_question":
      return [ask(`ask_${id}`, "user:Question", "use_decision_as_tool_result"), "suspended"]
    case "failed":
      return [Tool.error(tool, "it did not work", "E1"), "failed"]
    case "rejected":
      return [{ ...Tool.error(tool, "not allowed"), metadata: { rejected: true } }, "failed"]
    case "timed_out":
      return [{ ...Tool.error(tool, "took too long"), metadata: { timed_out: true } }, "failed"]
    default:
      return [Tool.success(tool, data), "succeeded"]
  }
}

/** A call of a step with the id that it has in the stream. */
interface OpenCall {
  readonly id: string
  readonly call: Call
}

/** The arguments of parallel calls arrive interleaved, a piece of each in turn. */
const interleaved = (calls: ReadonlyArray<OpenCall>): ReadonlyArray<AgentEvent.AgentEvent> =>
  [0, 1, 2].flatMap((turn) =>
    calls.flatMap(({ call, id }) =>
      call.argumentPieces.slice(turn, turn + 1).map((argsDelta) => ({ _tag: "ToolCallDelta" as const, id, argsDelta }))
    )
  )

const speech = (step: Step, calls: ReadonlyArray<OpenCall>): ReadonlyArray<AgentEvent.AgentEvent> => [
  ...step.reasoning.map((delta) => ({ _tag: "ReasoningDelta" as const, delta })),
  ...(step.encrypted ? [{ _tag: "ReasoningEncryptedValue" as const, encryptedValue: "c2VjcmV0" }] : []),
  ...step.text.map((delta) => ({ _tag: "TextDelta" as const, delta })),
  ...calls.map(({ call, id }) => ({ _tag: "ToolCallStart" as const, id, name: call.tool })),
  ...interleaved(calls)
]

const shown = (what: Step["shown"][number], step: Step, messageId: string): AgentEvent.AgentEvent => {
  const patch = [{ op: "add", path: "/last", value: step.state }]
  switch (what) {
    case "messages":
      return { _tag: "MessagesSnapshot", messages: [{ id: messageId, role: "assistant", content: step.text.join("") }] }
    case "activity":
      return { _tag: "ActivitySnapshot", messageId, activityType: "plan", content: step.state, replace: true }
    case "activity_patch":
      return { _tag: "ActivityDelta", messageId, activityType: "plan", patch }
    case "state_patch":
      return { _tag: "StateDelta", delta: patch }
  }
}

const isSuspended = ({ call: { ending } }: OpenCall): boolean =>
  ending === "asks_permission" || ending === "asks_question"

/** How a call ends, with what it put out before. */
const settled = ({ call, id }: OpenCall, messageId: string): ReadonlyArray<AgentEvent.AgentEvent> => {
  if (call.ending === "cancelled") {
    return [{ _tag: "ToolCallCancel", id, name: call.tool, reason: "the user went on" }]
  }
  const [result, outcome] = finished(call, id)
  return [
    ...call.output.map((delta) => ({ _tag: "ToolCallStreamDelta" as const, id, name: call.tool, delta })),
    { _tag: "ToolCallDone", id, messageId: `${messageId}-${id}`, result, outcome }
  ]
}

/** The events of a step but for its end. */
const perform = (
  step: Step,
  calls: ReadonlyArray<OpenCall>,
  messageId: string
): ReadonlyArray<AgentEvent.AgentEvent> => [
  { _tag: "StepStart", messageId },
  ...(step.breaksOff
    ? [
        ...speech(step, calls),
        ...calls.map(({ call, id }) => ({
          _tag: "ToolCallCancel" as const,
          id,
          name: call.tool,
          reason: "the stream broke off"
        })),
        { _tag: "Error" as const, message: "overloaded", code: "529" },
        { _tag: "StreamReset" as const, reason: "overloaded" }
      ]
    : []),
  ...speech(step, calls),
  ...calls.map(({ call, id }) => ({
    _tag: "ToolCallReady" as const,
    id,
    name: call.tool,
    arguments: call.arguments
  })),
  {
    _tag: "InferenceComplete",
    model: "model-1",
    ...(step.usage === undefined
      ? {}
      : { usage: { ...step.usage, totalTokens: step.usage.promptTokens + step.usage.completionTokens } }),
    durationMs: step.durationMs
  },
  ...(step.lastFirst ? calls.toReversed() : calls).flatMap((open) => settled(open, messageId)),
  ...step.shown.map((what) => shown(what, step, messageId))
]

/** The whole stream of a script, in the order in which an agent loop emits it. */
export const play = (script: typeof Script.Type, ids: RunIds): ReadonlyArray<AgentEvent.AgentEvent> => {
  const identity = script.identity === undefined ? {} : { identity: { ...ids, ...script.identity } }
  const start: AgentEvent.AgentEvent = {
    _tag: "RunStart",
    ...ids,
    ...(script.parentRunId === undefined ? {} : { parentRunId: script.parentRunId }),
    ...identity
  }
  const finish = (
    termination: Lifecycle.TerminationReason,
    result: Schema.Json | undefined
  ): AgentEvent.AgentEvent => ({
    _tag: "RunFinish",
    ...ids,
    ...identity,
    ...(result === undefined ? {} : { result }),
    termination
  })
  const events: Array<AgentEvent.AgentEvent> = [start]
  let compaction = noCompaction
  for (const [index, step] of script.steps.entries()) {
    const calls = step.calls.map((call, place) => ({ id: `call-${index + 1}-${place + 1}`, call }))
    events.push(...perform(step, calls, `msg-${index + 1}`))
    compaction = compact(compaction, step.compaction, 1_000_000 * (index + 1))
    if (step.snapshot) {
      const extensions = { __context_compaction: { ...compaction }, notes: step.state }
      events.push({ _tag: "StateSnapshot", snapshot: { revision: index + 1, extensions } })
    }
    events.push({ _tag: "StepEnd" })
    const suspended = calls.filter(isSuspended)
    if (suspended.length > 0) {
      events.push(finish({ _tag: "Suspended" }, undefined))
      if (index === script.steps.length - 1 && !script.resumed) {
        return events
      }
      events.push(
        start,
        ...suspended.map(({ call, id }) => ({ _tag: "ToolCallResumed" as const, targetId: id, result: call.data }))
      )
    }
  }
  const status = Lifecycle.statusAfter(script.termination)
  events.push(
    finish(script.termination, script.response === undefined ? undefined : { response: script.response, status })
  )
  return events
}
