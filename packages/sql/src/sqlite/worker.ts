/**
 * The thread that has the ledger open. All its work is synchronous, so requests are answered in the order in which they
 * come, and a commit holds up nobody else.
 */
import type { EventStore } from "@runledger/core"
import { Cause, Effect, Exit, Scope } from "effect"
import { parentPort, workerData } from "node:worker_threads"
import * as InThreadStore from "./InThreadStore.ts"
import { type Call, type Reply, type Request, toPlain, unpack } from "./protocol.ts"

// No tracer is here to see the spans of statements.
const run = <A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> =>
  Effect.runSyncExit(Effect.withTracerEnabled(effect, false))

const scope = Scope.makeUnsafe()
const opened = run(Scope.provide(InThreadStore.make(workerData), scope))

const answer = (store: EventStore.EventStoreShape, call: Call): Effect.Effect<unknown, unknown> => {
  switch (call.method) {
    case "open":
    case "close":
      return Effect.void
    case "append":
      return store.append(unpack(call.batch))
    case "read":
      return store.read({
        scope: call.scope,
        after: call.after,
        ...(call.limit === undefined ? {} : { limit: call.limit })
      })
    case "count":
      return store.count(call.scope)
    case "get":
      return store.get(call.eventId)
    case "runs":
      return store.runs
  }
}

const reply = (id: number, exit: Exit.Exit<unknown, unknown>): Reply =>
  Exit.isSuccess(exit) ? { id, value: exit.value } : { id, error: toPlain(Cause.squash(exit.cause)) }

parentPort?.on("message", ({ call, id }: Request) => {
  if (call.method === "close") {
    run(Scope.close(scope, Exit.void))
    parentPort?.close()
    return
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(reply(id, Exit.isFailure(opened) ? opened : run(answer(opened.value, call))))
})
