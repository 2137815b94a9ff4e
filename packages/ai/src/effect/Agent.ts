/**
 * An agent that is recorded, and goes on from the ledger: after an approval, after a crash, in another process.
 *
 * @since 0.1.0
 */
import {
  CanonicalEvent,
  Durability,
  type EventStore,
  type LedgerError,
  MemoryEventStore,
  type Message,
  Recorder,
  Run,
  type RunView
} from "@runledger/core"
import { Cause, Clock, Context, Effect, Exit, Layer, Schema, Stream } from "effect"
import { AiError, LanguageModel, Prompt, Response, Tool, type Toolkit } from "effect/ai"
import * as Thread from "../internal/conversation.ts"
import { json } from "../internal/json.ts"
import { say } from "../internal/saying.ts"
import * as ToolCall from "../internal/toolCall.ts"
import * as Parts from "./Parts.ts"
import { fromTurns } from "./prompt.ts"

/**
 * What an agent is run with.
 *
 * **Details**
 *
 * - `threadId`, `runId`: the conversation and the run in it. A run that is in the ledger already goes on where it was, and
 *   then `input` is not looked at.
 * - `input`: what the user says. `system`: the system prompt of each inference.
 * - `toolkit`: the tools with their handlers. A tool whose `needsApproval` says so waits for `runledger decide`, or
 *   `Approval.decide`. One with the annotation `Tool.Idempotent` or `Tool.Readonly` is run again when its process died
 *   while it was running; of any other, a person decides.
 * - `maxSteps`: how many times the model is asked at most, 32 by default.
 * - `onPart`: is handed the parts of each response, unaltered and in order, and those that tools add.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Tools extends Record<string, Tool.Any>, E = never, R = never> {
  readonly threadId: string
  readonly runId: string
  readonly input: string | ReadonlyArray<Prompt.UserMessagePart>
  readonly system?: string | undefined
  readonly toolkit: Toolkit.WithHandler<Tools>
  readonly maxSteps?: number | undefined
  readonly onPart?: ((part: Response.AnyPart) => Effect.Effect<void, E, R>) | undefined
}

/**
 * How an agent came to rest.
 *
 * **Details**
 *
 * - `Finished`: the model has said everything; `text` is its last message.
 * - `Suspended`: tool calls wait for a decision. Run the agent again when there is one.
 * - `Stopped`: it was not the model that ended it: `code` is `max_steps` or `length`.
 * - `Blocked`: the provider refused to go on.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | { readonly _tag: "Finished"; readonly text: string }
  | { readonly _tag: "Suspended"; readonly calls: ReadonlyArray<RunView.ToolCall> }
  | { readonly _tag: "Stopped"; readonly code: string; readonly text: string }
  | { readonly _tag: "Blocked"; readonly reason: string; readonly text: string }

/** What a user says as a message of the ledger. */
const messageOf = (input: string | ReadonlyArray<Prompt.UserMessagePart>): Message.Message => ({
  role: "user",
  parts:
    typeof input === "string"
      ? [{ _tag: "Text", text: input }]
      : input.map((part): Message.Part => {
          if (part.type === "text") {
            return { _tag: "Text", text: part.text, metadata: json(part.options) }
          }
          const { data, fileName, mediaType, options } = part
          const kept = data instanceof URL ? { url: data.href } : typeof data === "string" ? data : base64(data)
          const named = fileName === undefined ? options : { ...options, runledger: { fileName } }
          return { _tag: "Data", mediaType, data: kept, metadata: json(named) }
        })
})

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

const textOf = ({ message }: Thread.Turn): string =>
  message.parts.map((part) => (part._tag === "Text" ? part.text : "")).join("")

/** The calls of the last message that our tools must answer, and have not. */
const openCalls = (turn: Thread.Turn | undefined): ReadonlyArray<RunView.ToolCall> =>
  turn === undefined || turn.message.role !== "assistant"
    ? []
    : ownCalls(turn).filter((call) => !Thread.isDone(call) && call.state !== "cancelled")

