/**
 * A fact as a row: what is stored of it, and how it is put together again.
 */
import { type CanonicalEvent, Json, StagedEvent } from "@runledger/core"
import { Result } from "effect"

/** A fidelity or a visibility is stored as its index here: only ever append. */
const fidelities: ReadonlyArray<CanonicalEvent.Fidelity> = [
  "observed_runtime_event",
  "committed_runtime_event",
  "domain_event",
  "control_event"
]
const visibilities: ReadonlyArray<CanonicalEvent.Visibility> = ["public", "internal", "audit", "sensitive"]

/** Where an event goes: its surrogates and its sequences. */
export interface Place {
  readonly position: number
  readonly thread: number | null
  readonly threadSequence: number | null
  readonly run: number | null
  readonly runSequence: number | null
  readonly kind: number
  readonly origin: number
  readonly correlation: number | null
  readonly recordedAt: number
}

/** The columns that an append writes, in the order of {@link encode}. */
export const columns: ReadonlyArray<string> = [
  "position",
  "event_id",
  "thread",
  "thread_sequence",
  "run",
  "run_sequence",
  "kind",
  "flags",
  "ordinal",
  "occurred_at",
  "recorded_after",
  "origin",
  "correlation",
  "causation",
  "schema_version",
  "payload"
]

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

const bytes = (id: string): Uint8Array => Buffer.from(id.replaceAll("-", ""), "hex")

/** The 16 bytes of a UUID in its canonical lower-case form; undefined for any other text. */
export const uuidBytes = (text: string): Uint8Array | undefined => (uuid.test(text) ? bytes(text) : undefined)

const uuidText = (id: Uint8Array): string => {
  const hex = Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Why an event cannot be a row, if it cannot. */
export const refuse = (event: StagedEvent.StagedEvent): string | undefined => {
  if (!uuid.test(event.eventId)) {
    return `event id ${JSON.stringify(event.eventId)} is not a UUID in lower case`
  }
  if (!fidelities.includes(event.fidelity) || !visibilities.includes(event.visibility)) {
    return `event ${event.eventId} has the fidelity ${event.fidelity} and the visibility ${event.visibility}`
  }
  const { occurredAt, ordinal = 0, schemaVersion } = event
  if (!Number.isSafeInteger(ordinal) || !Number.isSafeInteger(occurredAt) || !Number.isSafeInteger(schemaVersion)) {
    return `ordinal, time and schema version of event ${event.eventId} must be integers`
  }
  if (event.causationId !== undefined && !StagedEvent.isStorable(event.causationId)) {
    return `the causation id of event ${event.eventId} holds a NUL or a lone surrogate, which no store can keep`
  }
  return undefined
}

/** The values of a row, in the order of {@link columns}, for an event that {@link refuse} let pass. */
export const encode = (event: StagedEvent.StagedEvent, place: Place): ReadonlyArray<unknown> => [
  place.position,
  bytes(event.eventId),
  place.thread,
  place.threadSequence,
  place.run,
  place.runSequence,
  place.kind,
  fidelities.indexOf(event.fidelity) | (visibilities.indexOf(event.visibility) << 4),
  event.ordinal ?? null,
  event.occurredAt,
  place.recordedAt - event.occurredAt,
  place.origin,
  place.correlation,
  event.causationId === undefined ? null : (uuidBytes(event.causationId) ?? event.causationId),
  event.schemaVersion,
  event.payload
]

/** What {@link decode} reads, with every surrogate replaced by what it stands for. */
export const selectFacts = `SELECT e.position, e.event_id, t.thread_id, e.thread_sequence, r.run_id, e.run_sequence, k.name,
  e.flags, e.ordinal, e.occurred_at, e.recorded_after, o.name, c.name, e.causation, e.schema_version, e.payload
FROM events e
LEFT JOIN threads t ON t.id = e.thread
LEFT JOIN runs r ON r.id = e.run
LEFT JOIN names k ON k.id = e.kind
LEFT JOIN names o ON o.id = e.origin
LEFT JOIN names c ON c.id = e.correlation`

/** The values of {@link selectFacts}; STRICT tables hold SQLite to these types, but for what a join may not find. */
type Row = readonly [
  position: number,
  eventId: Uint8Array,
  threadId: string | null,
  threadSequence: number | null,
  runId: string | null,
  runSequence: number | null,
  kind: string | null,
  flags: number,
  ordinal: number | null,
  occurredAt: number,
  recordedAfter: number,
  origin: string | null,
  correlationId: string | null,
  causation: Uint8Array | string | null,
  schemaVersion: number,
  payload: string
]

/** The fact of a row, or what is wrong with it. */
export const decode = (values: ReadonlyArray<unknown>): Result.Result<CanonicalEvent.CanonicalEvent, string> => {
  const [position, eventId, threadId, threadSequence, runId, runSequence, kind, flags, ordinal, ...rest] = values as Row
  const [occurredAt, recordedAfter, origin, correlationId, causation, schemaVersion, text] = rest
  const fidelity = fidelities[flags & 15]
  const visibility = visibilities[flags >> 4]
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
    payload = Json.parse(text) as CanonicalEvent.CanonicalEvent["payload"]
  } catch {
    return Result.fail(`the payload of the fact at position ${position} is no JSON`)
  }
  return Result.succeed({
    eventId: uuidText(eventId),
    kind,
    fidelity,
    visibility,
    ...(threadId === null || threadSequence === null ? {} : { threadId, threadSequence }),
    ...(runId === null || runSequence === null ? {} : { runId, runSequence }),
    position,
    ...(ordinal === null ? {} : { ordinal }),
    payload,
    origin,
    ...(correlationId === null ? {} : { correlationId }),
    ...(causation === null ? {} : { causationId: typeof causation === "string" ? causation : uuidText(causation) }),
    schemaVersion,
    occurredAt,
    recordedAt: occurredAt + recordedAfter
  })
}
