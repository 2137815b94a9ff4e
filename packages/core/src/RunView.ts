/**
 * What the facts of a run come to: where it stands, what was said, its tool calls, who is waited for, what it cost.
 *
 * A view is a value that is folded from facts, one at a time, as they are read or followed.
 *
 * @since 0.1.0
 */
import { HashMap, Option, Result, Schema } from "effect"
import type { AgentEvent } from "./AgentEvent.ts"
import { type CanonicalEvent, decodePayload, isKind, type KnownKind, type payloads } from "./CanonicalEvent.ts"
import * as EventStore from "./EventStore.ts"
import * as Assemble from "./internal/assemble.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Message from "./Message.ts"
import type { TokenUsage } from "./TokenUsage.ts"
import type { ToolResult } from "./Tool.ts"

/**
 * A message that has come to its end, with the ordinal and the time of the fact that said so.
 *
 * **Details**
 *
 * It is the one of a `MessageCommitted`; in a ledger without those, what its deltas were put together to, which in a
 * compacted one is no more than its calls. `lost` says that its payload was too large or withheld: its parts are what
 * is known without it. A message that was erased is none.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunMessage extends Message.Message {
  readonly ordinal: number | undefined
  readonly occurredAt: number
  readonly lost?: true
}

/**
 * Where a tool call stands, as far as its run knows.
 *
 * **Details**
 *
 * - `streaming`: its arguments arrive. `ready`: they are complete.
 * - `executing`: a process is about to run it, or it has put something out.
 * - `suspended`: it waits for a decision. `resumed`: it got one, which is its result or lets it run.
 * - `succeeded`, `failed`, `rejected`, `timed_out`, `cancelled`: it ended so.
 * - `unknown`: the run ended or was interrupted while it was executing, or how it ended cannot be read; it may have had
 *   its effect.
 *
 * @category models
 * @since 0.1.0
 */
export type ToolCallState =
  | "streaming"
  | "ready"
  | "executing"
  | "suspended"
  | "resumed"
  | "succeeded"
  | "failed"
  | "rejected"
  | "timed_out"
  | "cancelled"
  | "unknown"

/**
 * A tool call.
 *
 * **Details**
 *
 * `arguments` are there when they are complete. `result` is the last that the tool gave, also that with which it was
 * suspended; `decision` is what it was resumed with; `reason` tells why it was cancelled. `output` is what it put out
 * while it ran. `approval` is what somebody decided on it since it was suspended, or its outcome became unknown; a run of
 * the tool uses it up. `startedAt` is when it appeared and `since` when it came where it stands, in milliseconds since the
 * epoch; one that is known to run by its output alone may have run since it was ready. `suspensionId` is the other id
 * that a decision may be addressed to.
 *
 * @category models
 * @since 0.1.0
 */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly state: ToolCallState
  readonly arguments: Schema.Json | undefined
  readonly result: ToolResult | undefined
  readonly suspensionId: string | undefined
  readonly decision: Schema.Json | undefined
  readonly approval: { readonly approved: boolean; readonly reason: string } | undefined
  readonly reason: string | undefined
  readonly output: string
  readonly startedAt: number
  readonly since: number
}

/**
 * A permission that nobody has decided on. `requestedAt` is milliseconds since the epoch. Of a request that was too
 * large to be kept, the question is missing; it can be answered by its call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Permission {
  readonly callId: string
  readonly suspensionId: string | undefined
  readonly toolName: string
  readonly action: string
  readonly message: string
  readonly parameters: Schema.Json
  readonly requestedAt: number
}

/**
 * A compaction of the thread's context that went on while the run was running. `reason` tells why it failed or was
 * skipped; `occurredAt` is when it came to its state, in milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Compaction {
  readonly state: "started" | "completed" | "failed" | "skipped" | "cancelled"
  readonly taskId: string | undefined
  readonly boundaryMessageId: string | undefined
  readonly preTokens: number | undefined
  readonly postTokens: number | undefined
  readonly reason: string | undefined
  readonly occurredAt: number
}

/**
 * An error that the run recorded; its message is missing where the payload was not kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunError {
  readonly message: string | undefined
  readonly code: string | undefined
  readonly occurredAt: number
}

/**
 * Events of the run that are not in the ledger, see the payload of `CaptureGap`.
 *
 * @category models
 * @since 0.1.0
 */
