/**
 * The normalizer's transition: pure, one event at a time, exactly the seed's.
 *
 * The state changes although a later check refuses the draft: a run id, once seen, stays seen.
 */
import { HashSet, Result } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { CanonicalEventDraft, EventScope, Fidelity, KnownKind, NormalizedEvent } from "../CanonicalEvent.ts"
import { checkScopes, requireText } from "../CanonicalEvent.ts"
import { type DurabilityMode, shouldPersist } from "../Durability.ts"
import type { ValidationError } from "../LedgerError.ts"
import type { TerminationReason } from "../Lifecycle.ts"
import type { RunContext } from "../RunContext.ts"
import type { ToolResult } from "../Tool.ts"
import * as Compaction from "./compaction.ts"
import { isBlank } from "./text.ts"

/** What a run has shown so far, as far as later events depend on it. */
export interface RunState {
  readonly started: HashSet.HashSet<string>
  readonly terminal: HashSet.HashSet<string>
  readonly compaction: Compaction.CompactionState
}

const none = HashSet.empty<string>()

/** A fresh run has seen nothing; a resumed one counts as started. */
export const initial = (context: RunContext, resumed: boolean): RunState => ({
  started: resumed ? HashSet.make(context.runId) : none,
  terminal: none,
  compaction: Compaction.initial
})

/** A context with what every event of the run shares: its scopes, made and checked once. */
export interface RunFrame {
  readonly context: RunContext
  readonly scopes: ReadonlyArray<EventScope>
  readonly threadScope: ReadonlyArray<EventScope>
  readonly problem: ValidationError | undefined
}

const scopesOf = (threadId: string, runId: string): ReadonlyArray<EventScope> => [
  { _tag: "Thread", threadId },
  { _tag: "Run", runId }
]

export const frame = (context: RunContext): RunFrame => {
  const scopes = scopesOf(context.threadId, context.runId)
  return {
    context,
    scopes,
    threadScope: scopes.slice(0, 1),
    problem: checkScopes(scopes) ?? requireText("origin", context.origin)
  }
}

type Drafts = Result.Result<ReadonlyArray<NormalizedEvent>, ValidationError>
type Step = readonly [RunState, Drafts]

export const nothing: Drafts = Result.succeed([])

const finishKinds = {
  NaturalEnd: "RunFinished",
  BehaviorRequested: "RunFinished",
  Suspended: "RunSuspended",
  Cancelled: "RunCancelled",
  Error: "RunErrored",
  Stopped: "RunTerminated",
  Blocked: "RunTerminated"
} as const satisfies { readonly [Tag in TerminationReason["_tag"]]: KnownKind }

/** The events whose kind and fidelity do not depend on anything but their tag. */
const observedKinds = {
  TextDelta: "TextDeltaObserved",
  ReasoningDelta: "ReasoningDeltaObserved",
  ReasoningEncryptedValue: "ReasoningEncryptedValueObserved",
  ToolCallStart: "ToolCallStarted",
  ToolCallDelta: "ToolCallDeltaObserved",
  ToolCallStreamDelta: "ToolCallStreamDeltaObserved",
  StepStart: "StepStarted",
  StepEnd: "StepEnded",
  MessagesSnapshot: "MessagesSnapshotObserved",
  ActivitySnapshot: "ActivitySnapshotObserved",
  ActivityDelta: "ActivityDeltaObserved",
  StateSnapshot: "StateSnapshotObserved",
  StateDelta: "StateDeltaObserved"
} as const satisfies { readonly [Tag in AgentEvent["_tag"]]?: KnownKind }

const toolCallDone = (result: ToolResult, outcome: string): readonly [Fidelity, KnownKind] => {
  if (outcome === "suspended") {
    return ["domain_event", "ToolCallSuspended"]
  }
  if (outcome === "failed" && Object.hasOwn(result.metadata, "rejected")) {
    return ["domain_event", "ToolCallRejected"]
  }
  if (outcome === "failed" && Object.hasOwn(result.metadata, "timed_out") && result.metadata["timed_out"] === true) {
    return ["domain_event", "ToolCallTimedOut"]
  }
  return ["committed_runtime_event", "ToolCallDone"]
}

/** A suspended call asks for a permission when its ticket can be answered and says to run the call again. */
const asksPermission = (event: AgentEvent): boolean => {
  if (event._tag !== "ToolCallDone" || event.outcome !== "suspended" || event.result.status !== "pending") {
    return false
  }
  const ticket = event.result.suspension
  return ticket !== undefined && ticket.resumeMode === "replay_tool_call" && !isBlank(ticket.suspension.id)
}

