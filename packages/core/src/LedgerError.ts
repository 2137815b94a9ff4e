/**
 * What can go wrong between an event and its place in the ledger. Each error has a `message` that says what to do.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A value breaks a rule of the vocabulary: a blank id, a duplicate scope, an id that no store can hold. Trying again
 * does not help. The messages are the seed's: `validation error: <what>`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValidationError extends Schema.TaggedError<ValidationError>()("ValidationError", {
  message: Schema.String
}) {}

/**
 * A value has no JSON text, or a stored text is not the JSON that it should be.
 *
 * @category errors
 * @since 0.1.0
 */
export class SerializationError extends Schema.TaggedError<SerializationError>()("SerializationError", {
  message: Schema.String
}) {}

/**
 * An event with this id is in the ledger already, and says something else. Nothing of the batch was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class IdempotencyConflict extends Schema.TaggedError<IdempotencyConflict>()("IdempotencyConflict", {
  message: Schema.String,
  eventId: Schema.String
}) {}

/**
 * A scope does not end where the caller expected: somebody else has appended to it. `actual` is the cursor at which it
 * ends. Read what came after the expected cursor, decide again, and append with the new one.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExpectedCursorConflict extends Schema.TaggedError<ExpectedCursorConflict>()("ExpectedCursorConflict", {
  message: Schema.String,
  actual: Schema.String
}) {}

/**
 * A later claim has made this writer's epoch stale: somebody else writes under its name now. Stop writing.
 *
 * @category errors
 * @since 0.1.0
 */
export class Fenced extends Schema.TaggedError<Fenced>()("Fenced", {
  message: Schema.String,
  writer: Schema.String
}) {}

/**
 * Somebody who is alive has claimed this writer's name. Stop them, or wait until they end; or take another name.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriterHeld extends Schema.TaggedError<WriterHeld>()("WriterHeld", {
  message: Schema.String,
  writer: Schema.String
}) {}

/**
 * No such fact, run or ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { message: Schema.String }) {}

/**
 * A cursor that does not belong to the scope it was used in, or after which facts were pruned. Read again from the start
 * of the scope.
 *
 * @category errors
 * @since 0.1.0
 */
export class CursorExpired extends Schema.TaggedError<CursorExpired>()("CursorExpired", { message: Schema.String }) {}

/**
 * A follower fell further behind than it allowed itself to. Nobody else is affected, and nothing is lost: follow again
 * from `cursor`, which stands after the last fact that it got.
 *
 * @category errors
 * @since 0.1.0
 */
export class FollowerLagged extends Schema.TaggedError<FollowerLagged>()("FollowerLagged", {
  message: Schema.String,
  cursor: Schema.String
}) {}

/**
 * The ledger is not what it must be: a file that is no ledger or a newer one, a damaged file, a hole.
 *
 * @category errors
 * @since 0.1.0
 */
export class IntegrityError extends Schema.TaggedError<IntegrityError>()("IntegrityError", {
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/**
 * The ledger cannot be reached now: no permission, a full disk, a lock that was not given in time, a lost connection.
 * Nothing of the failed operation was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnavailableError extends Schema.TaggedError<UnavailableError>()("UnavailableError", {
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/**
 * Facts that were staged and are not in the ledger. `events` counts them, as far as it is known: an append whose answer
 * never came may have been carried out. `cause` is what the store said last.
 *
 * @category errors
 * @since 0.1.0
 */
export class StagingFailed extends Schema.TaggedError<StagingFailed>()("StagingFailed", {
  message: Schema.String,
  events: Schema.Number,
  cause: Schema.Defect()
}) {}

/**
 * The error for this many staged facts.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stagingFailed = (events: number, cause: unknown): StagingFailed => {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const what = events === 1 ? "1 staged fact was" : `${events} staged facts were`
  return new StagingFailed({ message: `${what} not saved: ${reason}`, events, cause })
}

/**
 * A run whose facts wait for a checkpoint has staged more than may wait. Commit more often, or allow more.
 *
 * @category errors
 * @since 0.1.0
 */
export class StagingFull extends Schema.TaggedError<StagingFull>()("StagingFull", {
  message: Schema.String,
  capacity: Schema.Number
}) {}

/**
 * Somebody who is alive has this run open. Wait until they close it, or end that process.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunHeld extends Schema.TaggedError<RunHeld>()("RunHeld", {
  message: Schema.String,
  runId: Schema.String
}) {}

/**
 * The start or the finish of a run that is neither this one nor a child of it was emitted into it. The event reached its
 * audience, and is not recorded. Open the other run, and emit it there.
 *
 * @category errors
 * @since 0.1.0
 */
export class ForeignRun extends Schema.TaggedError<ForeignRun>()("ForeignRun", {
  message: Schema.String,
  runId: Schema.String
}) {}

/**
 * A tool call waits for no decision: somebody has decided, the call has ended, or its run has; the message says which.
 * `approved` and `decidedAt`, in milliseconds since the epoch, are those of the last decision on it, if there is one.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyDecided extends Schema.TaggedError<AlreadyDecided>()("AlreadyDecided", {
  message: Schema.String,
  callId: Schema.String,
  runId: Schema.String,
  approved: Schema.optionalKey(Schema.Boolean),
  decidedAt: Schema.optionalKey(Schema.Number)
}) {}

/**
 * More than one run has a tool call with this id. Say which run is meant.
 *
 * @category errors
 * @since 0.1.0
 */
export class AmbiguousCall extends Schema.TaggedError<AmbiguousCall>()("AmbiguousCall", {
  message: Schema.String,
  callId: Schema.String,
  runIds: Schema.Array(Schema.String)
}) {}

/**
 * What reading a ledger can fail with, whatever is read.
 *
 * @category errors
 * @since 0.1.0
 */
export type ReadError = IntegrityError | UnavailableError

/**
 * What an append can fail with. Unless it is `UnavailableError`, sending the same batch again does not help.
 *
 * @category errors
 * @since 0.1.0
 */
export type AppendError =
  | ValidationError
  | SerializationError
  | IdempotencyConflict
  | ExpectedCursorConflict
  | Fenced
  | ReadError

/**
 * What recording a run can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type RecordError = ValidationError | RunHeld | StagingFailed | ReadError

/**
 * What an event store can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type StoreError = AppendError | WriterHeld | CursorExpired | NotFound | FollowerLagged
