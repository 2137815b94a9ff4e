/**
 * What is kept of a payload that cannot be kept: ids and outcome.
 */
import type { Remnant } from "../CanonicalEvent.ts"

/** The ids and outcomes of events; nothing that a model, a tool or a person could have written at length. */
const kept = ["_tag", "id", "targetId", "messageId", "threadId", "runId", "parentRunId", "name", "outcome", "role"]

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

/** The remnant of a payload, as far as it can be read. */
export const remnant = (payload: unknown, why: Remnant): Remnant => ({
  ...Object.fromEntries(kept.map((key) => [key, field(payload, key)]).filter(([, value]) => isShort(value))),
  ...termination(payload),
  ...why
})
