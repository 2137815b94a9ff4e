/**
 * The store over a SQLite file, in a worker thread of its own.
 */
import { type EventStore, LedgerError, type StagedEvent } from "@runledger/core"
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import type { OpenError, Options, SqliteCalls } from "./InThreadStore.ts"
import { fromPlain, pack, type Reply, type Request } from "./protocol.ts"
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
  readonly close: Effect.Effect<void>
}

const connect = (options: Options): Connection => {
  // Flags of the process may not be fit for a worker: with --input-type, for one, it does not start.
  const worker = new Worker(entry, { workerData: options, execArgv: [], name: "runledger" })
  const waiting = new Map<number, (reply: Effect.Effect<unknown, LedgerError.StoreError>) => void>()
  let requests = 0
  let stopped: LedgerError.UnavailableError | undefined
  let onExit: (() => void) | undefined

  const send = (request: Request): void => {
    // The process does not end while an answer is owed, and does not wait for an idle worker.
    if (waiting.size === 0) {
      worker.ref()
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    worker.postMessage(request)
  }

  const stop = (why: string, cause?: unknown): void => {
    stopped ??= new LedgerError.UnavailableError({
      message: `the worker of the ledger ${options.path} stopped (${why}); what was not confirmed may not be saved: open the ledger again`,
      ...(cause === undefined ? {} : { cause })
    })
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
  worker.on("message", (reply: Reply) => {
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

  return {
    call: <A, E extends LedgerError.StoreError>(method: Request["method"], ...args: ReadonlyArray<unknown>) =>
      Effect.callback<A, E | LedgerError.UnavailableError>((resume) => {
        if (stopped !== undefined) {
          resume(Effect.fail(stopped))
          return
        }
        requests += 1
        send({ id: requests, method, args })
        waiting.set(requests, (reply) => resume(reply as Effect.Effect<A, E>))
      }),
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

/** Starts the worker and opens the ledger there, for as long as the scope lives. */
const open = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<SqliteCalls, OpenError, Scope.Scope> {
  const { call } = yield* Effect.acquireRelease(
    Effect.sync(() => connect(options)),
    ({ close }) => close
  )
  yield* call<void, OpenError>("open")
  return {
    append: (batch: ReadonlyArray<StagedEvent.StagedEvent>, options) =>
      Effect.suspend(() => call("append", pack(batch), options)),
    claim: (writer) => call("claim", writer),
    // A worker that is gone holds nothing.
    release: (claimed) => Effect.ignore(call<void, never>("release", claimed)),
    read: (options) => call("read", options),
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
  }
})

/** The store over a ledger that is opened in a worker for as long as the scope lives. */
export const make = (options: Options): Effect.Effect<EventStore.EventStoreShape, OpenError, Scope.Scope> =>
  Watch.watched(open(options))
