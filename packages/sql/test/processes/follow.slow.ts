import { assert, describe, it } from "@effect/vitest"
import { EventStore } from "@runledger/core"
import { Effect, Random } from "effect"
import { createDatabase, startServer } from "../../../../scripts/postgres.ts"
import { newPath } from "../sqlite/support.ts"
import { event, layer } from "./ledger.ts"
import { start } from "./process.ts"

const appends = 1000

/** A ledger, and what happens to it in the middle. */
const ledgers = {
  SQLite: Effect.map(newPath, (ledger) => ({ ledger, disturb: Effect.void })),
  Postgres: Effect.gen(function* () {
    const server = yield* Effect.acquireRelease(
      Effect.promise(() => startServer()),
      ({ stop }) => Effect.promise(() => stop())
    )
    const ledger = yield* Effect.promise(() => createDatabase(server.url))
    return { ledger, disturb: Effect.promise(() => server.restart()) }
  })
}

describe("followers in other processes", () => {
  for (const [name, fresh] of Object.entries(ledgers)) {
    it.live(
      `get each of 1,000 facts once and in order, and are told once that they are caught up, on ${name}`,
      () =>
        Effect.gen(function* () {
          const { disturb, ledger } = yield* fresh
          const appender = yield* start("appender.ts", [ledger, `${appends}`])
          yield* appender.said(20)
          const starts = [
            ["followed", "start"],
            ["ledger", "start"],
            ["followed", "7"],
            ["followed", "20"],
            ["followed", "now"],
            ["ledger", "now"]
          ] as const
          const followers = []
          for (const [n, [scope, from]] of starts.entries()) {
            const joined = yield* Random.nextIntBetween(20, 200)
            yield* appender.said(n * 130 + joined)
            followers.push({ from, follower: yield* start("follower.ts", [ledger, scope, from]) })
            if (n === 2) {
              yield* disturb
            }
          }
          yield* appender.ended
          yield* Effect.forEach(followers, ({ follower }) => follower.said("CaughtUp"))
          yield* EventStore.EventStore.pipe(
            Effect.flatMap((store) => store.append([event({ threadId: "followed", kind: "Last" })])),
            Effect.provide(layer(ledger))
          )
          for (const { follower, from } of followers) {
            yield* follower.ended
            const facts = follower.lines.filter((line) => typeof line === "number")
            const first = from === "now" ? (facts[0] ?? 0) : from === "start" ? 1 : Number(from) + 1
            assert.deepStrictEqual(
              facts,
              Array.from({ length: appends + 2 - first }, (_, n) => first + n),
              `from ${from}`
            )
            assert.deepStrictEqual(
              follower.lines.filter((line) => typeof line !== "number"),
              ["CaughtUp"]
            )
          }
        }),
      120_000
    )
  }
})
