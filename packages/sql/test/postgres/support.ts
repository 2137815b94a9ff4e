/**
 * What the tests of the PostgreSQL store share: databases of their own, plain connections, and a proxy that breaks
 * connections.
 */
import { PgClient } from "@effect/sql-pg"
import { EventStore } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import { Context, Effect, Fiber, Latch, Layer, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net"
import { inject } from "vitest"
import { createDatabase, dropDatabase } from "../../../../scripts/postgres.ts"

/** The URL of a new database, gone with the scope. */
export const newDatabase: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => createDatabase(inject("postgresUrl"))),
  (url) => Effect.promise(() => dropDatabase(inject("postgresUrl"), url))
)

/** A store of its own over the ledger at a URL. */
export const open = (url: string, options: Omit<PostgresLedger.Options, "url"> = {}) =>
  Effect.map(Layer.build(Layer.fresh(PostgresLedger.layer({ url, ...options }))), Context.get(EventStore.EventStore))

/** One connection, past the store. */
export const connect = (url: string) =>
  PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(Effect.provide(Reactivity.layer))

/** The URL with another user, password, port, database or search path. */
export const changed = (
  url: string,
  parts: { readonly [Part in "username" | "password" | "port" | "pathname" | "search"]?: string }
): string => Object.assign(new URL(url), parts).href

/** Runs statements on a connection of their own, and gives the rows of the last. */
export const execute = (url: string, ...statements: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(connect(url), (sql) =>
      Effect.map(
        Effect.forEach(statements, (statement) => sql.unsafe(statement).valuesUnprepared),
        (rows) => rows.at(-1) ?? []
      )
    )
  )

/** Holds locks until it is released, at the latest with the scope. */
export const hold = Effect.fnUntraced(function* (url: string, statement: string) {
  const release = yield* Latch.make()
  const held = yield* Latch.make()
  const sql = yield* connect(url)
  const done = yield* sql
    .withTransaction(Effect.andThen(sql.unsafe(statement).valuesUnprepared, Effect.andThen(held.open, release.await)))
    .pipe(Effect.forkScoped)
  yield* held.await
  return Effect.andThen(release.open, Fiber.join(done))
})

/** Resolves once as many sessions of the database wait for a lock. */
export const waiting = (url: string, sessions: number) =>
  Effect.repeat(
    execute(
      url,
      "SELECT count(*)::int4 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ),
    { until: (rows) => rows[0]?.[0] === sessions }
  )

/** The locks of the claims that there are in the database. */
export const claimLocks = `pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

/** Resolves once as many names are claimed. */
export const claims = (url: string, names: number) =>
  Effect.repeat(execute(url, `SELECT count(*)::int4 FROM ${claimLocks}`), {
    until: (rows) => rows[0]?.[0] === names
  })

/** How a connection breaks: as the server is told a statement, or when it has answered, or because the server ends it. */
export type Break = "before" | "after" | "terminated"

/**
 * A way to the server of a URL that breaks its connections at the nth statement that it is told to count. Statements are
 * told apart by the `Sync` that ends each.
 */
export const proxy = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { hostname, port } = new URL(url)
      const open = new Set<Socket>()
      let left = Number.POSITIVE_INFINITY
      let how: Break = "before"
      let broken = false
      const server = createServer({ noDelay: true }, (client) => {
        const upstream = createConnection({ port: Number(port), host: hostname, noDelay: true })
        let started = false
        let buffered = Buffer.alloc(0)
        let answering = false
        const end = () => {
          client.destroy()
          upstream.destroy()
        }
        const forward = async (message: Buffer) => {
          if (message[0] === 0x53 && started) {
            left -= 1
            if (left === 0) {
              broken = true
              if (how === "before") {
                return end()
              }
              if (how === "after") {
                answering = true
              } else {
                client.pause()
                await Effect.runPromise(
                  execute(
                    changed(url, { pathname: "/postgres" }),
                    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${new URL(url).pathname.slice(1)}'`
                  )
                )
                client.resume()
              }
            }
          }
          upstream.write(message)
        }
        client.on("data", (chunk) => {
          buffered = Buffer.concat([buffered, chunk])
          for (;;) {
            const header = started ? 1 : 0
            const size =
              buffered.length < header + 4 ? Number.POSITIVE_INFINITY : header + buffered.readUInt32BE(header)
            if (buffered.length < size) {
              return
            }
            void forward(buffered.subarray(0, size))
            started = true
            buffered = buffered.subarray(size)
          }
        })
        upstream.on("data", (chunk) => (answering ? end() : client.write(chunk)))
        for (const socket of [client, upstream]) {
          open.add(socket)
          socket.on("error", end)
          socket.on("close", end)
        }
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return {
        url: changed(url, { port: String((server.address() as AddressInfo).port) }),
        breakAt: (nth: number, by: Break) => {
          left = nth
          how = by
          broken = false
        },
        /** Whether it has come to that. */
        hasBroken: () => broken,
        close: () => {
          server.close()
          for (const socket of open) {
            socket.destroy()
          }
        }
      }
    }),
    ({ close }) => Effect.sync(close)
  )
