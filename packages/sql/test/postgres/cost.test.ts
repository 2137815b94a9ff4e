/**
 * What a commit costs in PostgreSQL, in numbers that do not depend on the machine. Who makes it dearer has to say so here.
 */
import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, Recorder, type Run } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import { Effect, Layer } from "effect"
import { type AddressInfo, createConnection, createServer } from "node:net"
import { changed, execute, newDatabase } from "./support.ts"

/** Runs a test over a recorder with an open run, which saves everything before this ends. */
const withRun = <A, E, R>(url: string, test: (run: Run.RunShape) => Effect.Effect<A, E, R>) =>
  Recorder.Recorder.pipe(
    Effect.flatMap(({ open }) => open({ threadId: "thread-1", runId: "run-1" })),
    Effect.flatMap(test),
    Effect.scoped,
    Effect.provide(Layer.provide(Recorder.layer(), PostgresLedger.layer({ url })))
  )

/** Commits so many facts at once, when the stager has got to know that nobody waits for those before. */
const commit = (run: Run.RunShape, facts: number) =>
  Effect.yieldNow.pipe(
    Effect.andThen(
      run.emitAll(
        Array.from(
          { length: facts },
          (_, durationMs): AgentEvent.AgentEvent => ({ _tag: "InferenceComplete", model: "m", durationMs })
        )
      )
    ),
    Effect.andThen(run.flush())
  )

const textAt = (message: Buffer, from: number): string => message.toString("utf8", from, message.indexOf(0, from))

/**
 * A way to the server of a URL that notes which statements it is told to execute, and how often somebody sends something
 * who has got an answer to what he sent before.
 */
const counting = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { hostname, port } = new URL(url)
      const seen = { statements: Array.of<string>(), trips: 0 }
      const server = createServer({ noDelay: true }, (client) => {
        const upstream = createConnection({ port: Number(port), host: hostname, noDelay: true })
        const prepared = new Map<string, string>()
        let hasStarted = false
        let isAnswered = true
        let unread = Buffer.alloc(0)
        const note = (message: Buffer) => {
          const name = textAt(message, 5)
          switch (message.toString("latin1", 0, 1)) {
            case "P":
              prepared.set(name, textAt(message, 6 + name.length))
              break
            case "B":
              seen.statements.push(prepared.get(textAt(message, 6 + name.length)) ?? "")
              break
            case "Q":
              seen.statements.push(name)
          }
        }
        client.on("data", (chunk) => {
          seen.trips += isAnswered ? 1 : 0
          isAnswered = false
          unread = Buffer.concat([unread, chunk])
          for (;;) {
            // The first message has no type.
            const header = hasStarted ? 1 : 0
            const size = unread.length < header + 4 ? Number.POSITIVE_INFINITY : header + unread.readUInt32BE(header)
            if (unread.length < size) {
              break
            }
            if (hasStarted) {
              note(unread.subarray(0, size))
            }
            hasStarted = true
            unread = unread.subarray(size)
          }
          upstream.write(chunk)
        })
        upstream.on("data", (chunk) => {
          isAnswered = true
          client.write(chunk)
        })
        for (const [one, other] of [
          [client, upstream],
          [upstream, client]
        ] as const) {
          one.on("error", () => other.destroy())
          one.on("close", () => other.destroy())
        }
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return { seen, server, url: changed(url, { port: String((server.address() as AddressInfo).port) }) }
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

describe("the round trips of a commit", () => {
  for (const [facts, inserts] of [
    [1, 1],
    [512, 1]
  ] as const) {
    // The clock stands still, so that nobody is told of these commits: that is done beside them, now and then.
    it.effect(`of ${facts} facts of a run: ${inserts} for the facts, and five others`, () =>
      Effect.gen(function* () {
        const { seen, url } = yield* counting(yield* newDatabase)
        yield* withRun(url, (run) =>
          Effect.gen(function* () {
            yield* Effect.forEach([512, 512, 1, 1], (facts) => commit(run, facts))
            seen.statements = []
            seen.trips = 0
            yield* commit(run, facts)
            assert.deepStrictEqual(
              seen.statements.map((sql) => sql.split(/\s+/).slice(0, 3).join(" ")),
              [
                "BEGIN ISOLATION LEVEL",
                "UPDATE writers SET",
                "WITH raised_threads AS",
                ...Array.from({ length: inserts }, () => "WITH marker AS"),
                "UPDATE runs SET",
                "COMMIT"
              ]
            )
            assert.strictEqual(seen.trips, inserts + 5)
          })
        )
      })
    )
  }
})

describe("the rows of a commit", () => {
  /** How many rows were inserted, updated and deleted in each table, by a run with so many commits of 512 facts. */
  const written = Effect.fnUntraced(function* (commits: number) {
    const url = yield* newDatabase
    yield* withRun(url, (run) => Effect.replicateEffect(commit(run, 512), commits))
    // A session adds what it wrote to the statistics when it ends.
    yield* Effect.repeat(
      execute(
        url,
        `SELECT count(*)::int4 FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`
      ),
      { until: (rows) => rows[0]?.[0] === 0 }
    )
    return yield* execute(
      url,
      "SELECT relname::text, n_tup_ins::int4, n_tup_upd::int4, n_tup_del::int4 FROM pg_stat_user_tables ORDER BY relname"
    )
  })

  it.effect("are its facts, and one for the thread, one for the writer and two for the run", () =>
    Effect.gen(function* () {
      const [few, many] = [yield* written(2), yield* written(12)]
      const each = many.map(([table, ...counts], row) => [
        table,
        counts.map((count, at) => (Number(count) - Number(few[row]?.[at + 1])) / 10)
      ])
      assert.deepStrictEqual(each, [
        ["events", [512, 0, 0]],
        ["ledger", [0, 0, 0]],
        ["names", [0, 0, 0]],
        ["runs", [0, 2, 0]],
        ["threads", [0, 1, 0]],
        ["writers", [0, 1, 0]]
      ])
    })
  )
})
