/**
 * The stage that counts what is not recorded. The seed leaves a line in a log.
 */
import type { CanonicalEventDraft } from "../CanonicalEvent.ts"

/** Events that are not in the ledger, for one reason. */
export type Gap = CanonicalEventDraft<"CaptureGap">["payload"]

export type Gaps = ReadonlyArray<Gap>

/** Counts one more event. It goes into the last gap when it has the same reason. */
export const add = (gaps: Gaps, reason: Gap["reason"], tag: string, ordinal: number, message?: string): Gaps => {
  const last = gaps.at(-1)
  if (last === undefined || last.reason !== reason || last.message !== message) {
    const gap = { reason, events: 1, tags: { [tag]: 1 }, firstOrdinal: ordinal, lastOrdinal: ordinal }
    return [...gaps, message === undefined ? gap : { ...gap, message }]
  }
  const tags = { ...last.tags, [tag]: (Object.hasOwn(last.tags, tag) ? (last.tags[tag] ?? 0) : 0) + 1 }
  return [
    ...gaps.slice(0, -1),
    {
      ...last,
      events: last.events + 1,
      tags,
      firstOrdinal: Math.min(last.firstOrdinal, ordinal),
      lastOrdinal: Math.max(last.lastOrdinal, ordinal)
    }
  ]
}