/** A draft as all are, but for those about context compaction. */
export const normalized = (
  { correlationId, origin }: Pick<RunContext, "origin" | "correlationId">,
  fidelity: Fidelity,
  kind: KnownKind,
  scopes: ReadonlyArray<EventScope>,
  payload: unknown
): NormalizedEvent => {
  const draft = { scopes, kind, payload, origin, visibility: "public" as const, schemaVersion: 1 }
  return { fidelity, draft: correlationId === undefined ? draft : { ...draft, correlationId } }
}

const one = (
  run: RunFrame,
  fidelity: Fidelity,
  kind: KnownKind,
  scopes: ReadonlyArray<EventScope>,
  payload: unknown
): Drafts => {
  const problem =
    scopes === run.scopes ? run.problem : (checkScopes(scopes) ?? requireText("origin", run.context.origin))
  return problem === undefined
    ? Result.succeed([normalized(run.context, fidelity, kind, scopes, payload)])
    : Result.fail(problem)
}

/** The primary draft of an event, if it has one. */
export const primary = (state: RunState, run: RunFrame, event: AgentEvent): Step => {
  switch (event._tag) {
    // Most events are such, so it is asked for first.
    case "TextDelta":
      return [state, one(run, "observed_runtime_event", "TextDeltaObserved", run.scopes, event)]
    case "RunStart": {
      const resumed = HashSet.has(state.started, event.runId)
      return [
        resumed ? state : { ...state, started: HashSet.add(state.started, event.runId) },
        one(run, "domain_event", resumed ? "RunResumed" : "RunStarted", scopesOf(event.threadId, event.runId), event)
      ]
    }
    case "RunFinish":
      return HashSet.has(state.terminal, event.runId)
        ? [state, nothing]
        : [
            { ...state, terminal: HashSet.add(state.terminal, event.runId) },
            one(run, "domain_event", finishKinds[event.termination._tag], scopesOf(event.threadId, event.runId), event)
          ]
    case "ToolCallReady":
      return [state, one(run, "committed_runtime_event", "ToolCallReady", run.scopes, event)]
    case "ToolCallDone": {
      const [fidelity, kind] = toolCallDone(event.result, event.outcome)
      return [state, one(run, fidelity, kind, run.scopes, event)]
    }
    case "ToolCallResumed":
      return [state, one(run, "control_event", "ToolCallResumed", run.scopes, event)]
    case "ToolCallCancel":
      return [state, one(run, "domain_event", "ToolCallCancelled", run.scopes, event)]
    case "StreamReset":
      return [state, one(run, "committed_runtime_event", "StreamReset", run.scopes, event)]
    case "InferenceComplete":
      return [state, one(run, "committed_runtime_event", "InferenceComplete", run.scopes, event)]
    case "Error":
      return [state, one(run, "committed_runtime_event", "ErrorRecorded", run.scopes, event)]
    default:
      return [state, one(run, "observed_runtime_event", observedKinds[event._tag], run.scopes, event)]
  }
}

const mayBringMore = ({ _tag }: AgentEvent): boolean => _tag === "ToolCallDone" || _tag === "StateSnapshot"

/** What an event brings beside its primary draft: a permission request, or facts about context compaction. */
const companions = (
  state: RunState,
  run: RunFrame,
  event: AgentEvent
): readonly [RunState, ReadonlyArray<NormalizedEvent>] => {
  if (asksPermission(event)) {
    return [state, [normalized(run.context, "domain_event", "ToolPermissionRequested", run.scopes, event)]]
  }
  if (event._tag !== "StateSnapshot") {
    return [state, []]
  }
  const [compaction, observations] = Compaction.observe(state.compaction, run.context.threadId, event.snapshot)
  return [
    compaction === state.compaction ? state : { ...state, compaction },
    observations.map(({ kind, payload }) => {
      const { correlationId: _, ...draft }: CanonicalEventDraft = normalized(
        run.context,
        "domain_event",
        kind,
        run.threadScope,
        payload
      ).draft
      return { fidelity: "domain_event", draft: { ...draft, visibility: "internal" } }
    })
  ]
}

/** Whether the policy drops an event that leaves no trace in the state either. Most events are deltas, so these are asked for first. */
export const isDropped = ({ _tag }: AgentEvent, durability: DurabilityMode): boolean =>
  !shouldPersist(durability, "observed_runtime_event") &&
  (_tag === "TextDelta" || _tag === "ToolCallDelta" || (_tag !== "StateSnapshot" && Object.hasOwn(observedKinds, _tag)))

/** All drafts of an event, the primary first; none of one that is dropped. */
export const transition = (state: RunState, run: RunFrame, event: AgentEvent, durability: DurabilityMode): Step => {
  if (isDropped(event, durability)) {
    return [state, nothing]
  }
  const step = primary(state, run, event)
  const [afterPrimary, drafts] = step
  if (Result.isFailure(drafts) || !mayBringMore(event)) {
    return step
  }
  const [after, more] = companions(afterPrimary, run, event)
  return [after, more.length === 0 ? drafts : Result.succeed([...drafts.success, ...more])]
}
