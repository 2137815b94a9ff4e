/**
 * What the ledger keeps: facts, each first a draft, in the scope of a thread, a run, or both.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import * as AgentEvent from "./AgentEvent.ts"
import { Count, Millis } from "./internal/numbers.ts"
import { isBlank, sha256 } from "./internal/text.ts"
import * as Json from "./Json.ts"
import { ValidationError } from "./LedgerError.ts"
import { Message } from "./Message.ts"

/**
 * What a fact belongs to. Order exists within a scope.
 *
 * @category models
 * @since 0.1.0
 */
export const EventScope = Schema.TaggedUnion({ Thread: { threadId: Schema.String }, Run: { runId: Schema.String } })

/**
 * @category models
 * @since 0.1.0
 */
export type EventScope = typeof EventScope.Type

/**
 * Who should see a fact. A hint for readers, not an authorisation (from the seed).
 *
 * @category models
 * @since 0.1.0
 */
export const Visibility = Schema.Literals(["public", "internal", "audit", "sensitive"])

/**
 * @category models
 * @since 0.1.0
 */
export type Visibility = typeof Visibility.Type

/**
 * What a fact is worth: `observed` ones tell what passed by and may be left out by policy; `committed`, `domain` and
 * `control` ones are what happened.
 *
 * @category models
 * @since 0.1.0
 */
