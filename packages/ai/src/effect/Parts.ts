/**
 * The parts of a model's response as what they say to the ledger: pure, one part at a time.
 */
import type { TokenUsage } from "@runledger/core"
import { type Schema, Struct } from "effect"
import type { Prompt, Response } from "effect/ai"
import { finishType, sourceType } from "../internal/conversation.ts"
import * as File from "../internal/file.ts"
import { json } from "../internal/json.ts"
import { event, part, type Saying } from "../internal/saying.ts"
import * as ToolCall from "../internal/toolCall.ts"

/** What is remembered of a response between its parts. */
export interface Inference {
  readonly model: string
  /** When it began, and when the model last said something, in milliseconds since the epoch. */
  readonly startedAt: number | undefined
  readonly saidAt: number | undefined
  /** The calls that have been made, with their arguments when these are complete. */
  readonly calls: Readonly<Record<string, { readonly name: string; readonly arguments?: Schema.Json }>>
  /** The text that is being said, of those that are open. */
  readonly current: { readonly _tag: "Text" | "Reasoning"; readonly id: string } | undefined
  /** What the provider said of the texts that are open. */
  readonly metadata: Readonly<Record<string, Response.ProviderMetadata>>
  /** Files and sources that came in the middle of a text: they stand after it. */
  readonly held: ReadonlyArray<Saying>
  readonly finishReason: Response.FinishReason | undefined
  /** Whether it has said anything. */
  readonly hasSaid: boolean
}

/** A response of which nothing has come yet. */
export const initial: Inference = {
  model: "",
  startedAt: undefined,
  saidAt: undefined,
  calls: {},
  current: undefined,
  metadata: {},
  held: [],
  finishReason: undefined,
  hasSaid: false
}

const merge = (
  first: Response.ProviderMetadata = {},
  second: Response.ProviderMetadata = {}
): Response.ProviderMetadata => {
  const merged: Record<string, unknown> = { ...first }
  for (const [provider, metadata] of Object.entries(second)) {
    merged[provider] = { ...Object(merged[provider]), ...Object(metadata) }
  }
  return merged as Response.ProviderMetadata
}

const isEmpty = (value: object): boolean => Object.keys(value).length === 0

/** Our own words about a part stand beside those of providers, under our name. */
const metadataOf = (metadata: Response.ProviderMetadata, isProviderExecuted: boolean): Schema.Json | undefined => {
  const all = isProviderExecuted ? { ...metadata, runledger: { providerExecuted: true } } : metadata
  return isEmpty(all) ? undefined : json(all)
}

const usageOf = ({ inputTokens, outputTokens }: Response.Usage): TokenUsage.TokenUsage => {
  const { cacheRead, cacheWrite, total: prompt } = inputTokens
  const { reasoning, total: completion } = outputTokens
  return Object.fromEntries(
    Object.entries({
      promptTokens: prompt,
      completionTokens: completion,
      totalTokens: prompt === undefined || completion === undefined ? undefined : prompt + completion,
      cacheReadTokens: cacheRead,
      cacheCreationTokens: cacheWrite,
      thinkingTokens: reasoning
    }).filter(([, count]) => count !== undefined)
  )
}

/** What an error says. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const outputOf = (part: Prompt.ToolModelOutputPart): Schema.Json =>
  json(part.type === "file" ? { ...part, data: File.keep(part.data) } : part)

const resultOf = (part: Response.ToolResultPart<string, unknown, unknown>): Saying => {
  const metadata = {
    ...(part.providerExecuted ? { providerExecuted: true } : {}),
    ...(isEmpty(part.metadata) ? {} : { providerMetadata: json(part.metadata) }),
    ...(part.modelOutput === undefined ? {} : { modelOutput: part.modelOutput.map(outputOf) })
  }
  const data = json(part.encodedResult)
  return event(
    part.isFailure
      ? ToolCall.failed(part, data, typeof data === "string" ? data : `${part.name} failed`, metadata)
      : ToolCall.succeeded(part, data, metadata)
  )
}

type Step = readonly [Inference, ReadonlyArray<Saying>]

/** Texts and thoughts may have the same id. */
const keyOf = ({ id, type }: { readonly id: string; readonly type: string }): string => `${type.split("-")[0]} ${id}`

/** Says a part that belongs to no text, or holds it back until the texts that are open have ended. */
const beside = (state: Inference, saying: Saying): Step =>
  isEmpty(state.metadata) ? [state, [saying]] : [{ ...state, held: [...state.held, saying] }, []]

