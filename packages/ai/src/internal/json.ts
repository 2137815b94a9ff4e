/**
 * Values of libraries as JSON.
 */
import { Json } from "@runledger/core"
import type { Schema } from "effect"

/** A value as `JSON.stringify` has it; as a text, where that has nothing. */
export const json = (value: unknown): Schema.Json => {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? null : (Json.parse(text) as Schema.Json)
  } catch {
    return String(value)
  }
}
