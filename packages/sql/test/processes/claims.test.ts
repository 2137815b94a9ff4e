import { assert, describe, it } from "@effect/vitest"
import { EventStore } from "@runledger/core"
import { Context, Effect, Layer } from "effect"
import { claims, newDatabase } from "../postgres/support.ts"
import { newPath } from "../sqlite/support.ts"
import { event, layer } from "./ledger.ts"
import { start } from "./process.ts"

/** A ledger, and what resolves once nobody holds a name in it: a server takes a moment to notice that a process is gone. */
const ledgers = {
  SQLite: Effect.map(newPath, (ledger) => ({ ledger, noticed: Effect.void })),
  Postgres: Effect.map(newDatabase, (ledger) => ({ ledger, noticed: claims(ledger, 0) }))
}

describe("the claim of another process", () => {
  for (const [name, fresh] of Object.entries(ledgers)) {
    it.live(`holds while it is stopped, and ends when it is killed, on ${name}`, () =>
      Effect.gen(function* () {
        const { ledger, noticed } = yield* fresh
        const store = yield* Effect.map(Layer.build(layer(ledger)), Context.get(EventStore.EventStore))
        const claim = Effect.scoped(store.claimWriter("w"))
        for (const end of ["SIGKILL", "SIGTERM"] as const) {
          const other = yield* start("claimant.ts", [ledger, "w"])
          yield* other.said("holds it")
          const { epoch } = other.lines[0] as { readonly epoch: number }
          const dead = { writer: "w", epoch, highWater: 1 }
          assert.strictEqual((yield* Effect.flip(claim))._tag, "WriterHeld")

          yield* other.signal("SIGSTOP")
          assert.strictEqual((yield* Effect.flip(claim))._tag, "WriterHeld")
          yield* store.append([event({ threadId: "t" })], { writers: [dead] })

          yield* other.signal(end)
          yield* other.signal("SIGCONT")
          yield* Effect.exit(other.ended)
          yield* noticed
          assert.deepStrictEqual(yield* claim, { writer: "w", epoch: epoch + 1, highWater: 1 })
          const append = store.append([event({ threadId: "t" })], { writers: [dead] })
          assert.strictEqual((yield* Effect.flip(append))._tag, "Fenced")
        }
      })
    )
  }
})
