/**
 * Appends batches of 100 facts to the ledger at the given path, for as long as it can. Prints how many facts were
 * acknowledged, a line for each batch, and the error that ended it.
 */
import { EventStore } from "@runledger/core"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Effect } from "effect"
import { writeSync } from "node:fs"
import { events } from "./support.ts"

const [, , path = "", where] = process.argv

const program = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  for (let acknowledged = 0; ; acknowledged += 100) {
    yield* store.append(events(acknowledged + 1, acknowledged + 100))
    writeSync(1, `${acknowledged + 100}\n`)
  }
}).pipe(
  Effect.catch((error) => Effect.sync(() => writeSync(1, `${error._tag}: ${error.message}\n`))),
  Effect.provide(where === "worker" ? layer({ path }) : layerInThread({ path }))
)

await Effect.runPromise(program)
