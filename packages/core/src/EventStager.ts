/**
 * Carries staged events to the store: in order, in batches, each batch in one commit.
 *
 * @since 0.1.0
 */
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Queue, Result, Schedule, Schema } from "effect"
import { EventStore } from "./EventStore.ts"
import type { ValidationError } from "./LedgerError.ts"
import { checkStorable, type StagedEvent, type StagedUnit } from "./StagedEvent.ts"

/**
 * Staged events that the store did not take, although it was tried again. `events` counts them; `cause` is what the
 * store said last.
 *
 * @category errors
 * @since 0.1.0
 */
export class StagingFailed extends Schema.TaggedError<StagingFailed>()("StagingFailed", {
  message: Schema.String,
  events: Schema.Number,
  cause: Schema.Defect()
}) {}

/**
 * An event stager.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventStagerShape {
  /** Takes a unit, synchronously and in order, or refuses it as one that its store can never keep. */
  readonly stage: (unit: StagedUnit) => Result.Result<void, ValidationError>

  /** Waits until everything staged before is committed. Fails when some of it cannot be. */
  readonly flush: Effect.Effect<void, StagingFailed>
}

/**
 * The stager in force.
 *
 * @category services
 * @since 0.1.0
 */
export class EventStager extends Context.Service<EventStager, EventStagerShape>()("@runledger/core/EventStager") {}

/** The most units that one commit takes; below it, a batch grows with what gathered during the last commit. */
const batchUnits = 4096

/** 50, 100, 200, 400 and 800 ms: a busy or briefly missing store is waited for, a full disk soon reported. */
const retries = { schedule: Schedule.exponential("50 millis"), times: 5 }

type Item = StagedUnit | Deferred.Deferred<void, StagingFailed>

const isUnit = (item: Item): item is StagedUnit => Array.isArray(item)

/**
 * Commits what all sinks stage, in the order in which they stage it. One fiber drains the queue: it takes what is
 * there, commits it as one batch, and comes back.
 *
 * **Details**
 *
 * A commit that fails as unavailable is sent again, unchanged, up to five times within 1.5 seconds, beside the time that
 * the store itself takes to give up. What cannot be committed then, and all that is staged after it, is counted, and
 * each `flush` fails with the count. Closing the scope commits everything staged and logs what could not be.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<EventStager, never, EventStore> = Layer.effect(
  EventStager,
  Effect.gen(function* () {
    const store = yield* EventStore
    const queue = yield* Queue.unbounded<Item, Cause.Done>()
    let failure: StagingFailed | undefined

    const fail = (cause: unknown, events: number): StagingFailed => {
      const lost = (failure?.events ?? 0) + events
      const reason = cause instanceof Error ? cause.message : String(cause)
      const what = lost === 1 ? "1 staged event was" : `${lost} staged events were`
      return new StagingFailed({ message: `${what} not saved: ${reason}`, events: lost, cause })
    }

    const commit = Effect.fnUntraced(function* (batch: ReadonlyArray<StagedEvent>) {
      if (failure !== undefined) {
        failure = fail(failure.cause, batch.length)
        return
      }
      const exit = yield* Effect.suspend(() => store.append(batch)).pipe(
        Effect.retry({ ...retries, while: (error) => error._tag === "UnavailableError" }),
        Effect.exit
      )
      if (Exit.isFailure(exit)) {
        failure = fail(Cause.squash(exit.cause), batch.length)
      }
    })

    const drain = Effect.gen(function* () {
      while (true) {
        const items = yield* Queue.takeBetween(queue, 1, batchUnits)
        const batch = items.filter(isUnit).flat()
        if (batch.length > 0) {
          yield* commit(batch)
        }
        for (const item of items) {
          if (!isUnit(item)) {
            Deferred.doneUnsafe(item, failure === undefined ? Exit.void : Exit.fail(failure))
          }
        }
      }
    })
    const fiber = yield* Effect.forkScoped(drain)
    yield* Effect.addFinalizer(() =>
      Queue.end(queue).pipe(
        Effect.andThen(Fiber.await(fiber)),
        Effect.andThen(Effect.suspend(() => (failure === undefined ? Effect.void : Effect.logError(failure))))
      )
    )

    return EventStager.of({
      stage: (unit) => {
        const storable = checkStorable(unit)
        if (Result.isSuccess(storable) && !Queue.offerUnsafe(queue, unit)) {
          throw new Error("an event was staged after the scope of its stager closed")
        }
        return storable
      },
      flush: Effect.suspend(() => {
        const committed = Deferred.makeUnsafe<void, StagingFailed>()
        if (Queue.offerUnsafe(queue, committed)) {
          return Deferred.await(committed)
        }
        // The scope is closing: the drain ends when it has committed everything.
        return Effect.andThen(
          Fiber.await(fiber),
          Effect.suspend(() => (failure === undefined ? Effect.void : Effect.fail(failure)))
        )
      })
    })
  })
)
