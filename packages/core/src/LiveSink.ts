/**
 * The audience's buffer: where each event goes first, unaltered, and never behind a disk.
 *
 * @since 0.1.0
 */
import { Context, Effect, Fiber, FiberSet, PubSub, Queue, type Scope } from "effect"
import type { AgentEvent } from "./AgentEvent.ts"

/**
 * An event on its way to the audience. `ordinal` counts 1, 2, 3 … within the run and is the same in the ledger;
 * `occurredAt` is milliseconds since the epoch; `event` is the very object that was emitted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Envelope {
  readonly ordinal: number
  readonly occurredAt: number
  readonly event: AgentEvent
}

/**
 * A live sink.
 *
 * @category models
 * @since 0.1.0
 */
export interface LiveSinkShape {
  /**
   * Puts an event into the audience's buffer, synchronously and in order. What it throws is logged and does not reach
   * the agent. An Effect that it returns is work already started, which emit waits for after the event is staged.
   */
  readonly deliver: (envelope: Envelope) => void | Effect.Effect<void>

  /** Runs once when the sink that feeds it closes, after the last event. */
  readonly close?: Effect.Effect<void>
}

/**
 * The live sink in force. By default nobody listens.
 *
 * @category services
 * @since 0.1.0
 */
export const LiveSink = Context.Reference<LiveSinkShape>("@runledger/core/LiveSink", {
  defaultValue: () => ({ deliver: () => {} })
})

/**
 * Delivers to a queue. While a bounded queue is full, emit waits for room, in order. Who made the queue ends it.
 *
 * @category adapters
 * @since 0.1.0
 */
export const fromQueue = <E>(queue: Queue.Queue<Envelope, E>): LiveSinkShape => ({
  deliver: (envelope) => (Queue.offerUnsafe(queue, envelope) ? undefined : started(Queue.offer(queue, envelope)))
})

/**
 * Delivers to the subscribers of a PubSub. While a bounded one is full, emit waits for room, in order.
 *
 * @category adapters
 * @since 0.1.0
 */
export const fromPubSub = (pubsub: PubSub.PubSub<Envelope>): LiveSinkShape => ({
  deliver: (envelope) =>
    PubSub.publishUnsafe(pubsub, envelope) ? undefined : started(PubSub.publish(pubsub, envelope))
})

const started = (effect: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.asVoid(Fiber.join(Effect.runFork(effect)))

/**
 * Delivers by running an Effect for each event. It is started in the same step as everything else and joined after
 * it, so a slow one slows emit, but keeps no fact from the ledger. An interrupted emit stops waiting for it; what then
 * still runs is interrupted when the scope of the adapter closes. A defect is logged.
 *
 * @category adapters
 * @since 0.1.0
 */
export const fromEffect = <R>(
  deliver: (envelope: Envelope) => Effect.Effect<void, never, R>
): Effect.Effect<LiveSinkShape, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const fibers = yield* FiberSet.make<void>()
    const run = yield* FiberSet.runtime(fibers)<R>()
    return {
      deliver: (envelope) => {
        const fiber = run(Effect.ignoreCause(deliver(envelope), { log: true }))
        return fiber.pollUnsafe() === undefined ? Fiber.join(fiber) : undefined
      }
    }
  })
