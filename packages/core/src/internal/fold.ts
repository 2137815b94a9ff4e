/**
 * The state that the facts of a run are folded into: what its view shows, and what the next fact needs beside.
 *
 * However much of the run was seen, a fact takes about as long: what grows with the run is shared with the state before.
 */
import { HashMap, HashSet, Option } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { CanonicalEvent, KnownKind } from "../CanonicalEvent.ts"
import type { ChildRun, Compaction, RunView, ToolCall } from "../RunView.ts"
import type { TokenUsage } from "../TokenUsage.ts"
import * as Assemble from "./assemble.ts"
import { field, number, parentOf, payloadOf, statusAfter, terminationOf, text } from "./kept.ts"
import { List } from "./list.ts"
import * as Said from "./said.ts"
import * as ToolCalls from "./toolCalls.ts"

/** What a view has as arrays, and grows with the run. */
export type Listed = "messages" | "compactions" | "errors" | "gaps" | "children"

type Lists = { readonly [K in Listed]: List<RunView[K][number]> }

export interface Fold extends Omit<RunView, Listed | "fold">, Lists {
  readonly assembly: Assemble.Assembly
  /** Where the messages are, by the ordinal that each began with. */
  readonly placesOfMessages: HashMap.HashMap<number, number>
  /** Where the compactions are that have only started, by their tasks. */
  readonly placesOfStarted: HashMap.HashMap<string, number>
  readonly childrenById: HashMap.HashMap<string, { readonly place: number; readonly child: ChildRun }>
  /** The ids of the calls as they appeared, those that went away included. */
  readonly order: List<string>
  /** The calls by id, with their place in the order. */
  readonly calls: HashMap.HashMap<string, { readonly place: number; readonly call: ToolCall }>
  /** The ids of the calls that are executing. */
  readonly executing: HashSet.HashSet<string>
  /** The call of a suspension. */
  readonly suspended: HashMap.HashMap<string, string>
}

export const initial = (runId: string): Fold => ({
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
  messages: new List(),
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
  compactions: new List(),
  errors: new List(),
  gaps: new List(),
  children: new List(),
  assembly: Assemble.initial,
  placesOfMessages: HashMap.empty(),
  placesOfStarted: HashMap.empty(),
  childrenById: HashMap.empty(),
  order: new List(),
  calls: HashMap.empty(),
  executing: HashSet.empty(),
  suspended: HashMap.empty()
})

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

const inferred = (fold: Fold, fact: CanonicalEvent): Fold => {
  const event = payloadOf("InferenceComplete", fact) ?? { _tag: "InferenceComplete", model: "", durationMs: 0 }
  return {
    ...Said.assembled(fold, fact, event),
    tokens: sum(fold.tokens, event.usage),
    inferences: fold.inferences + 1,
    modelMs: fold.modelMs + event.durationMs
  }
}

const begun = (fold: Fold, fact: CanonicalEvent): Fold => ({
  ...Said.assembled(fold, fact, { _tag: "RunStart", threadId: "", runId: fold.runId }),
  parentRunId: fold.parentRunId ?? parentOf(fact),
  termination: undefined,
  result: undefined
})

type FinishKind = "RunFinished" | "RunSuspended" | "RunCancelled" | "RunErrored" | "RunTerminated"

const finished = (fold: Fold, fact: CanonicalEvent, kind: FinishKind): Fold => {
  const termination = terminationOf(fact)
  const event: AgentEvent = {
    _tag: "RunFinish",
    threadId: "",
    runId: fold.runId,
    termination: termination ?? { _tag: "NaturalEnd" }
  }
  const after = ToolCalls.abandoned(Said.assembled(fold, fact, event), fact, [])
  return { ...after, termination, result: payloadOf(kind, fact)?.result }
}

const interrupted = (fold: Fold, fact: CanonicalEvent): Fold => {
  const named = payloadOf("RunInterrupted", fact)?.openCalls ?? []
  return ToolCalls.abandoned(
    Said.brokenOff(fold, fact),
    fact,
    named.filter(({ executing }) => executing)
  )
}

