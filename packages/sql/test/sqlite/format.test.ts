import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventStore } from "@runledger/core"
import { layerInThread } from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { told } from "./fixtures/told.ts"
import { event, newPath } from "./support.ts"

const fixture = (name: string) => readFileSync(new URL(`./fixtures/${name}`, import.meta.url))

const open = (path: string, readOnly: boolean) =>
  Effect.map(Layer.build(layerInThread({ path, readOnly })), (context) => Context.get(context, EventStore.EventStore))

describe("a ledger of format 1", () => {
  it.effect("is read as it was written, and written on", () =>
    Effect.gen(function* () {
      const expected: unknown = JSON.parse(fixture("format-1.json").toString())
      const path = yield* newPath
      writeFileSync(path, gunzipSync(fixture("format-1.db.gz")))
      for (const readOnly of [true, false]) {
        const store = yield* open(path, readOnly)
        const found: unknown = JSON.parse(JSON.stringify(yield* told(store, [Cursor.ledger])))
        assert.deepStrictEqual(found, expected)
      }
      const store = yield* open(path, false)
      yield* store.append([event(11, { runId: "waiting" })])
      const { position, runSequence, threadSequence } = yield* store.get(event(11).eventId)
      assert.deepStrictEqual([position, threadSequence, runSequence], [11, 9, 4])
    })
  )
})
