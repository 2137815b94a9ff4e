/**
 * Where an agent loop emits: every event goes to the live audience first, and what policy keeps goes on to the ledger.
 *
 * @since 0.1.0
 */
import { Array as Arr, Clock, Context, Effect, Layer, Result, Schema } from "effect"
import type { AgentEvent } from "./AgentEvent.ts"
import { Durability, shouldPersist } from "./Durability.ts"
import { EventStager, type StagingFailed } from "./EventStager.ts"
import { type Envelope, LiveSink } from "./LiveSink.ts"
import { Normalizer } from "./Normalizer.ts"
import * as StagedEvent from "./StagedEvent.ts"

/**
 * An event that reached its audience, but not the ledger: it could not be normalized, or not be written as JSON.
 * `ordinal` is its place in the run, `tag` what it was; `cause` is the error of the normalizer or of staging.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotRecorded extends Schema.TaggedError<NotRecorded>()("NotRecorded", {
  message: Schema.String,
  ordinal: Schema.Number,
  tag: Schema.String,
  cause: Schema.Defect()
}) {}

/**
 * Emitting into a closed sink is a mistake in the program, so this is a defect.
 *
 * @category errors
 * @since 0.1.0
 */
export class SinkClosed extends Schema.TaggedError<SinkClosed>()("SinkClosed", { message: Schema.String }) {}

/**
 * What happens when an event cannot be recorded; it is started within the emit, which succeeds all the same and does not
 * wait for it. By default the error is logged.
 *
 * @category services
 * @since 0.1.0
 */
export const OnNotRecorded = Context.Reference<(error: NotRecorded) => Effect.Effect<void>>(
  "@runledger/core/OnNotRecorded",
  { defaultValue: () => (error) => Effect.logError(error) }
)

/**
 * The sink of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventSinkShape {
  /**
   * Emits one event, in one synchronous step that nothing can interrupt or come between: number it, deliver it,
   * normalize it, write what is kept as JSON, stage it. What the caller does to the object later changes nothing.
   */
  readonly emit: (event: AgentEvent) => Effect.Effect<void>

  /** Emits events in order, many to a step. */
  readonly emitAll: (events: ReadonlyArray<AgentEvent>) => Effect.Effect<void>

  /** Waits until everything emitted is committed; the first close then closes the live sink. */
  readonly close: Effect.Effect<void, StagingFailed>
}

/**
 * The sink of the run that an app records.
 *
 * @category services
 * @since 0.1.0
 */
export class EventSink extends Context.Service<EventSink, EventSinkShape>()("@runledger/core/EventSink") {}

/** How many events of one `emitAll` share a step; more would hold up the event loop. */
const stepEvents = 256

/**
 * Makes the sink of one run from the services in force: live sink, normalizer, durability, stager.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<EventSinkShape, never, Normalizer | EventStager> = Effect.gen(function* () {
  const live = yield* LiveSink
  const normalizer = yield* Normalizer
  const durability = yield* Durability
  const stager = yield* EventStager
  const report = yield* OnNotRecorded
  const clock = yield* Clock.Clock
  // Reports are started within the step: an interrupt right after it must not swallow them.
  const start = Effect.runForkWith(yield* Effect.context<never>())
  let ordinal = 0
  let closed = false

  const deliver = (envelope: Envelope): Effect.Effect<void> | undefined => {
    try {
      const delivering = live.deliver(envelope)
      return delivering === undefined ? undefined : Effect.ignoreCause(delivering as Effect.Effect<void>, { log: true })
    } catch (cause) {
      start(Effect.logError(`the live sink failed on event ${envelope.ordinal}`, cause))
      return undefined
    }
  }

  const record = ({ event, occurredAt, ordinal }: Envelope): Result.Result<void, unknown> => {
    try {
      const normalized = normalizer.normalizeMany(event, durability)
      if (Result.isFailure(normalized)) {
        return Result.fail(normalized.failure)
      }
      const kept = normalized.success.filter(({ fidelity }) => shouldPersist(durability, fidelity))
      if (kept.length === 0) {
        return Result.void
      }
      const unit = StagedEvent.make(kept, { ordinal, occurredAt })
      return Result.isFailure(unit) ? Result.fail(unit.failure) : stager.stage(unit.success)
    } catch (defect) {
      return Result.fail(defect)
    }
  }

  /** What remains to be waited for, if anything: the live sink's own work. */
  const step = (event: AgentEvent): Effect.Effect<void> | undefined => {
    if (closed) {
      return Effect.die(new SinkClosed({ message: `a ${event._tag} was emitted after its sink was closed` }))
    }
    ordinal += 1
    const envelope = { ordinal, occurredAt: clock.currentTimeMillisUnsafe(), event }
    const delivering = deliver(envelope)
    const recorded = durability === "disabled" ? Result.void : record(envelope)
    if (Result.isFailure(recorded)) {
      const cause = recorded.failure
      const reason = cause instanceof Error ? cause.message : String(cause)
      const error = new NotRecorded({
        message: `event ${ordinal}, a ${event._tag}, was not recorded: ${reason}`,
        ordinal,
        tag: event._tag,
        cause
      })
      start(
        Effect.ignoreCause(
          Effect.suspend(() => report(error)),
          { log: true }
        )
      )
    }
    return delivering
  }

  const stepAll = (events: ReadonlyArray<AgentEvent>): Effect.Effect<void> => {
    const remaining = events.map(step).filter((effect) => effect !== undefined)
    return remaining.length === 0 ? Effect.void : Effect.all(remaining, { discard: true })
  }

  return {
    emit: (event) => Effect.suspend(() => step(event) ?? Effect.void),
    emitAll: (events) =>
      events.length <= stepEvents
        ? Effect.suspend(() => stepAll(events))
        : Effect.forEach(
            Arr.chunksOf(events, stepEvents),
            (chunk) =>
              Effect.andThen(
                Effect.suspend(() => stepAll(chunk)),
                Effect.yieldNow
              ),
            { discard: true }
          ),
    close: Effect.suspend(() => {
      const first = !closed
      closed = true
      return first && live.close !== undefined ? Effect.ensuring(stager.flush, live.close) : stager.flush
    })
  }
})

/**
 * The sink of one run, for an app that records one; it is closed with its scope.
 *
 * **Example** (Recording a run in memory)
 *
 * ```ts
 * import { EventSink, EventStager, EventStore, MemoryEventStore, Normalizer } from "@runledger/core"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const sink = yield* EventSink.EventSink
 *   yield* sink.emit({ _tag: "RunStart", threadId: "thread-1", runId: "run-1" })
 *   yield* sink.emit({ _tag: "Error", message: "no model" })
 *   yield* sink.close
 *   const store = yield* EventStore.EventStore
 *   return yield* store.read({ scope: { _tag: "Run", runId: "run-1" } })
 * })
 *
 * export const main = program.pipe(
 *   Effect.provide(
 *     EventSink.layer.pipe(
 *       Layer.provide(Normalizer.layer({ threadId: "thread-1", runId: "run-1", origin: "native" })),
 *       Layer.provide(EventStager.layer),
 *       Layer.provideMerge(MemoryEventStore.layer)
 *     )
 *   )
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<EventSink, never, Normalizer | EventStager> = Layer.effect(
  EventSink,
  Effect.acquireRelease(make, (sink) => Effect.ignoreCause(sink.close, { log: true }))
)
