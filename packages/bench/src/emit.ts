/**
 * What it costs to emit an event, one effect for each.
 */
import {
  Durability,
  EventStager,
  LiveSink,
  MemoryEventStore,
  MemoryStager,
  Recorder,
  type AgentEvent
} from "@runledger/core"
import { Effect, Layer } from "effect"
import { ids, runOf } from "./events.ts"
import { microsEach, type Row } from "./Row.ts"

const emitAll = (
  events: ReadonlyArray<AgentEvent.AgentEvent>,
  emit: (event: AgentEvent.AgentEvent) => Effect.Effect<void>
) => microsEach(events.length, Effect.forEach(events, emit, { discard: true }))

const row = (
  durability: "full_fidelity" | "disabled",
  name: string,
  against: string,
  mark: number,
  bare: (deliver: (event: AgentEvent.AgentEvent) => void) => (event: AgentEvent.AgentEvent) => Effect.Effect<void>
): Row => ({
  name,
  work: `emit into a live sink and a stager in memory, ${durability}`,
  against,
  unit: "us/event",
  mark: { ratio: mark },
  prepare: (size) =>
    Effect.sync(() => {
      const run = runOf()
      const events = Array.from({ length: size.of(20) }, () => run).flat()
      let heard: Array<unknown> = []
      const live = Layer.succeed(LiveSink.LiveSink, { deliver: (envelope) => void heard.push(envelope) })
      const ours = Effect.suspend(() => {
        heard = []
        return Effect.gen(function* () {
          const recorder = yield* Recorder.Recorder
          const stager = yield* Effect.provide(EventStager.EventStager, MemoryStager.make().layer)
          const { emit } = yield* recorder.open({ ...ids, stager })
          return yield* emitAll(events, emit)
        }).pipe(
          Effect.scoped,
          Effect.provide([Recorder.layer().pipe(Layer.provideMerge(Layer.fresh(MemoryEventStore.layer))), live]),
          Effect.provideService(Durability.Durability, durability)
        )
      })
      const theirs = Effect.suspend(() => {
        heard = []
        let ordinal = 0
        return emitAll(
          events,
          bare((event) => {
            ordinal += 1
            heard.push({ ordinal, occurredAt: Date.now(), event })
          })
        )
      })
      return { ours, theirs }
    })
})

let characters = 0

export const rows: ReadonlyArray<Row> = [
  row(
    "full_fidelity",
    "emit.live",
    "an emit that delivers the same envelopes, and JSON.stringify of the event",
    0.5,
    (deliver) => (event) =>
      Effect.sync(() => {
        deliver(event)
        characters += JSON.stringify(event).length
      })
  ),
  row(
    "disabled",
    "emit.disabled",
    "an emit that delivers the same envelopes",
    0.8,
    (deliver) => (event) => Effect.sync(() => deliver(event))
  )
]
