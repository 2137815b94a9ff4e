import { assert, describe, it } from "@effect/vitest"
import { Durability, EventSink, EventStore, GroupStager, Normalizer } from "@runledger/core"
import { layer } from "@runledger/sql/sqlite"
import { Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { newPath, run } from "./support.ts"

/** Holds the write lock of a ledger for 2 seconds, from when it says so. */
const locker = `
  const db = new (require("node:sqlite").DatabaseSync)(process.argv[1], { timeout: 5000 })
  db.exec("BEGIN IMMEDIATE")
  console.log("locked")
  setTimeout(() => db.exec("COMMIT"), 2000)
`

const lock = (path: string) =>
  Effect.callback<Effect.Effect<void>>((resume) => {
    const child = spawn(process.execPath, ["-e", locker, path], { stdio: ["ignore", "pipe", "inherit"] })
    const ended = new Promise<void>((done) => child.once("exit", () => done()))
    child.stdout.once("data", () => resume(Effect.succeed(Effect.promise(() => ended))))
  })

describe("the event loop", () => {
  it.live(
    "is not held up by commits, nor by another process that holds the write lock",
    () =>
      Effect.gen(function* () {
        const path = yield* newPath
        let emitted = 0
        const emitFor = (sink: EventSink.EventSinkShape, millis: number) =>
          Effect.gen(function* () {
            const end = Date.now() + millis
            while (Date.now() < end) {
              yield* sink.emitAll(
                Array.from({ length: 20 }, () => ({ _tag: "TextDelta" as const, delta: `${emitted++}` }))
              )
              yield* Effect.sleep("5 millis")
            }
          })
        yield* Effect.gen(function* () {
          const sink = yield* EventSink.make
          yield* emitFor(sink, 1000)
          const unlocked = yield* lock(path)
          const delay = monitorEventLoopDelay({ resolution: 1 })
          delay.enable()
          yield* emitFor(sink, 2500)
          delay.disable()
          yield* unlocked
          yield* sink.close
          assert.isBelow(delay.max / 1e6, 50, "milliseconds")
          const store = yield* EventStore.EventStore
          assert.strictEqual(yield* store.count(run), emitted)
        }).pipe(
          Effect.provide(
            Layer.mergeAll(
              Layer.effect(
                Normalizer.Normalizer,
                Normalizer.make({ threadId: "thread-1", runId: run.runId, origin: "native" })
              ),
              GroupStager.layer(),
              Layer.succeed(Durability.Durability, "full_fidelity")
            ).pipe(Layer.provideMerge(layer({ path })))
          )
        )
      }),
    60_000
  )
})