/** What a part says, and what is remembered of it. `now` is in milliseconds since the epoch. */
const said = (state: Inference, next: Response.AnyPart, now: number): Step => {
  switch (next.type) {
    case "text-start":
    case "reasoning-start":
      return [{ ...state, metadata: { ...state.metadata, [keyOf(next)]: next.metadata } }, []]
    case "text-delta":
    case "reasoning-delta": {
      const metadata = isEmpty(next.metadata)
        ? state.metadata
        : { ...state.metadata, [keyOf(next)]: merge(state.metadata[keyOf(next)], next.metadata) }
      const { delta, id } = next
      const _tag = next.type === "text-delta" ? "Text" : "Reasoning"
      const { current } = state
      // Two texts that are said in turns are two parts.
      const isOther = current !== undefined && current._tag === _tag && current.id !== id
      return [
        { ...state, metadata, current: { _tag, id } },
        [
          ...(isOther ? [part({ _tag, text: "", metadata: {} })] : []),
          event({ _tag: _tag === "Text" ? "TextDelta" : "ReasoningDelta", delta })
        ]
      ]
    }
    case "text-end":
    case "reasoning-end": {
      const { [keyOf(next)]: known, ...metadata } = state.metadata
      const ended = json(merge(known, next.metadata))
      const said = part({ _tag: next.type === "text-end" ? "Text" : "Reasoning", text: "", metadata: ended })
      const after = { ...state, metadata, current: undefined }
      return isEmpty(metadata) ? [{ ...after, held: [] }, [said, ...state.held]] : [after, [said]]
    }
    case "text":
      return [
        state,
        [
          event({ _tag: "TextDelta", delta: next.text }),
          part({ _tag: "Text", text: "", metadata: json(next.metadata) })
        ]
      ]
    case "reasoning":
      return [
        state,
        [
          event({ _tag: "ReasoningDelta", delta: next.text }),
          part({ _tag: "Reasoning", text: "", metadata: json(next.metadata) })
        ]
      ]
    case "tool-params-start": {
      const { id, name } = next
      return [{ ...state, calls: { ...state.calls, [id]: { name } } }, [event({ _tag: "ToolCallStart", id, name })]]
    }
    case "tool-params-delta":
      return [state, [event({ _tag: "ToolCallDelta", id: next.id, argsDelta: next.delta })]]
    case "tool-call": {
      const { id, name } = next
      const known = state.calls[id]
      // Providers mend what the model wrote, so it is not the text of the deltas that counts.
      const args = json(next.params)
      const metadata = metadataOf(next.metadata, next.providerExecuted === true)
      return [
        { ...state, calls: { ...state.calls, [id]: { name, arguments: args } } },
        [
          ...(known === undefined ? [event({ _tag: "ToolCallStart", id, name })] : []),
          event({ _tag: "ToolCallReady", id, name, arguments: args }),
          ...(metadata === undefined ? [] : [part({ _tag: "ToolCall", id, name, metadata })])
        ]
      ]
    }
    case "tool-result":
      return [
        state,
        [
          next.preliminary === true
            ? event({
                _tag: "ToolCallStreamDelta",
                id: next.id,
                name: next.name,
                delta: JSON.stringify(json(next.encodedResult))
              })
            : resultOf(next)
        ]
      ]
    case "tool-approval-request": {
      const { arguments: args = null, name = "" } = state.calls[next.toolCallId] ?? {}
      return [state, [event(ToolCall.suspended({ id: next.toolCallId, name, arguments: args }, next.approvalId))]]
    }
    case "file": {
      const { mediaType, metadata } = next
      const data = Buffer.from(next.data).toString("base64")
      return beside(
        state,
        part({ _tag: "Data", mediaType, data, ...(isEmpty(metadata) ? {} : { metadata: json(metadata) }) })
      )
    }
    case "source": {
      const { metadata } = next
      const data = json(Struct.omit(next, ["type", "metadata", partTypeId]))
      return beside(
        state,
        part({ _tag: "Data", mediaType: sourceType, data, ...(isEmpty(metadata) ? {} : { metadata: json(metadata) }) })
      )
    }
    case "response-metadata":
      return [{ ...state, model: next.modelId ?? state.model }, []]
    case "finish": {
      const from = state.startedAt ?? now
      const durationMs = Math.max((state.saidAt ?? now) - from, 0)
      return [
        { ...state, held: [], finishReason: next.reason },
        [
          ...state.held,
          ...(next.reason === "stop" || next.reason === "tool-calls"
            ? []
            : [part({ _tag: "Data", mediaType: finishType, data: { reason: next.reason } })]),
          event({ _tag: "InferenceComplete", model: state.model, usage: usageOf(next.usage), durationMs })
        ]
      ]
    }
    case "error":
      return [state, [event({ _tag: "Error", message: messageOf(next.error) })]]
    default:
      return [state, []]
  }
}

/** The mark by which `effect/ai` knows its parts. */
const partTypeId = "~effect/ai/Response/Part" as const

/** Whether it is the model that says a part: tools may take their time before the response comes to its end. */
const isOfModel = ({ type }: Response.AnyPart): boolean =>
  type !== "finish" && type !== "tool-result" && type !== "tool-approval-request"

const says = ({ type }: Response.AnyPart): boolean => type === "text-delta" || type === "text" || type === "tool-call"

/** What a part says to the ledger, and the response after it; the first one begins a step. */
export const push = (state: Inference, next: Response.AnyPart, now: number): Step => {
  const begun = state.startedAt === undefined ? { ...state, startedAt: now } : state
  const [after, sayings] = said(begun, next, now)
  return [
    isOfModel(next) ? { ...after, saidAt: now, hasSaid: after.hasSaid || says(next) } : after,
    state.startedAt === undefined ? [event({ _tag: "StepStart", messageId: "" }), ...sayings] : sayings
  ]
}
