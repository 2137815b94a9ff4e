/**
 * What the parts of a stream of the AI SDK say to the ledger: a pure transition, one part at a time.
 */
import type { AgentEvent, Lifecycle, Redaction, TokenUsage } from "@runledger/core"
import type { FinishReason, LanguageModelUsage, TextStreamPart, ToolSet } from "ai"
import { HashSet, type Schema, Struct } from "effect"
import { customType, sourceType } from "../internal/conversation.ts"
import { json } from "../internal/json.ts"
import { event, part, type Saying } from "../internal/saying.ts"
import * as ToolCall from "../internal/toolCall.ts"
import * as Failure from "./Failure.ts"

type StreamPart = TextStreamPart<ToolSet>

type Json = { readonly [key: string]: Schema.Json }

type Tag = "Text" | "Reasoning"

/** A block of text or reasoning that has begun, with what the provider has said of it. */
interface Block {
  readonly _tag: Tag
  readonly id: string
  readonly metadata: Json
}

/** What is remembered of the step that goes on. `heardAt` is the time of the last part that the model itself sent. */
interface Step {
  readonly startedAt: number
  readonly heardAt: number
  readonly hasRun: boolean
}

/** What is remembered between parts. */
export interface State {
  readonly threadId: string
  readonly runId: string
  readonly redactor: Redaction.Redactor | undefined
  readonly step: Step | undefined
  readonly blocks: ReadonlyArray<Block>
  /** The block that was said last, and can go on. */
  readonly current: Block | undefined
  /** What came in the middle of the current block, and stands after it: what the text refers to. */
  readonly held: ReadonlyArray<Saying>
  /** The calls of the step that were started. */
  readonly started: HashSet.HashSet<string>
  /** The calls that wait for an approval. */
  readonly waiting: HashSet.HashSet<string>
  /** What went wrong first. */
  readonly error: string | undefined
  readonly isFinished: boolean
}

type Next = readonly [State, ReadonlyArray<Saying>]

export const initial = (
  run: Pick<State, "threadId" | "runId"> & { readonly redactor?: Redaction.Redactor | undefined }
): State => ({
  threadId: run.threadId,
  runId: run.runId,
  redactor: run.redactor,
  step: undefined,
  blocks: [],
  current: undefined,
  held: [],
  started: HashSet.empty(),
  waiting: HashSet.empty(),
  error: undefined,
  isFinished: false
})

const objectOf = (value: unknown): Json => {
  const object = json(value)
  return typeof object === "object" && object !== null && !Array.isArray(object) ? (object as Json) : {}
}

/** What was said later of the same provider takes the place of what was said before. */
const merged = (before: Json, after: unknown): Json => {
  const members = Object.entries(objectOf(after)).map(([provider, said]) => [
    provider,
    { ...objectOf(before[provider]), ...objectOf(said) }
  ])
  return { ...before, ...Object.fromEntries(members) }
}

const isEmpty = (metadata: Json): boolean => Object.keys(metadata).length === 0

/** A member that is only there when it says something. */
const metadataOf = (metadata: Json): { readonly metadata?: Json } => (isEmpty(metadata) ? {} : { metadata })

/** What there is to know about a part beside what its provider says. */
const own = (about: Json): Json => (isEmpty(about) ? {} : { runledger: about })

const isBlock =
  (_tag: Tag, id: string) =>
  (block: Block): boolean =>
    block._tag === _tag && block.id === id

const closed = (_tag: Tag, metadata: Json): Saying => part({ _tag, text: "", metadata })

const known = (state: State, _tag: Tag, id: string, metadata: unknown): Block => {
  const before = state.blocks.find(isBlock(_tag, id)) ?? { _tag, id, metadata: {} }
  return { ...before, metadata: merged(before.metadata, metadata) }
}

/** Goes on with a block. One of the same kind that is not over would otherwise be taken for the same. */
const goOn = (state: State, _tag: Tag, id: string, metadata: unknown): Next => {
  const { blocks, current } = state
  const block = known(state, _tag, id, metadata)
  const isOther = current !== undefined && current._tag === _tag && current.id !== id
  return [
    { ...state, blocks: [...blocks.filter((other) => !isBlock(_tag, id)(other)), block], current: block },
    isOther ? [closed(_tag, {})] : []
  ]
}

