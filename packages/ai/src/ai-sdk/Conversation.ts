/**
 * The conversation of a thread as messages of the AI SDK.
 */
import type { EventStore, LedgerError, Message, RunView } from "@runledger/core"
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
 * What was said in a thread, and the calls of the run that goes on which wait for somebody to decide. As long as there are
 * any, the model cannot be asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conversation {
  readonly messages: Array<ModelMessage>
  readonly waiting: ReadonlyArray<RunView.ToolCall>
}

const optionsOf = (metadata: unknown): object => {
  const { runledger: _, ...providerOptions } = Object(metadata)
  return Object.keys(providerOptions).length === 0 ? {} : { providerOptions }
}

const fileOf = ({ data, mediaType, metadata }: Extract<Message.Part, { readonly _tag: "Data" }>) => {
  const { fileName } = Object(Object(metadata).runledger)
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

/** Whether a call has to wait, or was decided on: of a run that goes on, the answer of the AI SDK is to its request. */
const isAsked = ({ approval, state }: RunView.ToolCall): boolean =>
  state === "suspended" || (approval?.approved === true && (state === "unknown" || state === "executing"))

const isWaiting = ({ approval, state }: RunView.ToolCall): boolean =>
  approval === undefined && (state === "suspended" || state === "unknown" || state === "executing")

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
      const isReasoning = Object(Object(part.metadata).runledger).reasoning === true
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
        if (call === undefined || (providerExecuted && !Thread.isDone(call))) {
          return []
        }
        const made = {
          type: "tool-call" as const,
          toolCallId: part.id,
          toolName: part.name,
          input: call.arguments ?? {},
          ...(providerExecuted ? { providerExecuted } : {}),
          ...optionsOf(part.metadata)
        }
        if (providerExecuted) {
          return [made, resultOf(call)]
        }
        return goesOn && isAsked(call)
          ? [made, { type: "tool-approval-request", approvalId: approvalId(call), toolCallId: call.id }]
          : [made]
      }
    }
  })

/** What is told of a call: its result, or what somebody decided on it, which `streamText` acts on. */
const answerOf = (call: RunView.ToolCall, goesOn: boolean): ToolPart => {
  if (!goesOn || !isAsked(call)) {
    return resultOf(call)
  }
  const { approved = false, reason = "" } = call.approval ?? {}
  return {
    type: "tool-approval-response",
    approvalId: approvalId(call),
    approved,
    ...(reason === "" ? {} : { reason })
  }
}

const messagesOf = (turn: Thread.Turn, goesOn: boolean): ReadonlyArray<ModelMessage> => {
  const { calls, message } = turn
  if (message.role === "user") {
    return [{ role: "user", content: userParts(message.parts) }]
  }
  const content = assistantParts(turn, goesOn)
  if (message.role !== "assistant" || content.length === 0) {
    return []
  }
  const ours = new Set(
    content.flatMap((part) => (part.type === "tool-call" && part.providerExecuted !== true ? [part.toolCallId] : []))
  )
  const answers = calls.filter(({ id }) => ours.has(id)).map((call) => answerOf(call, goesOn))
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
  Effect.map(Thread.read(threadId, Thread.empty), (read) => {
    const turns = Thread.turns(read, runId)
    const last = turns.at(-1)
    const open = last?.runId === runId ? last : undefined
    return {
      messages: turns.flatMap((turn) => messagesOf(turn, turn === open)),
      waiting: open?.calls.filter(isWaiting) ?? []
    }
  })
