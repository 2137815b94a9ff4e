/**
 * What is kept of a payload that cannot be kept: ids and outcome.
 */
import type { Remnant } from "../CanonicalEvent.ts"

/** The ids and outcomes of events and messages; nothing that a model, a tool or a person could have written at length. */
const kept = ["_tag", "id", "targetId", "messageId", "threadId", "runId", "parentRunId", "name", "outcome", "role"]

/** What tells where a message belongs. */
const places = ["step", "fromOrdinal", "partial"]

/** Longer ones are no ids. */
const longestId = 256

const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined

/** A reason of a finish without what can be long; a code is short, as ids are. */
const termination = (payload: unknown): object => {
  const reason = field(payload, "termination")
  const code = field(reason, "code")
  switch (field(reason, "_tag")) {
    case undefined:
      return {}
    case "Stopped":
      return { termination: { _tag: "Stopped", code: isShort(code) ? code : "" } }
    case "Blocked":
      return { termination: { _tag: "Blocked", reason: "" } }
    case "Error":
      return { termination: { _tag: "Error", message: "" } }
    default:
      return { termination: { _tag: field(reason, "_tag") } }
  }
}

const isShort = (value: unknown): value is string => typeof value === "string" && value.length <= longestId

const some = (payload: unknown, keys: ReadonlyArray<string>, isKept: (value: unknown) => boolean): object =>
  Object.fromEntries(keys.map((key) => [key, field(payload, key)] as const).filter(([, value]) => isKept(value)))

/** The remnant of a payload, as far as it can be read. */
export const remnant = (payload: unknown, why: Remnant): Remnant => ({
  ...some(payload, kept, isShort),
  ...some(payload, places, (value) => typeof value === "number" || value === true),
  ...termination(payload),
  ...why
})
