/**
 * What is told of an event that is not recorded.
 */
import { Context, Effect, Schema } from "effect"

export class NotRecorded extends Schema.TaggedError<NotRecorded>()("NotRecorded", {
  message: Schema.String,
  ordinal: Schema.Number,
  tag: Schema.String,
  cause: Schema.Defect()
}) {}

export const OnNotRecorded = Context.Reference<(error: NotRecorded) => Effect.Effect<void>>(
  "@runledger/core/OnNotRecorded",
  { defaultValue: () => (error) => Effect.logError(error) }
)

/** Tells that an event is not recorded, or not as it was, and why. */
export const notRecorded = (
  tell: (error: NotRecorded) => Effect.Effect<void>,
  tag: string,
  ordinal: number,
  cause: unknown
): Effect.Effect<void> => {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `event ${ordinal}, a ${tag}, was not recorded: ${reason}`
  return Effect.suspend(() => tell(new NotRecorded({ message, ordinal, tag, cause })))
}