/** What a fact of the run itself says; the kind decides, also where the payload was not kept. */
const told = (fold: Fold, fact: CanonicalEvent): Fold => {
  const { kind, occurredAt, payload } = fact
  switch (kind) {
    case "TextDeltaObserved":
    case "ReasoningDeltaObserved":
    case "ReasoningEncryptedValueObserved": {
      const event = payloadOf(kind, fact)
      return event === undefined ? fold : Said.assembled(fold, fact, event)
    }
    case "ToolCallStreamDeltaObserved":
      return ToolCalls.put(fold, fact)
    case "RunStarted":
    case "RunResumed":
      return begun(fold, fact)
    case "RunFinished":
    case "RunSuspended":
    case "RunCancelled":
    case "RunErrored":
    case "RunTerminated":
      return finished(fold, fact, kind)
    case "RunInterrupted":
      return interrupted(fold, fact)
    case "StepStarted":
      return Said.assembled(fold, fact, { _tag: "StepStart", messageId: text(payload, "messageId") ?? "" })
    case "StepEnded":
      return Said.assembled(fold, fact, { _tag: "StepEnd" })
    case "StreamReset":
      return ToolCalls.reset(fold, fact)
    case "InferenceComplete":
      return inferred(fold, fact)
    case "MessageCommitted":
      return Said.committed(fold, fact)
    case "ToolCallStarted":
    case "ToolCallReady":
    case "ToolCallCancelled":
      return ToolCalls.made(fold, fact, kind)
    case "ToolCallExecuting":
      return ToolCalls.begun(fold, fact)
    case "ToolCallDone":
    case "ToolCallSuspended":
    case "ToolCallRejected":
    case "ToolCallTimedOut":
      return ToolCalls.done(fold, fact, kind)
    case "ToolCallResumed":
      return ToolCalls.resumed(fold, fact)
    case "ToolPermissionRequested":
      return ToolCalls.asked(fold, fact)
    case "ToolPermissionResolved":
      return ToolCalls.decided(fold, fact)
    case "ErrorRecorded": {
      const { code, message } = payloadOf(kind, fact) ?? {}
      return { ...fold, errors: fold.errors.append({ message, code, occurredAt }) }
    }
    case "CaptureGap": {
      const gap = payloadOf(kind, fact)
      return gap === undefined ? fold : { ...fold, gaps: fold.gaps.append({ ...gap, occurredAt }) }
    }
    default:
      return fold
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

/** The end of a compaction takes the place of its start. The thread tells both, not the run. */
const compacted = (fold: Fold, { kind, occurredAt, payload, threadId }: CanonicalEvent): Fold => {
  if (!isCompaction(kind) || fold.status !== "running" || threadId !== fold.threadId) {
    return fold
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
  const { state, taskId } = compaction
  if (taskId === undefined) {
    return { ...fold, compactions: fold.compactions.append(compaction) }
  }
  const place = Option.getOrElse(HashMap.get(fold.placesOfStarted, taskId), () => fold.compactions.length)
  return {
    ...fold,
    compactions: fold.compactions.put(place, compaction),
    placesOfStarted:
      state === "started"
        ? HashMap.set(fold.placesOfStarted, taskId, place)
        : HashMap.remove(fold.placesOfStarted, taskId)
  }
}

/** What a fact of another run says of a child. */
const ofChild = (fold: Fold, fact: CanonicalEvent, runId: string): Fold => {
  const after = statusAfter(fact)
  if (after === undefined) {
    return fold
  }
  const known = Option.getOrUndefined(HashMap.get(fold.childrenById, runId))
  if (known === undefined && (after.status !== "running" || parentOf(fact) !== fold.runId)) {
    return fold
  }
  const place = known?.place ?? fold.children.length
  const child: ChildRun = {
    ...(known?.child ?? {
      runId,
      threadId: fact.threadId,
      callId: text(field(fact.payload, "identity"), "parentToolCallId"),
      startedAt: fact.occurredAt
    }),
    ...after
  }
  return {
    ...fold,
    children: fold.children.put(place, child),
    childrenById: HashMap.set(fold.childrenById, runId, { place, child })
  }
}

/** The state after one more fact; the same one when the fact says nothing of the run. */
export const next = (fold: Fold, fact: CanonicalEvent): Fold => {
  const { lastOrdinal = fact.ordinal, occurredAt, runId } = fact
  if (runId === undefined) {
    return compacted(fold, fact)
  }
  if (runId !== fold.runId) {
    return ofChild(fold, fact, runId)
  }
  return {
    ...told(fold, fact),
    ...statusAfter(fact),
    threadId: fold.threadId ?? fact.threadId,
    startedAt: fold.startedAt ?? occurredAt,
    updatedAt: occurredAt,
    facts: fold.facts + 1,
    lastSequence: fact.runSequence,
    lastOrdinal: lastOrdinal === undefined ? fold.lastOrdinal : Math.max(fold.lastOrdinal ?? 0, lastOrdinal)
  }
}
