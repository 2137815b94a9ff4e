import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventStore } from "@runledger/core"
import { Effect, Fiber, Stream, Struct } from "effect"
import { vi } from "vitest"
import { createDatabase, startServer } from "../../../../scripts/postgres.ts"
import { event, events, readAll, run, thread } from "../sqlite/support.ts"
import { type Break, claims, newDatabase, open, proxy } from "./support.ts"

const told = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  return {
    facts: (yield* readAll(store, thread)).map((fact) => Struct.omit(fact, ["position", "recordedAt"])),
    runs: (yield* Stream.runCollect(store.runs())).map((run) => Struct.omit(run, ["updatedAt"])),
    state: yield* Effect.orElseSucceed(
      Effect.map(store.run("run-2"), ({ state }) => state),
      () => undefined
    ),
    writers: yield* Stream.runCollect(store.writers)
  }
})

describe("an append whose connection is lost at any statement", () => {
  for (const how of ["before", "after", "terminated"] satisfies ReadonlyArray<Break>) {
    it.live(`is tried again, and adds nothing twice: ${how}`, () =>
      Effect.gen(function* () {
        const batch = [...events(2, 60), event(61, { runId: "run-2", kind: "RunStarted", correlationId: "c" })]
        const options = (writer: EventStore.Writer): EventStore.AppendOptions => ({
          writers: [{ ...writer, highWater: 7 }],
          expected: [{ scope: thread, cursor: Cursor.make(thread, 1) }],
          runs: [{ runId: "run-2", ordinal: 61, state: "{}" }]
        })
        const whole = yield* open(yield* newDatabase)
        yield* whole.append([event(1)])
        yield* whole.append(batch, options(yield* whole.claimWriter("w")))
        /** Whether there is an nth statement. */
        const breakAt = Effect.fnUntraced(function* (nth: number) {
          const url = yield* newDatabase
          const way = yield* proxy(url)
          const [store, direct] = [yield* open(way.url), yield* open(url)]
          yield* store.append([event(1)])
          const writer = yield* store.claimWriter("w")
          // So that nothing else is said meanwhile.
          yield* Effect.sleep("40 millis")
          way.breakAt(nth, how)
          yield* store.append(batch, options(writer))
          const broken = way.hasBroken()
          assert.deepStrictEqual(yield* told(direct), yield* told(whole), `statement ${nth}`)
          yield* store.append(batch, options(writer))
          assert.deepStrictEqual(yield* told(direct), yield* told(whole), `again after statement ${nth}`)
          return broken
        }, Effect.scoped)
        let statements = 0
        while (yield* breakAt(statements + 1)) {
          statements += 1
        }
        assert.isAbove(statements, 8)
      })
    )
  }
})

describe("a server that restarts", () => {
  it.live("holds up followers and appends, and loses nothing, claims included", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => void vi.stubEnv("RUNLEDGER_TEST_POSTGRES_URL", undefined)),
        () => Effect.sync(() => void vi.unstubAllEnvs())
      )
      const server = yield* Effect.acquireRelease(
        Effect.promise(() => startServer()),
        ({ stop }) => Effect.promise(stop)
      )
      const url = yield* Effect.promise(() => createDatabase(server.url))
      const [store, other] = [yield* open(url), yield* open(url)]
      const total = 300
      const followers = yield* Effect.forEach([thread, run, Cursor.ledger], (scope) =>
        Effect.forkChild(
          other.follow({ scope }).pipe(
            Stream.filter((item) => item._tag === "Fact"),
            Stream.take(total),
            Stream.runCollect
          )
        )
      )
      const writers = [yield* store.claimWriter("w")]
      const appending = yield* Effect.forkChild(
        Effect.forEach(events(1, total), (event) =>
          Effect.andThen(store.append([event], { writers }), Effect.sleep("10 millis"))
        )
      )
      for (let restart = 0; restart < 2; restart += 1) {
        yield* Effect.sleep("700 millis")
        yield* Effect.promise(server.restart)
      }
      yield* Fiber.join(appending)
      yield* claims(url, 1)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(other.claimWriter("w"))))._tag, "WriterHeld")
      for (const follower of followers) {
        const facts = (yield* Fiber.join(follower)).map(({ fact }) => fact)
        assert.deepStrictEqual(
          facts.map(({ threadSequence }) => threadSequence),
          events(1, total).map(({ ordinal }) => ordinal)
        )
      }
    })
  )
})
