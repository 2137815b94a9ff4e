/**
 * What a ledger with an SQL client for its app consists of.
 */
import { EventStore, LedgerError, Transaction } from "@runledger/core"
import { Context, Effect, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import * as CommitWith from "../internal/commitWith.ts"
import { fromSqlError } from "./errors.ts"
import { nameOf, type Options, type SqliteCalls } from "./InThreadStore.ts"
import * as NodeSqlite from "./NodeSqlite.ts"
import type { Session } from "./Session.ts"
import * as SessionClient from "./SessionClient.ts"
import * as Watch from "./watch.ts"

const waitsForItself = new LedgerError.UnavailableError({
  message:
    "the ledger cannot be written from within a transaction of its SqlClient: it would wait for the end of the transaction, which waits for it; hand the facts to commitWith, or write them before or after"
})

/** The store, whose writes refuse to wait for the transaction that they are called in. */
const outside = (sql: SqlClient.SqlClient, store: EventStore.EventStoreShape): EventStore.EventStoreShape => {
  const guarded = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | LedgerError.UnavailableError, R> =>
    Effect.withFiber<A, E | LedgerError.UnavailableError, R>((fiber) =>
      Context.getOrUndefined(fiber.context, sql.transactionService) === undefined ? effect : Effect.fail(waitsForItself)
    )
  return {
    ...store,
    append: (batch, options) => guarded(store.append(batch, options)),
    claimWriter: (writer) => guarded(store.claimWriter(writer)),
    prune: (options) => guarded(store.prune(options)),
    erase: (options) => guarded(store.erase(options)),
    restore: (part) => guarded(store.restore(part))
  }
}

/** The services of a ledger that is opened with a session. */
export const make = Effect.fnUntraced(function* <E>(
  options: Options,
  open: Effect.Effect<{ readonly calls: SqliteCalls; readonly session: Session }, E, Scope.Scope>
): Effect.fn.Return<
  Context.Context<EventStore.EventStore | Transaction.Transaction | SqlClient.SqlClient>,
  E,
  Scope.Scope | Reactivity.Reactivity
> {
  const { notify, opened, store } = yield* Watch.watched(open)
  const { session } = opened
  const sql = yield* SessionClient.make(session)
  const commitWith = CommitWith.make({
    sql,
    begin: NodeSqlite.begin,
    append: session.appendWithin,
    // Locks were waited for.
    isTransient: () => false,
    notify: Effect.sync(notify),
    onSqlError: fromSqlError(nameOf(options))
  })
  return Context.make(EventStore.EventStore, outside(sql, store)).pipe(
    Context.add(Transaction.Transaction, {
      commitWith: (writes, append) => Effect.tap(commitWith(writes, append), session.committed)
    }),
    Context.add(SqlClient.SqlClient, sql)
  )
})
