/**
 * The ledger that a command works on: an SQLite file, or a database of a Postgres server.
 */
import { type CanonicalEvent, type Cursor, EventStore } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Context, Effect, Layer, Option, Stream } from "effect"
import { Flag } from "effect/cli"
import { statSync } from "node:fs"
import { resolve } from "node:path"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"

/** A flag that names a ledger. */
export const named = (name: string): Flag.Flag<string> =>
  Flags.text(name).pipe(
    // SQLite's name for a database without a file: what is recorded there is gone with the command.
    Flag.filter(
      (path) => path !== ":memory:",
      () => "the path of a file"
    ),
    Flag.withMetavar("LEDGER")
  )

/** `--ledger`, the same in every command. */
export const flag = named("ledger").pipe(
  Flag.withDescription(
    "The ledger: the path of an SQLite file, or postgres://user:password@host:port/database; ./runledger.db without it"
  ),
  Flag.withDefault("./runledger.db")
)

const isUrl = (ledger: string): boolean => /^[a-z][a-z\d+.-]*:\/\//i.test(ledger)

/**
 * A URL of Postgres, if it is one. One with an `@` behind its host was most likely cut in the middle of a password that
 * is not encoded, and is none: what seems to be its host and database would then be told.
 */
const postgresUrl = (ledger: string): URL | undefined => {
  const url = URL.parse(ledger)
  return url !== null &&
    ["postgres:", "postgresql:"].includes(url.protocol) &&
    !`${url.pathname}${url.search}${url.hash}`.includes("@")
    ? url
    : undefined
}

/** What messages call a ledger; of a URL, they never have who connects and with what password. */
export const name = (ledger: string): string => {
  if (!isUrl(ledger)) {
    return Format.inline(ledger)
  }
  const url = postgresUrl(ledger)
  return url === undefined ? "the ledger" : Format.inline(`${url.hostname}:${url.port || 5432}${url.pathname}`)
}

type Opened = Layer.Layer<EventStore.EventStore, Failure.Failure>

const opened = (store: Layer.Layer<EventStore.EventStore, SqliteLedger.OpenError>): Opened =>
  Layer.catch(store, (error) => Layer.effect(EventStore.EventStore, Effect.fail(Failure.ledger(error))))

const open = (ledger: string, readOnly: boolean, sqlite: typeof SqliteLedger.layer): Opened =>
  isUrl(ledger)
    ? Layer.unwrap(
        Effect.gen(function* () {
          if (postgresUrl(ledger) === undefined) {
            return yield* Failure.usage(
              "a ledger is the path of a file or a URL of Postgres, whose user and password have / ? # @ percent-encoded"
            )
          }
          // Most commands do without it, and it takes longer to load than they take to run.
          const { layer } = yield* Effect.promise(() => import("@runledger/sql/postgres"))
          return opened(layer({ url: ledger, readOnly }))
        })
      )
    : opened(sqlite({ path: ledger, readOnly }))

/** The ledger to record into; it is made when it is not there. */
export const forWriting = (ledger: string): Opened => open(ledger, false, SqliteLedger.layer)

/** The ledger to read, which never writes it. Nothing else runs meanwhile, so no worker has to start. */
export const forReading = (ledger: string): Opened => open(ledger, true, SqliteLedger.layerInThread)

/** The ledger to copy into; it is made when it is not there. */
export const forCopying = (ledger: string): Opened => open(ledger, false, SqliteLedger.layerInThread)

/** The ledger to change, which must be there. */
export const forChanging = (ledger: string): Opened =>
  Layer.unwrap(Effect.as(Effect.scoped(Layer.build(forReading(ledger))), forWriting(ledger)))

/** The store of a ledger that is opened for as long as the scope lives. */
export const store = (ledger: Opened) => Effect.map(Layer.build(ledger), Context.get(EventStore.EventStore))

/** Whether two ledgers are one, as far as their names tell; the options of a URL may name a schema of the database. */
export const isSame = (a: string, b: string): boolean => {
  const [one, other] = [a, b].map((ledger) =>
    isUrl(ledger) ? `${name(ledger)}${postgresUrl(ledger)?.search}` : resolve(ledger)
  )
  return one === other
}

/** The last sequence that was pruned from a scope. */
export const floor = (store: EventStore.EventStoreShape, scope: Cursor.ReadScope) =>
  Effect.mapBoth(store.read({ scope, limit: 0 }), { onFailure: Failure.ledger, onSuccess: ({ floor }) => floor })

const bytes = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** How many bytes the files of a ledger have; undefined for one that is not a file. */
export const size = (ledger: string): number | undefined =>
  isUrl(ledger) ? undefined : bytes(ledger) + bytes(`${ledger}-wal`)

/** The facts of a scope, in order: those after a cursor, or all. */
export const facts = (
  store: EventStore.EventStoreShape,
  scope: Cursor.ReadScope,
  after?: Cursor.Cursor
): Stream.Stream<CanonicalEvent.CanonicalEvent, Failure.Failure> =>
  Stream.paginate(after, (after) =>
    store.read({ scope, after }).pipe(
      Effect.mapError(Failure.ledger),
      Effect.map(({ facts, hasMore, next }) => [facts, hasMore ? Option.some(next) : Option.none()] as const)
    )
  )
