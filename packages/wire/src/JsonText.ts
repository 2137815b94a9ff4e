/**
 * Reads JSON text without changing what it says.
 *
 * `JSON.parse` alone rounds integers beyond 2^53, reads numbers that are too large as Infinity, and nests without a
 * limit; each would put something else into the ledger than was sent.
 *
 * @since 0.1.0
 */
import { Json } from "@runledger/core"
import { Result } from "effect"
import { DecodeError } from "./DecodeError.ts"

/** Only a text that matches may hold a number or an escape that needs a closer look. */
const suspicious = /\d{16}|[eE]\+?\d{3}|\\u[dD]/
const refuse = (reason: "syntax" | "eof" | "data", message: string): Result.Result<never, DecodeError> =>
  Result.fail(new DecodeError({ reason, message }))

/** Whether the parser's complaint is about what should come after the end of the text. */
const endsEarly = (text: string, message: string): boolean => {
  const at = / at position (\d+)/.exec(message)
  return /end of JSON input|^Unterminated/.test(message) || (at !== null && Number(at[1]) >= text.trimEnd().length)
}

/** The first value that would not be written back as it was read. */
const unfaithful = (text: string, wellFormed: boolean): string | undefined => {
  let found: string | undefined
  JSON.parse(text, (key: string, value: unknown, context?: { readonly source?: string }) => {
    const source = context?.source
    if (typeof value === "number" && source !== undefined) {
      if (!Number.isFinite(value)) {
        found ??= `the number ${source} is out of range`
      } else if (/^-?\d{16,}$/.test(source) && String(value) !== source) {
        found ??= `the number ${source} cannot be kept exactly; send it as a string`
      }
    }
    if (wellFormed && !(key.isWellFormed() && (typeof value !== "string" || value.isWellFormed()))) {
      found ??= "a string holds a lone surrogate"
    }
    return value
  })
  return found
}

/**
 * Parses JSON text. Refused are syntax errors (`eof` when the text ends too early), nesting deeper than 127 levels,
 * numbers that are out of range, and integers that a JavaScript number cannot keep. With `wellFormed`, strings with
 * a lone surrogate are refused too; without it they are kept, because a JavaScript producer may split a character
 * over two deltas. Of repeated keys the last one counts.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (
  text: string,
  options?: { readonly wellFormed?: boolean }
): Result.Result<unknown, DecodeError> => {
  let value: unknown
  try {
    value = Json.parse(text)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return refuse(endsEarly(text, message) ? "eof" : "syntax", message)
  }
  if (Json.isTooDeep(value, text)) {
    return refuse("syntax", "nested deeper than 127 levels")
  }
  const problem = suspicious.test(text) ? unfaithful(text, options?.wellFormed ?? false) : undefined
  return problem === undefined ? Result.succeed(value) : refuse("syntax", problem)
}
