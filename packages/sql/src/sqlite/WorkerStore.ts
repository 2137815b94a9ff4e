/**
 * The store over a SQLite file, in a worker thread of its own.
 */
import { type EventStore, LedgerError, type StagedEvent } from "@runledger/core"
import { Effect, Result, type Scope } from "effect"
import { SqlError } from "effect/sql"
import { Worker } from "node:worker_threads"
import { nameOf, type OpenError, type Options, type SqliteCalls } from "./InThreadStore.ts"
import * as Read from "../internal/read.ts"
import { sqlError } from "./NodeSqlite.ts"
import { fromPlain, pack, type Part, type Reply, type Request, type Start } from "./protocol.ts"
import type { Session } from "./Session.ts"
import * as Watch from "./watch.ts"

const entry = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url)

interface Connection {
  /**
   * Sends a call. The worker runs the method of the same name, so `A` and `E` are what that method has; an interrupted
   * call is carried out all the same.
   */
  readonly call: <A, E extends LedgerError.StoreError>(
    method: Request["method"],
    ...args: ReadonlyArray<unknown>
  ) => Effect.Effect<A, E | LedgerError.UnavailableError>

  /** Reads a page; its rows but the last come part by part, while the worker reads on. */
  readonly rows: (
    options: EventStore.ReadOptions,
    take: (rows: Part["rows"]) => void
  ) => ReturnType<SqliteCalls["rows"]>

  /** As {@link Connection.call}, but a call that is interrupted is told to stop, and has come to an end when this has. */
  readonly ask: <A, E extends LedgerError.StoreError | SqlError.SqlError>(
    method: Request["method"],
    ...args: ReadonlyArray<unknown>
  ) => Effect.Effect<A, E | LedgerError.UnavailableError>

  /** Whether the session had a transaction open when the worker last answered. */
  readonly isTransaction: () => boolean

  readonly close: Effect.Effect<void>
}

const connect = (start: Start): Connection => {
  const { options } = start
  // Flags of the process may not be fit for a worker: with --input-type, for one, it does not start.
  const worker = new Worker(entry, { workerData: start, execArgv: [], name: "runledger" })
  /** Who takes the parts of a page that is being read. */
  const parts = new Map<number, (rows: Part["rows"]) => void>()
  const waiting = new Map<number, (reply: Effect.Effect<unknown, LedgerError.StoreError | SqlError.SqlError>) => void>()
  let requests = 0
  let isTransaction = false
  let stopped: LedgerError.UnavailableError | undefined
  let onExit: (() => void) | undefined

  const send = (request: Request): void => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    worker.postMessage(request)
    // The process does not end while an answer is owed, and does not wait for an idle worker.
    if (waiting.size === 0) {
      worker.ref()
    }
  }

  const stop = (why: string, cause?: unknown): void => {
    stopped ??= new LedgerError.UnavailableError({
      message: `the worker of the ledger ${options.path} stopped (${why}); what was not confirmed may not be saved: open the ledger again`,
      ...(cause === undefined ? {} : { cause })
    })
    isTransaction = false
    for (const resume of waiting.values()) {
      resume(Effect.fail(stopped))
    }
    waiting.clear()
  }

  worker.on("error", (cause) => stop(cause instanceof Error ? cause.message : String(cause), cause))
  worker.on("exit", (code) => {
    stop(`exit code ${code}`)
    onExit?.()
  })
  worker.on("message", (reply: Reply | Part) => {
    if ("rows" in reply) {
      parts.get(reply.id)?.(reply.rows)
      return
    }
    parts.delete(reply.id)
    isTransaction = reply.isTransaction ?? false
    const resume = waiting.get(reply.id)
    waiting.delete(reply.id)
    if (waiting.size === 0 && onExit === undefined) {
      worker.unref()
    }
    if ("value" in reply) {
      resume?.(Effect.succeed(reply.value))
      return
    }
    const error = fromPlain(reply.error)
    resume?.(error === undefined ? Effect.die(new Error(reply.error.fields.message)) : Effect.fail(error))
  })

  /** Sends a call, and tells its number. */
  const request = <A, E>(
    method: Request["method"],
    args: ReadonlyArray<unknown>,
    resume: (reply: Effect.Effect<A, E | LedgerError.UnavailableError>) => void
  ): number => {
    requests += 1
    if (stopped !== undefined) {
      resume(Effect.fail(stopped))
      return requests
    }
    send({ id: requests, method, args })
    waiting.set(requests, (reply) => resume(reply as Effect.Effect<A, E>))
    return requests
  }

  return {
    call: <A, E extends LedgerError.StoreError>(method: Request["method"], ...args: ReadonlyArray<unknown>) =>
      Effect.callback<A, E | LedgerError.UnavailableError>((resume) => void request(method, args, resume)),
    rows: (options, take) => Effect.callback((resume) => void parts.set(request("rows", [options], resume), take)),
    ask: <A, E extends LedgerError.StoreError | SqlError.SqlError>(
      method: Request["method"],
      ...args: ReadonlyArray<unknown>
    ) =>
      Effect.callback<A, E | LedgerError.UnavailableError>((resume) => {
        const id = request(method, args, resume)
        return Effect.callback<void>((ended) => {
          if (!waiting.has(id)) {
            ended(Effect.void)
            return
          }
          waiting.set(id, () => ended(Effect.void))
          send({ id, method: "interrupt", args: [] })
        })
      }),
    isTransaction: () => isTransaction,
    close: Effect.callback((resume) => {
      if (stopped !== undefined) {
        resume(Effect.void)
        return
      }
      onExit = () => resume(Effect.void)
      worker.ref()
      send({ id: 0, method: "close", args: [] })
    })
  }
}

