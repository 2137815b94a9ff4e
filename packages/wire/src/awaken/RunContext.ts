/**
 * The seed's JSON of the context of a normalizer.
 *
 * @since 0.1.0
 */
import { type LedgerError, RunContext } from "@runledger/core"
import { Result, Schema } from "effect"
import { type DecodeError, decoder } from "../DecodeError.ts"
import { snakeCased } from "../internal/snakeCase.ts"

/**
 * The codec of a run context.
 *
 * @category codecs
 * @since 0.1.0
 */
export const RunContextJson: Schema.Codec<RunContext.RunContext, unknown> = snakeCased(
  Schema.Struct({
    threadId: Schema.String,
    runId: Schema.String,
    origin: Schema.String,
    correlationId: Schema.optionalKey(Schema.String)
  })
)

/**
 * Reads a context and leaves its ids unchecked, as deserialising does in the seed.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeRunContextUnchecked: (value: unknown) => Result.Result<RunContext.RunContext, DecodeError> =
  decoder(RunContextJson)

/**
 * Reads a context and refuses blank ids.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeRunContext = (
  value: unknown
): Result.Result<RunContext.RunContext, DecodeError | LedgerError.ValidationError> =>
  Result.flatMap(decodeRunContextUnchecked(value), RunContext.make)

/**
 * Writes a context as a JSON value.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeRunContext: (context: RunContext.RunContext) => unknown = Schema.encodeSync(RunContextJson)
