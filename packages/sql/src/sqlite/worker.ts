/**
 * The thread that has the ledger open. A statement holds up only this thread; a call that waits for another process's lock
 * lets others pass.
 */
import { EventStore } from "@runledger/core"
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import { parentPort, workerData } from "node:worker_threads"
import * as InThreadStore from "./InThreadStore.ts"
import { type PackedBatch, type Part, type Reply, type Request, type Start, toPlain, unpack } from "./protocol.ts"
import type * as Session from "./Session.ts"

const { options, withSession } = workerData as Start

// No tracer is here to see the spans of statements.
const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> =>
  Effect.runFork(Effect.withTracerEnabled(effect, false))

type Call = (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown>

const scope = Scope.makeUnsafe()
let session: Session.Opened | undefined
const opening = fork(
  Effect.gen(function* () {
    if (!withSession) {
      return (yield* InThreadStore.open(options)).calls
    }
    const opened = yield* InThreadStore.openSql(options)
    session = opened.session
    return { ...session, ...opened.calls }
  }).pipe(Scope.provide(scope))
)
const answering = new Map<number, Fiber.Fiber<unknown, unknown>>()

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const post = (message: Reply | Part): void => parentPort?.postMessage(message)

/** How many rows are sent at once: while the other thread takes them, this one reads on, or commits in between. */
const partRows = 250

/** Reads a page part by part; gives its last one. */
const readParts = Effect.fnUntraced(function* (
  rows: InThreadStore.SqliteCalls["rows"],
  id: number,
  options: EventStore.ReadOptions
) {
  let { after } = options
  for (let left = EventStore.pageLimit(options.limit); ; left -= partRows) {
    const page = yield* rows({ ...options, after, limit: Math.min(left, partRows) })
    if (left <= partRows || page.rows.length < partRows || !page.hasMore) {
      return page
    }
    post({ id, rows: page.rows })
    after = page.next
  }
})

const answer = ({ args, id, method }: Request): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(Fiber.join(opening), (served) => {
    const call = Reflect.get(served, method) as Call
    switch (method) {
      case "open":
        return Effect.void
      case "append":
      case "appendWithin": {
        const [batch, ...rest] = args as [PackedBatch, ...ReadonlyArray<unknown>]
        return call(unpack(batch), ...rest)
      }
      case "rows":
        return readParts(served.rows, id, args[0] as EventStore.ReadOptions)
      default:
        return call(...args)
    }
  })

const reply = (id: number, exit: Exit.Exit<unknown, unknown>): Reply => ({
  id,
  ...(session === undefined ? {} : { isTransaction: session.isTransaction() }),
  ...(Exit.isSuccess(exit) ? { value: exit.value } : { error: toPlain(Cause.squash(exit.cause)) })
})

parentPort?.on("message", (request: Request) => {
  switch (request.method) {
    case "interrupt":
      answering.get(request.id)?.interruptUnsafe()
      return
    case "close":
      fork(
        Effect.suspend(() => session?.end ?? Effect.void).pipe(
          Effect.andThen(Effect.suspend(() => Fiber.awaitAll([opening, ...answering.values()]))),
          Effect.andThen(Scope.close(scope, Exit.void))
        )
      ).addObserver(() => parentPort?.close())
      return
  }
  const fiber = fork(answer(request))
  answering.set(request.id, fiber)
  fiber.addObserver((exit) => {
    answering.delete(request.id)
    post(reply(request.id, exit))
  })
})
