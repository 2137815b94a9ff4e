/**
 * The seed's JSON of drafts, normalized events and facts, and the two texts that its stores compare.
 *
 * @since 0.1.0
 */
import { CanonicalEvent, Cursor, Json } from "@runledger/core"
import { Effect, Result, Schema, SchemaTransformation } from "effect"
import { DecodeError, decoder } from "../DecodeError.ts"
import { snakeCased } from "../internal/snakeCase.ts"
import { cases } from "./AgentEvent.ts"

const scope = Schema.Union([
  Schema.Struct({ scope_type: Schema.Literal("thread"), thread_id: Schema.String }),
  Schema.Struct({ scope_type: Schema.Literal("run"), run_id: Schema.String })
]).pipe(
  Schema.decodeTo(
    Schema.toType(CanonicalEvent.EventScope),
    SchemaTransformation.transform({
      decode: (wire): CanonicalEvent.EventScope =>
        wire.scope_type === "thread"
          ? { _tag: "Thread", threadId: wire.thread_id }
          : { _tag: "Run", runId: wire.run_id },
      encode: (native) =>
        native._tag === "Thread"
          ? { scope_type: "thread" as const, thread_id: native.threadId }
          : { scope_type: "run" as const, run_id: native.runId }
    })
  )
)

const scopes = Schema.Array(scope)

const isPublic = Effect.succeed("public" as const)

/** An opaque payload; absent counts as null. */
const opaque = Schema.NullOr(Schema.Json).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))

const payloadOf = (kind: CanonicalEvent.Kind): Schema.Constraint => {
  if (!CanonicalEvent.isKnownKind(kind)) {
    return opaque
  }
  const native = CanonicalEvent.payloads[kind]
  return "_tag" in native.fields ? cases[native.fields._tag.schema.literal] : snakeCased(native)
}

const envelope = {
  kind: Schema.String,
  payload: Schema.Unknown,
  causationId: Schema.optionalKey(Schema.String),
  correlationId: Schema.optionalKey(Schema.String),
  origin: Schema.String,
  visibility: CanonicalEvent.Visibility.pipe(Schema.withDecodingDefaultKey(isPublic)),
  schemaVersion: Schema.Number.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 4294967295 }))
}

const Draft = Schema.Struct({ scopes, ...envelope })

/** A fact, as far as its wire form goes: the places within its scopes are in the cursors. */
const Fact = Schema.Struct({
  eventId: Schema.String,
  scopes,
  cursorsByScope: Schema.Array(Schema.Struct({ scope, cursor: Cursor.Cursor })),
  ...envelope,
  threadId: Schema.optionalKey(Schema.String),
  runId: Schema.optionalKey(Schema.String),
  createdAt: Schema.Number,
  fidelity: CanonicalEvent.Fidelity,
  position: Schema.Number,
  ordinal: Schema.optionalKey(Schema.Number),
  lastOrdinal: Schema.optionalKey(Schema.Number),
  occurredAt: Schema.Number,
  erased: Schema.optionalKey(Schema.Literal(true))
})

interface Coder<T> {
  readonly decode: (value: unknown) => Result.Result<T, DecodeError>
  readonly encode: (native: T) => Record<string, unknown>
}

/** Whether a payload is that of its kind: it was not erased, and is more than a remnant. */
const isOfKind = (kind: string, payload: unknown, erased: unknown): boolean =>
  CanonicalEvent.isKnownKind(kind) && erased !== true && !CanonicalEvent.isRemnant(payload)

/** A coder whose payload follows the kind; one is made for each known kind, and one for all others. */
const byKind = <T extends { readonly kind: string }>(
  make: (payload: Schema.Constraint) => Schema.Codec<T, unknown>
) => {
  const coders = new Map<string, Coder<T>>()
  return (kind: string, payload: unknown, erased?: unknown): Coder<T> => {
    const key = isOfKind(kind, payload, erased) ? kind : ""
    let coder = coders.get(key)
    if (coder === undefined) {
      const codec = make(payloadOf(key))
      coder = {
        decode: decoder(codec),
        encode: Schema.encodeSync(codec) as (native: T) => Record<string, unknown>
      }
      coders.set(key, coder)
    }
    return coder
  }
}

const draftCoder = byKind<CanonicalEvent.CanonicalEventDraft>((payload) => snakeCased(Draft, { payload }))

const factCoder = byKind<typeof Fact.Type>((payload) => snakeCased(Fact, { payload }))

/** What decides how a value is read. */
const keysOf = (value: unknown): readonly [kind: string, payload: unknown, erased: unknown] => {
  const { erased, event_kind: kind, payload }: { readonly [key: string]: unknown } = Object(value)
  return [typeof kind === "string" ? kind : "", payload, erased]
}

