/**
 * An agent that is recorded, and goes on from the ledger: after an approval, after a crash, in another process.
 *
 * @since 0.1.0
 */
import {
  type AgentEvent,
  CanonicalEvent,
  Durability,
  type EventStore,
  Json,
  LedgerError,
  type Lifecycle,
  MemoryEventStore,
  type Message,
  Recorder,
  Redaction,
  Run,
  type RunView
} from "@runledger/core"
import { Cause, Clock, Context, Effect, Exit, Layer, Schema, Semaphore, Stream } from "effect"
import { AiError, LanguageModel, Prompt, Response, Tool, type Toolkit } from "effect/ai"
import * as Thread from "../internal/conversation.ts"
import * as File from "../internal/file.ts"
import { json } from "../internal/json.ts"
import { event, say, type Saying } from "../internal/saying.ts"
import * as ToolCall from "../internal/toolCall.ts"
import * as Parts from "./Parts.ts"
import { fromTurns } from "./prompt.ts"

/**
 * What an agent is run with.
 *
 * **Details**
 *
 * - `threadId`, `runId`: the conversation and the run in it. A run that is in the ledger already goes on where it was, and
 *   then `input` is not looked at. `parentRunId` is the run that started this one: it has a conversation of its own.
 * - `input`: what the user says. `system`: the system prompt of each inference.
 * - `toolkit`: the tools with their handlers. A tool whose `needsApproval` says so waits for `runledger decide`, or
 *   `Approval.decide`. One with the annotation `Tool.Idempotent` or `Tool.Readonly` is run again when its process died
 *   while it was running; of any other, a person decides.
 * - `maxSteps`: how many times the model is asked at most, 32 by default.
 * - `onPart`: is handed the parts of each response, unaltered and in order, and those that tools add, one at a time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Tools extends Record<string, Tool.Any>, E = never, R = never> {
  readonly threadId: string
  readonly runId: string
  readonly parentRunId?: string | undefined
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
 * - `Stopped`: it was not the model that ended it: `code` is `max_steps`, or `length` for the model's own limit.
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
          const named = fileName === undefined ? options : { ...options, runledger: { fileName } }
          return { _tag: "Data", mediaType, data: File.keep(data), metadata: json(named) }
        })
})

const textOf = ({ message }: Thread.Turn): string =>
  message.parts.map((part) => (part._tag === "Text" ? part.text : "")).join("")

const openCalls = (turn: Thread.Turn): ReadonlyArray<RunView.ToolCall> =>
  Thread.ownCalls(turn).filter((call) => !Thread.isDone(call) && call.state !== "cancelled")

const mayRunAgain = (tool: Tool.Any | undefined): boolean =>
  tool !== undefined && (Context.get(tool.annotations, Tool.Idempotent) || Context.get(tool.annotations, Tool.Readonly))

/** Whether a call can only wait for somebody who decides. */
const isWaiting = ({ approval, state }: RunView.ToolCall, tool: Tool.Any | undefined): boolean =>
  approval === undefined &&
  (state === "suspended" || ((state === "executing" || state === "unknown") && !mayRunAgain(tool)))

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

/** What a tool gave, as a part of the response. */
const resultPart = (
  call: RunView.ToolCall,
  result: Pick<Tool.HandlerResult<Tool.Any>, "result" | "encodedResult" | "isFailure" | "preliminary" | "modelOutput">
): Response.AnyPart =>
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

const failed = (description: string): AiError.AiError =>
  AiError.make({ module: "Agent", method: "run", reason: new AiError.UnknownError({ description }) })

const invalid = (what: string): LedgerError.ValidationError =>
  new LedgerError.ValidationError({ message: `validation error: ${what}` })

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
 * **Gotchas**
 *
 * The recorder must not be `exact`, which keeps no messages. What a `Redaction` takes out is not in the conversation either:
 * where there is one, a call runs in the process that got it from the model, and in another only when it was approved there
 * and had no secret. With recording turned off, nobody can be asked, so a call that needs an approval is denied.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <Tools extends Record<string, Tool.Any>, E = never, R = never>(
  options: Options<Tools, E, R>
): Effect.Effect<
  Outcome,
  E | AiError.AiError | Tool.HandlerError<Tools[keyof Tools]> | LedgerError.RecordError | LedgerError.CursorExpired,
  | R
  | LanguageModel.LanguageModel
  | Recorder.Recorder
  | EventStore.EventStore
  | Tool.HandlerServices<Tools[keyof Tools]>
  | Tool.ParametersEncodingServices<Tools[keyof Tools]>
> => {
  const { runId, threadId } = options
  return Effect.flatMap(Durability.Durability, (durability) => {
    const isOff = durability === "disabled"
    const recorded = Recorder.record({ threadId, runId })(loop(options, !isOff))
    return isOff ? Effect.provide(recorded, unkept) : recorded
  })
}

