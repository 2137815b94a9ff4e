/**
 * The conversation of a thread as messages of the AI SDK.
 */
import { type EventStore, type LedgerError, type Message, Redaction, Run, RunView } from "@runledger/core"
import type { AssistantModelMessage, JSONValue, ModelMessage, ToolModelMessage, UserModelMessage } from "ai"
import { Effect } from "effect"
import * as Thread from "../internal/conversation.ts"
import * as File from "../internal/file.ts"

type Part<A> = A extends ReadonlyArray<infer P> ? P : never
type AssistantPart = Part<Exclude<AssistantModelMessage["content"], string>>
type ToolPart = Part<ToolModelMessage["content"]>
type UserPart = Part<Exclude<UserModelMessage["content"], string>>
type Output = Extract<ToolPart, { readonly type: "tool-result" }>["output"]

/**
 * What was said in a thread, and where the run stands that goes on.
 *
 * **Details**
 *
 * `waiting` are its calls that somebody must decide on: as long as there are any, the model cannot be asked, see
 * {@link suspend}. `hasFinished` says that its model has said everything, so that there is nothing to ask it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conversation {
  readonly messages: Array<ModelMessage>
  readonly waiting: ReadonlyArray<RunView.ToolCall>
  readonly hasFinished: boolean
}

const optionsOf = (metadata: unknown): object => {
  const providerOptions = Thread.providersWords(metadata)
  return Object.keys(providerOptions).length === 0 ? {} : { providerOptions }
}

const fileOf = (part: Extract<Message.Part, { readonly _tag: "Data" }>) => {
  const { data, mediaType, metadata } = part
  const { fileName } = Thread.ourWords(part)
  return {
    type: "file" as const,
    mediaType,
    data: File.restore(data),
    ...(typeof fileName === "string" ? { filename: fileName } : {}),
    ...optionsOf(metadata)
  }
}

const outputOf = (call: RunView.ToolCall): Output => {
  if (!Thread.isDone(call)) {
    return { type: "error-text", value: Thread.unanswered(call) }
  }
  if (call.result === undefined) {
    return { type: "text", value: Thread.tooLarge }
  }
  const value = call.result.data as JSONValue
  switch (call.state) {
    case "succeeded":
      return typeof value === "string" ? { type: "text", value } : { type: "json", value }
    case "rejected":
      return { type: "execution-denied", ...(call.result?.message ? { reason: call.result.message } : {}) }
    default:
      return typeof value === "string" ? { type: "error-text", value } : { type: "error-json", value }
  }
}

const resultOf = (call: RunView.ToolCall) => ({
  type: "tool-result" as const,
  toolCallId: call.id,
  toolName: call.name,
  output: outputOf(call),
  ...optionsOf(Object(call.result?.metadata).providerMetadata)
})

/** Whether it is for somebody to decide what becomes of a call. */
const isInQuestion = ({ state }: RunView.ToolCall): boolean =>
  state === "suspended" || state === "unknown" || state === "executing"

/** Whether somebody has decided: `streamText` is to act on it. */
const isDecided = (call: RunView.ToolCall): boolean => isInQuestion(call) && call.approval !== undefined

const isWaiting = (call: RunView.ToolCall): boolean => isInQuestion(call) && call.approval === undefined

const approvalId = ({ id, suspensionId }: RunView.ToolCall): string => suspensionId ?? `approve ${id}`

const userParts = (parts: ReadonlyArray<Message.Part>): Array<UserPart> =>
  parts.flatMap((part): Array<UserPart> => {
    switch (part._tag) {
      case "Text":
        return [{ type: "text", text: part.text, ...optionsOf(part.metadata) }]
      case "Data":
        return [fileOf(part)]
      default:
        return []
    }
  })

/** What is neither a text nor a call, as far as a model is told of it. */
const dataOf = (part: Extract<Message.Part, { readonly _tag: "Data" }>): Array<AssistantPart> => {
  switch (part.mediaType) {
    case Thread.sourceType:
    case Thread.finishType:
      return []
    case Thread.customType:
      return [{ type: "custom", kind: Object(part.data).kind, ...optionsOf(part.metadata) }]
    default: {
      const { filename: _, ...file } = fileOf(part)
      const isReasoning = Thread.ourWords(part)["reasoning"] === true
      return [isReasoning ? { ...file, type: "reasoning-file" } : fileOf(part)]
    }
  }
}

