/**
 * The integers of the vocabulary. Negative zero is refused: its JSON text is `0`, so it would not come back as itself.
 */
import { Schema } from "effect"

const notNegativeZero = Schema.makeFilter((value: number) => !Object.is(value, -0), {
  expected: "an integer that is not negative zero"
})

/** Milliseconds, a duration or a time since the epoch: an integer from 0 to 2^53 - 1. */
export const Millis = Schema.Number.check(
  Schema.isInt(),
  Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  notNegativeZero
)

/** An index, an ordinal or a count of things: an integer from 0 to 2^53 - 1. */
export const Count = Millis

/** A signed 32-bit integer, as the seed counts tokens. */
export const Int32 = Schema.Number.check(
  Schema.isInt(),
  Schema.isBetween({ minimum: -2147483648, maximum: 2147483647 }),
  notNegativeZero
)
