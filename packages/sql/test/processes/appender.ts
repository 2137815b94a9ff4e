/**
 * Appends a number of facts to a thread, one after the other, and says how far it is.
 */
import { EventStore } from "@runledger/core"
import { Effect } from "effect"
import { event, layer, say } from "./ledger.ts"

const [ledger = "", appends = ""] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  for (let n = 1; n <= Number(appends); n += 1) {
    yield* store.append([event({ threadId: "followed", runId: `run-${n % 7}`, ordinal: n })])
    say(n)
    // Slower than followers start, so that they join in the middle.
    yield* Effect.sleep("2 millis")
  }
})

await Effect.runPromise(Effect.provide(program, layer(ledger)))
