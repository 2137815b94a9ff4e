/**
 * What can be read of a fact whose payload may not have been kept, or may be of a newer version.
 */
import { Result, Schema } from "effect"
import { type CanonicalEvent, decodePayload, isKind, type KnownKind, type payloads } from "../CanonicalEvent.ts"
import * as EventStore from "../EventStore.ts"
import * as Lifecycle from "../Lifecycle.ts"

/** The payload of a fact of this kind, if it was kept and is one. */
export const payloadOf = <K extends KnownKind>(
  kind: K,
  fact: CanonicalEvent
): (typeof payloads)[K]["Type"] | undefined =>
  isKind(kind)(fact) && Result.isSuccess(decodePayload(fact)) ? fact.payload : undefined

export const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined

/** A text that may have been kept although the payload was not. */
export const text = (value: unknown, key: string): string | undefined => {
  const found = field(value, key)
  return typeof found === "string" ? found : undefined
}

export const number = (value: unknown, key: string): number | undefined => {
  const found = field(value, key)
  return typeof found === "number" ? found : undefined
}

/** The name of the tool that a fact is about; empty where it was not kept. */
export const nameOf = ({ payload }: CanonicalEvent): string => text(payload, "name") ?? ""

export const parentOf = ({ payload }: CanonicalEvent): string | undefined =>
  text(payload, "parentRunId") ?? text(field(payload, "identity"), "parentRunId")

const isTermination = Schema.is(Lifecycle.TerminationReason)

export const terminationOf = ({ payload }: CanonicalEvent): Lifecycle.TerminationReason | undefined => {
  const termination = field(payload, "termination")
  return isTermination(termination) ? termination : undefined
}

/** The rule of the stores, which have payloads as text; few kinds have it read. */
export const statusAfter = (fact: CanonicalEvent) =>
  EventStore.statusAfter({
    kind: fact.kind,
    get payload() {
      return JSON.stringify({ termination: terminationOf(fact) })
    }
  })
