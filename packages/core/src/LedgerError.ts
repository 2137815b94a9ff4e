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
 * No such fact, run or ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { message: Schema.String }) {}

/**
 * A cursor that does not belong to the scope it was used in, or to nothing the ledger still has. Read again from the
 * start of the scope.
 *
 * @category errors
 * @since 0.1.0
 */
export class CursorExpired extends Schema.TaggedError<CursorExpired>()("CursorExpired", { message: Schema.String }) {}

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
 * What an event store can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type StoreError =
  | ValidationError
  | SerializationError
  | CursorExpired
  | NotFound
  | IntegrityError
  | UnavailableError