const endBlock = (state: State, _tag: Tag, id: string, last: unknown): Next => {
  const { blocks, current } = state
  const { metadata } = known(state, _tag, id, last)
  const rest = blocks.filter((block) => !isBlock(_tag, id)(block))
  if (current === undefined || isBlock(_tag, id)(current)) {
    return [{ ...state, blocks: rest, current: undefined }, [closed(_tag, metadata)]]
  }
  // Another was begun before this one was over.
  const other = current._tag === _tag ? [closed(_tag, {})] : []
  return isEmpty(metadata)
    ? [{ ...state, blocks: rest }, []]
    : [{ ...state, blocks: rest, current: undefined }, [...other, closed(_tag, metadata)]]
}

/** Ends what goes on, also when nobody says that it is over. */
const settle = (state: State): Next => {
  const { current, held } = state
  const last = current === undefined ? [] : [closed(current._tag, current.metadata)]
  return [{ ...state, blocks: [], current: undefined, held: [] }, [...last, ...held]]
}

const delta = (state: State, _tag: Tag, id: string, text: string, metadata: unknown): Next => {
  const [next, before] = goOn(state, _tag, id, metadata)
  const said = event(_tag === "Text" ? { _tag: "TextDelta", delta: text } : { _tag: "ReasoningDelta", delta: text })
  return [next, text === "" ? before : [...before, said]]
}

/** Whoever hears of a call first says that it started. */
const start = (state: State, id: string, name: string): Next =>
  HashSet.has(state.started, id)
    ? [state, []]
    : [{ ...state, started: HashSet.add(state.started, id) }, [event({ _tag: "ToolCallStart", id, name })]]

type Call = Extract<StreamPart, { readonly type: "tool-call" }>

/** What is kept of a call beside its arguments. */
const aboutCall = ({ error, invalid, providerExecuted, providerMetadata }: Call): Json => ({
  ...objectOf(providerMetadata),
  ...own({
    ...(providerExecuted === true ? { providerExecuted } : {}),
    ...(invalid === true ? { invalid, error: Failure.message(error) } : {})
  })
})

const call = (state: State, made: Call): Next => {
  const { input, toolCallId: id, toolName: name } = made
  const [next, started] = start(state, id, name)
  const metadata = aboutCall(made)
  return [
    next,
    [
      ...started,
      event({ _tag: "ToolCallReady", id, name, arguments: json(input) }),
      ...(isEmpty(metadata) ? [] : [part({ _tag: "ToolCall", id, name, metadata })])
    ]
  ]
}

type Output = Extract<StreamPart, { readonly type: "tool-result" | "tool-error" }>

const aboutOutput = ({ providerExecuted, providerMetadata }: Output): Json => ({
  ...(providerExecuted === true ? { providerExecuted } : {}),
  ...(isEmpty(objectOf(providerMetadata)) ? {} : { providerMetadata: objectOf(providerMetadata) })
})

/** A call that is done waits for nobody. */
const over = (state: State, id: string, said: AgentEvent.AgentEvent): Next => [
  { ...state, waiting: HashSet.remove(state.waiting, id) },
  [event(said)]
]

const output = (state: State, came: Output): Next => {
  const { toolCallId: id, toolName: name } = came
  if (came.type === "tool-error") {
    const { error } = came
    return over(
      state,
      id,
      ToolCall.failed({ id, name }, Failure.data(error), Failure.message(error), aboutOutput(came))
    )
  }
  const data = json(came.output)
  return came.preliminary === true
    ? [state, [event({ _tag: "ToolCallStreamDelta", id, name, delta: JSON.stringify(data) })]]
    : over(state, id, ToolCall.succeeded({ id, name }, data, aboutOutput(came)))
}

type Request = Extract<StreamPart, { readonly type: "tool-approval-request" }>

/** Whether the ledger will not have these arguments as they are. */
const hasSecret = ({ redactor }: State, args: Schema.Json): boolean => {
  const text = JSON.stringify(args)
  try {
    return redactor !== undefined && redactor.redact(text) !== text
  } catch {
    return true
  }
}

/** A request that the app's own rules have answered is none. */
const asked = (state: State, { approvalId, isAutomatic, toolCall }: Request): Next => {
  const { input, toolCallId: id, toolName: name } = toolCall
  return isAutomatic === true
    ? [state, []]
    : [
        { ...state, waiting: HashSet.add(state.waiting, id) },
        [
          event(
            ToolCall.suspended(
              { id, name, arguments: json(input) },
              approvalId,
              hasSecret(state, json(input)) ? {} : { wholeArguments: true }
            )
          )
        ]
      ]
}