/** With recording turned off, an agent remembers its conversation for as long as it runs. */
const unkept = Recorder.layer().pipe(
  Layer.provideMerge(MemoryEventStore.layer),
  Layer.merge(Layer.succeed(Durability.Durability, "compacted"))
)

const loop = Effect.fnUntraced(function* <Tools extends Record<string, Tool.Any>, E, R>(
  {
    input,
    maxSteps = 32,
    onPart = () => Effect.void,
    parentRunId,
    runId,
    system,
    threadId,
    toolkit
  }: Options<Tools, E, R>,
  canAsk: boolean
) {
  const run = yield* Run.Run
  const redactor = yield* Redaction.Redaction
  const clock = yield* Clock.Clock
  const now = (): number => Math.floor(clock.currentTimeMillisUnsafe())
  const one = Semaphore.makeUnsafe(1)
  /** The arguments of calls as the model gave them: the ledger may have them without what is secret. */
  const given = new Map<string, Schema.Json>()

  const tell = (part: Response.AnyPart, sayings: ReadonlyArray<Saying>): Effect.Effect<void, E, R> =>
    one.withPermit(Effect.andThen(say(run, sayings), onPart(part)))

  /** A result that no tool gave. */
  const answer = (call: RunView.ToolCall, data: Schema.Json, said: AgentEvent.AgentEvent) =>
    tell(resultPart(call, { result: data, encodedResult: data, isFailure: true, preliminary: false }), [event(said)])

  const toolOf = ({ name }: RunView.ToolCall): Tool.Any | undefined =>
    Object.hasOwn(toolkit.tools, name) ? toolkit.tools[name] : undefined

  const refuse = (call: RunView.ToolCall, why: string) => answer(call, why, ToolCall.failed(call, why, why))

  const reject = (call: RunView.ToolCall, reason: string) => {
    const data = { type: "execution-denied", reason }
    return answer(call, data, ToolCall.rejected(call, data, reason))
  }

  const execute = Effect.fnUntraced(function* (call: RunView.ToolCall) {
    const args = given.get(call.id) ?? call.arguments
    if (toolOf(call) === undefined) {
      const names = Object.keys(toolkit.tools).join(", ")
      return yield* refuse(call, `There is no tool ${JSON.stringify(call.name)}; there are ${names}.`)
    }
    if (args === undefined || (redactor !== undefined && !given.has(call.id) && !hasWhole(call))) {
      return yield* refuse(call, "The call did not run: its arguments are not in the ledger as they were.")
    }
    // The tool must not run before this is committed.
    yield* Effect.orDie(
      run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id: call.id, name: call.name })
    )
    yield* run.flush()
    let isDone = false
    yield* toolkit.handle(call.name, args as never, call.id).pipe(
      Stream.unwrap,
      Stream.tapCause((cause) => {
        const why = Parts.messageOf(Cause.squash(cause))
        return Cause.hasInterruptsOnly(cause) ? Effect.void : run.emit(ToolCall.failed(call, why, why))
      }),
      Stream.runForEach((result) => {
        const part = resultPart(call, result as Tool.HandlerResult<Tool.Any>)
        isDone ||= !result.preliminary
        return tell(part, Parts.push({ ...Parts.initial, startedAt: 0 }, part, now())[1])
      })
    )
    if (!isDone) {
      yield* refuse(call, "The tool gave no result.")
    }
  })

  /** Does with a call what can be done without anybody. */
  const act = Effect.fnUntraced(function* (call: RunView.ToolCall, messages: ReadonlyArray<Prompt.Message>) {
    const { approval, state } = call
    if (approval !== undefined) {
      return yield* approval.approved
        ? execute(call)
        : state === "suspended"
          ? reject(call, approval.reason)
          : refuse(call, Thread.unanswered(call))
    }
    const tool = toolOf(call)
    if (state !== "ready" || tool === undefined || !(yield* needsApproval(tool, call, messages))) {
      return yield* execute(call)
    }
    if (!canAsk) {
      return yield* reject(call, "recording is turned off, so that nobody can approve it")
    }
    const approvalId = `approve ${call.id}`
    const args = call.arguments ?? null
    const isWhole = redactor !== undefined && Json.canonical(args) === Json.canonical(given.get(call.id) ?? null)
    const asked = ToolCall.suspended({ ...call, arguments: args }, approvalId, isWhole ? { wholeArguments: true } : {})
    return yield* tell(Response.makePart("tool-approval-request", { approvalId, toolCallId: call.id }), [event(asked)])
  })

  const infer = Effect.fnUntraced(function* (prompt: Prompt.Prompt) {
    let inference = Parts.initial
    yield* LanguageModel.streamText({
      prompt: system === undefined ? prompt : Prompt.setSystem(prompt, system),
      toolkit,
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    }).pipe(
      Stream.runForEach((part: Response.AnyPart) => {
        const [next, sayings] = Parts.push(inference, part, now())
        inference = next
        const told = tell(part, sayings)
        return part.type === "error" ? Effect.andThen(told, Effect.fail(failed(Parts.messageOf(part.error)))) : told
      })
    )
    if (inference.finishReason === undefined) {
      return yield* failed("the response broke off before it was finished")
    }
    given.clear()
    for (const [id, call] of Object.entries(inference.calls)) {
      if (call.arguments !== undefined) {
        given.set(id, call.arguments)
      }
    }
    return inference.hasSaid
  })

  const finish = (outcome: Outcome) => {
    const result = outcome._tag === "Suspended" ? {} : { result: { text: outcome.text } }
    return Effect.as(
      run.emit({ _tag: "RunFinish", threadId, runId, termination: terminationOf(outcome), ...result }),
      outcome
    )
  }

  yield* run.emit({ _tag: "RunStart", threadId, runId, ...(parentRunId === undefined ? {} : { parentRunId }) })
  let conversation = yield* Thread.read(threadId, Thread.empty)
  if (Thread.viewOf(conversation, runId).messages.length === 0) {
    if (input.length === 0) {
      return yield* invalid("the input of the agent is empty")
    }
    yield* run.message(messageOf(input))
  }
  /** How many turns there were when the model was asked last: a response that says nothing adds none. */
  let asked: { readonly turns: number; readonly hasSaid: boolean } | undefined
  while (true) {
    yield* run.flush()
    conversation = yield* Thread.read(threadId, conversation)
    const turns = Thread.turns(conversation, runId)
    const own = turns.filter((turn) => turn.runId === runId)
    const said = own.filter(({ message }) => message.role === "assistant" && message.partial !== true)
    const turn = own.at(-1)
    if (own[0]?.message.lost === true) {
      return yield* invalid("the input of the agent is larger than a fact may be; raise maxEventBytes of the recorder")
    }
    if (turn === undefined || turns.length === asked?.turns) {
      if (asked?.hasSaid === true) {
        return yield* invalid(
          "the ledger keeps no messages of the model, for its recorder is exact; an agent needs them"
        )
      }
      return yield* finish({ _tag: "Finished", text: "" })
    }
    if (turn.message.role === "assistant") {
      if (turn.calls.some(({ state }) => state === "suspended") && Thread.ownCalls(turn).length < turn.calls.length) {
        return yield* failed("a tool that the provider runs needs an approval, which is not supported")
      }
      const reason = Thread.finishReason(turn)
      const isCutOff = reason === "length" || reason === "content-filter" || reason === "error"
      const open = openCalls(turn)
      const next = isCutOff ? open : open.filter((call) => !isWaiting(call, toolOf(call)))
      if (next.length > 0) {
        const { content } = fromTurns(turns.slice(0, -1))
        // What fails with one call must not leave in doubt what another one does.
        const ends = yield* Effect.forEach(
          next,
          (call) =>
            Effect.exit(
              isCutOff ? refuse(call, "The response was cut off, and the call did not run.") : act(call, content)
            ),
          { concurrency: "unbounded" }
        )
        yield* Exit.asVoidAll(ends)
        yield* run.emit({ _tag: "StepEnd" })
        continue
      }
      if (open.length > 0) {
        return yield* finish({ _tag: "Suspended", calls: open })
      }
      if (reason === "error") {
        return yield* failed("the provider ended its response with an error")
      }
      if (isCutOff || (Thread.ownCalls(turn).length === 0 && reason !== "pause")) {
        return yield* finish(outcomeOf(reason, textOf(turn)))
      }
    }
    if (said.length >= maxSteps) {
      const last = said.at(-1)
      return yield* finish({ _tag: "Stopped", code: "max_steps", text: last === undefined ? "" : textOf(last) })
    }
    asked = { turns: turns.length, hasSaid: yield* infer(fromTurns(turns)) }
  }
})

/** Whether the ledger is known to have the arguments of a call as the model gave them. */
const hasWhole = ({ result }: RunView.ToolCall): boolean => result?.metadata["wholeArguments"] === true

/** What the last response came to. */
const outcomeOf = (reason: string | undefined, text: string): Outcome => {
  switch (reason) {
    case "length":
      return { _tag: "Stopped", code: reason, text }
    case "content-filter":
      return { _tag: "Blocked", reason, text }
    default:
      return { _tag: "Finished", text }
  }
}

const terminationOf = (outcome: Outcome): Lifecycle.TerminationReason => {
  switch (outcome._tag) {
    case "Finished":
      return { _tag: "NaturalEnd" }
    case "Suspended":
      return { _tag: "Suspended" }
    case "Stopped":
      return { _tag: "Stopped", code: outcome.code }
    case "Blocked":
      return { _tag: "Blocked", reason: outcome.reason }
  }
}
