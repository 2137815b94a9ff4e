/**
 * The stage that makes one fact of many deltas: those of one text or one call, up to the next other fact.
 *
 * The seed's full fidelity stores a row a token.
 */
import type { AgentEvent } from "../AgentEvent.ts"
import type { NormalizedEvent } from "../CanonicalEvent.ts"
import type { Redactor } from "../Redaction.ts"
import type { Place } from "./assemble.ts"
import { redactText } from "./redact.ts"

/** An event that says a piece of a text. */
export type Delta = Extract<
  AgentEvent,
  { readonly _tag: "TextDelta" | "ReasoningDelta" | "ToolCallDelta" | "ToolCallStreamDelta" }
>

/** The deltas of a row, the last first. */
interface Link {
  readonly text: string
  readonly place: Place
  readonly occurredAt: number
  readonly before: Link | undefined
}

/** Deltas that become one fact. `size` is the length of their texts. */
interface Row {
  readonly first: NormalizedEvent
  readonly event: Delta
  readonly from: Place
  readonly began: number
  readonly last: Link
  readonly size: number
}

/** A fact that is made of deltas. */
export interface Joined {
  readonly normalized: NormalizedEvent
  readonly from: Place
  readonly to: Place
  readonly occurredAt: number
  readonly events: number
}

/** The rows that are open, in the order in which they began; `size` is the length of their texts. */
export interface Coalescing {
  readonly rows: ReadonlyArray<Row>
  readonly size: number
  /** The size from which on they should be let go. */
  readonly limit: number
}

/** Rows are let go when they have so many characters, 8 KiB of ASCII … */
const sizeLimit = 8192

/** … or when they are so many: nobody calls more tools at once, and each delta looks for its row … */
const rowLimit = 64

/** … or when so many milliseconds have passed since the first of them began. */
export const ageLimit = 250

export const initial: Coalescing = { rows: [], size: 0, limit: sizeLimit }

export const isDelta = (event: AgentEvent): event is Delta => {
  switch (event._tag) {
    case "TextDelta":
    case "ReasoningDelta":
    case "ToolCallDelta":
    case "ToolCallStreamDelta":
      return true
    default:
      return false
  }
}

const textOf = (event: Delta): string => (event._tag === "ToolCallDelta" ? event.argsDelta : event.delta)

const withText = (event: Delta, text: string): Delta =>
  event._tag === "ToolCallDelta" ? { ...event, argsDelta: text } : { ...event, delta: text }

/** Whether two deltas are of one text. */
const areOne = (first: Delta, second: Delta): boolean => {
  switch (first._tag) {
    case "TextDelta":
    case "ReasoningDelta":
      return first._tag === second._tag
    case "ToolCallDelta":
      return first._tag === second._tag && first.id === second.id
    case "ToolCallStreamDelta":
      return first._tag === second._tag && first.id === second.id && first.name === second.name
  }
}

/** What the model says and what it thinks follow one another; the texts of calls may come side by side. */
const isSpoken = (event: Delta): boolean => event._tag === "TextDelta" || event._tag === "ReasoningDelta"

/** Whether a delta can join the open rows, or they must be closed first. */
export const fits = ({ rows }: Coalescing, event: Delta): boolean =>
  !isSpoken(event) || rows.every((row) => !isSpoken(row.event) || row.event._tag === event._tag)

const indexOf = (rows: ReadonlyArray<Row>, event: Delta): number => rows.findIndex((row) => areOne(row.event, event))

/** Mostly there is one row. */
const replace = (rows: ReadonlyArray<Row>, at: number, row: Row): ReadonlyArray<Row> =>
  rows.length === 1 ? [row] : rows.with(at, row)

const longer = (row: Row, text: string, place: Place, occurredAt: number): Row => ({
  first: row.first,
  event: row.event,
  from: row.from,
  began: row.began,
  last: { text, place, occurredAt, before: row.last },
  size: row.size + text.length
})

/** Goes on with the row of a delta, when there is one, and room in it: most events are such. */
export const goOn = (
  { limit, rows, size }: Coalescing,
  event: Delta,
  place: Place,
  occurredAt: number
): Coalescing | undefined => {
  const at = indexOf(rows, event)
  const row = rows[at]
  const text = textOf(event)
  return row === undefined || size + text.length >= limit
    ? undefined
    : { rows: replace(rows, at, longer(row, text, place, occurredAt)), size: size + text.length, limit }
}

/** Adds a delta that fits. */
export const add = (
  { limit, rows, size }: Coalescing,
  event: Delta,
  normalized: NormalizedEvent,
  place: Place,
  occurredAt: number
): Coalescing => {
  const text = textOf(event)
  const at = indexOf(rows, event)
  const known = rows[at]
  const last: Link = { text, place, occurredAt, before: undefined }
  return {
    rows:
      known === undefined
        ? [...rows, { first: normalized, event: { ...event }, from: place, began: occurredAt, last, size: text.length }]
        : replace(rows, at, longer(known, text, place, occurredAt)),
    size: size + text.length,
    limit
  }
}