export const Fidelity = Schema.Literals([
  "observed_runtime_event",
  "committed_runtime_event",
  "domain_event",
  "control_event"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Fidelity = typeof Fidelity.Type

const text = Schema.optionalKey(Schema.String)

/**
 * The payload of each kind that Runledger itself writes.
 *
 * **Details**
 *
 * Most are the event that the fact records. A `ContextCompaction…` tells what was observed of a compaction; times ending
 * in `Ms` are milliseconds as the agent's state gives them. Other kinds may hold any JSON. The rest:
 *
 * - `MessageCommitted`: a message, whole.
 * - `ToolCallExecuting`: a process is about to run a tool. `ToolPermissionResolved`: somebody decided on a permission.
 * - `RunInterrupted`: the run ended without a finish of its own. `openCalls` are the calls that were not done; one that was
 *   `executing` may or may not have had its effect: its outcome is unknown.
 * - `CaptureGap`: events that are not in the ledger: how many of each tag, their first and last ordinals, and why.
 *   `overload`: they were shed, by policy. `too_large`: they had more bytes than allowed. `store_away`: the store did not
 *   take them in time. `refused`: they could not be recorded; `message` says what was wrong.
 *
 * @category models
 * @since 0.1.0
 */
export const payloads = {
  RunStarted: AgentEvent.RunStart,
  RunResumed: AgentEvent.RunStart,
  RunFinished: AgentEvent.RunFinish,
  RunSuspended: AgentEvent.RunFinish,
  RunCancelled: AgentEvent.RunFinish,
  RunErrored: AgentEvent.RunFinish,
  RunTerminated: AgentEvent.RunFinish,
  TextDeltaObserved: AgentEvent.TextDelta,
  ReasoningDeltaObserved: AgentEvent.ReasoningDelta,
  ReasoningEncryptedValueObserved: AgentEvent.ReasoningEncryptedValue,
  ToolCallStarted: AgentEvent.ToolCallStart,
  ToolCallDeltaObserved: AgentEvent.ToolCallDelta,
  ToolCallReady: AgentEvent.ToolCallReady,
  ToolCallDone: AgentEvent.ToolCallDone,
  ToolCallSuspended: AgentEvent.ToolCallDone,
  ToolCallRejected: AgentEvent.ToolCallDone,
  ToolCallTimedOut: AgentEvent.ToolCallDone,
  ToolPermissionRequested: AgentEvent.ToolCallDone,
  ToolCallStreamDeltaObserved: AgentEvent.ToolCallStreamDelta,
  ToolCallResumed: AgentEvent.ToolCallResumed,
  ToolCallCancelled: AgentEvent.ToolCallCancel,
  StreamReset: AgentEvent.StreamReset,
  StepStarted: AgentEvent.StepStart,
  StepEnded: AgentEvent.StepEnd,
  InferenceComplete: AgentEvent.InferenceComplete,
  MessagesSnapshotObserved: AgentEvent.MessagesSnapshot,
  ActivitySnapshotObserved: AgentEvent.ActivitySnapshot,
  ActivityDeltaObserved: AgentEvent.ActivityDelta,
  StateSnapshotObserved: AgentEvent.StateSnapshot,
  StateDeltaObserved: AgentEvent.StateDelta,
  ErrorRecorded: AgentEvent.Error,
  MessageCommitted: Message,
  ToolCallExecuting: Schema.Struct({ id: Schema.String, name: Schema.String }),
  ToolPermissionResolved: Schema.Struct({
    id: Schema.String,
    suspensionId: text,
    approved: Schema.Boolean,
    decisionId: text,
    reason: text
  }),
  RunInterrupted: Schema.Struct({
    threadId: Schema.String,
    runId: Schema.String,
    openCalls: Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, executing: Schema.Boolean }))
  }),
  CaptureGap: Schema.Struct({
    reason: Schema.Literals(["overload", "too_large", "store_away", "refused"]),
    events: Count,
    tags: Schema.Record(Schema.String, Count),
    firstOrdinal: Count,
    lastOrdinal: Count,
    message: text
  }),
  ContextCompactionStarted: Schema.Struct({
    threadId: Schema.String,
    taskId: Schema.String,
    boundaryMessageId: Schema.String,
    startedAtMs: Schema.Number
  }),
  ContextCompactionCompleted: Schema.Struct({
    threadId: Schema.String,
    boundaryIndex: Count,
    compactionOrdinal: Count,
    totalCompactions: Schema.Number,
    preTokens: Schema.Number,
    postTokens: Schema.Number,
    timestampMs: Schema.Number,
    summaryHash: Schema.String,
    taskId: text,
    boundaryMessageId: text
  }),
  ContextCompactionFailed: Schema.Struct({
    threadId: Schema.String,
    failureIndex: Count,
    boundaryMessageId: Schema.String,
    error: Schema.String,
    timestampMs: Schema.Number,
    taskId: text
  }),
  ContextCompactionSkipped: Schema.Struct({
    threadId: Schema.String,
    skipIndex: Count,
    skipId: text,
    reason: Schema.String,
    taskId: text,
    boundaryMessageId: text,
    preTokens: Schema.optionalKey(Schema.Number),
    postTokens: Schema.optionalKey(Schema.Number),
    savingsRatioPpm: Schema.optionalKey(Schema.Number),
    minSavingsRatioPpm: Schema.optionalKey(Schema.Number),
    timestampMs: Schema.optionalKey(Schema.Number)
  }),
  ContextCompactionCancelled: Schema.Struct({
    threadId: Schema.String,
    taskId: Schema.String,
    cancelledAtMs: Schema.Number,
    boundaryMessageId: text
  })
} as const

/**
 * A kind that Runledger itself writes.
 *
 * @category models
 * @since 0.1.0
 */
export type KnownKind = keyof typeof payloads

/**
 * The kind of a fact. Open: an app may write its own, as long as it is not blank.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = KnownKind | (string & {})

/**
 * @category guards
 * @since 0.1.0
 */
export const isKnownKind = (kind: Kind): kind is KnownKind => Object.hasOwn(payloads, kind)

/**
 * A fact before a store has accepted it. `schemaVersion` is that of the payload, 1 or more.
 *
 * @category models
 * @since 0.1.0
 */
export interface CanonicalEventDraft<K extends Kind = Kind> {
  readonly scopes: ReadonlyArray<EventScope>
  readonly kind: K
  readonly payload: K extends KnownKind ? (typeof payloads)[K]["Type"] : unknown
  readonly causationId?: string
  readonly correlationId?: string
  readonly origin: string
  readonly visibility: Visibility
  readonly schemaVersion: number
}

/**
 * A draft with what it is worth, as a normalizer gives it.
 *
 * @category models
 * @since 0.1.0
 */
export interface NormalizedEvent {
  readonly fidelity: Fidelity
  readonly draft: CanonicalEventDraft
}

