/**
 * The labels of runs: one column, as JSON text.
 */
import { EventStore, Json, LedgerError, StagedEvent } from "@runledger/core"

/** What is wrong with the labels of runs, if anything: one that no store can keep. */
export const check = (
  runs: ReadonlyArray<Pick<EventStore.RunState, "runId" | "labels">> = []
): LedgerError.ValidationError | undefined => {
  const bad = runs.find(({ labels = {} }) => !Object.entries(labels).flat().every(StagedEvent.isStorable))
  return (
    bad &&
    new LedgerError.ValidationError({
      message: `validation error: a label of run ${JSON.stringify(bad.runId)} holds a NUL or a lone surrogate, which no store can keep`
    })
  )
}

/** The text of labels; null when none are given, which says nothing of those that there are. */
export const text = (labels: EventStore.Labels | undefined): string | null =>
  labels === undefined ? null : JSON.stringify(labels)

/** The labels of a text, if it has any. */
export const parse = (text: string | null): EventStore.Labels | undefined => {
  const labels = text === null ? {} : (Json.parse(text) as EventStore.Labels)
  return Object.keys(labels).length === 0 ? undefined : labels
}

/** Whether a run has all of these labels. */
export const has = ({ labels = {} }: EventStore.RunEntry, wanted: EventStore.Labels): boolean =>
  Object.entries(wanted).every(([name, value]) => labels[name] === value)
