/**
 * One thing that an event store must do, and how to find out whether it does.
 *
 * @since 0.1.0
 */
import type { EventStore } from "@runledger/core"
import { Effect, Schema, type Scope } from "effect"
import * as TestLedger from "./TestLedger.ts"

/**
 * A store does not do what it must. The message says what it did instead.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckFailed extends Schema.TaggedError<CheckFailed>()("CheckFailed", {
  id: Schema.String,
  message: Schema.String
}) {}

/**
 * A check of an event store: its name, the sentence of the contract that it checks, and how to run it on a fresh ledger.
 * Whatever goes wrong is a `CheckFailed`, defects of the store and its silence included.
 *
 * @category models
 * @since 0.1.0
 */
export interface Check {
  readonly id: string
  readonly must: string
  readonly run: (fresh: TestLedger.Fresh, options?: TestLedger.UseOptions) => Effect.Effect<void, CheckFailed>
}

/**
 * Makes a check. Its body gets what opens a handle on the ledger, which is closed with the scope, and fails with a text
 * that says what it expected and what it got.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  id: string,
  must: string,
  body: (
    open: Effect.Effect<EventStore.EventStoreShape, unknown, Scope.Scope>
  ) => Generator<Effect.Effect<unknown, unknown, Scope.Scope>, void, never>
): Check => ({
  id,
  must,
  run: (fresh, options) =>
    TestLedger.use(fresh, (open) => Effect.gen(() => body(open)), options).pipe(
      Effect.mapError((message) => new CheckFailed({ id, message }))
    )
})
