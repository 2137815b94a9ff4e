/**
 * The stage that puts the model's message together from its pieces: from the start of a step, or the first piece, to the
 * end of the inference.
 *
 * In the seed, the compacted mode keeps no text of the model at all.
 */
import { HashSet } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { Message, Part } from "../Message.ts"

/** Where an event stands: its ordinal in the run, and its position in the input of a producer that has one. */
export interface Place {
  readonly ordinal: number
  readonly position: number | undefined
}

type Piece = Extract<Part, { readonly _tag: "Text" | "Reasoning" }>

/** A message that has not come to its end. `size` is the length of its texts. */
export interface OpenMessage {
  readonly from: Place
  readonly messageId: string
  readonly parts: ReadonlyArray<Part>
  readonly piece: Piece | undefined
  readonly ready: HashSet.HashSet<string>
  readonly size: number
}

/** How many steps the run has begun, and the message that is being put together. */
export interface Assembly {
  readonly step: number
  readonly open: OpenMessage | undefined
}

export const initial: Assembly = { step: 0, open: undefined }

const none = HashSet.empty<string>()

const begin = (from: Place, messageId: string): OpenMessage => ({
  from,
  messageId,
  parts: [],
  piece: undefined,
  ready: none,
  size: 0
})

const closed = ({ parts, piece }: OpenMessage): ReadonlyArray<Part> => (piece === undefined ? parts : [...parts, piece])

/** Whether more can be said in the same part: what a provider adds to one is known when it ends. */
const goesOn = (piece: Piece | undefined, _tag: Piece["_tag"]): piece is Piece =>
  piece?._tag === _tag && piece.metadata === undefined && !("encrypted" in piece)

const say = (open: OpenMessage, _tag: Piece["_tag"], delta: string): OpenMessage =>
  goesOn(open.piece, _tag)
    ? { ...open, piece: { _tag, text: open.piece.text + delta }, size: open.size + delta.length }
    : { ...open, parts: closed(open), piece: { _tag, text: delta }, size: open.size + delta.length }

/** The encrypted value of the reasoning just before it, or of one that stays hidden. */
const encrypt = (open: OpenMessage, encrypted: string): OpenMessage => {
  const size = open.size + encrypted.length
  return goesOn(open.piece, "Reasoning")
    ? { ...open, piece: { _tag: "Reasoning", text: open.piece.text, encrypted }, size }
    : { ...open, parts: closed(open), piece: { _tag: "Reasoning", text: "", encrypted }, size }
}

const call = (open: OpenMessage, id: string, name: string): OpenMessage =>
  open.parts.some((part) => part._tag === "ToolCall" && part.id === id)
    ? open
    : { ...open, parts: [...closed(open), { _tag: "ToolCall", id, name }], piece: undefined }

/** About how much a part holds beside its text. */
const sizeBeside = ({ metadata, ...part }: Part): number =>
  (metadata === undefined ? 0 : JSON.stringify(metadata).length) +
  (part._tag === "Data" ? (typeof part.data === "string" ? part.data.length : JSON.stringify(part.data).length) : 0)

/** A part that no event brings; a text goes on with the one that is open, a call is the one with its id. */
const join = (open: OpenMessage, part: Part): OpenMessage => {
  switch (part._tag) {
    case "Text":
    case "Reasoning": {
      const size = open.size + part.text.length + sizeBeside(part)
      return goesOn(open.piece, part._tag)
        ? { ...open, piece: { ...part, text: open.piece.text + part.text }, size }
        : { ...open, parts: closed(open), piece: part, size }
    }
    case "ToolCall": {
      const known = call(open, part.id, part.name)
      return {
        ...known,
        parts: known.parts.map((other) => (other._tag === "ToolCall" && other.id === part.id ? part : other))
      }
    }
    case "Data":
      return {
        ...open,
        parts: [...closed(open), part],
        piece: undefined,
        size: open.size + sizeBeside(part)
      }
  }
}

const cancel = (open: OpenMessage, id: string): OpenMessage => ({
  ...open,
  parts: open.parts.filter((part) => part._tag !== "ToolCall" || part.id !== id)
})

const hasMetadata = ({ metadata }: Part): boolean => Object.keys(Object(metadata)).length > 0

const isSaid = (part: Part, ready: HashSet.HashSet<string>): boolean => {
  switch (part._tag) {
    case "Text":
      return part.text !== "" || hasMetadata(part)
    case "Reasoning":
      return part.text !== "" || part.encrypted !== undefined || hasMetadata(part)
    case "ToolCall":
      return HashSet.has(ready, part.id)
    case "Data":
      return true
  }
}

/** The message as far as it came; undefined when nothing was said. */
export const message = ({ open, step }: Assembly, partial: boolean): Message | undefined => {
  if (open === undefined) {
    return undefined
  }
  const parts = closed(open).filter((part) => isSaid(part, open.ready))
  return parts.length === 0
    ? undefined
    : {
        role: "assistant",
        parts,
        ...(open.messageId === "" ? {} : { messageId: open.messageId }),
        ...(step === 0 ? {} : { step }),
        fromOrdinal: open.from.ordinal,
        ...(partial ? { partial: true as const } : {})
      }
}

/** Adds a part that no event brings to the message, which begins with it when none is open. */
export const add = ({ open, step }: Assembly, part: Part, place: Place): Assembly => ({
  step,
  open: join(open ?? begin(place, ""), part)
})

/** Whether a run that ends so ended before its model had said everything. */
const cutShort = (event: Extract<AgentEvent, { readonly _tag: "RunFinish" }>): boolean =>
  !["NaturalEnd", "BehaviorRequested", "Suspended"].includes(event.termination._tag)

/** The message, and the one that ended before it. */
type Assembled = readonly [Assembly, Message | undefined]

const openFrom = ({ open }: Assembly, place: Place): OpenMessage => open ?? begin(place, "")

const goOn = ({ step }: Assembly, open: OpenMessage | undefined): Assembled => [{ step, open }, undefined]

const end = (state: Assembly, next: Assembly, partial: boolean): Assembled => [next, message(state, partial)]

/** What an event adds to the message, and the message that it ends. That message stands before the event's own facts. */
export const assemble = (state: Assembly, event: AgentEvent, place: Place): Assembled => {
  const { open, step } = state
  switch (event._tag) {
    case "TextDelta":
      return goOn(state, say(openFrom(state, place), "Text", event.delta))
    case "ReasoningDelta":
      return goOn(state, say(openFrom(state, place), "Reasoning", event.delta))
    case "ReasoningEncryptedValue":
      return goOn(state, encrypt(openFrom(state, place), event.encryptedValue))
    case "ToolCallStart":
      return goOn(state, call(openFrom(state, place), event.id, event.name))
    case "ToolCallReady": {
      const next = call(openFrom(state, place), event.id, event.name)
      return goOn(state, { ...next, ready: HashSet.add(next.ready, event.id) })
    }
    case "ToolCallCancel":
      return goOn(state, open && cancel(open, event.id))
    case "StreamReset":
      return goOn(state, open && begin(open.from, open.messageId))
    case "StepStart":
      return end(state, { step: step + 1, open: begin(place, event.messageId) }, false)
    case "RunStart":
      return end(state, { step, open: undefined }, true)
    case "RunFinish":
      return end(state, { step, open: undefined }, cutShort(event))
    case "InferenceComplete":
    case "StepEnd":
      return open === undefined ? [state, undefined] : end(state, { step, open: undefined }, false)
    default:
      return [state, undefined]
  }
}