/**
 * A fact as the ledger keeps it.
 *
 * **Details**
 *
 * - `threadSequence` and `runSequence` count 1, 2, 3 … without a hole within their scope; `position` is the order of
 *   commits in the whole ledger.
 * - `ordinal` is the place of the event within its run as its live audience got it; a fact that no event caused has none.
 *   A fact that stands for several events, up to the one with `lastOrdinal`, has the ordinal of the first.
 * - `occurredAt` and `recordedAt` are milliseconds since the epoch: when the event was emitted, and when it was committed.
 * - `payload` is native JSON. {@link isKind} gives it its type, {@link decodePayload} checks it.
 * - `erased` says that the payload was taken away and is null now. All else is as it was.
 *
 * @category models
 * @since 0.1.0
 */
export const CanonicalEvent = Schema.Struct({
  eventId: Schema.String,
  kind: Schema.String,
  fidelity: Fidelity,
  visibility: Visibility,
  threadId: text,
  threadSequence: Schema.optionalKey(Count),
  runId: text,
  runSequence: Schema.optionalKey(Count),
  position: Count,
  ordinal: Schema.optionalKey(Count),
  lastOrdinal: Schema.optionalKey(Count),
  payload: Schema.Json,
  origin: Schema.String,
  correlationId: text,
  causationId: text,
  schemaVersion: Count,
  occurredAt: Millis,
  recordedAt: Millis,
  erased: Schema.optionalKey(Schema.Literal(true))
})

/**
 * @category models
 * @since 0.1.0
 */
export type CanonicalEvent = typeof CanonicalEvent.Type

/** All payload schemas are at their first version. */
const currentVersion = 1

/**
 * What is left of a payload that could not be kept: the fact still has its kind, and here its ids and outcome.
 * `truncated` says that it was too large, with the bytes and the lower-case hex SHA-256 of its JSON text in UTF-8;
 * `withheld`, that it could not be redacted or had no JSON text.
 *
 * @category models
 * @since 0.1.0
 */
export const Remnant = Schema.Union([
  Schema.Struct({ truncated: Schema.Struct({ bytes: Count, sha256: Schema.String }) }),
  Schema.Struct({ withheld: Schema.Literals(["not_redacted", "not_json"]) })
])

/**
 * @category models
 * @since 0.1.0
 */
export type Remnant = typeof Remnant.Type

/**
 * Whether this is what was left of the payload of a fact.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRemnant = (payload: unknown): payload is Remnant =>
  typeof payload === "object" &&
  payload !== null &&
  (Object.hasOwn(payload, "truncated") || Object.hasOwn(payload, "withheld"))

/**
 * Whether a fact is of a known kind, which gives its payload the type of that kind. The payload itself is trusted: it
 * is what Runledger wrote. A fact whose payload was erased or is only a remnant, or has a newer schema version than this
 * one knows, is not taken for one of the kind.
 *
 * @category guards
 * @since 0.1.0
 */
export const isKind =
  <K extends KnownKind>(kind: K) =>
  (
    event: CanonicalEvent
  ): event is CanonicalEvent & { readonly kind: K; readonly payload: (typeof payloads)[K]["Type"] } =>
    event.kind === kind &&
    event.schemaVersion <= currentVersion &&
    event.erased === undefined &&
    !isRemnant(event.payload)

/**
 * The ids of the scopes of a draft.
 *
 * @category getters
 * @since 0.1.0
 */
export const scopeIds = (
  scopes: ReadonlyArray<EventScope>
): { readonly threadId?: string; readonly runId?: string } => {
  const thread = scopes.find((scope) => scope._tag === "Thread")
  const run = scopes.find((scope) => scope._tag === "Run")
  return {
    ...(thread === undefined ? {} : { threadId: thread.threadId }),
    ...(run === undefined ? {} : { runId: run.runId })
  }
}

const refuse = (what: string): ValidationError => new ValidationError({ message: `validation error: ${what}` })

/**
 * Refuses a blank text with the seed's message. Blank means nothing but Unicode White_Space.
 *
 * @category validation
 * @since 0.1.0
 */
