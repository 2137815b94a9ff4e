/**
 * Follows a thread, or the whole ledger, until a fact of the kind `Last`. Tells what it got: a sequence for a fact, a text
 * for a marker.
 */
import { Cursor, EventStore } from "@runledger/core"
import { Effect, Stream } from "effect"
import { layer, say } from "./ledger.ts"

const [ledger = "", what = "", from = ""] = process.argv.slice(2)

const scope: Cursor.ReadScope = what === "ledger" ? Cursor.ledger : { _tag: "Thread", threadId: what }

const program = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  yield* store
    .follow({
      scope,
      from: from === "start" || from === "now" ? from : Cursor.make(scope, Number(from))
    })
    .pipe(
      Stream.takeUntil((item) => item._tag === "Fact" && item.fact.kind === "Last"),
      Stream.runForEach((item) => Effect.sync(() => say(item._tag === "Fact" ? item.fact.threadSequence : item._tag)))
    )
})

await Effect.runPromise(Effect.provide(program, layer(ledger)))