export type Gap = (typeof payloads)["CaptureGap"]["Type"] & { readonly occurredAt: number }

/**
 * A run that this one started. `callId` is the tool call that it works for, if it says so.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChildRun {
  readonly runId: string
  readonly threadId: string | undefined
  readonly callId: string | undefined
  readonly status: Lifecycle.RunStatus
  readonly doneReason: string | undefined
  readonly startedAt: number
}

/** What the next fact is folded into beside what is shown. */
interface Fold {
  readonly assembly: Assemble.Assembly
  /** The ids of the calls as they appeared. */
  readonly order: ReadonlyArray<string>
  readonly calls: HashMap.HashMap<string, ToolCall>
  /** The call of a suspension. */
  readonly suspended: HashMap.HashMap<string, string>
}

/**
 * What a run came to, as far as its facts were seen. It is immutable. Ask {@link calls} and {@link current} for its
 * tool calls and for what the model is saying.
 *
 * **Details**
 *
 * - `status` and `doneReason` are those of the store's index, `created` when nothing was seen. `termination` and
 *   `result` are those of the last finish, until the run goes on.
 * - `startedAt`, `updatedAt`: when the first and the last fact occurred, in milliseconds since the epoch.
 * - `facts` counts the facts of the run that were seen; `lastSequence` is the run sequence of the last one,
 *   `lastOrdinal` the last ordinal that they stand for.
 * - `steps`: how many steps the run has begun; in a compacted ledger, those with a message.
 * - `permissions`: those that nobody has decided on, in the order of requests. They stay when the run waits, is
 *   interrupted or ends: whether an answer still helps is for `status` to say.
 * - `tokens`: sums over `inferences`, which took `modelMs` milliseconds. An inference without a total counts as its
 *   prompt and completion.
 * - `compactions` are told in the thread's scope, `children` in a scope that has their facts; a view that is fed the
 *   run's own facts alone has none.
 * - `fold` is for {@link push}, and may change.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunView {
  readonly runId: string
  readonly threadId: string | undefined
  readonly parentRunId: string | undefined
  readonly status: Lifecycle.RunStatus
  readonly doneReason: string | undefined
  readonly termination: Lifecycle.TerminationReason | undefined
  readonly result: Schema.Json | undefined
  readonly startedAt: number | undefined
  readonly updatedAt: number | undefined
  readonly facts: number
  readonly lastSequence: number | undefined
  readonly lastOrdinal: number | undefined
  readonly steps: number
  readonly messages: ReadonlyArray<RunMessage>
  readonly permissions: ReadonlyArray<Permission>
  readonly tokens: Required<TokenUsage>
  readonly inferences: number
  readonly modelMs: number
  readonly compactions: ReadonlyArray<Compaction>
  readonly errors: ReadonlyArray<RunError>
  readonly gaps: ReadonlyArray<Gap>
  readonly children: ReadonlyArray<ChildRun>
  readonly fold: Fold
}

/**
 * The view of a run of which nothing was seen yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty = (runId: string): RunView => ({
  runId,
  threadId: undefined,
  parentRunId: undefined,
  status: "created",
  doneReason: undefined,
  termination: undefined,
  result: undefined,
  startedAt: undefined,
  updatedAt: undefined,
  facts: 0,
  lastSequence: undefined,
  lastOrdinal: undefined,
  steps: 0,
  messages: [],
  permissions: [],
  tokens: {
    promptTokens: 0,
    completionTokens: 0,
    totalTokens: 0,
    cacheReadTokens: 0,
    cacheCreationTokens: 0,
    thinkingTokens: 0
  },
  inferences: 0,
  modelMs: 0,
  compactions: [],
  errors: [],
  gaps: [],
  children: [],
  fold: { assembly: Assemble.initial, order: [], calls: HashMap.empty(), suspended: HashMap.empty() }
})

/**
 * The view of a run after these facts, in the order of a scope.
 *
 * **Example** (What a run came to)
 *
 * ```ts
 * import { EventStore, RunView } from "@runledger/core"
 * import { Effect } from "effect"
 *
 * export const summary = Effect.fnUntraced(function* (runId: string) {
 *   const store = yield* EventStore.EventStore
 *   const { facts } = yield* store.read({ scope: { _tag: "Run", runId } })
 *   const view = RunView.fromFacts(runId, facts)
 *   return {
 *     status: view.status,
 *     tokens: view.tokens.totalTokens,
 *     open: RunView.calls(view).filter(RunView.isOpen),
 *     asks: view.permissions.map(({ message }) => message)
 *   }
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFacts = (runId: string, facts: Iterable<CanonicalEvent>): RunView => {
  let view = empty(runId)
  for (const fact of facts) {
    view = push(view, fact)
  }
  return view
}

/**
 * The tool calls, in the order in which they first appeared.
 *
 * @category getters
 * @since 0.1.0
 */
