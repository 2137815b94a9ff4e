/**
 * A ledger that breaks a promise: `ack-first` says that a batch is durable before it is; `no-highwater` does not remember how far
 * the input of a producer is in the ledger.
 */
import { EventStore, Json } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect, Layer, Semaphore } from "effect"

const ackFirst = ({ append, ...store }: EventStore.EventStoreShape): EventStore.EventStoreShape => {
  const turn = Semaphore.makeUnsafe(1)
  return {
    ...store,
    append: (...batch) =>
      append(...batch).pipe(
        Effect.delay("100 millis"),
        turn.withPermit,
        Effect.ignore,
        Effect.forkDetach,
        Effect.asVoid
      )
  }
}

const withoutInput = ({ state, ...run }: EventStore.RunState): EventStore.RunState => {
  const { input: _, ...rest } = Object(Json.parse(state))
  return { ...run, state: JSON.stringify(rest) }
}

const noHighWater = ({ append, ...store }: EventStore.EventStoreShape): EventStore.EventStoreShape => ({
  ...store,
  append: (batch, { runs = [], writers = [], ...options } = {}) =>
    append(batch, {
      ...options,
      writers: writers.map((writer) => ({ ...writer, highWater: 0 })),
      runs: runs.map(withoutInput)
    })
})

const sabotage = process.env["RUNLEDGER_SABOTAGE"] === "ack-first" ? ackFirst : noHighWater

const sabotaged =
  (layer: typeof SqliteLedger.layer): typeof SqliteLedger.layer =>
  (options) =>
    Layer.effect(EventStore.EventStore, Effect.map(EventStore.EventStore, sabotage)).pipe(Layer.provide(layer(options)))

export const layer = sabotaged(SqliteLedger.layer)
export const layerInThread = sabotaged(SqliteLedger.layerInThread)
