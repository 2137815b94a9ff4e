import { afterEach, assert, describe, it } from "@effect/vitest"
import { type CanonicalEvent, Cursor, EventStore } from "@runledger/core"
import { layerInThread } from "@runledger/sql/sqlite"
import { Context, Effect, Exit, Layer, Stream } from "effect"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { event, events, newPath, readAll, thread } from "./support.ts"

const open = (path: string) =>
  Effect.map(Layer.build(layerInThread({ path })), (context) => Context.get(context, EventStore.EventStore))

const all = StatementSync.prototype.all

afterEach(() => {
  StatementSync.prototype.all = all
})

/** What SQLite throws when the disk does not do what it should. */
const failure = () => Object.assign(new Error("disk I/O error"), { errcode: 10 })

/** Lets the nth statement from now on fail, before it is run or after. Tells how many were run. */
const failAt = (nth: number, when: "before" | "after") => {
  let statements = 0
  StatementSync.prototype.all = function (...args) {
    statements += 1
    if (statements === nth && when === "before") {
      throw failure()
    }
    const rows = Reflect.apply(all, this, args)
    if (statements === nth) {
      throw failure()
    }
    return rows
  }
  return () => {
    StatementSync.prototype.all = all
    return statements
  }
}

const withoutClock = (fact: CanonicalEvent.CanonicalEvent) => ({ ...fact, recordedAt: 0 })

const withoutUpdate = (run: EventStore.RunEntry) => ({ ...run, updatedAt: 0 })

const told = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  return {
    facts: (yield* readAll(store, Cursor.ledger)).map(withoutClock),
    runs: (yield* Stream.runCollect(store.runs())).map(withoutUpdate),
    state: yield* Effect.orElseSucceed(
      Effect.map(store.run("run-2"), ({ state }) => state),
      () => undefined
    ),
    writers: yield* Stream.runCollect(store.writers)
  }
})

describe("an append of which a statement fails", () => {
  for (const when of ["before", "after"] as const) {
    it.effect(`leaves nothing or everything, and adds nothing twice when it is sent again: ${when} the statement`, () =>
      Effect.gen(function* () {
        // The first is BEGIN, which SQLite has not done when it fails.
        for (let nth = when === "before" ? 1 : 2, failed = true; failed; nth += 1) {
          const [store, whole] = [yield* open(yield* newPath), yield* open(yield* newPath)]
          const batch = [...events(2, 60), event(61, { runId: "run-2", kind: "RunStarted", correlationId: "c" })]
          const options = (writer: EventStore.Writer): EventStore.AppendOptions => ({
            writers: [{ ...writer, highWater: 7 }],
            expected: [{ scope: thread, cursor: Cursor.make(thread, 1) }],
            runs: [{ runId: "run-2", ordinal: 61, state: "{}" }]
          })
          let writer: EventStore.Writer = { writer: "w", epoch: 0, highWater: 0 }
          for (const each of [store, whole]) {
            yield* each.append([event(1)])
            writer = yield* each.claimWriter("w")
          }
          yield* whole.append(batch, options(writer))
          const before = yield* told(store)

          const statements = failAt(nth, when)
          failed = Exit.isFailure(yield* Effect.exit(store.append(batch, options(writer))))
          if (statements() >= nth && failed) {
            const after = yield* told(store)
            assert.deepStrictEqual(after, after.facts.length === 1 ? before : yield* told(whole))
          }
          yield* store.append(batch, options(writer))
          assert.deepStrictEqual(yield* told(store), yield* told(whole), `statement ${nth}`)
          assert.isTrue(failed || nth > 8, "some statements were made to fail")
        }
      })
    )
  }
})

describe("an append that needs a lock", () => {
  it.live("waits without stopping the thread, and then succeeds", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const store = yield* open(path)
      const other = new DatabaseSync(path)
      other.exec("BEGIN IMMEDIATE")
      yield* Effect.all(
        [
          store.append([event(1)]),
          store.claimWriter("w"),
          // Would never run if the appends waited in the thread.
          Effect.andThen(
            Effect.sleep("300 millis"),
            Effect.sync(() => other.exec("COMMIT"))
          )
        ],
        { concurrency: "unbounded" }
      )
      other.close()
      assert.strictEqual(yield* store.count(thread), 1)
    })
  )
})
