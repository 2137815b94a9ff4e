/**
 * The thread that has the ledger open. A statement holds up only this thread; a call that waits for another process's lock
 * lets others pass.
 */
import type { LedgerError } from "@runledger/core"
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import { parentPort, workerData } from "node:worker_threads"
import * as InThreadStore from "./InThreadStore.ts"
import { type Reply, type Request, toPlain, unpack } from "./protocol.ts"

// No tracer is here to see the spans of statements.
const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> =>
  Effect.runFork(Effect.withTracerEnabled(effect, false))

const scope = Scope.makeUnsafe()
const opening = fork(Scope.provide(InThreadStore.open(workerData), scope))
const answering = new Set<Fiber.Fiber<unknown, unknown>>()

const answer = ({ args, method }: Request): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(Fiber.join(opening), (calls) => {
    switch (method) {
      case "open":
      case "close":
        return Effect.void
      case "append": {
        const [batch, ...rest] = args as [ReadonlyArray<unknown>, ...ReadonlyArray<never>]
        return calls.append(unpack(batch), ...rest)
      }
      default:
        return (calls[method] as (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, LedgerError.StoreError>)(
          ...args
        )
    }
  })

const reply = (id: number, exit: Exit.Exit<unknown, unknown>): Reply =>
  Exit.isSuccess(exit) ? { id, value: exit.value } : { id, error: toPlain(Cause.squash(exit.cause)) }

parentPort?.on("message", (request: Request) => {
  if (request.method === "close") {
    fork(
      Effect.andThen(
        Effect.suspend(() => Fiber.awaitAll([opening, ...answering])),
        Scope.close(scope, Exit.void)
      )
    ).addObserver(() => parentPort?.close())
    return
  }
  const fiber = fork(answer(request))
  answering.add(fiber)
  fiber.addObserver((exit) => {
    answering.delete(fiber)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    parentPort?.postMessage(reply(request.id, exit))
  })
})
