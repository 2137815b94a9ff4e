/**
 * What a part of a model's stream says to the ledger.
 */
import type { AgentEvent, Message, Run } from "@runledger/core"
import { Effect } from "effect"

/** An event; or a part of the message, with what no event brings. */
export type Saying =
  | { readonly _tag: "Event"; readonly event: AgentEvent.AgentEvent }
  | { readonly _tag: "Part"; readonly part: Message.Part }

export const event = (event: AgentEvent.AgentEvent): Saying => ({ _tag: "Event", event })

export const part = (part: Message.Part): Saying => ({ _tag: "Part", part })

/** Says all of it to a run, in order. */
export const say = (run: Run.RunShape, sayings: ReadonlyArray<Saying>): Effect.Effect<void> =>
  Effect.forEach(sayings, (saying) => (saying._tag === "Event" ? run.emit(saying.event) : run.part(saying.part)), {
    discard: true
  })
