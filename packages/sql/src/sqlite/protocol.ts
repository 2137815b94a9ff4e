/**
 * What a store and its worker say to each other: one request per call of the store, answered in order.
 */
import { type Cursor, LedgerError, type StagedEvent } from "@runledger/core"

/** A call of the store; `open` asks whether the ledger could be opened, `close` is not answered but by the exit. */
export type Call =
  | { readonly method: "open" | "close" | "runs" }
  | { readonly method: "append"; readonly batch: ReadonlyArray<unknown> }
  | {
      readonly method: "read"
      readonly scope: Cursor.ReadScope
      readonly after: Cursor.Cursor | undefined
      readonly limit: number | undefined
    }
  | { readonly method: "count"; readonly scope: Cursor.ReadScope }
  | { readonly method: "get"; readonly eventId: string }

export interface Request {
  readonly id: number
  readonly call: Call
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError }

/** An error as data: structured clone keeps no class. */
export interface PlainError {
  readonly tag: string
  readonly message: string
  readonly cause: string | undefined
}

/** A staged event as its fields in a row, absent ones undefined. */
type Packed = readonly [
  eventId: string,
  kind: string,
  fidelity: StagedEvent.StagedEvent["fidelity"],
  visibility: StagedEvent.StagedEvent["visibility"],
  threadId: string | undefined,
  runId: string | undefined,
  ordinal: number | undefined,
  payload: string,
  origin: string,
  correlationId: string | undefined,
  causationId: string | undefined,
  schemaVersion: number,
  occurredAt: number
]
const width: Packed["length"] = 13

/** A batch as one flat array: its clone costs half of that of an array of objects, most of it in the worker. */
export const pack = (batch: ReadonlyArray<StagedEvent.StagedEvent>): ReadonlyArray<unknown> => {
  const packed: Array<unknown> = []
  for (const event of batch) {
    packed.push(
      ...([
        event.eventId,
        event.kind,
        event.fidelity,
        event.visibility,
        event.threadId,
        event.runId,
        event.ordinal,
        event.payload,
        event.origin,
        event.correlationId,
        event.causationId,
        event.schemaVersion,
        event.occurredAt
      ] satisfies Packed)
    )
  }
  return packed
}

/** The batch that was packed. An absent field comes back as an undefined one, which a store takes for absent. */
export const unpack = (packed: ReadonlyArray<unknown>): ReadonlyArray<StagedEvent.StagedEvent> => {
  const batch: Array<StagedEvent.StagedEvent> = []
  for (let at = 0; at < packed.length; at += width) {
    const [eventId, kind, fidelity, visibility, threadId, runId, ordinal, payload, ...rest] = packed.slice(
      at,
      at + width
    ) as unknown as Packed
    const [origin, correlationId, causationId, schemaVersion, occurredAt] = rest
    batch.push({
      eventId,
      kind,
      fidelity,
      visibility,
      threadId,
      runId,
      ordinal,
      payload,
      origin,
      correlationId,
      causationId,
      schemaVersion,
      occurredAt
    } as StagedEvent.StagedEvent)
  }
  return batch
}

const classes = {
  ValidationError: LedgerError.ValidationError,
  SerializationError: LedgerError.SerializationError,
  CursorExpired: LedgerError.CursorExpired,
  NotFound: LedgerError.NotFound
}

/** An error of the store, or a defect, as data. */
export const toPlain = (error: unknown): PlainError => {
  const {
    _tag: tag = "Defect",
    cause,
    message
  }: { _tag?: unknown; cause?: unknown; message?: unknown } = typeof error === "object" && error !== null
    ? error
    : { message: error }
  return { tag: String(tag), message: String(message), cause: cause === undefined ? undefined : String(cause) }
}

/** The error of the store that was made data; undefined for a defect. */
export const fromPlain = ({ cause, message, tag }: PlainError): LedgerError.StoreError | undefined => {
  const withCause = cause === undefined ? { message } : { message, cause: new Error(cause) }
  switch (tag) {
    case "ValidationError":
    case "SerializationError":
    case "CursorExpired":
    case "NotFound":
      return new classes[tag]({ message })
    case "IntegrityError":
      return new LedgerError.IntegrityError(withCause)
    case "UnavailableError":
      return new LedgerError.UnavailableError(withCause)
    default:
      return undefined
  }
}
