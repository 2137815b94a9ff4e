/**
 * The ledger that a command works on.
 */
import { type CanonicalEvent, type Cursor, EventStore } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect, Layer, Option, Stream } from "effect"
import { Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"

/** `--ledger PATH`, the same in every command. */
export const flag = Flags.text("ledger").pipe(
  // SQLite's name for a database without a file: what is recorded there is gone with the command.
  Flag.filter(
    (path) => path !== ":memory:",
    () => "the path of a file"
  ),
  Flag.withMetavar("PATH"),
  Flag.withDescription("The ledger, an SQLite file; ./runledger.db without it"),
  Flag.withDefault("./runledger.db")
)

const opened = (
  store: Layer.Layer<EventStore.EventStore, SqliteLedger.OpenError>
): Layer.Layer<EventStore.EventStore, Failure.Failure> =>
  Layer.catch(store, (error) => Layer.effect(EventStore.EventStore, Effect.fail(Failure.ledger(error))))

/** The ledger to record into; it is made when it is not there. */
export const forWriting = (path: string) => opened(SqliteLedger.layer({ path }))

/** The ledger to read, which never writes it. Nothing else runs meanwhile, so no worker has to start. */
export const forReading = (path: string) => opened(SqliteLedger.layerInThread({ path, readOnly: true }))

/** The facts of a scope, in order. */
export const facts = (
  scope: Cursor.ReadScope
): Stream.Stream<CanonicalEvent.CanonicalEvent, Failure.Failure, EventStore.EventStore> =>
  Stream.unwrap(
    Effect.map(EventStore.EventStore, (store) =>
      Stream.paginate(undefined as Cursor.Cursor | undefined, (after) =>
        store.read({ scope, after }).pipe(
          Effect.mapError(Failure.ledger),
          Effect.map(({ facts, hasMore, next }) => [facts, hasMore ? Option.some(next) : Option.none()] as const)
        )
      )
    )
  )
