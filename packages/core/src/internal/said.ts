/**
 * What the facts of a run say of its messages.
 */
import { HashMap, Option, Schema } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { CanonicalEvent } from "../CanonicalEvent.ts"
import * as Message from "../Message.ts"
import * as Assemble from "./assemble.ts"
import type { Fold } from "./fold.ts"
import { field, payloadOf } from "./kept.ts"

/**
 * Takes in a message, in place of one that began with the same event: a partial one, or one that was put together here.
 * Ordinals are from 1; where facts have none, every message is another.
 */
const said = (
  fold: Fold,
  message: (Message.Message & { readonly lost?: true }) | undefined,
  { occurredAt, ordinal }: CanonicalEvent
): Fold => {
  if (message === undefined) {
    return fold
  }
  const from = message.fromOrdinal ?? 0
  const place = Option.getOrElse(HashMap.get(fold.placesOfMessages, from), () => fold.messages.length)
  return {
    ...fold,
    messages: fold.messages.put(place, { ...message, ordinal, occurredAt }),
    placesOfMessages: from === 0 ? fold.placesOfMessages : HashMap.set(fold.placesOfMessages, from, place)
  }
}

/** What the model is saying. */
export const current = ({ assembly }: Fold): Message.Message | undefined => Assemble.message(assembly, false)

/** Gives an event to the message that is being put together. */
export const assembled = (fold: Fold, fact: CanonicalEvent, event: AgentEvent): Fold => {
  const place = { ordinal: fact.ordinal ?? 0, position: undefined }
  const [assembly, message] = Assemble.assemble(fold.assembly, event, place)
  return said({ ...fold, steps: assembly.step, assembly }, message, fact)
}

const isRole = Schema.is(Message.Role)

/** A message takes the place of what was put together of it. */
export const committed = (fold: Fold, fact: CanonicalEvent): Fold => {
  const message = payloadOf("MessageCommitted", fact)
  const role = message?.role ?? field(fact.payload, "role")
  if (!isRole(role)) {
    return fold
  }
  const { open, step } = fold.assembly
  // Its first events may be missing from the ledger, so what is open may have begun after it.
  const ends =
    open !== undefined &&
    (message === undefined ? role === "assistant" : (message.fromOrdinal ?? Infinity) <= open.from.ordinal)
  const whole = message ?? { parts: [], ...(ends ? current(fold) : undefined), role, lost: true as const }
  const steps = Math.max(step, whole.step ?? 0)
  return said({ ...fold, steps, assembly: { step: steps, open: ends ? undefined : open } }, whole, fact)
}

/** Nobody will say the rest of what the model was saying. */
export const brokenOff = (fold: Fold, fact: CanonicalEvent): Fold =>
  said({ ...fold, assembly: { ...fold.assembly, open: undefined } }, Assemble.message(fold.assembly, true), fact)
