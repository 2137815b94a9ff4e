/**
 * Why a text or a value is not what it should be.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"

/**
 * `reason` is `eof` for a text that ends too early, `syntax` for one that is no JSON, `data` for JSON of the wrong
 * shape. The message of the last names the path, as in `Expected string at ["result"]["tool_name"]`.
 *
 * @category errors
 * @since 0.1.0
 */
export class DecodeError extends Schema.TaggedError<DecodeError>()("DecodeError", {
  reason: Schema.Literals(["syntax", "eof", "data"]),
  message: Schema.String
}) {}

/**
 * A decoder over any value that fails with a one-line {@link DecodeError}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const decoder = <T>(codec: Schema.Codec<T, unknown>): ((value: unknown) => Result.Result<T, DecodeError>) => {
  const decode = Schema.decodeUnknownResult(codec)
  return (value) =>
    Result.mapError(
      decode(value),
      ({ message }) => new DecodeError({ reason: "data", message: message.replace(/\s*\n\s*/g, " ") })
    )
}

/**
 * Like {@link decoder}, for a tagged union: a tag that is missing or unknown is said to be so.
 *
 * @category constructors
 * @since 0.1.0
 */
export const taggedDecoder = <T>(
  key: string,
  tags: ReadonlySet<string>,
  codec: Schema.Codec<T, unknown>
): ((value: unknown) => Result.Result<T, DecodeError>) => {
  const decode = decoder(codec)
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return Result.fail(new DecodeError({ reason: "data", message: `Expected an object with "${key}"` }))
    }
    const tag: unknown = Reflect.get(value, key)
    return typeof tag === "string" && tags.has(tag)
      ? decode(value)
      : Result.fail(
          new DecodeError({
            reason: "data",
            message: tag === undefined ? `Missing key at ["${key}"]` : `Unknown ${key} ${JSON.stringify(tag)}`
          })
        )
  }
}
