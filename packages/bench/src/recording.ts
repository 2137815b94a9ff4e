/**
 * How rows record: with a recorder of their own, and with events that become one fact each.
 */
import { type AgentEvent, type EventStore, Recorder } from "@runledger/core"
import { Context, Effect, Layer } from "effect"

/** A recorder with the store of a layer, both its own. */
export const recorderInto = <E>(store: Layer.Layer<EventStore.EventStore, E>) =>
  Effect.map(Layer.build(Layer.fresh(Layer.provide(Recorder.layer(), store))), (services) =>
    Context.get(services, Recorder.Recorder)
  )

/** Events that no other joins, as deltas of a text do: each is a fact of some 65 bytes. */
export const patches = (count: number): ReadonlyArray<AgentEvent.AgentEvent> =>
  Array.from({ length: count }, (_, index) => ({
    _tag: "StateDelta",
    delta: [{ op: "add", path: "/seen", value: index }]
  }))