const maxCount = 2 ** 31 - 1

const counts = (counts: { readonly [K in keyof TokenUsage.TokenUsage]: number | undefined }): TokenUsage.TokenUsage =>
  Object.fromEntries(
    Object.entries(counts).filter(
      ([, count]) => Number.isInteger(count) && count !== undefined && count >= 0 && count <= maxCount
    )
  )

/** The usage of a step, as far as the provider reported it. */
export const usageOf = (usage: LanguageModelUsage | undefined): TokenUsage.TokenUsage =>
  counts({
    promptTokens: usage?.inputTokens,
    completionTokens: usage?.outputTokens,
    totalTokens: usage?.totalTokens,
    cacheReadTokens: usage?.inputTokenDetails?.cacheReadTokens,
    cacheCreationTokens: usage?.inputTokenDetails?.cacheWriteTokens,
    thinkingTokens: usage?.outputTokenDetails?.reasoningTokens
  })

const startStep = (state: State, now: number): Next => {
  const [settled, sayings] = settle(state)
  return [
    { ...settled, step: { startedAt: now, heardAt: now, hasRun: false }, started: HashSet.empty() },
    [...sayings, event({ _tag: "StepStart", messageId: "" })]
  ]
}

type FinishStep = Extract<StreamPart, { readonly type: "finish-step" }>

/** What ran here after the model had said everything is no time of the model. */
const durationMs = (step: Step | undefined, now: number): number =>
  step === undefined ? 0 : Math.max((step.hasRun ? step.heardAt : now) - step.startedAt, 0)

const finishStep = (state: State, { response, usage }: FinishStep, now: number): Next => {
  const [settled, sayings] = settle(state)
  return [
    { ...settled, step: undefined },
    [
      ...sayings,
      event({
        _tag: "InferenceComplete",
        model: response?.modelId ?? "",
        usage: usageOf(usage),
        durationMs: durationMs(state.step, now)
      }),
      event({ _tag: "StepEnd" })
    ]
  ]
}

const finished = (state: State, termination: Lifecycle.TerminationReason, result?: Schema.Json): Next => {
  const { runId, threadId } = state
  const [settled, sayings] = settle(state)
  return [
    { ...settled, isFinished: true },
    [
      ...sayings,
      event({ _tag: "RunFinish", threadId, runId, ...(result === undefined ? {} : { result }), termination })
    ]
  ]
}

const terminationOf = (
  state: State,
  finishReason: FinishReason,
  rawFinishReason: string | undefined
): Lifecycle.TerminationReason => {
  if (state.error !== undefined) {
    return { _tag: "Error", message: state.error }
  }
  if (finishReason === "error") {
    return { _tag: "Error", message: `the model ended with ${JSON.stringify(rawFinishReason ?? finishReason)}` }
  }
  if (finishReason === "content-filter") {
    return { _tag: "Blocked", reason: finishReason }
  }
  if (HashSet.size(state.waiting) > 0) {
    return { _tag: "Suspended" }
  }
  return finishReason === "length" || finishReason === "interrupted"
    ? { _tag: "Stopped", code: finishReason }
    : { _tag: "NaturalEnd" }
}

const failed = (state: State, error: unknown): Next => {
  const message = Failure.message(error)
  const code = Failure.code(error)
  return [
    { ...state, error: state.error ?? message },
    [event({ _tag: "Error", message, ...(code === undefined ? {} : { code }) })]
  ]
}

type File = Extract<StreamPart, { readonly type: "file" | "reasoning-file" }>

const file = ({ file, providerMetadata, type }: File): Saying =>
  part({
    _tag: "Data",
    mediaType: file.mediaType,
    data: file.base64,
    ...metadataOf({
      ...objectOf(providerMetadata ?? file.providerMetadata),
      ...own(type === "reasoning-file" ? { reasoning: true } : {})
    })
  })

const source = (source: Extract<StreamPart, { readonly type: "source" }>): Saying =>
  part({
    _tag: "Data",
    mediaType: sourceType,
    data: json(Struct.omit(source, ["type", "providerMetadata"])),
    ...metadataOf(objectOf(source.providerMetadata))
  })

