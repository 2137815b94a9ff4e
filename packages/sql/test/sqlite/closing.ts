/**
 * Closes a ledger while an append is under way that nobody waits for any more, and says what came after.
 */
import { EventStore } from "@runledger/core"
import { layer } from "@runledger/sql/sqlite"
import { Effect, Fiber } from "effect"
import { writeSync } from "node:fs"
import { events } from "./support.ts"

const [, , path = ""] = process.argv

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const program = Effect.gen(function* () {
  yield* Effect.addFinalizer(() => say("the app ended"))
  yield* Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    yield* Fiber.interrupt(yield* Effect.forkChild(store.append(events(1, 20_000)), { startImmediately: true }))
  }).pipe(Effect.provide(layer({ path })))
  yield* say("the ledger closed")
})

Effect.runFork(Effect.scoped(program))
