/**
 * What a store and its worker say to each other: one request per call of the store, each answered.
 */
import { LedgerError, type StagedEvent } from "@runledger/core"
import { Predicate } from "effect"
import { SqlError } from "effect/sql"
import type * as Read from "../internal/read.ts"
import type { Options, SqliteCalls } from "./InThreadStore.ts"
import { sqlError } from "./NodeSqlite.ts"
import type * as Session from "./Session.ts"

/** What a worker is started with: which ledger, and whether an app has a session there. */
export interface Start {
  readonly options: Options
  readonly withSession: boolean
}

/**
 * A call by its name, with its arguments as they are cloned. `open` asks whether the ledger could be opened, `interrupt`
 * tells the call with the same id to stop, which is answered all the same.
 */
export interface Request {
  readonly id: number
  readonly method: keyof SqliteCalls | keyof Session.Calls | "open" | "close" | "interrupt"
  readonly args: ReadonlyArray<unknown>
}

/** An answer; `isTransaction` says whether the session has a transaction open, where there is one. */
export type Reply = { readonly id: number; readonly isTransaction?: boolean | undefined } & (
  | { readonly value: unknown }
  | { readonly error: PlainError }
)

/** A part of a page that is being read, before its answer: the thread that asked makes facts of it meanwhile. */
export interface Part {
  readonly id: number
  readonly rows: Read.RowPage["rows"]
}

/** An error as data: structured clone keeps no class. */
export interface PlainError {
  readonly tag: string
  readonly fields: { readonly message: string; readonly [field: string]: string }
}

/** A staged event as its fields in a row, absent ones undefined; what comes again and again as a place among the texts. */
type Packed = readonly [
  eventId: string,
  kind: number,
  fidelity: number,
  visibility: number,
  threadId: number | undefined,
  runId: number | undefined,
  ordinal: number | undefined,
  lastOrdinal: number | undefined,
  payload: string,
  origin: number,
  correlationId: number | undefined,
  causationId: string | undefined,
  schemaVersion: number,
  occurredAt: number
]
const width: Packed["length"] = 14

/** A batch as it is cloned: one flat array, and each text that comes again once. An array of objects costs several times that. */
export interface PackedBatch {
  readonly texts: ReadonlyArray<string>
  readonly facts: ReadonlyArray<unknown>
}

export const pack = (batch: ReadonlyArray<StagedEvent.StagedEvent>): PackedBatch => {
  const places = new Map<string, number>()
  const placeOf = (text: string): number => {
    const known = places.get(text)
    if (known !== undefined) {
      return known
    }
    const { size } = places
    places.set(text, size)
    return size
  }
  const place = (text: string | undefined): number | undefined => (text === undefined ? undefined : placeOf(text))
  const facts: Array<unknown> = []
  for (const event of batch) {
    facts.push(
      ...([
        event.eventId,
        placeOf(event.kind),
        placeOf(event.fidelity),
        placeOf(event.visibility),
        place(event.threadId),
        place(event.runId),
        event.ordinal,
        event.lastOrdinal,
        event.payload,
        placeOf(event.origin),
        place(event.correlationId),
        event.causationId,
        event.schemaVersion,
        event.occurredAt
      ] satisfies Packed)
    )
  }
  return { texts: [...places.keys()], facts }
}

/** The batch that was packed. An absent field comes back as an undefined one, which a store takes for absent. */
export const unpack = ({ facts, texts }: PackedBatch): ReadonlyArray<StagedEvent.StagedEvent> => {
  const text = (place: unknown): string | undefined => texts[place as number]
  const batch: Array<unknown> = []
  for (let at = 0; at < facts.length; at += width) {
    batch.push({
      eventId: facts[at],
      kind: text(facts[at + 1]),
      fidelity: text(facts[at + 2]),
      visibility: text(facts[at + 3]),
      threadId: text(facts[at + 4]),
      runId: text(facts[at + 5]),
      ordinal: facts[at + 6],
      lastOrdinal: facts[at + 7],
      payload: facts[at + 8],
      origin: text(facts[at + 9]),
      correlationId: text(facts[at + 10]),
      causationId: facts[at + 11],
      schemaVersion: facts[at + 12],
      occurredAt: facts[at + 13]
    })
  }
  return batch as ReadonlyArray<StagedEvent.StagedEvent>
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

/** What SQLite threw, of an error of the database. */
const sqlPlain = ({ reason: { cause, operation = "execute" } }: SqlError.SqlError): PlainError => ({
  tag: "SqlError",
  fields: {
    operation,
    message: cause instanceof Error ? cause.message : String(cause),
    ...(Predicate.hasProperty(cause, "errcode") ? { errcode: String(cause.errcode) } : {}),
    ...(Predicate.hasProperty(cause, "code") ? { code: String(cause.code) } : {})
  }
})

/** The error of the database, with the same reason that it had. */
const fromSqlPlain = ({ code, errcode, message, operation = "execute" }: PlainError["fields"]): SqlError.SqlError =>
  sqlError(
    Object.assign(new Error(message), {
      ...(errcode === undefined ? {} : { errcode: Number(errcode) }),
      ...(code === undefined ? {} : { code })
    }),
    operation
  )

/** An error of the store or of an app's statement, or a defect, as data. */
export const toPlain = (error: unknown): PlainError => {
  if (SqlError.isSqlError(error)) {
    return sqlPlain(error)
  }
  if (typeof error !== "object" || error === null) {
    return { tag: "Defect", fields: { message: String(error) } }
  }
  const { _tag: tag = "Defect", ...own }: { readonly _tag?: unknown } = error
  const message = error instanceof Error ? error.message : String(error)
  const fields = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value)]))
  return { tag: String(tag), fields: { ...fields, message } }
}

/** The error that was made data; undefined for a defect. */
export const fromPlain = ({ fields, tag }: PlainError): LedgerError.StoreError | SqlError.SqlError | undefined => {
  if (tag === "SqlError") {
    return fromSqlPlain(fields)
  }
  if (!isTag(tag)) {
    return undefined
  }
  const make = classes[tag] as new (fields: object) => LedgerError.StoreError
  return new make(fields["cause"] === undefined ? fields : { ...fields, cause: new Error(fields["cause"]) })
}
