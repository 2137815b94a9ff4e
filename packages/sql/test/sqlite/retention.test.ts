import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventStore } from "@runledger/core"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import { existsSync, readFileSync, statSync } from "node:fs"
import { event, newPath, readAll, run, thread } from "./support.ts"

const secret = "the patient's name is Ada"

const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, n) => first + n)

const open = (path: string, make: typeof layer) =>
  Effect.map(Layer.build(make({ path })), (context) => Context.get(context, EventStore.EventStore))

/** All bytes of a ledger: the file, and what SQLite keeps beside it. */
const bytes = (path: string): Buffer =>
  Buffer.concat(
    ["", "-wal", "-shm"].map((end) => (existsSync(`${path}${end}`) ? readFileSync(`${path}${end}`) : Buffer.alloc(0)))
  )

/** 20,000 facts of thread-1, every tenth with a secret of up to some pages, and a few of thread-2. */
const filled = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  for (let first = 1; first <= 20_000; first += 500) {
    yield* store.append(
      numbers(first, first + 499).map((n) =>
        n % 10 === 0 ? event(n, { payload: JSON.stringify({ text: secret.repeat((n % 300) + 1) }) }) : event(n)
      )
    )
  }
  yield* store.append([
    event(20_001, { threadId: "thread-2", runId: "run-2" }),
    event(20_002, {
      kind: "RunTerminated",
      payload: JSON.stringify({ _tag: "RunFinish", termination: { _tag: "Blocked", reason: secret } })
    })
  ])
  yield* store.append([event(20_003)], {
    runs: [{ runId: "run-1", ordinal: 20_003, state: JSON.stringify(secret), labels: { [secret]: secret } }]
  })
})

const places = (facts: Effect.Success<ReturnType<typeof readAll>>) =>
  facts.map(({ eventId, kind, position, recordedAt, runSequence, threadSequence }) => ({
    eventId,
    kind,
    position,
    recordedAt,
    runSequence,
    threadSequence
  }))

for (const [where, make] of Object.entries({ "in a worker": layer, "in the thread": layerInThread })) {
  describe(where, () => {
    it.effect("erase leaves no byte of the text in any file, and every fact in its place", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        const [store, other] = [yield* open(path, make), yield* open(path, layerInThread)]
        yield* filled(store)
        const before = places(yield* readAll(other, Cursor.ledger))
        const size = statSync(path).size
        assert.isTrue(bytes(path).includes(secret))

        assert.strictEqual(yield* store.erase({ threadId: "thread-1" }), 20_002)
        assert.isFalse(bytes(path).includes(secret.slice(0, 12)))
        assert.isBelow(statSync(path).size, size)
        assert.deepStrictEqual(places(yield* readAll(other, Cursor.ledger)), before)
        yield* store.append([event(20_004)])
        assert.strictEqual((yield* store.get(event(20_004).eventId)).threadSequence, 20_003)
      })
    )

    it.live("prune gives the space back, and renumbers nothing", () =>
      Effect.gen(function* () {
        const path = yield* newPath
        const store = yield* open(path, make)
        yield* filled(store)
        const before = yield* readAll(store, thread)
        const size = statSync(path).size
        yield* Effect.sleep("2 millis")
        yield* store.append([event(20_004)])
        const kept = yield* store.get(event(20_004).eventId)

        // All but one: run-2 is not done.
        assert.strictEqual(yield* store.prune({ before: kept.recordedAt }), 20_002)
        assert.deepStrictEqual(yield* readAll(store, thread), [kept])
        assert.isFalse(bytes(path).includes(secret.repeat(2)))
        assert.isBelow(statSync(path).size, size / 10)
        yield* store.append([event(20_005)])
        assert.strictEqual((yield* store.get(event(20_005).eventId)).runSequence, (kept.runSequence ?? 0) + 1)
        assert.strictEqual((yield* store.run(run.runId)).floor, before.at(-1)?.runSequence)
      })
    )
  })
}
