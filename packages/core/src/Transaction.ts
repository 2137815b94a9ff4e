/**
 * How an app's own writes and facts get into one transaction of the ledger's database.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { AppendOptions } from "./EventStore.ts"
import type { AppendError } from "./LedgerError.ts"
import type { StagedEvent } from "./StagedEvent.ts"

/**
 * A batch with what goes into its commit beside it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Append {
  readonly batch: ReadonlyArray<StagedEvent>
  readonly options: AppendOptions
}

/**
 * The transactions of a ledger.
 *
 * @category models
 * @since 0.1.0
 */
export interface TransactionShape {
  /**
   * Runs the writes, and then an append of what is there then, in one transaction: all of it is committed, or nothing. The
   * writes use the SQL client that the ledger's layer provides. It is not tried again when it fails, for only the app
   * knows whether its writes can be. An append that refuses its batch rolls the writes back too.
   */
  readonly commitWith: <A, E, R>(
    writes: Effect.Effect<A, E, R>,
    append: Effect.Effect<Append>
  ) => Effect.Effect<A, E | AppendError, R>
}

/**
 * The transactions of the ledger in force, where its layer has them.
 *
 * @category services
 * @since 0.1.0
 */
export class Transaction extends Context.Service<Transaction, TransactionShape>()("@runledger/core/Transaction") {}
