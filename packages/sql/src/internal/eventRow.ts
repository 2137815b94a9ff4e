/**
 * A fact as a row: what is stored of it, and how it is put together again.
 */
import { type CanonicalEvent, type Cursor, Json, StagedEvent } from "@runledger/core"
import { Result } from "effect"

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

/** The 16 bytes of a UUID. */
export const uuidBytes = (uuid: string): Uint8Array => Buffer.from(uuid.replaceAll("-", ""), "hex")

/** A text as the 16 bytes of a UUID, if it is one. */
export const uuidOrText = (text: string): Uint8Array | string => (StagedEvent.isEventId(text) ? uuidBytes(text) : text)

const uuidText = (id: Uint8Array): string => {
  const hex = Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export const flags = (event: StagedEvent.StagedEvent, erased = false): number =>
  fidelities.indexOf(event.fidelity) | (visibilities.indexOf(event.visibility) << 4) | (erased ? erasedFlag : 0)

/** What {@link decode} reads, with every surrogate replaced by what it stands for. */
export const select = `SELECT e.position, e.event_id, t.thread_id, e.thread_sequence, r.run_id, e.run_sequence, k.name,
  e.flags, e.ordinal, e.last_ordinal, e.occurred_at, e.recorded_after, o.name, c.name, e.causation, e.schema_version, e.payload`

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
  eventId: Uint8Array | string,
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
  causation: Uint8Array | string | null,
  schemaVersion: number,
  payload: string
]

/** The fact of a row, or what is wrong with it. */
export const decode = (values: ReadonlyArray<unknown>): Result.Result<CanonicalEvent.CanonicalEvent, string> => {
  const [position, eventId, threadId, threadSequence, runId, runSequence, kind, flags, ordinal, ...rest] = values as Row
  const [lastOrdinal, occurredAt, recordedAfter, origin, correlationId, causation, schemaVersion, text] = rest
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
    payload = Json.parse(text) as CanonicalEvent.CanonicalEvent["payload"]
  } catch {
    return Result.fail(`the payload of the fact at position ${position} is no JSON`)
  }
  return Result.succeed({
    eventId: typeof eventId === "string" ? eventId : uuidText(eventId),
    kind,
    fidelity,
    visibility,
    ...(threadId === null || threadSequence === null ? {} : { threadId, threadSequence }),
    ...(runId === null || runSequence === null ? {} : { runId, runSequence }),
    position,
    ...(ordinal === null ? {} : { ordinal }),
    ...(lastOrdinal === null ? {} : { lastOrdinal }),
    payload,
    origin,
    ...(correlationId === null ? {} : { correlationId }),
    ...(causation === null ? {} : { causationId: typeof causation === "string" ? causation : uuidText(causation) }),
    schemaVersion,
    occurredAt,
    recordedAt: occurredAt + recordedAfter,
    ...((flags & erasedFlag) === 0 ? {} : { erased: true as const })
  })
}
