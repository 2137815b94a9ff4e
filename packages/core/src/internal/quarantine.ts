/**
 * What takes the place of a unit that the store refuses.
 */
import * as StagedEvent from "../StagedEvent.ts"
import * as Gap from "./gap.ts"
import { normalized } from "./transition.ts"

/** A gap for the facts of a unit; undefined for a unit that has none, or is one already. */
export const quarantine = (unit: StagedEvent.StagedUnit, cause: unknown): StagedEvent.StagedUnit | undefined => {
  const [first] = unit
  if (first === undefined || (unit.length === 1 && first.kind === "CaptureGap")) {
    return undefined
  }
  const message = cause instanceof Error ? cause.message : String(cause)
  const [gap] = unit.reduce<Gap.Gaps>(
    (gaps, { kind, ordinal = 0 }) => Gap.add(gaps, "refused", kind, ordinal, message),
    []
  )
  if (gap === undefined) {
    return undefined
  }
  const scopes = [
    ...(first.threadId === undefined ? [] : [{ _tag: "Thread" as const, threadId: first.threadId }]),
    ...(first.runId === undefined ? [] : [{ _tag: "Run" as const, runId: first.runId }])
  ]
  const fact = normalized(first, "control_event", "CaptureGap", scopes, gap)
  return [
    StagedEvent.fromText(fact, JSON.stringify(fact.draft.payload), {
      occurredAt: first.occurredAt,
      ordinal: gap.firstOrdinal,
      lastOrdinal: gap.lastOrdinal
    })
  ]
}
