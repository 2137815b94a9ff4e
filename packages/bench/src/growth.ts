/**
 * Whether a ledger gets slower as it grows to two million facts.
 */
import { Durability, EventStore, Recorder, type StagedEvent } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Array as Arr, Context, Effect, Layer } from "effect"
import { join } from "node:path"
import { ids } from "./events.ts"
import { folder, ledgerIn, staged } from "./files.ts"
import { quantile } from "./quantile.ts"
import { patches } from "./recording.ts"
import { microsEach, type Row } from "./Row.ts"

const large = 2_000_000
const small = 20_000
const measured = 100_000
const turns = 10
const perRun = 5000

/** Puts a fact in its place: one run after another, which are in fifty threads by turns. */
const placed = (event: StagedEvent.StagedEvent, at: number): StagedEvent.StagedEvent => {
  const run = Math.floor(at / perRun)
  return { ...event, runId: `run-${run}`, threadId: `thread-${run % 50}`, ordinal: (at % perRun) + 1 }
}

const facts = (from: number, count: number) => staged(from, count).map((event, index) => placed(event, from + index))

/** Appends facts that are made before, each batch acked before the next. */
const append = (store: EventStore.EventStoreShape, from: number, to: number) =>
  Effect.suspend(() => {
    const batches = Arr.chunksOf(facts(from, to - from), 512)
    return microsEach(
      to - from,
      Effect.forEach(batches, (batch) => store.append(batch), { discard: true })
    )
  })

/** Appends facts that are not measured. */
const fill = (store: EventStore.EventStoreShape, from: number, to: number) =>
  Effect.forEach(
    Arr.range(0, Math.ceil((to - from) / perRun) - 1),
    (part) => store.append(facts(from + part * perRun, Math.min(perRun, to - from - part * perRun))),
    { discard: true }
  )

/**
 * Appends to a grown ledger and to a new one by turns, so that both have the same part of the machine. The new one's worker
 * has compiled its code before.
 */
const appending = (grown: EventStore.EventStoreShape) =>
  Effect.gen(function* () {
    const store = yield* ledgerIn(join(yield* folder, "new.db"))
    yield* fill(store, 0, small)
    const costs = { ours: 0, theirs: 0 }
    for (const turn of Arr.range(0, turns - 1)) {
      const [from, to] = [(turn * measured) / turns, ((turn + 1) * measured) / turns]
      costs.theirs += (yield* append(store, small + from, small + to)) / turns
      costs.ours += (yield* append(grown, large - measured + from, large - measured + to)) / turns
    }
    return costs
  }).pipe(Effect.scoped)

/** A recorder whose ledger has so many facts, those of a run with the ids of the benchmark among them. */
const recorderWith = Effect.fnUntraced(function* (path: string, count: number) {
  const services = yield* Layer.build(Layer.provideMerge(Recorder.layer(), SqliteLedger.layer({ path })))
  const store = Context.get(services, EventStore.EventStore)
  const recorder = Context.get(services, Recorder.Recorder)
  yield* fill(store, perRun, count / 2)
  yield* Effect.scoped(
    // With its start and its finish it has five thousand.
    Effect.flatMap(recorder.open(ids), (run) => run.emitAll(patches(perRun - 2)))
  )
  yield* fill(store, count / 2, count)
  return recorder
})

/** How long it takes to open a run that is in the ledger; to close it again is not measured. */
const opening = (recorder: Recorder.RecorderShape) =>
  Effect.map(
    Effect.forEach(Arr.range(1, 50), () => Effect.scoped(microsEach(1, recorder.open(ids)))),
    (costs) => quantile(costs, 0.5)
  )

export const rows: ReadonlyArray<Row> = [
  {
    name: "growth.append",
    work: "append the last 100,000 of 2 million facts, batches of 512, FULL, in the worker",
    against: "100,000 after the first 20,000 of a new one, by turns",
    unit: "us/fact",
    mark: { ratio: 0.8 },
    rounds: 1,
    isFull: true,
    prepare: () =>
      Effect.gen(function* () {
        const store = yield* ledgerIn(join(yield* folder, "large.db"))
        yield* fill(store, 0, large - measured)
        return { both: appending(store) }
      })
  },
  {
    name: "growth.resume",
    work: "open a run of 5,000 facts again, in a ledger of 2 million facts",
    against: "in one of 20,000",
    unit: "us",
    mark: { ratio: 0.7 },
    isFull: true,
    prepare: () =>
      Effect.gen(function* () {
        const path = yield* folder
        return {
          ours: opening(yield* recorderWith(join(path, "large.db"), large)),
          theirs: opening(yield* recorderWith(join(path, "small.db"), small))
        }
      }).pipe(Effect.provideService(Durability.Durability, "full_fidelity"))
  }
]