/** Whether the rows have grown so large, or so many, that they should be let go. */
export const isFull = ({ limit, rows, size }: Coalescing): boolean => size >= limit || rows.length >= rowLimit

const linksOf = (row: Row): ReadonlyArray<Link> => {
  const links: Array<Link> = []
  for (let link: Link | undefined = row.last; link !== undefined; link = link.before) {
    links.push(link)
  }
  return links.toReversed()
}

/** The place of the first delta that is held. */
export const from = ({ rows }: Coalescing): Place | undefined =>
  rows.reduce<Place | undefined>(
    (first, row) => (first === undefined || row.from.ordinal < first.ordinal ? row.from : first),
    undefined
  )

/** When the first delta that is held occurred. */
export const since = ({ rows }: Coalescing): number | undefined =>
  rows.reduce<number | undefined>(
    (first, { began }) => (first === undefined ? began : Math.min(first, began)),
    undefined
  )

/** The facts of all rows. */
export const close = ({ rows }: Coalescing): ReadonlyArray<Joined> => rows.flatMap((row) => joined(row, linksOf(row)))

const joined = (row: Row, links: ReadonlyArray<Link>): ReadonlyArray<Joined> => {
  const [first] = links
  const last = links.at(-1)
  if (first === undefined || last === undefined) {
    return []
  }
  const payload = withText(row.event, textOfAll(links))
  return [
    {
      normalized: { ...row.first, draft: { ...row.first.draft, payload } },
      from: first.place,
      to: last.place,
      occurredAt: first.occurredAt,
      events: links.length
    }
  ]
}

/** Whether a text can be cut here: no secret lies across, as far as the redactor can tell. */
const canCut = (redactor: Redactor, head: string, tail: string): boolean => {
  try {
    return redactText(redactor, head) + redactText(redactor, tail) === redactText(redactor, head + tail)
  } catch {
    return false
  }
}

/**
 * The facts of what can be let go before the rows end, and what must stay: with a redactor, so much of each text that a
 * secret which has only begun is seen as a whole later. All rows are cut behind one and the same event, so that what was
 * let go is everything up to there.
 */
export const release = (
  state: Coalescing,
  redactor: Redactor | undefined
): readonly [ReadonlyArray<Joined>, Coalescing] => {
  if (redactor === undefined) {
    return [close(state), initial]
  }
  const all = state.rows.map((row) => ({ row, links: linksOf(row) }))
  // A length that is none says that no text can be cut.
  const longest = redactor.longest >= 0 ? redactor.longest : Number.POSITIVE_INFINITY
  // Each try cuts so much earlier that a secret which lay across the cut before lies behind it.
  for (let back = longest; ; back += Math.max(back, 1)) {
    const cut = Math.min(...all.map(({ links, row }) => lastWithin(links, row.size - back)))
    const parts = all.map(({ links, row }) => ({
      row,
      head: links.filter(({ place }) => place.ordinal <= cut),
      tail: links.filter(({ place }) => place.ordinal > cut)
    }))
    if (parts.every(({ head }) => head.length === 0)) {
      return [[], { ...state, limit: state.size + sizeLimit }]
    }
    if (parts.every(({ head, tail }) => canCut(redactor, textOfAll(head), textOfAll(tail)))) {
      const rows = parts.flatMap(({ row, tail }) => rest(row, tail))
      const size = rows.reduce((sum, row) => sum + row.size, 0)
      return [parts.flatMap(({ head, row }) => joined(row, head)), { rows, size, limit: size + sizeLimit }]
    }
  }
}

const textOfAll = (links: ReadonlyArray<Link>): string => links.map(({ text }) => text).join("")

/** The ordinal of the last delta that ends within the first characters of its text; if none does, the one before it. */
const lastWithin = (links: ReadonlyArray<Link>, characters: number): number => {
  let end = 0
  let last = (links[0]?.place.ordinal ?? 1) - 1
  for (const { place, text } of links) {
    end += text.length
    if (end > characters) {
      return last
    }
    last = place.ordinal
  }
  return last
}

const rest = (row: Row, [first, ...others]: ReadonlyArray<Link>): ReadonlyArray<Row> => {
  if (first === undefined) {
    return []
  }
  let last: Link = { ...first, before: undefined }
  let size = first.text.length
  for (const link of others) {
    last = { ...link, before: last }
    size += link.text.length
  }
  return [{ ...row, from: first.place, began: first.occurredAt, last, size }]
}
