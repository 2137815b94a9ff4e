/**
 * The facts of a run whose process died.
 */
import type { NormalizedEvent } from "../CanonicalEvent.ts"
import type { RunRecord } from "../EventStore.ts"
import * as StagedEvent from "../StagedEvent.ts"
import type * as RunState from "./runState.ts"
import { frame, normalized, type RunFrame } from "./transition.ts"

/** A fact that a recorder adds when a run was interrupted or goes on. */
export const ofRecovery = (
  { context, scopes }: RunFrame,
  kind: "RunResumed" | "RunInterrupted",
  payload: object
): NormalizedEvent => normalized({ ...context, origin: "recovery" }, "domain_event", kind, scopes, payload)

/** Says that a run was interrupted, and which of its calls were under way. */
export const interrupted = (
  { runId, threadId }: RunRecord,
  { calls }: RunState.Saved,
  occurredAt: number
): StagedEvent.StagedUnit => {
  const run = frame({ threadId: threadId ?? "", runId, origin: "recovery" })
  const scopes = threadId === undefined ? run.scopes.slice(1) : run.scopes
  const fact = ofRecovery({ ...run, scopes }, "RunInterrupted", { threadId: threadId ?? "", runId, openCalls: calls })
  return [StagedEvent.fromText(fact, JSON.stringify(fact.draft.payload), { occurredAt })]
}
