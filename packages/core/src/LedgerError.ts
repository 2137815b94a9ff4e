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
 * What an event store can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type StoreError = AppendError | CursorExpired | NotFound | FollowerLagged