export const calls = ({ fold }: RunView): ReadonlyArray<ToolCall> =>
  fold.order.map((id) => HashMap.getUnsafe(fold.calls, id))

/**
 * The call with this id, or the one that was suspended under it.
 *
 * @category getters
 * @since 0.1.0
 */
export const call = ({ fold }: RunView, id: string): ToolCall | undefined =>
  Option.getOrUndefined(
    Option.orElse(HashMap.get(fold.calls, id), () =>
      Option.flatMap(HashMap.get(fold.suspended, id), (callId) => HashMap.get(fold.calls, callId))
    )
  )

const over: ReadonlySet<ToolCallState> = new Set([
  "succeeded",
  "failed",
  "rejected",
  "timed_out",
  "cancelled",
  "unknown"
])

/**
 * Whether a call has not come to its end.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isOpen = ({ state }: ToolCall): boolean => !over.has(state)

/**
 * What the model is saying right now, as far as the ledger has it: that of full fidelity has its deltas, a compacted
 * one only the calls that are ready. When the message is committed, it is among the `messages` instead.
 *
 * @category getters
 * @since 0.1.0
 */
export const current = ({ fold }: RunView): Message.Message | undefined => Assemble.message(fold.assembly, false)

/** The payload of a fact of this kind, if it was kept and is one. */
const payloadOf = <K extends KnownKind>(kind: K, fact: CanonicalEvent): (typeof payloads)[K]["Type"] | undefined =>
  isKind(kind)(fact) && Result.isSuccess(decodePayload(fact)) ? fact.payload : undefined

const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined

/** A text that may have been kept although the payload was not. */
const text = (value: unknown, key: string): string | undefined => {
  const found = field(value, key)
  return typeof found === "string" ? found : undefined
}

/** The name of the tool that a fact is about; empty where it was not kept. */
const nameOf = ({ payload }: CanonicalEvent): string => text(payload, "name") ?? ""

const isTermination = Schema.is(Lifecycle.TerminationReason)
const isRole = Schema.is(Message.Role)

const terminationOf = ({ payload }: CanonicalEvent): Lifecycle.TerminationReason | undefined => {
  const termination = field(payload, "termination")
  return isTermination(termination) ? termination : undefined
}

/** The rule of the stores, which have payloads as text; few kinds have it read. */
const statusAfter = (fact: CanonicalEvent) =>
  EventStore.statusAfter({
    kind: fact.kind,
    get payload() {
      return JSON.stringify({ termination: terminationOf(fact) })
    }
  })

/**
 * Takes in a message, in place of one that began with the same event: a partial one, or one that was put together here.
 * Ordinals are from 1; where facts have none, every message is another.
 */
const said = (
  { messages }: RunView,
  message: Omit<RunMessage, "ordinal" | "occurredAt">,
  { occurredAt, ordinal }: CanonicalEvent
): ReadonlyArray<RunMessage> => {
  const from = message.fromOrdinal ?? 0
  const before = from === 0 ? -1 : messages.findLastIndex(({ fromOrdinal }) => fromOrdinal === from)
  const whole = { ...message, ordinal, occurredAt }
  return before === -1 ? [...messages, whole] : messages.with(before, whole)
}

/** Gives an event to the message that is being put together. */
const assembled = (view: RunView, fact: CanonicalEvent, event: AgentEvent): RunView => {
  const place = { ordinal: fact.ordinal ?? 0, position: undefined }
  const [assembly, message] = Assemble.assemble(view.fold.assembly, event, place)
  return {
    ...view,
    steps: assembly.step,
    messages: message === undefined ? view.messages : said(view, message, fact),
    fold: { ...view.fold, assembly }
  }
}

