/**
 * What the tests of transactions share: the ledgers that have them, and an app with a table of its own.
 */
import { EventStore, type LedgerError, Transaction } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { newDatabase } from "../postgres/support.ts"
import { event, newPath, readAll, thread } from "../sqlite/support.ts"

type Services = EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient

/** A kind of ledger: how there is a new place for one, and the layer of one at a place. */
export interface Backend {
  readonly name: string
  readonly place: Effect.Effect<string, never, Scope.Scope>
  readonly layer: (place: string) => Layer.Layer<Services, SqliteLedger.OpenError>
}

export const worker: Backend = {
  name: "SQLite in a worker",
  place: newPath,
  layer: (path) => SqliteLedger.layerSql({ path })
}

export const inThread: Backend = {
  name: "SQLite in the thread",
  place: newPath,
  layer: (path) => SqliteLedger.layerSqlInThread({ path })
}

export const postgres: Backend = {
  name: "PostgreSQL",
  place: newDatabase,
  layer: (url) => PostgresLedger.layerSql({ url })
}

/** The services of a ledger at a place, opened anew. */
export const open = Effect.fnUntraced(function* ({ layer }: Backend, place: string) {
  const services = yield* Layer.build(Layer.fresh(layer(place)))
  return {
    store: Context.get(services, EventStore.EventStore),
    sql: Context.get(services, SqlClient.SqlClient),
    ...Context.get(services, Transaction.Transaction)
  }
})

export type App = Effect.Success<ReturnType<typeof open>>

/** An app on a new ledger: each of its orders is a row of its own, and a fact with the same number. */
export const newApp = Effect.fnUntraced(function* (backend: Backend) {
  const app = yield* open(backend, yield* backend.place)
  yield* app.sql.unsafe("CREATE TABLE orders (id INTEGER UNIQUE, note TEXT)")
  return app
})

/** Writes an order. */
export const order = ({ sql }: App, n: number) => sql.unsafe(`INSERT INTO orders (id, note) VALUES (${n}, 'order')`)

/** What is appended for an order. */
export const fact = (n: number, options: EventStore.AppendOptions = {}): Effect.Effect<Transaction.Append> =>
  Effect.succeed({ batch: [event(n)], options })

/** Commits orders with a fact each. */
export const commit = (app: App, ...orders: ReadonlyArray<number>) =>
  app.commitWith(
    Effect.forEach(orders, (n) => order(app, n)),
    Effect.succeed({ batch: orders.map((n) => event(n)), options: {} })
  )

/** The orders that there are: those of the rows, which are those of the facts, whose sequences have no hole. */
export const orders = Effect.fnUntraced(function* ({
  sql,
  store
}: App): Effect.fn.Return<ReadonlyArray<number>, LedgerError.StoreError> {
  const rows = yield* Effect.orDie(sql.unsafe("SELECT id FROM orders ORDER BY id").values)
  const facts = yield* readAll(store, thread)
  const numbers = facts.map(({ ordinal = 0 }) => ordinal)
  assert.deepStrictEqual(
    rows.map(([id]) => Number(id)),
    numbers.toSorted((a, b) => a - b),
    "an order without its fact, or a fact without its order"
  )
  assert.deepStrictEqual(
    facts.map(({ runSequence, threadSequence }) => [threadSequence, runSequence]),
    facts.map((_, index) => [index + 1, index + 1])
  )
  return numbers
})
