import { describe, expectTypeOf, it } from "@effect/vitest"
import type { PgClient } from "@effect/sql-pg"
import type { EventStore, LedgerError, Transaction } from "@runledger/core"
import type * as PostgresLedger from "@runledger/sql/postgres"
import type * as SqliteLedger from "@runledger/sql/sqlite"
import type { Effect, Layer } from "effect"
import type { SqlClient, SqlError } from "effect/sql"

type Services = EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient

describe("the layers with an app's client", () => {
  it("say what they provide, and the others provide no client", () => {
    expectTypeOf<typeof SqliteLedger.layerSql>().returns.toEqualTypeOf<Layer.Layer<Services, SqliteLedger.OpenError>>()
    expectTypeOf<typeof SqliteLedger.layerSqlInThread>().returns.toEqualTypeOf<
      Layer.Layer<Services, SqliteLedger.OpenError>
    >()
    expectTypeOf<typeof PostgresLedger.layerSql>().returns.toEqualTypeOf<
      Layer.Layer<Services | PgClient.PgClient, PostgresLedger.OpenError>
    >()
    expectTypeOf<ReturnType<typeof SqliteLedger.layer>>().toEqualTypeOf<
      Layer.Layer<EventStore.EventStore, SqliteLedger.OpenError>
    >()
    expectTypeOf<ReturnType<typeof SqliteLedger.layerInThread>>().toEqualTypeOf<
      Layer.Layer<EventStore.EventStore, SqliteLedger.OpenError>
    >()
    expectTypeOf<ReturnType<typeof PostgresLedger.layer>>().toEqualTypeOf<
      Layer.Layer<EventStore.EventStore, PostgresLedger.OpenError>
    >()
  })

  it("keep the errors and needs of the writes", () => {
    const commit = (transaction: Transaction.TransactionShape) =>
      transaction.commitWith(
        {} as Effect.Effect<number, SqlError.SqlError | "own", "need">,
        {} as Effect.Effect<Transaction.Append>
      )
    expectTypeOf(commit).returns.toEqualTypeOf<
      Effect.Effect<number, SqlError.SqlError | "own" | LedgerError.AppendError, "need">
    >()
  })
})