/** A message takes the place of what was put together of it. */
const committed = (view: RunView, fact: CanonicalEvent): RunView => {
  const message = payloadOf("MessageCommitted", fact)
  const role = message?.role ?? field(fact.payload, "role")
  if (!isRole(role)) {
    return view
  }
  const { open, step } = view.fold.assembly
  // Its first events may be missing from the ledger, so what is open may have begun after it.
  const ends =
    open !== undefined &&
    (message === undefined ? role === "assistant" : (message.fromOrdinal ?? Infinity) <= open.from.ordinal)
  const whole = message ?? { parts: [], ...(ends ? current(view) : undefined), role, lost: true as const }
  const steps = Math.max(step, whole.step ?? 0)
  return {
    ...view,
    steps,
    messages: said(view, whole, fact),
    fold: { ...view.fold, assembly: { step: steps, open: ends ? undefined : open } }
  }
}

/** Changes a call, which is there from now on. */
const withCall = (
  view: RunView,
  { kind, occurredAt }: CanonicalEvent,
  id: string | undefined,
  change: Partial<ToolCall>
): RunView => {
  if (id === undefined) {
    return view
  }
  const known = Option.getOrUndefined(HashMap.get(view.fold.calls, id))
  const begins = kind === "ToolCallStarted" || kind === "ToolCallReady"
  const before: ToolCall =
    known !== undefined && (isOpen(known) || !begins)
      ? known
      : {
          id,
          name: "",
          state: "streaming",
          arguments: undefined,
          result: undefined,
          suspensionId: undefined,
          decision: undefined,
          approval: undefined,
          reason: undefined,
          output: "",
          startedAt: occurredAt,
          since: occurredAt
        }
  const after = {
    ...before,
    ...change,
    name: change.name || before.name,
    since: change.since ?? (change.state === undefined ? before.since : occurredAt)
  }
  return {
    ...view,
    fold: {
      ...view.fold,
      order: known === undefined ? [...view.fold.order, id] : view.fold.order,
      calls: HashMap.set(view.fold.calls, id, after)
    }
  }
}

/** Takes away the permissions that an answer to a call, or to one of its suspensions, decides. */
const answered = (view: RunView, id: string | undefined, suspensionId?: string): RunView => {
  if (id === undefined) {
    return view
  }
  const permissions = view.permissions.filter((permission) =>
    suspensionId === undefined || permission.suspensionId === undefined
      ? permission.callId !== id && permission.suspensionId !== id
      : permission.suspensionId !== suspensionId
  )
  return permissions.length === view.permissions.length ? view : { ...view, permissions }
}

const doneState = ({ kind, payload }: CanonicalEvent): ToolCallState => {
  switch (kind) {
    case "ToolCallSuspended":
      return "suspended"
    case "ToolCallRejected":
      return "rejected"
    case "ToolCallTimedOut":
      return "timed_out"
    default: {
      const outcome = text(payload, "outcome")
      return outcome === "succeeded" || outcome === "failed" ? outcome : "unknown"
    }
  }
}

const done = (
  view: RunView,
  fact: CanonicalEvent,
  kind: "ToolCallDone" | "ToolCallSuspended" | "ToolCallRejected" | "ToolCallTimedOut"
): RunView => {
  const id = text(fact.payload, "id")
  const result = payloadOf(kind, fact)?.result
  const suspensionId = kind === "ToolCallSuspended" ? result?.suspension?.suspension.id : undefined
  const after = withCall(answered(view, id), fact, id, {
    state: doneState(fact),
    approval: undefined,
    ...(result === undefined ? {} : { name: result.toolName, result }),
    ...(suspensionId === undefined ? {} : { suspensionId })
  })
  return id === undefined || suspensionId === undefined
    ? after
    : { ...after, fold: { ...after.fold, suspended: HashMap.set(after.fold.suspended, suspensionId, id) } }
}

