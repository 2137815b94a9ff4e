/**
 * The parts of a model's response as what they say to the ledger: pure, one part at a time.
 */
import { Json, type TokenUsage } from "@runledger/core"
import { type Schema, Struct } from "effect"
import type { Response } from "effect/ai"
import { sourceType } from "../internal/conversation.ts"
import { json } from "../internal/json.ts"
import { event, part, type Saying } from "../internal/saying.ts"
import * as ToolCall from "../internal/toolCall.ts"

/** What is remembered of a response between its parts. */
export interface Inference {
  readonly model: string
  /** When it began, and when the model last said something, in milliseconds since the epoch. */
  readonly startedAt: number | undefined
  readonly saidAt: number | undefined
  /** The arguments of calls as far as they have come, and whole ones. */
  readonly calls: Readonly<
    Record<string, { readonly text: string; readonly name: string; readonly arguments?: Schema.Json }>
  >
  /** What the provider said of the texts that are open. */
  readonly metadata: Readonly<Record<string, Response.ProviderMetadata>>
  /** Files and sources that came in the middle of a text: they stand after it. */
  readonly held: ReadonlyArray<Saying>
  readonly finishReason: Response.FinishReason | undefined
  readonly error: string | undefined
}

/** A response of which nothing has come yet. */
export const initial: Inference = {
  model: "",
  startedAt: undefined,
  saidAt: undefined,
  calls: {},
  metadata: {},
  held: [],
  finishReason: undefined,
  error: undefined
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

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The arguments of a call: those that the model wrote, for a decoded value need not be JSON. */
const argumentsOf = (text: string, params: unknown): Schema.Json => {
  try {
    return text === "" ? json(params) : (Json.parse(text) as Schema.Json)
  } catch {
    return json(params)
  }
}

const resultOf = (part: Response.ToolResultPart<string, unknown, unknown>): Saying => {
  const metadata = {
    ...(part.providerExecuted ? { providerExecuted: true } : {}),
    ...(isEmpty(part.metadata) ? {} : { providerMetadata: json(part.metadata) }),
    ...(part.modelOutput === undefined ? {} : { modelOutput: json(part.modelOutput) })
  }
  const data = json(part.encodedResult)
  return event(
    part.isFailure
      ? ToolCall.failed(part, data, typeof data === "string" ? data : `${part.name} failed`, metadata)
      : ToolCall.succeeded(part, data, metadata)
  )
}

type Step = readonly [Inference, ReadonlyArray<Saying>]

/** Says a part that belongs to no text, or holds it back until the texts that are open have ended. */
const beside = (state: Inference, saying: Saying): Step =>
  isEmpty(state.metadata) ? [state, [saying]] : [{ ...state, held: [...state.held, saying] }, []]

/** What a part says, and what is remembered of it. `now` is in milliseconds since the epoch. */
const said = (state: Inference, next: Response.AnyPart, now: number): Step => {
  switch (next.type) {
    case "text-start":
    case "reasoning-start":
      return [{ ...state, metadata: { ...state.metadata, [next.id]: next.metadata } }, []]
    case "text-delta":
    case "reasoning-delta": {
      const metadata = isEmpty(next.metadata)
        ? state.metadata
        : { ...state.metadata, [next.id]: merge(state.metadata[next.id], next.metadata) }
      const { delta } = next
      return [
        { ...state, metadata },
        [event(next.type === "text-delta" ? { _tag: "TextDelta", delta } : { _tag: "ReasoningDelta", delta })]
      ]
    }
    case "text-end":
    case "reasoning-end": {
      const { [next.id]: known, ...metadata } = state.metadata
      const ended = json(merge(known, next.metadata))
      const said = part({ _tag: next.type === "text-end" ? "Text" : "Reasoning", text: "", metadata: ended })
      return isEmpty(metadata)
        ? [{ ...state, metadata, held: [] }, [said, ...state.held]]
        : [{ ...state, metadata }, [said]]
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
      return [
        { ...state, calls: { ...state.calls, [id]: { name, text: "" } } },
        [event({ _tag: "ToolCallStart", id, name })]
      ]
    }
    case "tool-params-delta": {
      const { delta, id } = next
      const { name = "", text = "" } = state.calls[id] ?? {}
      return [
        { ...state, calls: { ...state.calls, [id]: { name, text: text + delta } } },
        [event({ _tag: "ToolCallDelta", id, argsDelta: delta })]
      ]
    }
    case "tool-call": {
      const { id, name } = next
      const known = state.calls[id]
      const args = argumentsOf(known?.text ?? "", next.params)
      const metadata = metadataOf(next.metadata, next.providerExecuted === true)
      return [
        { ...state, calls: { ...state.calls, [id]: { name, text: known?.text ?? "", arguments: args } } },
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
          event({ _tag: "InferenceComplete", model: state.model, usage: usageOf(next.usage), durationMs })
        ]
      ]
    }
    case "error": {
      const message = messageOf(next.error)
      return [{ ...state, error: message }, [event({ _tag: "Error", message })]]
    }
    default:
      return [state, []]
  }
}

/** The mark by which `effect/ai` knows its parts. */
const partTypeId = "~effect/ai/Response/Part" as const

/** Whether it is the model that says a part: tools may take their time before the response comes to its end. */
const isOfModel = ({ type }: Response.AnyPart): boolean =>
  type !== "finish" && type !== "tool-result" && type !== "tool-approval-request"

/** What a part says to the ledger, and the response after it; the first one begins a step. */
export const push = (state: Inference, next: Response.AnyPart, now: number): Step => {
  const begun = state.startedAt === undefined ? { ...state, startedAt: now } : state
  const [after, sayings] = said(begun, next, now)
  return [
    isOfModel(next) ? { ...after, saidAt: now } : after,
    state.startedAt === undefined ? [event({ _tag: "StepStart", messageId: "" }), ...sayings] : sayings
  ]
}