const assistantParts = ({ calls, message }: Thread.Turn, goesOn: boolean): Array<AssistantPart> =>
  message.parts.flatMap((part): Array<AssistantPart> => {
    switch (part._tag) {
      case "Text":
        return [{ type: "text", text: part.text, ...optionsOf(part.metadata) }]
      case "Reasoning":
        return [{ type: "reasoning", text: part.text, ...optionsOf(part.metadata) }]
      case "Data":
        return dataOf(part)
      case "ToolCall": {
        const call = calls.find(({ id }) => id === part.id)
        const providerExecuted = Thread.isProviderExecuted(part)
        const isAnswered = goesOn && call !== undefined && isDecided(call)
        if (call === undefined || (providerExecuted && !Thread.isDone(call) && !isAnswered)) {
          return []
        }
        const made = {
          type: "tool-call" as const,
          toolCallId: part.id,
          toolName: part.name,
          input: inputOf(call, part),
          ...(providerExecuted ? { providerExecuted } : {}),
          ...optionsOf(part.metadata)
        }
        if (isAnswered) {
          return [made, { type: "tool-approval-request", approvalId: approvalId(call), toolCallId: call.id }]
        }
        return providerExecuted ? [made, resultOf(call)] : [made]
      }
    }
  })

/** A call that the AI SDK found not valid may have a text where providers want an object. */
const inputOf = (call: RunView.ToolCall, part: Extract<Message.Part, { readonly _tag: "ToolCall" }>): unknown => {
  const isInvalid = Thread.ourWords(part)["invalid"] === true
  return isInvalid && typeof call.arguments !== "object" ? {} : (call.arguments ?? {})
}

/** Whether the ledger has the arguments of a call as the model gave them. */
const isWhole = (call: RunView.ToolCall, isRedacting: boolean): boolean =>
  call.arguments !== undefined && (!isRedacting || call.result?.metadata["wholeArguments"] === true)

/** The answer of somebody to a call, which `streamText` acts on. */
const answerOf = (call: RunView.ToolCall, isRedacting: boolean): ToolPart => {
  const { approved = false, reason = "" } = call.approval ?? {}
  const runs = approved && isWhole(call, isRedacting)
  const why = approved
    ? "its arguments are not in the ledger as they were"
    : call.state === "suspended"
      ? reason
      : Thread.unanswered(call)
  return {
    type: "tool-approval-response",
    approvalId: approvalId(call),
    approved: runs,
    ...(runs || why === "" ? {} : { reason: why })
  }
}

const messagesOf = (turn: Thread.Turn, goesOn: boolean, isRedacting: boolean): ReadonlyArray<ModelMessage> => {
  const { message } = turn
  if (message.role === "user") {
    return [{ role: "user", content: userParts(message.parts) }]
  }
  const content = assistantParts(turn, goesOn)
  if (message.role !== "assistant" || content.length === 0) {
    return []
  }
  const own = new Set(Thread.ownCalls(turn))
  const answers = turn.calls.flatMap((call): Array<ToolPart> => {
    if (goesOn && isDecided(call)) {
      const answer = answerOf(call, isRedacting)
      return [own.has(call) ? answer : Object.assign(answer, { providerExecuted: true })]
    }
    // Nobody has answered for a call that waits: without an answer, the AI SDK refuses to ask the model.
    return !own.has(call) || (goesOn && isWaiting(call)) ? [] : [resultOf(call)]
  })
  return [
    { role: "assistant", content },
    ...(answers.length === 0 ? [] : [{ role: "tool" as const, content: answers }])
  ]
}

/**
 * What was said in a thread as messages for `streamText`: parts in order, with what providers said of them. System messages
 * are not in it, for they are the app's.
 *
 * **Details**
 *
 * With `runId`, the run that goes on: what somebody decided on its calls is among the messages, so that `streamText` runs
 * what was approved before it asks the model; and what waits is told. Without, and in the runs before, a call that has no
 * result gets one that says so.
 *
 * @category reading
 * @since 0.1.0
 */
export const conversation = (
  threadId: string,
  runId?: string
): Effect.Effect<Conversation, LedgerError.ReadError | LedgerError.CursorExpired, EventStore.EventStore> =>
  Effect.gen(function* () {
    const isRedacting = (yield* Redaction.Redaction) !== undefined
    const read = yield* Thread.read(threadId, Thread.empty)
    const turns = Thread.turns(read, runId)
    const last = turns.at(-1)
    const open = last?.runId === runId ? last : undefined
    const calls = runId === undefined ? [] : RunView.calls(Thread.viewOf(read, runId))
    return {
      messages: turns.flatMap((turn) => messagesOf(turn, turn === open, isRedacting)),
      waiting: calls.filter(isWaiting),
      hasFinished: open?.message.role === "assistant" && open.message.partial !== true && open.calls.length === 0
    }
  })

/**
 * Ends the run that is being recorded as one that waits for a decision: for an agent that was started again, and still has
 * calls that are `waiting`.
 *
 * @category recording
 * @since 0.1.0
 */
export const suspend: Effect.Effect<void, never, Run.Run> = Effect.flatMap(Run.Run, (run) =>
  run.emit({
    _tag: "RunFinish",
    threadId: run.threadId,
    runId: run.runId,
    termination: { _tag: "Suspended" }
  })
)
