/**
 * What errors of an app say.
 */
import type { Schema } from "effect"
import { json } from "../internal/json.ts"

const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

/** What somebody threw, in words. */
export const message = (error: unknown): string => {
  try {
    return (
      text(error) ??
      text(field(error, "message")) ??
      text(field(field(error, "error"), "message")) ??
      JSON.stringify(json(error))
    )
  } catch {
    return "unknown error"
  }
}

/** The code that an error goes by, if it has one. */
export const code = (error: unknown): string | undefined => {
  try {
    const found = [field(field(error, "data"), "error"), error, field(error, "error")]
      .flatMap((error) => [field(error, "code"), field(error, "statusCode")])
      .find((code) => text(code) !== undefined || typeof code === "number")
    return found === undefined ? undefined : String(found)
  } catch {
    return undefined
  }
}

/** An error as JSON; by itself it has nothing of what it says. */
export const data = (error: unknown): Schema.Json =>
  error instanceof Error ? { name: error.name, message: message(error) } : json(error)