/**
 * Reads a draft from a JSON value. The payload of a known kind is read as that kind's; any other is left as it is.
 * What the draft says is not validated, as in the seed: see `CanonicalEvent.validate`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeDraft = (value: unknown): Result.Result<CanonicalEvent.CanonicalEventDraft, DecodeError> =>
  draftCoder(...keysOf(value)).decode(value)

/**
 * Writes a draft as a JSON value.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeDraft = (draft: CanonicalEvent.CanonicalEventDraft): Record<string, unknown> =>
  draftCoder(draft.kind, draft.payload).encode(draft)

const member = (key: string, value: unknown): string =>
  `${JSON.stringify(key)}:${key === "payload" ? Json.canonical(value) : JSON.stringify(value)}`

/**
 * The draft as the seed writes it into its stores, byte for byte: fixed order of members, payload keys sorted.
 *
 * @category encoding
 * @since 0.1.0
 */
export const draftText = (draft: CanonicalEvent.CanonicalEventDraft): string => {
  const wire = encodeDraft(draft)
  const keys = [
    "scopes",
    "event_kind",
    "payload",
    "causation_id",
    "correlation_id",
    "origin",
    "visibility",
    "schema_version"
  ]
  return `{${keys
    .filter((key) => wire[key] !== undefined)
    .map((key) => member(key, wire[key]))
    .join(",")}}`
}

/**
 * The bytes by which the seed tells whether two drafts say the same, as text. It depends on the order of the scopes.
 *
 * @category encoding
 * @since 0.1.0
 */
export const digestText = (draft: CanonicalEvent.CanonicalEventDraft): string => {
  const wire = encodeDraft(draft)
  const keys = ["scopes", "event_kind", "payload", "visibility", "causation_id", "correlation_id"]
  return `{${keys.map((key) => member(key, wire[key] ?? null)).join(",")}}`
}

const normalizedEnvelope = decoder(Schema.Struct({ fidelity: CanonicalEvent.Fidelity, draft: Schema.Unknown }))

/**
 * Reads a normalized event, `{ fidelity, draft }`, from a JSON value.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeNormalized = (value: unknown): Result.Result<CanonicalEvent.NormalizedEvent, DecodeError> =>
  Result.flatMap(normalizedEnvelope(value), ({ draft, fidelity }) =>
    Result.mapBoth(decodeDraft(draft), {
      onFailure: ({ message, reason }) => new DecodeError({ reason, message: `${message} in ["draft"]` }),
      onSuccess: (native) => ({ fidelity, draft: native })
    })
  )

/**
 * Writes a normalized event as a JSON value.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeNormalized = ({ draft, fidelity }: CanonicalEvent.NormalizedEvent): Record<string, unknown> => ({
  fidelity,
  draft: encodeDraft(draft)
})

/**
 * Reads a fact from a JSON value: the seed's HTTP form, in which the cursors are a list, with our `fidelity`,
 * `position`, `ordinal`, `last_ordinal`, `occurred_at` and `erased` beside its members. Only cursors of this ledger's kind can be read.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeFact = (value: unknown): Result.Result<CanonicalEvent.CanonicalEvent, DecodeError> =>
  Result.gen(function* () {
    const { createdAt, cursorsByScope, scopes: _, ...fact } = yield* factCoder(...keysOf(value)).decode(value)
    const sequences: { threadSequence?: number; runSequence?: number } = {}
    for (const { cursor, scope } of cursorsByScope) {
      const sequence = yield* Result.mapError(
        Cursor.sequence(scope, cursor),
        ({ message }) => new DecodeError({ reason: "data", message: `${message} at ["cursors_by_scope"]` })
      )
      sequences[scope._tag === "Thread" ? "threadSequence" : "runSequence"] = sequence
    }
    return { ...fact, payload: fact.payload as Schema.Json, ...sequences, recordedAt: createdAt }
  })

/**
 * Writes a fact as a JSON value, in the form that {@link decodeFact} reads.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeFact = (fact: CanonicalEvent.CanonicalEvent): Record<string, unknown> => {
  const { recordedAt, runSequence, threadSequence, ...rest } = fact
  const placed = [
    ...(fact.threadId === undefined
      ? []
      : [{ scope: { _tag: "Thread" as const, threadId: fact.threadId }, sequence: threadSequence ?? 0 }]),
    ...(fact.runId === undefined
      ? []
      : [{ scope: { _tag: "Run" as const, runId: fact.runId }, sequence: runSequence ?? 0 }])
  ]
  return factCoder(fact.kind, fact.payload, fact.erased).encode({
    ...rest,
    scopes: placed.map(({ scope }) => scope),
    cursorsByScope: placed.map(({ scope, sequence }) => ({ scope, cursor: Cursor.make(scope, sequence) })),
    createdAt: recordedAt
  })
}