const asked = (view: RunView, fact: CanonicalEvent): RunView => {
  const callId = text(fact.payload, "id")
  if (callId === undefined) {
    return view
  }
  const result = payloadOf("ToolPermissionRequested", fact)?.result
  const suspension = result?.suspension?.suspension
  const permission: Permission = {
    callId,
    suspensionId: suspension?.id,
    toolName: result?.toolName ?? call(view, callId)?.name ?? "",
    action: suspension?.action ?? "",
    message: suspension?.message ?? "",
    parameters: suspension?.parameters ?? null,
    requestedAt: fact.occurredAt
  }
  return { ...view, permissions: [...answered(view, callId).permissions, permission] }
}

const decided = (view: RunView, fact: CanonicalEvent): RunView => {
  const id = text(fact.payload, "id")
  const { approved, reason, suspensionId } = payloadOf("ToolPermissionResolved", fact) ?? {}
  const after = answered(view, id, suspensionId ?? text(fact.payload, "suspensionId"))
  const known = id === undefined ? undefined : call(view, id)
  return known === undefined || approved === undefined
    ? after
    : withCall(after, fact, known.id, { approval: { approved, reason: reason ?? "" } })
}

const resumed = (view: RunView, fact: CanonicalEvent): RunView => {
  const target = text(fact.payload, "targetId")
  const id = target === undefined ? undefined : call(view, target)?.id
  return withCall(answered(view, target), fact, id, {
    state: "resumed",
    decision: payloadOf("ToolCallResumed", fact)?.result
  })
}

const put = (view: RunView, fact: CanonicalEvent): RunView => {
  const { delta = "", id = text(fact.payload, "id") } = payloadOf("ToolCallStreamDeltaObserved", fact) ?? {}
  const before = id === undefined ? undefined : Option.getOrUndefined(HashMap.get(view.fold.calls, id))
  return withCall(view, fact, id, {
    name: nameOf(fact),
    output: `${before?.output ?? ""}${delta}`,
    // Only a call that runs puts something out, and it may have run since it could.
    ...(before === undefined || ["streaming", "ready", "resumed"].includes(before.state)
      ? { state: "executing", since: before?.since ?? fact.occurredAt }
      : {})
  })
}

/** The model makes a call, or takes it back. */
const made = (
  view: RunView,
  fact: CanonicalEvent,
  kind: "ToolCallStarted" | "ToolCallReady" | "ToolCallCancelled"
): RunView => {
  const id = text(fact.payload, "id")
  const name = nameOf(fact)
  if (id === undefined) {
    return view
  }
  switch (kind) {
    case "ToolCallStarted":
      return withCall(assembled(view, fact, { _tag: "ToolCallStart", id, name }), fact, id, {
        name,
        state: "streaming"
      })
    case "ToolCallReady":
      return withCall(assembled(view, fact, { _tag: "ToolCallReady", id, name, arguments: null }), fact, id, {
        name,
        // Who reads a stream late may hear of a call when its tool runs already.
        ...(call(view, id)?.state === "executing" ? {} : { state: "ready" }),
        arguments: payloadOf(kind, fact)?.arguments
      })
    case "ToolCallCancelled": {
      const event = { _tag: "ToolCallCancel", id, name, reason: "" } as const
      return withCall(assembled(answered(view, id), fact, event), fact, id, {
        name,
        state: "cancelled",
        reason: payloadOf(kind, fact)?.reason
      })
    }
  }
}

/** A new attempt of a turn voids its calls that had not got ready. */
const reset = (view: RunView, fact: CanonicalEvent): RunView => {
  const parts = view.fold.assembly.open?.parts ?? []
  const started = parts.flatMap((part) => (part._tag === "ToolCall" ? [part.id] : []))
  const voided = new Set(started.filter((id) => call(view, id)?.state === "streaming"))
  const after = assembled(view, fact, { _tag: "StreamReset", reason: "" })
  return {
    ...after,
    fold: {
      ...after.fold,
      order: after.fold.order.filter((id) => !voided.has(id)),
      calls: HashMap.removeMany(after.fold.calls, voided)
    }
  }
}

const sum = (tokens: Required<TokenUsage>, usage: TokenUsage = {}): Required<TokenUsage> => {
  const { completionTokens = 0, promptTokens = 0, totalTokens = promptTokens + completionTokens } = usage
  return {
    promptTokens: tokens.promptTokens + promptTokens,
    completionTokens: tokens.completionTokens + completionTokens,
    totalTokens: tokens.totalTokens + totalTokens,
    cacheReadTokens: tokens.cacheReadTokens + (usage.cacheReadTokens ?? 0),
    cacheCreationTokens: tokens.cacheCreationTokens + (usage.cacheCreationTokens ?? 0),
    thinkingTokens: tokens.thinkingTokens + (usage.thinkingTokens ?? 0)
  }
}

