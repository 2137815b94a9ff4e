/**
 * What a store and its worker say to each other: one request per call of the store, each answered.
 */
import { LedgerError, type StagedEvent } from "@runledger/core"
import type { SqliteCalls } from "./InThreadStore.ts"

/** A call by its name, with its arguments as they are cloned; `open` asks whether the ledger could be opened. */
export interface Request {
  readonly id: number
  readonly method: keyof SqliteCalls | "open" | "close"
  readonly args: ReadonlyArray<unknown>
}

export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError }

/** An error as data: structured clone keeps no class. */
export interface PlainError {
  readonly tag: string
  readonly fields: { readonly message: string; readonly [field: string]: string }
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
  lastOrdinal: number | undefined,
  payload: string,
  origin: string,
  correlationId: string | undefined,
  causationId: string | undefined,
  schemaVersion: number,
  occurredAt: number
]
const width: Packed["length"] = 14

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
        event.lastOrdinal,
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
    const [eventId, kind, fidelity, visibility, threadId, runId, ordinal, lastOrdinal, ...rest] = packed.slice(
      at,
      at + width
    ) as unknown as Packed
    const [payload, origin, correlationId, causationId, schemaVersion, occurredAt] = rest
    batch.push({
      eventId,
      kind,
      fidelity,
      visibility,
      threadId,
      runId,
      ordinal,
      lastOrdinal,
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
  IdempotencyConflict: LedgerError.IdempotencyConflict,
  ExpectedCursorConflict: LedgerError.ExpectedCursorConflict,
  Fenced: LedgerError.Fenced,
  WriterHeld: LedgerError.WriterHeld,
  CursorExpired: LedgerError.CursorExpired,
  NotFound: LedgerError.NotFound,
  IntegrityError: LedgerError.IntegrityError,
  UnavailableError: LedgerError.UnavailableError
}

const isTag = (tag: string): tag is keyof typeof classes => Object.hasOwn(classes, tag)

/** An error of the store, or a defect, as data. */
export const toPlain = (error: unknown): PlainError => {
  if (typeof error !== "object" || error === null) {
    return { tag: "Defect", fields: { message: String(error) } }
  }
  const { _tag: tag = "Defect", ...own }: { readonly _tag?: unknown } = error
  const message = error instanceof Error ? error.message : String(error)
  const fields = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value)]))
  return { tag: String(tag), fields: { ...fields, message } }
}

/** The error of the store that was made data; undefined for a defect. */
export const fromPlain = ({ fields, tag }: PlainError): LedgerError.StoreError | undefined => {
  if (!isTag(tag)) {
    return undefined
  }
  const make = classes[tag] as new (fields: object) => LedgerError.StoreError
  return new make(fields["cause"] === undefined ? fields : { ...fields, cause: new Error(fields["cause"]) })
}
