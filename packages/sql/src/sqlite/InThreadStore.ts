/**
 * The store over a SQLite file, in the thread that makes it.
 */
import type { EventStore, LedgerError } from "@runledger/core"
import { Effect, type Scope, Semaphore } from "effect"
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import type { Database } from "../internal/database.ts"
import { uuidBytes } from "../internal/eventRow.ts"
import * as SqlEventStore from "../SqlEventStore.ts"
import { compact } from "./compact.ts"
import { fromSqlError, isBusy, isKnownEventId } from "./errors.ts"
import * as Insert from "./insert.ts"
import * as Locks from "./locks.ts"
import * as NodeSqlite from "./NodeSqlite.ts"
import * as File from "./open.ts"
import * as Schema from "./schema.ts"
import * as Session from "./Session.ts"
import * as Watch from "./watch.ts"

/**
 * Where the ledger is. `readOnly` opens one that is there and never writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly path: string
  readonly readOnly?: boolean
}

/**
 * What opening a ledger can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type OpenError = LedgerError.IntegrityError | LedgerError.UnavailableError | LedgerError.NotFound

/** What a worker serves: the calls of the store, and a number that grows with each commit, of whatever connection. */
export interface SqliteCalls extends SqlEventStore.Calls {
  readonly rows: ReturnType<typeof SqlEventStore.rows>
  readonly version: () => Effect.Effect<number, LedgerError.ReadError>
}

const isInMemory = ({ path }: Options): boolean => path === ":memory:"

/** Absolute, so that it stays the same file when the process changes its folder, and is not read as a URI by SQLite. */
export const nameOf = (options: Options): string => (isInMemory(options) ? options.path : resolve(options.path))

const ids = {
  eventId: "lower(hex(e.event_id))",
  causation: `CASE typeof(e.causation) WHEN 'blob' THEN lower(
    substr(hex(e.causation), 1, 8) || '-' || substr(hex(e.causation), 9, 4) || '-' || substr(hex(e.causation), 13, 4) ||
    '-' || substr(hex(e.causation), 17, 4) || '-' || substr(hex(e.causation), 21)) ELSE e.causation END`
}

/** An open ledger, and what a session of an app needs of it. */
interface Opened {
  readonly calls: SqliteCalls
  readonly parts: Session.Parts
}

const openAt = Effect.fnUntraced(function* (
  options: Options,
  path: string
): Effect.fn.Return<Opened, OpenError, Scope.Scope> {
  const inMemory = isInMemory(options)
  const readOnly = options.readOnly ?? false
  const name = nameOf(options)
  const onSqlError = fromSqlError(name)
  if (!inMemory) {
    yield* File.check(path, readOnly)
  }
  const handle = yield* Effect.mapError(NodeSqlite.open({ path, readOnly }), onSqlError)
  yield* Schema.prepare(handle, name, readOnly).pipe(
    Effect.retry({
      schedule: SqlEventStore.patience,
      while: (error) => error._tag === "SqlError" && isBusy(error)
    }),
    Effect.mapError((error) => (error._tag === "SqlError" ? onSqlError(error) : error))
  )
  const stillThere = inMemory ? Effect.void : yield* File.watch(path)
  const locks = yield* Locks.make(inMemory || readOnly ? undefined : yield* File.real(path))
  const turn = Semaphore.makeUnsafe(1)
  let commits = 0
  // A statement that is in no transaction waits for the end of the one that is open.
  const alone = Semaphore.makeUnsafe(1)
  const query: Database["query"] = (text, params) => alone.withPermit(handle.query(text, params))
  const { insert, keepingTail } = Insert.make(handle.query)
  const tables = {
    name,
    ids,
    idParam: uuidBytes,
    onSqlError,
    isKnownEventId,
    // A transaction that writes is the only one.
    lock: () => Effect.void
  }
  const db: Database = {
    ...tables,
    query,
    insert,
    transaction: (statements) =>
      turn.withPermit(
        alone.withPermit(
          keepingTail(handle.transaction(Effect.suspend(() => statements({ ...db, query: handle.query }))))
        )
      ),
    isTransient: isBusy,
    locks,
    goOnAfter: () => Effect.void,
    ceiling: Effect.succeed(Number.MAX_SAFE_INTEGER),
    committed: Effect.suspend(() => {
      commits += 1
      return stillThere
    }),
    compact: inMemory ? Effect.void : compact(path, query, turn)
  }
  return {
    calls: {
      ...SqlEventStore.calls(db),
      rows: SqlEventStore.rows(db),
      version: () =>
        query("PRAGMA data_version", []).pipe(
          Effect.map(([row = []]) => Number(row[0]) + commits),
          Effect.mapError(onSqlError)
        )
    },
    parts: { path, readOnly, turn, tables, committed: () => stillThere }
  }
})

/** Opens the ledger for as long as the scope lives. */
export const open = (options: Options): Effect.Effect<Opened, OpenError, Scope.Scope> =>
  openAt(options, nameOf(options))

/** Opens the ledger and a session of an app, for as long as the scope lives. */
export const openSql = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Opened & { readonly session: Session.Opened }, OpenError, Scope.Scope> {
  // In memory, two connections find each other by a name.
  const path = isInMemory(options) ? `file:/${randomUUID()}?vfs=memdb` : nameOf(options)
  const opened = yield* openAt(options, path)
  const session = yield* Effect.mapError(Session.make(opened.parts), opened.parts.tables.onSqlError)
  return { ...opened, session }
})

/** The store over a ledger that is opened for as long as the scope lives. */
export const make = (options: Options): Effect.Effect<EventStore.EventStoreShape, OpenError, Scope.Scope> =>
  Effect.map(Watch.watched(open(options)), ({ store }) => store)
