import { assert, describe, it } from "@effect/vitest"
import { LedgerError } from "@runledger/core"
import { layerInThread } from "@runledger/sql/sqlite"
import { Effect, Exit, Fiber, Scope } from "effect"
import { readdirSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import type { Worker } from "node:worker_threads"
import { child, expectKept, linesOf, open } from "./crash.ts"
import { event, events, newPath, run } from "./support.ts"

describe("a process that dies", () => {
  for (const where of ["worker", "thread"]) {
    it.live(`keeps what it acknowledged when it is killed during commits, in the ${where}`, () =>
      Effect.gen(function* () {
        for (const killAfter of [1, 20, 60]) {
          const path = yield* newPath
          const lines = yield* linesOf(process.execPath, [child, path, where], killAfter)
          yield* expectKept(path, Number(lines.at(-1)))
        }
      })
    )

    it.live(`fails as unavailable and keeps what it acknowledged when the disk is full, in the ${where}`, () =>
      Effect.gen(function* () {
        const path = yield* newPath
        // A limit on the size of files stands in for a full disk: it needs no rights. In blocks of 512 or 1024 bytes.
        const lines = yield* linesOf("sh", [
          "-c",
          'ulimit -f 1000; exec "$@"',
          "sh",
          process.execPath,
          child,
          path,
          where
        ])
        assert.match(
          lines.at(-1) ?? "",
          /^UnavailableError: the ledger .* disk is full.*; nothing of this batch was written/
        )
        assert.isAbove(Number(lines.at(-2)), 100)
        yield* expectKept(path, Number(lines.at(-2)))
      })
    )
  }
})

describe("the worker", () => {
  /** The worker that the next store starts. */
  const nextWorker = Effect.callback<Worker>((resume) => {
    process.once("worker", (worker) => resume(Effect.succeed(worker)))
  })

  it.live("fails what waits and what comes later as unavailable when it dies", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const started = yield* Effect.forkChild(nextWorker, { startImmediately: true })
      const store = yield* open(path)
      const worker = yield* Fiber.join(started)
      const waiting = yield* Effect.forkChild(Effect.flip(store.append(events(1, 5000))), { startImmediately: true })
      yield* Effect.promise(() => worker.terminate())
      for (const error of [
        yield* Fiber.join(waiting),
        yield* Effect.flip(store.append([event(1)])),
        yield* Effect.flip(store.count(run))
      ]) {
        assert.instanceOf(error, LedgerError.UnavailableError)
        assert.match(error.message, /the worker of the ledger .* stopped .*open the ledger again/)
      }
    })
  )

  it.live("keeps the process alive until it has closed", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const closing = fileURLToPath(new URL("./closing.ts", import.meta.url))
      assert.deepStrictEqual(yield* linesOf(process.execPath, [closing, path]), ["the ledger closed", "the app ended"])
      assert.strictEqual(yield* Effect.flatMap(open(path, layerInThread), (store) => store.count(run)), 20_000)
    })
  )

  it.live("commits all that was sent before its scope closes, and leaves one file", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(open(path), scope)
      const sent = yield* Effect.forEach([0, 1, 2, 3], (n) =>
        Effect.forkChild(store.append(events(n * 500 + 1, n * 500 + 500)), { startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.joinAll(sent)
      assert.deepStrictEqual(readdirSync(dirname(path)), ["ledger.db"])
      assert.strictEqual(yield* Effect.flatMap(open(path, layerInThread), (store) => store.count(run)), 2000)
    })
  )
})