export const requireText = (field: string, value: string): ValidationError | undefined =>
  isBlank(value) ? refuse(`${field} is required`) : undefined

const scopeText = (scope: EventScope): string =>
  scope._tag === "Thread" ? `thread:${scope.threadId}` : `run:${scope.runId}`

/**
 * What is wrong with the scopes of a draft, if anything: there must be one or two, of different families, with ids
 * that are not blank (the seed's rules and messages).
 *
 * @category validation
 * @since 0.1.0
 */
export const checkScopes = (scopes: ReadonlyArray<EventScope>): ValidationError | undefined => {
  if (scopes.length === 0) {
    return refuse("at least one event scope is required")
  }
  for (const scope of scopes) {
    const blank =
      scope._tag === "Thread" ? requireText("thread_id", scope.threadId) : requireText("run_id", scope.runId)
    if (blank !== undefined) {
      return blank
    }
  }
  for (const [index, scope] of scopes.entries()) {
    for (const earlier of scopes.slice(0, index)) {
      if (scopeText(earlier) === scopeText(scope)) {
        return refuse(`duplicate event scope: ${scopeText(scope)}`)
      }
      if (earlier._tag === scope._tag) {
        return refuse(`duplicate event scope family: ${scope._tag.toLowerCase()}`)
      }
    }
  }
  return undefined
}

/**
 * Checks a draft by the seed's rules: its scopes, and a kind, an origin and a schema version that say something.
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (draft: CanonicalEventDraft): Result.Result<CanonicalEventDraft, ValidationError> => {
  const problem =
    requireText("event_kind", draft.kind) ??
    checkScopes(draft.scopes) ??
    requireText("origin", draft.origin) ??
    (draft.schemaVersion > 0 ? undefined : refuse("schema_version must be greater than 0"))
  return problem === undefined ? Result.succeed(draft) : Result.fail(problem)
}

/**
 * A digest that two drafts share exactly when they say the same: scopes, kind, payload, visibility, causation and
 * correlation. It does not depend on the order of scopes or of keys. The part before the colon is the version of this
 * rule. Origin and schema version are left out, as in the seed.
 *
 * @category getters
 * @since 0.1.0
 */
export const digest = (draft: CanonicalEventDraft): string =>
  digestFact({ ...draft, ...scopeIds(draft.scopes), payload: Json.parse(JSON.stringify(draft.payload)) })

/**
 * The digest of the draft of a fact, see {@link digest}.
 *
 * @category getters
 * @since 0.1.0
 */
export const digestFact = (
  fact: Pick<CanonicalEvent, "threadId" | "runId" | "kind" | "visibility" | "causationId" | "correlationId"> & {
    readonly payload: unknown
  }
): string =>
  `1:${sha256(
    Json.canonical({
      ...(fact.threadId === undefined ? {} : { threadId: fact.threadId }),
      ...(fact.runId === undefined ? {} : { runId: fact.runId }),
      kind: fact.kind,
      payload: fact.payload,
      visibility: fact.visibility,
      causationId: fact.causationId ?? null,
      correlationId: fact.correlationId ?? null
    })
  )}`

const decoders = new Map<KnownKind, (payload: unknown) => Result.Result<unknown, Schema.SchemaError>>()

/**
 * Checks the payload of a fact against the schema of its kind. It passes as it is when nothing is known of it: an
 * unknown kind, a newer schema version, an erased payload, a remnant.
 *
 * @category validation
 * @since 0.1.0
 */
export const decodePayload = (
  fact: Pick<CanonicalEvent, "kind" | "payload" | "schemaVersion" | "erased">
): Result.Result<unknown, Schema.SchemaError> => {
  const { erased, kind, payload, schemaVersion } = fact
  if (!isKnownKind(kind) || schemaVersion > currentVersion || erased === true || isRemnant(payload)) {
    return Result.succeed(payload)
  }
  let decode = decoders.get(kind)
  if (decode === undefined) {
    decode = Schema.decodeUnknownResult(Schema.toType(payloads[kind] as Schema.Codec<unknown>))
    decoders.set(kind, decode)
  }
  return decode(payload)
}
