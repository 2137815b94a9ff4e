import { assert, describe, inject, it } from "@effect/vitest"
import { Cursor, EventStore } from "@runledger/core"
import { Effect } from "effect"
import { createDatabase } from "../../../../scripts/postgres.ts"
import { newPath, readAll } from "../sqlite/support.ts"
import { layer } from "./ledger.ts"
import { start } from "./process.ts"

const processes = 2
const appenders = 16
const appends = 25
const races = appends
const warmUp = 50
const total = processes * (warmUp + appenders * appends * 2) + races

const ledgers = {
  SQLite: newPath,
  Postgres: Effect.promise(() => createDatabase(inject("postgresUrl")))
}

interface Told {
  readonly won: number
  readonly followed: boolean
  readonly thread: boolean
  readonly delay: number
}

describe("32 appenders on 8 threads from two processes", () => {
  for (const [name, fresh] of Object.entries(ledgers)) {
    it.live(
      `give dense sequences, one winner a race, and followers that see each fact once, on ${name}`,
      () =>
        Effect.gen(function* () {
          const ledger = yield* fresh
          const contenders = yield* Effect.forEach([0, 1], (self) =>
            start("contender.ts", [ledger, self, appenders, appends, total].map(String))
          )
          yield* Effect.forEach(contenders, ({ said }) => said("ready"))
          if (name === "SQLite") {
            const measure = Effect.forEach(contenders, ({ signal }) => signal("SIGUSR2"))
            const locker = yield* start("locker.ts", [ledger])
            yield* Effect.andThen(locker.said("locked"), measure)
            yield* Effect.andThen(locker.said("unlocking"), measure)
            yield* locker.ended
          }
          yield* Effect.forEach(contenders, ({ ended }) => ended)

          const told = contenders.map(({ lines }) => lines[1] as Told)
          assert.deepStrictEqual(
            told.map(({ followed, thread }) => [followed, thread]),
            [
              [true, true],
              [true, true]
            ]
          )
          assert.strictEqual(
            told.reduce((sum, { won }) => sum + won, 0),
            races
          )
          if (name === "SQLite") {
            for (const { delay } of told) {
              assert.isAbove(delay, 0, "milliseconds")
              assert.isBelow(delay, 50, "milliseconds")
            }
          }
          yield* Effect.gen(function* () {
            const store = yield* EventStore.EventStore
            assert.strictEqual(yield* store.count(Cursor.ledger), total)
            for (let n = 0; n < 8; n += 1) {
              const sequences = (yield* readAll(store, { _tag: "Thread", threadId: `thread-${n}` })).map(
                ({ threadSequence }) => threadSequence
              )
              assert.deepStrictEqual(
                sequences,
                sequences.map((_, index) => index + 1)
              )
            }
          }).pipe(Effect.provide(layer(ledger)))
        }),
      180_000
    )
  }
})
