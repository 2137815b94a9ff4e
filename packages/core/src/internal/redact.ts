/**
 * The stage that takes secrets out of payloads.
 */
import type { Redactor } from "../Redaction.ts"

/** A text without its secrets. Throws what the redactor throws, and when it gives no text. */
export const redactText = (redactor: Redactor, text: string): string => {
  const redacted: unknown = redactor.redact(text)
  if (typeof redacted !== "string") {
    throw new TypeError("the redactor gave something that is no text")
  }
  return redacted
}

/** JSON without its secrets, in texts and keys. It is the very value where nothing was taken out. */
export const redact = (redactor: Redactor, value: unknown): unknown => {
  if (typeof value === "string") {
    return redactText(redactor, value)
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => redact(redactor, item))
    return items.every((item, index) => Object.is(item, value[index])) ? value : items
  }
  if (typeof value === "object" && value !== null) {
    const before = Object.entries(value)
    const after = before.map(([key, member]) => [redactText(redactor, key), redact(redactor, member)] as const)
    return after.every(([key, member], index) => key === before[index]?.[0] && Object.is(member, before[index]?.[1]))
      ? value
      : Object.fromEntries(after)
  }
  return value
}