const ownCalls = ({ calls, message }: Thread.Turn): ReadonlyArray<RunView.ToolCall> => {
  const theirs = new Set(
    message.parts.flatMap((part) => (part._tag === "ToolCall" && Thread.isProviderExecuted(part) ? [part.id] : []))
  )
  return calls.filter(({ id }) => !theirs.has(id))
}

const mayRunAgain = (tool: Tool.Any | undefined): boolean =>
  tool !== undefined && (Context.get(tool.annotations, Tool.Idempotent) || Context.get(tool.annotations, Tool.Readonly))

/** Whether a call needs an approval; one whose arguments are not its tool's cannot run, and needs none. */
const needsApproval = (tool: Tool.Any, call: RunView.ToolCall, messages: ReadonlyArray<Prompt.Message>) => {
  const needs = tool.needsApproval
  if (typeof needs !== "function") {
    return Effect.succeed(needs === true)
  }
  return Schema.decodeUnknownEffect(tool.parametersSchema as Schema.Codec<unknown>)(call.arguments).pipe(
    Effect.flatMap((params) => {
      const answer = needs(params, { toolCallId: call.id, messages })
      return Effect.isEffect(answer) ? (answer as Effect.Effect<boolean>) : Effect.succeed(answer)
    }),
    Effect.orElseSucceed(() => false)
  )
}

/** What becomes of a call before it has a result: it is run, it waits, it is answered without being run. */
type Decision =
  | { readonly _tag: "Execute" }
  | { readonly _tag: "Wait" }
  | { readonly _tag: "Ask" }
  | { readonly _tag: "Reject"; readonly reason: string }
  | { readonly _tag: "GiveUp" }

const decide = (call: RunView.ToolCall, tool: Tool.Any | undefined, asks: boolean): Decision => {
  const { approval, state } = call
  switch (state) {
    case "suspended":
      return approval === undefined
        ? { _tag: "Wait" }
        : approval.approved
          ? { _tag: "Execute" }
          : { _tag: "Reject", reason: approval.reason }
    case "executing":
    case "unknown":
      if (approval !== undefined) {
        return approval.approved ? { _tag: "Execute" } : { _tag: "GiveUp" }
      }
      return mayRunAgain(tool) ? { _tag: "Execute" } : { _tag: "Wait" }
    default:
      return asks ? { _tag: "Ask" } : { _tag: "Execute" }
  }
}

/**
 * Runs an agent to its end, or until it waits for a decision: asks the model, runs the tools that it calls, and asks
 * again. Everything is recorded as it happens, and what the model is asked with is what the ledger has.
 *
 * **Details**
 *
 * A tool runs at most once for each call: that it is about to run is committed first. When the process dies while it runs,
 * its outcome is unknown, and the agent waits for somebody who decides whether it may run again. An agent that is
 * interrupted is cancelled; one whose model or tool fails has failed; both can be run again, and go on.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <Tools extends Record<string, Tool.Any>, E = never, R = never>(
  options: Options<Tools, E, R>
): Effect.Effect<
  Outcome,
  E | AiError.AiError | Tool.HandlerError<Tools[keyof Tools]> | LedgerError.RecordError | LedgerError.CursorExpired,
  R | LanguageModel.LanguageModel | Recorder.Recorder | EventStore.EventStore | Tool.HandlerServices<Tools[keyof Tools]>
> => {
  const { threadId, runId } = options
  const recorded = Recorder.record({ threadId, runId })(loop(options))
  return Effect.flatMap(Durability.Durability, (durability) =>
    durability === "disabled" ? Effect.provide(recorded, unkept) : recorded
  ) as never
}

/** With recording turned off, an agent remembers its conversation for as long as it runs. */
const unkept = Recorder.layer().pipe(
  Layer.provideMerge(MemoryEventStore.layer),
  Layer.merge(Layer.succeed(Durability.Durability, "compacted"))
)

