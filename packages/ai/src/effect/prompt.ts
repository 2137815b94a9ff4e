/**
 * Turns of a conversation as a prompt.
 */
import type { Message, RunView } from "@runledger/core"
import { Prompt } from "effect/ai"
import * as Thread from "../internal/conversation.ts"
import * as File from "../internal/file.ts"

const optionsOf = (metadata: unknown): { readonly options: Prompt.ProviderOptions } => ({
  options: Thread.providersWords(metadata)
})

const fileOf = (part: Extract<Message.Part, { readonly _tag: "Data" }>): Prompt.FilePart => {
  const { data, mediaType, metadata } = part
  const { fileName } = Thread.ourWords(part)
  return Prompt.makePart("file", {
    mediaType,
    data: File.restore(data),
    ...(typeof fileName === "string" ? { fileName } : {}),
    ...optionsOf(metadata)
  })
}

const outputOf = (part: Prompt.ToolModelOutputPart): Prompt.ToolModelOutputPart =>
  part.type === "file"
    ? Prompt.makePart("file", { ...part, data: File.restore(part.data) })
    : Prompt.makePart("text", part)

const resultOf = (call: RunView.ToolCall, providerExecuted: boolean): Prompt.ToolResultPart => {
  const { id, name, result, state } = call
  const isDone = Thread.isDone(call)
  const { modelOutput, providerMetadata } = Object(result?.metadata)
  return Prompt.makePart("tool-result", {
    id,
    name,
    isFailure: state !== "succeeded",
    result: isDone ? (result === undefined ? Thread.tooLarge : result.data) : Thread.unanswered(call),
    providerExecuted,
    ...(isDone && Array.isArray(modelOutput) ? { modelOutput: modelOutput.map(outputOf) } : {}),
    ...optionsOf(isDone ? providerMetadata : undefined)
  })
}

const userParts = (parts: ReadonlyArray<Message.Part>): ReadonlyArray<Prompt.UserMessagePart> =>
  parts.flatMap((part): ReadonlyArray<Prompt.UserMessagePart> => {
    switch (part._tag) {
      case "Text":
        return [Prompt.makePart("text", { text: part.text, ...optionsOf(part.metadata) })]
      case "Data":
        return [fileOf(part)]
      default:
        return []
    }
  })

const assistantParts = (turn: Thread.Turn): ReadonlyArray<Prompt.AssistantMessagePart> => {
  const { calls, message } = turn
  const isPaused = Thread.finishReason(turn) === "pause"
  return message.parts.flatMap((part): ReadonlyArray<Prompt.AssistantMessagePart> => {
    switch (part._tag) {
      case "Text":
        return [Prompt.makePart("text", { text: part.text, ...optionsOf(part.metadata) })]
      case "Reasoning":
        return [Prompt.makePart("reasoning", { text: part.text, ...optionsOf(part.metadata) })]
      case "Data":
        return Thread.isOurs(part) ? [] : [fileOf(part)]
      case "ToolCall": {
        const call = calls.find(({ id }) => id === part.id)
        const providerExecuted = Thread.isProviderExecuted(part)
        // A response that pauses goes on with what the provider was about to do.
        if (call === undefined || (providerExecuted && !Thread.isDone(call) && !isPaused)) {
          return []
        }
        const made = Prompt.makePart("tool-call", {
          id: part.id,
          name: part.name,
          params: call.arguments ?? {},
          providerExecuted,
          ...optionsOf(part.metadata)
        })
        return providerExecuted && Thread.isDone(call) ? [made, resultOf(call, true)] : [made]
      }
    }
  })
}

const messagesOf = (turn: Thread.Turn): ReadonlyArray<Prompt.Message> => {
  const { message } = turn
  if (message.role === "user") {
    return [Prompt.makeMessage("user", { content: userParts(message.parts) })]
  }
  const content = assistantParts(turn)
  if (message.role !== "assistant" || content.length === 0) {
    return []
  }
  const results = Thread.ownCalls(turn).map((call) => resultOf(call, false))
  return [
    Prompt.makeMessage("assistant", { content }),
    ...(results.length === 0 ? [] : [Prompt.makeMessage("tool", { content: results })])
  ]
}

/** The prompt of turns. A call without a result gets one that says so, for providers refuse a call without. */
export const fromTurns = (turns: ReadonlyArray<Thread.Turn>): Prompt.Prompt =>
  Prompt.fromMessages(turns.flatMap(messagesOf))
