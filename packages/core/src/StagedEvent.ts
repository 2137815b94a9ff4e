/**
 * A draft on its way into the ledger: with its identity and its text, and nothing left to decide but its place.
 *
 * @since 0.1.0
 */
import { Result, type Types } from "effect"
import { randomUUIDv7 } from "node:crypto"
import { digestFact, Fidelity, type Kind, type NormalizedEvent, Visibility } from "./CanonicalEvent.ts"
import * as Json from "./Json.ts"
import { SerializationError, ValidationError } from "./LedgerError.ts"

/**
 * A staged event is immutable: a retried commit sends the same one again, and the store knows it by its `eventId`, a
 * UUIDv7 in lower case. `payload` is JSON text, made once; `occurredAt` is milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export interface StagedEvent {
  readonly eventId: string
  readonly kind: Kind
  readonly fidelity: Fidelity
  readonly visibility: Visibility
  readonly threadId?: string
  readonly runId?: string
  readonly ordinal?: number
  readonly lastOrdinal?: number
  readonly payload: string
  readonly origin: string
  readonly correlationId?: string
  readonly causationId?: string
  readonly schemaVersion: number
  readonly occurredAt: number
}

/**
 * All that one input event brings into the ledger. A unit is never split over two batches.
 *
 * @category models
 * @since 0.1.0
 */
export type StagedUnit = ReadonlyArray<StagedEvent>

/**
 * Whether a store can keep an id or a name as it is: it must hold no NUL and no lone surrogate.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isStorable = (id: string): boolean => !id.includes("\0") && id.isWellFormed()

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/**
 * Whether a text can be the id of an event: a UUID in lower case.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isEventId = (text: string): boolean => uuid.test(text)

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

const names = ["kind", "origin", "threadId", "runId", "correlationId", "causationId"] as const

/** Why no store can keep an event as it is. What the event before it says too was looked at there. */
const problem = (event: StagedEvent, before: StagedEvent | undefined): string | undefined => {
  const { kind, occurredAt, ordinal = 0, lastOrdinal = ordinal, schemaVersion } = event
  if (!(isCount(ordinal) && isCount(lastOrdinal) && isCount(occurredAt) && isCount(schemaVersion))) {
    return `ordinals, time and schema version of ${JSON.stringify(kind)} must be integers, and not negative`
  }
  if (typeof kind !== "string" || typeof event.origin !== "string") {
    return `event ${event.eventId} has no kind or no origin`
  }
  for (const name of names) {
    const text = event[name]
    if (text !== undefined && text !== before?.[name] && !isStorable(text)) {
      return `an id of ${JSON.stringify(kind)} holds a NUL or a lone surrogate, which no store can keep`
    }
  }
  if (!uuid.test(event.eventId)) {
    return `event id ${JSON.stringify(event.eventId)} is not a UUID in lower case`
  }
  if (!(Fidelity.literals.includes(event.fidelity) && Visibility.literals.includes(event.visibility))) {
    return `event ${event.eventId} has the fidelity ${event.fidelity} and the visibility ${event.visibility}`
  }
  return event.threadId === undefined && event.runId === undefined
    ? `event ${event.eventId} is in no thread and no run`
    : undefined
}

/**
 * Refuses a unit that no store can keep as it is: one with a NUL or a lone surrogate in an id or a name, an ordinal, a
 * time or a schema version that is negative or no integer, an event id that is no UUID, no known fidelity or visibility, or neither a thread nor a run.
 *
 * @category validation
 * @since 0.1.0
 */
export const checkStorable = (unit: StagedUnit): Result.Result<void, ValidationError> => {
  let before: StagedEvent | undefined
  for (const event of unit) {
    const what = problem(event, before)
    if (what !== undefined) {
      return Result.fail(new ValidationError({ message: `validation error: ${what}` }))
    }
    before = event
  }
  return Result.void
}

/**
 * The digest of the draft of a staged event, see `CanonicalEvent.digest`.
 *
 * @category getters
 * @since 0.1.0
 */
export const digest = (event: StagedEvent): string => digestFact({ ...event, payload: Json.parse(event.payload) })

/**
 * The JSON text of a payload. Fails when it has none (a cycle, a BigInt, nothing at all), or is nested deeper than 127
 * levels.
 *
 * @category constructors
 * @since 0.1.0
 */
export const textOf = ({ kind, payload }: NormalizedEvent["draft"]): Result.Result<string, SerializationError> => {
  let text: string | undefined
  try {
    text = JSON.stringify(payload)
  } catch (cause) {
    return Result.fail(new SerializationError({ message: `the payload of ${kind} is no JSON: ${cause}` }))
  }
  if (text === undefined || Json.isTooDeep(payload, text)) {
    const what = text === undefined ? "is no JSON" : "is nested deeper than 127 levels"
    return Result.fail(new SerializationError({ message: `the payload of ${kind} ${what}` }))
  }
  return Result.succeed(text)
}

/**
 * Gives drafts an identity and a text, see {@link textOf}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  normalized: ReadonlyArray<NormalizedEvent>,
  at: Occasion
): Result.Result<StagedUnit, SerializationError> => {
  const unit: Array<StagedEvent> = []
  let said: NormalizedEvent["draft"] | undefined
  let text: Result.Result<string, SerializationError> = Result.succeed("")
  for (const fact of normalized) {
    // Companions often say what their primary says.
    if (said?.payload !== fact.draft.payload || said === undefined) {
      said = fact.draft
      text = textOf(said)
    }
    if (Result.isFailure(text)) {
      return Result.fail(text.failure)
    }
    unit.push(fromText(fact, text.success, at))
  }
  return Result.succeed(unit)
}

/**
 * When and where in its run a fact happened, and what caused it: an event id of the same run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Occasion {
  readonly occurredAt: number
  readonly ordinal?: number | undefined
  readonly lastOrdinal?: number | undefined
  readonly causationId?: string | undefined
}

/**
 * Gives a draft its identity; `payload` is its text. Assigns members one by one, for this runs once a fact, and copying
 * them costs as much as the JSON text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromText = ({ draft, fidelity }: NormalizedEvent, payload: string, at: Occasion): StagedEvent => {
  const event: Types.Mutable<StagedEvent> = {
    eventId: randomUUIDv7(),
    kind: draft.kind,
    fidelity,
    visibility: draft.visibility,
    payload,
    origin: draft.origin,
    schemaVersion: draft.schemaVersion,
    occurredAt: at.occurredAt
  }
  for (const scope of draft.scopes) {
    if (scope._tag === "Thread") {
      event.threadId = scope.threadId
    } else {
      event.runId = scope.runId
    }
  }
  if (at.ordinal !== undefined) {
    event.ordinal = at.ordinal
  }
  if (at.lastOrdinal !== undefined && at.lastOrdinal !== at.ordinal) {
    event.lastOrdinal = at.lastOrdinal
  }
  if (draft.correlationId !== undefined) {
    event.correlationId = draft.correlationId
  }
  const causationId = draft.causationId ?? at.causationId
  if (causationId !== undefined) {
    event.causationId = causationId
  }
  return event
}
