/**
 * How long an event takes to its audience while the disk is slow: from when it was due, at 2,000 events a second.
 */
import { Durability, EventStore, LiveSink } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import { ids } from "./events.ts"
import { folder } from "./files.ts"
import { quantile } from "./quantile.ts"
import { patches, recorderInto } from "./recording.ts"
import type { Row } from "./Row.ts"

const eachMillis = 2

/** A store each of whose commits takes 200 ms longer. */
const slow = Layer.effect(
  EventStore.EventStore,
  Effect.map(EventStore.EventStore, (store) => ({
    ...store,
    append: (...args: Parameters<typeof store.append>) => Effect.delay(store.append(...args), "200 millis")
  }))
)

/** How late each event is delivered when for so long all that is due is emitted at each turn of the event loop. */
const delays = (millis: number, durability: Durability.DurabilityMode) =>
  Effect.gen(function* () {
    const path = yield* folder
    const recorder = yield* recorderInto(Layer.provide(slow, SqliteLedger.layer({ path: join(path, "ours.db") })))
    const late: Array<number> = []
    let start = 0
    const live = LiveSink.LiveSink.of({
      deliver: ({ event }) => {
        if (event._tag === "StateDelta") {
          late.push(performance.now() - start - late.length / eachMillis)
        }
      }
    })
    const run = yield* Effect.provideService(recorder.open(ids), LiveSink.LiveSink, live)
    yield* run.emit({ _tag: "RunStart", ...ids })
    const events = patches(millis * eachMillis)
    start = performance.now()
    while (late.length < events.length) {
      const due = Math.floor((performance.now() - start) * eachMillis) + 1
      yield* Effect.forEach(events.slice(late.length, due), (event) => run.emit(event), { discard: true })
      // A timer would itself be late by more than is to be seen here.
      yield* Effect.yieldNow
    }
    return late
  }).pipe(Effect.scoped, Effect.provideService(Durability.Durability, durability))

const row = (name: string, what: string, part: number, mark: number): Row => ({
  name,
  work: `${what} delay to the live sink, 2,000 events a second, full_fidelity into SQLite, commits 200 ms slower`,
  against: "the same, disabled",
  unit: "ms",
  mark: { ours: mark },
  rounds: 3,
  prepare: ({ isQuick }) => {
    const delay = (durability: Durability.DurabilityMode) =>
      Effect.map(delays(isQuick ? 400 : 4000, durability), (late) => quantile(late, part))
    return Effect.succeed({ ours: delay("full_fidelity"), theirs: delay("disabled") })
  }
})

export const rows: ReadonlyArray<Row> = [
  row("live.stall", "99th percentile of the", 0.99, 1),
  row("live.stall.max", "longest", 1, 25)
]
