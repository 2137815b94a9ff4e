/**
 * Effect's own event journal, in this thread, on a file with the settings of our ledger.
 */
import { Effect, Layer, Semaphore } from "effect"
import { SqlEventJournal } from "effect/eventlog"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"
import { join } from "node:path"
import * as NodeSqlite from "../../../sql/src/sqlite/NodeSqlite.ts"
import { folder } from "../files.ts"
import { type Batch, eachOf } from "./work.ts"

const encoder = new TextEncoder()

const entries = ({ events: [first = {}, ...others], threadId }: Batch) => {
  const entry = (event: object) => ({
    event: "TextDelta",
    primaryKey: threadId,
    payload: encoder.encode(JSON.stringify(event))
  })
  return [entry(first), ...others.map(entry)] as const
}

/** A client as Effect's own for SQLite are made, with prepared statements. */
const clientOf = Effect.fnUntraced(function* (path: string) {
  const { database, run } = yield* NodeSqlite.open({ path, readOnly: false })
  return yield* SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed({ ...NodeSqlite.connection(run), database }),
      semaphore: Semaphore.makeUnsafe(1),
      isTransaction: ({ database }) => database.isTransaction
    }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    spanAttributes: [],
    beginTransaction: NodeSqlite.begin,
    prepareTransactionControls: true
  })
})

/** Writes all batches into a new journal. */
export const writeAll = (batches: ReadonlyArray<Batch>) =>
  Effect.gen(function* () {
    const sql = yield* clientOf(join(yield* folder, "theirs.db"))
    yield* sql`PRAGMA journal_mode = WAL`
    yield* sql`PRAGMA synchronous = FULL`
    const journal = yield* Effect.provideService(SqlEventJournal.make(), SqlClient.SqlClient, sql)
    return yield* eachOf(batches, (batch) => journal.writeMany({ entries: entries(batch), effect: () => Effect.void }))
  }).pipe(Effect.provide(Layer.fresh(Reactivity.layer)), Effect.scoped)