const inferred = (view: RunView, fact: CanonicalEvent): RunView => {
  const event = payloadOf("InferenceComplete", fact) ?? { _tag: "InferenceComplete", model: "", durationMs: 0 }
  return {
    ...assembled(view, fact, event),
    tokens: sum(view.tokens, event.usage),
    inferences: view.inferences + 1,
    modelMs: view.modelMs + event.durationMs
  }
}

const parentOf = ({ payload }: CanonicalEvent): string | undefined =>
  text(payload, "parentRunId") ?? text(field(payload, "identity"), "parentRunId")

const begun = (view: RunView, fact: CanonicalEvent): RunView => ({
  ...assembled(view, fact, { _tag: "RunStart", threadId: "", runId: view.runId }),
  parentRunId: view.parentRunId ?? parentOf(fact),
  termination: undefined,
  result: undefined
})

type FinishKind = "RunFinished" | "RunSuspended" | "RunCancelled" | "RunErrored" | "RunTerminated"

const finished = (view: RunView, fact: CanonicalEvent, kind: FinishKind): RunView => {
  const termination = terminationOf(fact)
  const event: AgentEvent = {
    _tag: "RunFinish",
    threadId: "",
    runId: view.runId,
    termination: termination ?? { _tag: "NaturalEnd" }
  }
  const after = abandoned({ ...assembled(view, fact, event), termination }, fact, [])
  return { ...after, result: payloadOf(kind, fact)?.result }
}

/** Nobody will say how the calls end that are executing. */
const abandoned = (
  view: RunView,
  fact: CanonicalEvent,
  named: ReadonlyArray<{ readonly id: string; readonly name: string }>
): RunView =>
  [...calls(view).filter(({ state }) => state === "executing"), ...named].reduce(
    (after, { id, name }) => withCall(after, fact, id, { name, state: "unknown", approval: undefined }),
    view
  )

const interrupted = (view: RunView, fact: CanonicalEvent): RunView => {
  const { assembly } = view.fold
  const message = Assemble.message(assembly, true)
  const named = payloadOf("RunInterrupted", fact)?.openCalls ?? []
  const before = {
    ...view,
    messages: message === undefined ? view.messages : said(view, message, fact),
    fold: { ...view.fold, assembly: { ...assembly, open: undefined } }
  }
  return abandoned(
    before,
    fact,
    named.filter(({ executing }) => executing)
  )
}

/** The view after a fact of its run; the kind decides, also where the payload was not kept. */
const folded = (view: RunView, fact: CanonicalEvent): RunView => {
  const { kind, occurredAt, payload } = fact
  switch (kind) {
    case "TextDeltaObserved":
    case "ReasoningDeltaObserved":
    case "ReasoningEncryptedValueObserved": {
      const event = payloadOf(kind, fact)
      return event === undefined ? view : assembled(view, fact, event)
    }
    case "ToolCallStreamDeltaObserved":
      return put(view, fact)
    case "RunStarted":
    case "RunResumed":
      return begun(view, fact)
    case "RunFinished":
    case "RunSuspended":
    case "RunCancelled":
    case "RunErrored":
    case "RunTerminated":
      return finished(view, fact, kind)
    case "RunInterrupted":
      return interrupted(view, fact)
    case "StepStarted":
      return assembled(view, fact, { _tag: "StepStart", messageId: text(payload, "messageId") ?? "" })
    case "StepEnded":
      return assembled(view, fact, { _tag: "StepEnd" })
    case "StreamReset":
      return reset(view, fact)
    case "InferenceComplete":
      return inferred(view, fact)
    case "MessageCommitted":
      return committed(view, fact)
    case "ToolCallStarted":
    case "ToolCallReady":
    case "ToolCallCancelled":
      return made(view, fact, kind)
    case "ToolCallExecuting":
      return withCall(view, fact, text(payload, "id"), {
        name: nameOf(fact),
        state: "executing",
        approval: undefined
      })
    case "ToolCallDone":
    case "ToolCallSuspended":
    case "ToolCallRejected":
    case "ToolCallTimedOut":
      return done(view, fact, kind)
    case "ToolCallResumed":
      return resumed(view, fact)
    case "ToolPermissionRequested":
      return asked(view, fact)
    case "ToolPermissionResolved":
      return decided(view, fact)
    case "ErrorRecorded": {
      const { code, message } = payloadOf(kind, fact) ?? {}
      return { ...view, errors: [...view.errors, { message, code, occurredAt }] }
    }
    case "CaptureGap": {
      const gap = payloadOf(kind, fact)
      return gap === undefined ? view : { ...view, gaps: [...view.gaps, { ...gap, occurredAt }] }
    }
    default:
      return view
  }
}

