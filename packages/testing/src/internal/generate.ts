/**
 * Small generators that everything else is made of.
 */
import { Arbitrary, Schema } from "effect"

/** One of the alternatives, each as likely; a failing one shrinks within itself. */
export const oneOf = <A>(first: Arbitrary.Arbitrary<A>, ...others: ReadonlyArray<Arbitrary.Arbitrary<A>>) =>
  Arbitrary.flatMap(
    Arbitrary.schema(Schema.Literals([0, ...others.map((_, index) => index + 1)])),
    (index) => others[index - 1] ?? first
  )

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * The value as its JSON text gives it back (so without negative zero), with lone surrogates replaced in texts and keys.
 * A key such as `__proto__` stays an ordinary key.
 */
export const storable = <A>(value: A): A =>
  JSON.parse(JSON.stringify(value), (_, member: unknown) =>
    typeof member === "string"
      ? member.toWellFormed()
      : isObject(member)
        ? Object.fromEntries(Object.entries(member).map(([key, inner]) => [key.toWellFormed(), inner]))
        : member
  )
