/**
 * The fact of a run whose process died.
 */
import type { RunRecord } from "../EventStore.ts"
import * as StagedEvent from "../StagedEvent.ts"
import type * as RunState from "./runState.ts"
import { ownFact } from "./stages.ts"
import { frame } from "./transition.ts"

/** The origin of what a recorder adds when a run is interrupted or goes on. */
export const recovery = "recovery"

/** Says that a run was interrupted, and which of its calls were under way. */
export const interrupted = (
  { runId, threadId }: RunRecord,
  { calls }: RunState.Saved,
  occurredAt: number
): StagedEvent.StagedUnit => {
  const run = frame({ threadId: threadId ?? "", runId, origin: recovery })
  const { draft, fidelity } = ownFact(run, "domain_event", "RunInterrupted", {
    threadId: threadId ?? "",
    runId,
    openCalls: calls
  })
  const scopes = draft.scopes.filter((scope) => scope._tag === "Run" || threadId !== undefined)
  return [
    StagedEvent.fromText({ fidelity, draft: { ...draft, scopes } }, JSON.stringify(draft.payload), { occurredAt })
  ]
}