const compactionStates = {
  ContextCompactionStarted: "started",
  ContextCompactionCompleted: "completed",
  ContextCompactionFailed: "failed",
  ContextCompactionSkipped: "skipped",
  ContextCompactionCancelled: "cancelled"
} as const satisfies { readonly [K in KnownKind]?: Compaction["state"] }

const isCompaction = (kind: string): kind is keyof typeof compactionStates => Object.hasOwn(compactionStates, kind)

const number = (value: unknown, key: string): number | undefined => {
  const found = field(value, key)
  return typeof found === "number" ? found : undefined
}

/** The end of a compaction takes the place of its start. The thread tells both, not the run. */
const compacted = (view: RunView, { kind, occurredAt, payload, threadId }: CanonicalEvent): RunView => {
  if (!isCompaction(kind) || view.status !== "running" || threadId !== view.threadId) {
    return view
  }
  const compaction: Compaction = {
    state: compactionStates[kind],
    taskId: text(payload, "taskId"),
    boundaryMessageId: text(payload, "boundaryMessageId"),
    preTokens: number(payload, "preTokens"),
    postTokens: number(payload, "postTokens"),
    reason: text(payload, "error") ?? text(payload, "reason"),
    occurredAt
  }
  const { taskId } = compaction
  const started =
    taskId === undefined
      ? -1
      : view.compactions.findLastIndex((before) => before.state === "started" && before.taskId === taskId)
  return {
    ...view,
    compactions: started === -1 ? [...view.compactions, compaction] : view.compactions.with(started, compaction)
  }
}

/** What a fact of another run says of a child. */
const ofChild = (view: RunView, fact: CanonicalEvent, runId: string): RunView => {
  const after = statusAfter(fact)
  if (after === undefined) {
    return view
  }
  const index = view.children.findIndex((child) => child.runId === runId)
  const known = view.children[index]
  if (known !== undefined) {
    return { ...view, children: view.children.with(index, { ...known, ...after }) }
  }
  if (after.status !== "running" || parentOf(fact) !== view.runId) {
    return view
  }
  const child: ChildRun = {
    runId,
    threadId: fact.threadId,
    callId: text(field(fact.payload, "identity"), "parentToolCallId"),
    ...after,
    startedAt: fact.occurredAt
  }
  return { ...view, children: [...view.children, child] }
}

/**
 * The view after one more fact, which is the next in the order of its scope. The view before stays as it is. Facts of
 * other runs change nothing, unless they tell of a child, or of a compaction while the run is running. A fact whose
 * payload was erased, was too large, or is of a newer version still counts for what its kind and its ids say. It never
 * throws.
 *
 * @category folding
 * @since 0.1.0
 */
export const push = (view: RunView, fact: CanonicalEvent): RunView => {
  const { lastOrdinal = fact.ordinal, occurredAt, runId } = fact
  if (runId === undefined) {
    return compacted(view, fact)
  }
  if (runId !== view.runId) {
    return ofChild(view, fact, runId)
  }
  const after = folded(view, fact)
  return {
    ...after,
    ...statusAfter(fact),
    threadId: view.threadId ?? fact.threadId,
    startedAt: view.startedAt ?? occurredAt,
    updatedAt: occurredAt,
    facts: view.facts + 1,
    lastSequence: fact.runSequence,
    lastOrdinal: lastOrdinal === undefined ? view.lastOrdinal : Math.max(view.lastOrdinal ?? 0, lastOrdinal)
  }
}