/** What a tool gave, as a part of the response. */
const resultPart = (call: RunView.ToolCall, result: Tool.HandlerResult<Tool.Any>): Response.AnyPart =>
  Response.makePart("tool-result", {
    id: call.id,
    name: call.name,
    providerExecuted: false,
    preliminary: result.preliminary,
    result: result.result,
    encodedResult: result.encodedResult,
    ...(result.modelOutput === undefined ? {} : { modelOutput: result.modelOutput }),
    isFailure: result.isFailure
  })

const loop = Effect.fnUntraced(function* <Tools extends Record<string, Tool.Any>, E, R>({
  input,
  maxSteps = 32,
  onPart = () => Effect.void,
  runId,
  system,
  threadId,
  toolkit
}: Options<Tools, E, R>) {
  const run = yield* Run.Run
  const clock = yield* Clock.Clock
  const now = (): number => Math.floor(clock.currentTimeMillisUnsafe())

  /** Hands a part of our own to the ledger and to the app. */
  const tell = (part: Response.AnyPart, sayings: ReturnType<typeof Parts.push>[1]) =>
    Effect.andThen(say(run, sayings), onPart(part))

  /** A result that no tool gave. */
  const answer = (call: RunView.ToolCall, data: Schema.Json, event: ReturnType<typeof ToolCall.failed>) =>
    tell(
      Response.makePart("tool-result", {
        id: call.id,
        name: call.name,
        providerExecuted: false,
        preliminary: false,
        result: data,
        encodedResult: data,
        isFailure: true
      }),
      [{ _tag: "Event", event }]
    )

  const execute = Effect.fnUntraced(function* (call: RunView.ToolCall) {
    if (!Object.hasOwn(toolkit.tools, call.name)) {
      const message = `there is no tool ${JSON.stringify(call.name)}; there are ${Object.keys(toolkit.tools).join(", ")}`
      return yield* answer(call, message, ToolCall.failed(call, message, message))
    }
    // Nothing may come between the claim and its commit, and the tool must not run before.
    yield* Effect.orDie(
      run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id: call.id, name: call.name })
    )
    yield* run.flush()
    yield* toolkit.handle(call.name, call.arguments as never, call.id).pipe(
      Stream.unwrap,
      Stream.runForEach((result) => {
        const part = resultPart(call, result as Tool.HandlerResult<Tool.Any>)
        return tell(part, Parts.push({ ...Parts.initial, startedAt: 0 }, part, now())[1])
      }),
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) {
          return Effect.void
        }
        const error = Cause.squash(exit.cause)
        const message = error instanceof Error ? error.message : String(error)
        return run.emit(ToolCall.failed(call, message, message))
      })
    )
  })

  const resolve = Effect.fnUntraced(function* (call: RunView.ToolCall, messages: ReadonlyArray<Prompt.Message>) {
    const tool = Object.hasOwn(toolkit.tools, call.name) ? toolkit.tools[call.name] : undefined
    const asks = tool !== undefined && call.state === "ready" && (yield* needsApproval(tool, call, messages))
    const decision = decide(call, tool, asks)
    switch (decision._tag) {
      case "Execute":
        return yield* execute(call)
      case "Reject": {
        const data = { type: "execution-denied", reason: decision.reason }
        return yield* answer(call, data, ToolCall.rejected(call, data, decision.reason))
      }
      case "GiveUp": {
        const data = Thread.unanswered(call)
        return yield* answer(call, data, ToolCall.failed(call, data, data))
      }
      case "Ask": {
        const approvalId = `approve ${call.id}`
        return yield* tell(Response.makePart("tool-approval-request", { approvalId, toolCallId: call.id }), [
          { _tag: "Event", event: ToolCall.suspended({ ...call, arguments: call.arguments ?? null }, approvalId) }
        ])
      }
      case "Wait":
        return
    }
  })

  const infer = Effect.fnUntraced(function* (prompt: Prompt.Prompt) {
    let inference = Parts.initial
    yield* LanguageModel.streamText({
      prompt: system === undefined ? prompt : Prompt.setSystem(prompt, system),
      toolkit,
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    }).pipe(
      Stream.runForEachArray((parts) =>
        Effect.forEach(
          parts as ReadonlyArray<Response.AnyPart>,
          (part) => {
            const [next, sayings] = Parts.push(inference, part, now())
            inference = next
            return tell(part, sayings)
          },
          { discard: true }
        )
      )
    )
    if (inference.error !== undefined) {
      return yield* AiError.make({
        module: "Agent",
        method: "run",
        reason: new AiError.UnknownError({ description: inference.error })
      })
    }
    return inference
  })

  const finish = (outcome: Outcome, termination: ReturnType<typeof terminationOf>) =>
    Effect.as(run.emit({ _tag: "RunFinish", threadId, runId, termination, result: json(resultOf(outcome)) }), outcome)

  const seen = yield* Thread.read(threadId, Thread.empty)
  let conversation = seen
  yield* run.emit({ _tag: "RunStart", threadId, runId })
  if (Thread.viewOf(seen, runId).messages.length === 0) {
    yield* run.message(messageOf(input))
  }
  let last: Parts.Inference | undefined
  /** How many messages the last response was asked with: one that says nothing adds none. */
  let asked = -1
  while (true) {
    yield* run.flush()
    conversation = yield* Thread.read(threadId, conversation)
    const turns = Thread.turns(conversation, runId)
    const turn = turns.at(-1)
    const open = openCalls(turn)
    if (open.length > 0) {
      const { content } = fromTurns(turns)
      yield* Effect.forEach(open, (call) => resolve(call, content), { concurrency: "unbounded", discard: true })
      yield* run.flush()
      conversation = yield* Thread.read(threadId, conversation)
      const waiting = openCalls(Thread.turns(conversation, runId).at(-1))
      if (waiting.length > 0) {
        return yield* finish({ _tag: "Suspended", calls: waiting }, { _tag: "Suspended" })
      }
      yield* run.emit({ _tag: "StepEnd" })
      continue
    }
    const said = turn?.message.role === "assistant" ? turn : undefined
    const saidNothing = turns.length === asked
    if (saidNothing || (said !== undefined && ownCalls(said).length === 0 && last?.finishReason !== "pause")) {
      const outcome = outcomeOf(last, saidNothing || said === undefined ? "" : textOf(said))
      return yield* finish(outcome, terminationOf(outcome))
    }
    const steps = Thread.viewOf(conversation, runId).messages.filter(({ role }) => role === "assistant").length
    if (steps >= maxSteps) {
      const outcome: Outcome = { _tag: "Stopped", code: "max_steps", text: said === undefined ? "" : textOf(said) }
      return yield* finish(outcome, terminationOf(outcome))
    }
    asked = turns.length
    last = yield* infer(fromTurns(turns))
  }
})

/** What the last response came to. */
const outcomeOf = (inference: Parts.Inference | undefined, text: string): Outcome => {
  switch (inference?.finishReason) {
    case "length":
      return { _tag: "Stopped", code: "length", text }
    case "content-filter":
      return { _tag: "Blocked", reason: "content-filter", text }
    default:
      return { _tag: "Finished", text }
  }
}

const terminationOf = (outcome: Outcome) => {
  switch (outcome._tag) {
    case "Finished":
      return { _tag: "NaturalEnd" } as const
    case "Suspended":
      return { _tag: "Suspended" } as const
    case "Stopped":
      return { _tag: "Stopped", code: outcome.code } as const
    case "Blocked":
      return { _tag: "Blocked", reason: outcome.reason } as const
  }
}

const resultOf = (outcome: Outcome): object => (outcome._tag === "Suspended" ? {} : { text: outcome.text })
