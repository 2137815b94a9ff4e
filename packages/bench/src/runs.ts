/**
 * What a thousand runs cost that are open at once: their events, against those of one run, and each while it is idle.
 */
import { Durability, type EventStore, MemoryEventStore, type Recorder, type Run } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Array as Arr, Effect, type Layer, type Scope } from "effect"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { ids } from "./events.ts"
import { folder } from "./files.ts"
import { patches, recorderInto } from "./recording.ts"
import { microsEach, type Row } from "./Row.ts"

const many = 1000

const openMany = (recorder: Recorder.RecorderShape, name: string) =>
  Effect.forEach(Arr.range(1, many), (index) =>
    recorder.open({ threadId: `thread-${index % 10}`, runId: `${name}-${index}` })
  )

const flushAll = (runs: ReadonlyArray<Run.RunShape>) =>
  Effect.forEach(new Set(runs), (run) => run.flush(), { concurrency: "unbounded", discard: true })

/** Closes runs side by side: a scope would wait for each before it closes the next. */
const closeAll = (runs: ReadonlyArray<Run.RunShape>) =>
  Effect.forEach(new Set(runs), (run) => run.close, { concurrency: "unbounded", discard: true })

type StoreLayer = Layer.Layer<EventStore.EventStore, unknown>

/** Emits so many events into each run, by turns in one loop. */
const emitInto = (
  store: Effect.Effect<StoreLayer, never, Scope.Scope>,
  events: number,
  open: (recorder: Recorder.RecorderShape) => Effect.Effect<ReadonlyArray<Run.RunShape>, unknown, Scope.Scope>
) =>
  Effect.gen(function* () {
    const runs = yield* open(yield* recorderInto(yield* store))
    const turns = Effect.forEach(
      patches(events),
      (event) => Effect.forEach(runs, (run) => run.emit(event), { discard: true }),
      { discard: true }
    )
    const cost = yield* microsEach(events * runs.length, Effect.andThen(turns, flushAll(runs)))
    yield* closeAll(runs)
    return cost
  }).pipe(Effect.scoped, Effect.provideService(Durability.Durability, "full_fidelity"))

const row = (
  name: string,
  into: string,
  mark: number,
  rounds: number,
  store: Effect.Effect<StoreLayer, never, Scope.Scope>
): Row => ({
  name,
  work: `200 events into each of 1,000 runs by turns, in one loop, to their commit ${into}`,
  against: "as many into one run",
  unit: "us/event",
  mark: { ratio: mark },
  rounds,
  prepare: (size) =>
    Effect.succeed({
      ours: emitInto(store, size.of(200), (recorder) => openMany(recorder, "run")),
      theirs: emitInto(store, size.of(200), (recorder) =>
        Effect.map(recorder.open(ids), (run) => Arr.replicate(run, many))
      )
    })
})

const sqlite = Effect.map(folder, (path) => SqliteLedger.layer({ path: join(path, "ours.db") }))

/** The bytes in use, without garbage, however the process was started. */
const heapUsed = (): number => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
  return process.memoryUsage().heapUsed
}

/** Opens runs, each of which has an event in the ledger and is idle then. */
const openIdle = Effect.fnUntraced(function* (recorder: Recorder.RecorderShape, name: string) {
  const runs = yield* openMany(recorder, name)
  yield* Effect.forEach(runs, ({ emit, runId, threadId }) => emit({ _tag: "RunStart", threadId, runId }))
  yield* flushAll(runs)
  return runs
})

/** The first thousand also brings what all share. */
const idle = Effect.gen(function* () {
  const recorder = yield* recorderInto(yield* sqlite)
  const others = yield* openIdle(recorder, "before")
  const before = heapUsed()
  const runs = yield* openIdle(recorder, "run")
  const ours = (heapUsed() - before) / many
  yield* closeAll([...others, ...runs])
  return { ours, theirs: 4096 }
}).pipe(Effect.scoped, Effect.provideService(Durability.Durability, "full_fidelity"))

export const rows: ReadonlyArray<Row> = [
  row("runs.1000.memory", "in memory", 0.8, 5, Effect.succeed(MemoryEventStore.layer)),
  row("runs.1000.sqlite", "in SQLite", 0.3, 2, sqlite),
  {
    name: "runs.idle",
    work: "heap of an open run that is idle, the second thousand of them",
    against: "the limit",
    unit: "bytes",
    mark: { ratio: 1 },
    rounds: 1,
    prepare: () => Effect.succeed({ both: idle })
  }
]
