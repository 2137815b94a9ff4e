/**
 * Where an agent loop emits: every event goes to the live audience first, and what policy keeps goes on to the ledger.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Result } from "effect"
import type { AgentEvent } from "./AgentEvent.ts"
import { Durability, shouldPersist } from "./Durability.ts"
import { EventStager } from "./EventStager.ts"
import * as Emitter from "./internal/emitter.ts"
import { notRecorded, OnNotRecorded } from "./internal/notRecorded.ts"
import type { StagingFailed } from "./LedgerError.ts"
import { type Envelope, LiveSink } from "./LiveSink.ts"
import { Normalizer } from "./Normalizer.ts"
import * as StagedEvent from "./StagedEvent.ts"

export {
  /**
   * An event that reached its audience, but not the ledger: it could not be normalized, or not be written as JSON.
   * `ordinal` is its place in the run, `tag` what it was; `cause` is the error of the normalizer or of staging.
   *
   * @category errors
   * @since 0.1.0
   */
  NotRecorded,
  /**
   * What happens when an event cannot be recorded; it is started within the emit, which succeeds all the same and does not
   * wait for it. By default the error is logged.
   *
   * @category services
   * @since 0.1.0
   */
  OnNotRecorded
} from "./internal/notRecorded.ts"

/**
 * The sink of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventSinkShape {
  /**
   * Emits one event, in one synchronous step that nothing can interrupt or come between: number it, deliver it,
   * normalize it, write what is kept as JSON, stage it. What the caller does to the object later changes nothing. Then it
   * waits, while the stager has more than it can hold.
   */
  readonly emit: (event: AgentEvent) => Effect.Effect<void>

  /** Emits events in order, many to a step. */
  readonly emitAll: (events: ReadonlyArray<AgentEvent>) => Effect.Effect<void>

  /**
   * Waits until everything emitted is committed; the first close then closes the live sink. An emit after it is a
   * defect, `SinkClosed`.
   */
  readonly close: Effect.Effect<void, StagingFailed>
}

export {
  /**
   * Emitting into a closed sink is a mistake in the program, so this is a defect.
   *
   * @category errors
   * @since 0.1.0
   */
  SinkClosed
} from "./internal/emitter.ts"

/**
 * The sink of the run that an app records.
 *
 * @category services
 * @since 0.1.0
 */
export class EventSink extends Context.Service<EventSink, EventSinkShape>()("@runledger/core/EventSink") {}

/**
 * Makes the sink of one run from the services in force: live sink, normalizer, durability, stager.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<EventSinkShape, never, Normalizer | EventStager> = Effect.gen(function* () {
  const normalizer = yield* Normalizer
  const durability = yield* Durability
  const stager = yield* EventStager
  const live = yield* LiveSink
  const tell = yield* OnNotRecorded
  const env = yield* Emitter.environment
  const lane = stager.lane()

  const record = ({ event, occurredAt, ordinal }: Envelope): Result.Result<void, unknown> => {
    const normalized = normalizer.normalizeMany(event, durability)
    if (Result.isFailure(normalized)) {
      return Result.fail(normalized.failure)
    }
    const kept = normalized.success.filter(({ fidelity }) => shouldPersist(durability, fidelity))
    if (kept.length === 0) {
      return Result.void
    }
    const unit = StagedEvent.make(kept, { ordinal, occurredAt })
    return Result.isFailure(unit) ? Result.fail(unit.failure) : lane.stage(unit.success)
  }

  const report = ({ event, ordinal }: Envelope, cause: unknown): void => {
    env.start(notRecorded(tell, event._tag, ordinal, cause))
  }

  const emitter = new Emitter.Emitter(live, env, {
    record: (envelope) => {
      try {
        const recorded = durability === "disabled" ? Result.void : record(envelope)
        if (Result.isFailure(recorded)) {
          report(envelope, recorded.failure)
        }
      } catch (defect) {
        report(envelope, defect)
      }
    }
  })
  const step: Emitter.Step = (event) => emitter.step(event)
  const credit = () => lane.credit()
  return {
    emit: Emitter.emit(step, credit),
    emitAll: Emitter.emitAll(step, credit),
    close: Effect.suspend(() => Effect.ensuring(lane.close, emitter.close()))
  }
})

/**
 * The sink of one run, for an app that records one; it is closed with its scope.
 *
 * **Example** (Recording a run in memory)
 *
 * ```ts
 * import { EventSink, EventStore, GroupStager, MemoryEventStore, Normalizer } from "@runledger/core"
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
 *       Layer.provide(GroupStager.layer()),
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
