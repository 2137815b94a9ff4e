/**
 * The labels of runs: one column, as JSON text.
 */
import { type EventStore, Json } from "@runledger/core"

/** The text of labels; null when none are given, which says nothing of those that there are. */
export const text = (labels: EventStore.Labels | undefined): string | null =>
  labels === undefined ? null : JSON.stringify(labels)

/** The labels of a text, if it has any. */
export const parse = (text: string | null): EventStore.Labels | undefined => {
  const labels = text === null ? {} : (Json.parse(text) as EventStore.Labels)
  return Object.keys(labels).length === 0 ? undefined : labels
}
