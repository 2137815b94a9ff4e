/**
 * Claims the name of a writer, says which epoch it got, and holds it for as long as it lives.
 *
 * Arguments: the ledger, the name.
 */
import { EventStore } from "@runledger/core"
import { Effect } from "effect"
import { layer, say } from "./ledger.ts"

const [ledger = "", writer = ""] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const { epoch } = yield* store.claimWriter(writer)
  say({ epoch })
  say("holds it")
  // What holds a process that has nothing to do is a timer.
  setInterval(() => {}, 60_000)
  return yield* Effect.never
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, layer(ledger))))
