/**
 * A fact as a row: what is stored of it, and how it is put together again.
 */
import { type CanonicalEvent, type Cursor, Json, StagedEvent } from "@runledger/core"
import { Result, type Types } from "effect"

/** A fidelity or a visibility is stored as its index here: only ever append. */
const fidelities: ReadonlyArray<CanonicalEvent.Fidelity> = [
  "observed_runtime_event",
  "committed_runtime_event",
  "domain_event",
  "control_event"
]
export const visibilities: ReadonlyArray<CanonicalEvent.Visibility> = ["public", "internal", "audit", "sensitive"]

/** The flag of a fact whose payload was erased, beside fidelity and visibility. */
export const erasedFlag = 1 << 8

/** Where the digits of each byte begin in a UUID. */
const digitsAt = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]

const digit = (text: string, at: number): number => {
  const code = text.charCodeAt(at)
  return code < 58 ? code - 48 : code - 87
}

/** The 16 bytes of a UUID in lower case: several times as fast as by way of a Buffer. */
export const uuidBytes = (uuid: string): Uint8Array => {
  const bytes = new Uint8Array(16)
  digitsAt.forEach((at, index) => {
    bytes[index] = (digit(uuid, at) << 4) | digit(uuid, at + 1)
  })
  return bytes
}

/** A text as the 16 bytes of a UUID, if it is one. */
export const uuidOrText = (text: string): Uint8Array | string => (StagedEvent.isEventId(text) ? uuidBytes(text) : text)

/** A UUID from its digits, with hyphens or without. */
const uuidText = (digits: string): string =>
  digits.length === 36
    ? digits
    : `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`

export const flags = (event: StagedEvent.StagedEvent, erased = false): number =>
  fidelities.indexOf(event.fidelity) | (visibilities.indexOf(event.visibility) << 4) | (erased ? erasedFlag : 0)

/** How a database gives the ids of a row as texts: expressions for the digits of `event_id`, and for `causation`. */
export interface IdColumns {
  readonly eventId: string
  readonly causation: string
}

/** What {@link decode} reads, with every surrogate replaced by what it stands for. */
export const select = ({ causation, eventId }: IdColumns): string =>
  `SELECT e.position, ${eventId}, t.thread_id, e.thread_sequence, r.run_id, e.run_sequence, k.name,
  e.flags, e.ordinal, e.last_ordinal, e.occurred_at, e.recorded_after, o.name, c.name, ${causation}, e.schema_version, e.payload`

export const from = `FROM events e
LEFT JOIN threads t ON t.id = e.thread
LEFT JOIN runs r ON r.id = e.run
LEFT JOIN names k ON k.id = e.kind
LEFT JOIN names o ON o.id = e.origin
LEFT JOIN names c ON c.id = e.correlation`

/** The place of a row of {@link select} in the order of a scope. */
export const sequence = (scope: Cursor.ReadScope, row: ReadonlyArray<unknown>): number =>
  Number(row[{ Ledger: 0, Thread: 3, Run: 5 }[scope._tag]])

/** The values of {@link select}; the tables hold both databases to these types, but for what a join may not find. */
type Row = readonly [
  position: number,
  eventId: string,
  threadId: string | null,
  threadSequence: number | null,
  runId: string | null,
  runSequence: number | null,
  kind: string | null,
  flags: number,
  ordinal: number | null,
  lastOrdinal: number | null,
  occurredAt: number,
  recordedAfter: number,
  origin: string | null,
  correlationId: string | null,
  causationId: string | null,
  schemaVersion: number,
  payload: string
]

/**
 * The fact of a row, or what is wrong with it. Assigns members one by one, for this runs once a fact, and in the order in
 * which people see them.
 */
export const decode = (values: ReadonlyArray<unknown>): Result.Result<CanonicalEvent.CanonicalEvent, string> => {
  const row = values as Row
  const [position, eventId, threadId, threadSequence, runId, runSequence, kind, flags, ordinal, lastOrdinal] = row
  const occurredAt = row[10]
  const origin = row[12]
  const fidelity = fidelities[flags & 15]
  const visibility = visibilities[(flags >> 4) & 15]
  if (kind === null || origin === null || fidelity === undefined || visibility === undefined) {
    return Result.fail(
      `the fact at position ${position} has a kind, an origin or flags (${flags}) that nothing explains`
    )
  }
  if ((threadId === null) !== (threadSequence === null) || (runId === null) !== (runSequence === null)) {
    return Result.fail(`the fact at position ${position} is in a thread or a run that is not there`)
  }
  let payload: CanonicalEvent.CanonicalEvent["payload"]
  try {
    payload = Json.parse(row[16]) as CanonicalEvent.CanonicalEvent["payload"]
  } catch {
    return Result.fail(`the payload of the fact at position ${position} is no JSON`)
  }
  const fact: Types.Mutable<Partial<CanonicalEvent.CanonicalEvent>> = {
    eventId: uuidText(eventId),
    kind,
    fidelity,
    visibility
  }
  if (threadId !== null && threadSequence !== null) {
    fact.threadId = threadId
    fact.threadSequence = threadSequence
  }
  if (runId !== null && runSequence !== null) {
    fact.runId = runId
    fact.runSequence = runSequence
  }
  fact.position = position
  if (ordinal !== null) {
    fact.ordinal = ordinal
  }
  if (lastOrdinal !== null) {
    fact.lastOrdinal = lastOrdinal
  }
  fact.payload = payload
  fact.origin = origin
  const correlationId = row[13]
  if (correlationId !== null) {
    fact.correlationId = correlationId
  }
  const causationId = row[14]
  if (causationId !== null) {
    fact.causationId = causationId
  }
  fact.schemaVersion = row[15]
  fact.occurredAt = occurredAt
  fact.recordedAt = occurredAt + row[11]
  if ((flags & erasedFlag) !== 0) {
    fact.erased = true
  }
  return Result.succeed(fact as CanonicalEvent.CanonicalEvent)
}