const custom = ({ kind, providerMetadata }: Extract<StreamPart, { readonly type: "custom" }>): Saying =>
  part({
    _tag: "Data",
    mediaType: customType,
    data: { kind },
    ...metadataOf(objectOf(providerMetadata))
  })

const data = (state: State, said: Saying): Next =>
  state.current === undefined ? [state, [said]] : [{ ...state, held: [...state.held, said] }, []]

/** Lets go what was held, when the block has ended or another goes on. */
const letGo = (before: State, [next, sayings]: Next, isEnd: boolean): Next => {
  const { current, held } = next
  if (held.length === 0 || (current !== undefined && current.id === before.current?.id)) {
    return [next, sayings]
  }
  return [{ ...next, held: [] }, isEnd ? [...sayings, ...held] : [...held, ...sayings]]
}

/** A part of a step; one of a kind that nobody knows says nothing. */
const heard = (state: State, came: StreamPart, now: number): Next => {
  switch (came.type) {
    case "start-step":
      return startStep(state, now)
    case "text-start":
      return goOn(state, "Text", came.id, came.providerMetadata)
    case "text-delta":
      return delta(state, "Text", came.id, came.text, came.providerMetadata)
    case "text-end": {
      const citations = came.citations === undefined ? {} : { citations: json(came.citations) }
      return endBlock(state, "Text", came.id, { ...objectOf(came.providerMetadata), ...own(citations) })
    }
    case "reasoning-start":
      return goOn(state, "Reasoning", came.id, came.providerMetadata)
    case "reasoning-delta":
      return delta(state, "Reasoning", came.id, came.text, came.providerMetadata)
    case "reasoning-end":
      return endBlock(state, "Reasoning", came.id, came.providerMetadata)
    case "tool-input-start":
      return start(state, came.id, came.toolName)
    case "tool-input-delta":
      return [state, came.delta === "" ? [] : [event({ _tag: "ToolCallDelta", id: came.id, argsDelta: came.delta })]]
    case "tool-call":
      return call(state, came)
    case "tool-result":
    case "tool-error":
      return output(state, came)
    case "tool-output-denied": {
      const { toolCallId: id, toolName: name } = came
      return over(state, id, ToolCall.rejected({ id, name }, null, `${name} was not approved`))
    }
    case "tool-approval-request":
      return asked(state, came)
    case "tool-approval-response":
      return [{ ...state, waiting: HashSet.remove(state.waiting, came.toolCall.toolCallId) }, []]
    case "file":
    case "reasoning-file":
      return data(state, file(came))
    case "source":
      return data(state, source(came))
    case "custom":
      return data(state, custom(came))
    case "finish-step":
      return finishStep(state, came, now)
    case "error":
      return failed(state, came.error)
    case "abort":
      return finished(
        state,
        state.error === undefined ? { _tag: "Cancelled" } : { _tag: "Error", message: state.error }
      )
    case "finish": {
      const { finishReason, rawFinishReason } = came
      return finished(state, terminationOf(state, finishReason, rawFinishReason), {
        finishReason,
        ...(rawFinishReason === undefined ? {} : { rawFinishReason })
      })
    }
    default:
      return [state, []]
  }
}

/** Whether a part tells what a tool did here, and not what the model sent. */
const isOfTool = (part: StreamPart): boolean =>
  (part.type === "tool-result" || part.type === "tool-error") && part.providerExecuted !== true

const clocked = (state: State, part: StreamPart, now: number): State => {
  const { step } = state
  if (step === undefined || part.type === "finish-step") {
    return state
  }
  return { ...state, step: isOfTool(part) ? { ...step, hasRun: true } : { ...step, heardAt: now } }
}

/** What a part says, at this time in milliseconds. It never throws. */
export const transition = (state: State, part: StreamPart, now: number): Next =>
  letGo(state, heard(clocked(state, part, now), part, now), part.type === "text-end" || part.type === "reasoning-end")

/** What the end of a stream says that had no `finish`. */
export const end = (state: State): ReadonlyArray<Saying> => {
  const { error, isFinished } = state
  if (isFinished) {
    return []
  }
  const [, sayings] = error === undefined ? settle(state) : finished(state, { _tag: "Error", message: error })
  return sayings
}