const connected = Effect.fnUntraced(function* (start: Start): Effect.fn.Return<Connection, OpenError, Scope.Scope> {
  const connection = yield* Effect.acquireRelease(
    Effect.sync(() => connect(start)),
    ({ close }) => close
  )
  yield* connection.call<void, OpenError>("open")
  return connection
})

const callsOf = (name: string, { call, rows }: Connection): SqliteCalls => ({
  append: (batch: ReadonlyArray<StagedEvent.StagedEvent>, options) =>
    Effect.suspend(() => call("append", pack(batch), options)),
  claim: (writer) => call("claim", writer),
  // A worker that is gone holds nothing.
  release: (claimed) => Effect.ignore(call<void, never>("release", claimed)),
  rows: (options) => call("rows", options),
  read: (options) =>
    Effect.suspend(() => {
      const parts: Array<ReturnType<typeof Read.facts>> = []
      return Effect.flatMap(
        rows(options, (part) => parts.push(Read.facts(name, part))),
        (last) =>
          Effect.fromResult(
            Result.map(Result.all([...parts, Read.facts(name, last.rows)]), (facts) => Read.page(last, facts.flat()))
          )
      )
    }),
  count: (scope) => call("count", scope),
  get: (eventId) => call("get", eventId),
  run: (runId) => call("run", runId),
  runs: (after, filter) => call("runs", after, filter),
  threads: (after) => call("threads", after),
  writers: (after) => call("writers", after),
  pruneSlice: (options, after) => call("pruneSlice", options, after),
  eraseSlice: (threadId, after) => call("eraseSlice", threadId, after),
  compact: () => call("compact"),
  restore: (part) => call("restore", part),
  version: () => call("version")
})

/** To a statement, a worker that is gone is a connection that was lost. */
const lost = (cause: LedgerError.UnavailableError): SqlError.SqlError =>
  new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ message: cause.message, operation: "execute", cause })
  })

const sessionOf = ({ ask, isTransaction }: Connection): Session => {
  const statement = <A>(method: Request["method"], ...args: ReadonlyArray<unknown>) =>
    ask<A, SqlError.SqlError>(method, ...args).pipe(
      Effect.mapError((error) => (error._tag === "SqlError" ? error : lost(error))),
      // A parameter that cannot be sent is none that SQLite knows.
      Effect.catchDefect((defect) =>
        defect instanceof DOMException ? Effect.fail(sqlError(defect, "execute")) : Effect.die(defect)
      )
    )
  return {
    alone: (query) => statement("alone", query),
    reserve: () => statement("reserve"),
    statement: (query) => statement("statement", query),
    appendWithin: (batch, options) => Effect.suspend(() => ask("appendWithin", pack(batch), options)),
    free: () => Effect.ignore(ask<void, never>("free")),
    committed: () => ask("committed"),
    isTransaction
  }
}

/** The store over a ledger that is opened in a worker for as long as the scope lives. */
export const make = (options: Options): Effect.Effect<EventStore.EventStoreShape, OpenError, Scope.Scope> =>
  Effect.map(
    Watch.watched(
      Effect.map(connected({ options, withSession: false }), (connection) => ({
        calls: callsOf(nameOf(options), connection)
      }))
    ),
    ({ store }) => store
  )

/** Opens the ledger in a worker, with a session of an app, for as long as the scope lives. */
export const openSql = (
  options: Options
): Effect.Effect<{ readonly calls: SqliteCalls; readonly session: Session }, OpenError, Scope.Scope> =>
  Effect.map(connected({ options, withSession: true }), (connection) => ({
    calls: callsOf(nameOf(options), connection),
    session: sessionOf(connection)
  }))
