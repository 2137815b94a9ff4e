/**
 * Values of libraries as JSON.
 */
import { Json } from "@runledger/core"
import type { Schema } from "effect"

/** A value as `JSON.stringify` has it, with large integers as texts; what has no JSON at all says so. */
export const json = (value: unknown): Schema.Json => {
  try {
    const text = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? String(part) : part))
    return text === undefined ? null : (Json.parse(text) as Schema.Json)
  } catch {
    return "[a value that has no JSON]"
  }
}
