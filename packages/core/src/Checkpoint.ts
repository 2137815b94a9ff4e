/**
 * Runs whose facts are committed with the app's own writes: they wait until the app commits, and are in its transaction.
 *
 * @since 0.1.0
 */
import { Context, Effect, Result, Semaphore } from "effect"
import { EventStager, type EventStagerShape, type Lane, type LaneOptions } from "./EventStager.ts"
import { type AppendBatch, batchOf, isIn, type Staged } from "./internal/batch.ts"
import { type AppendError, type RecordError, stagingFailed, type StagingFailed, StagingFull } from "./LedgerError.ts"
import { Recorder } from "./Recorder.ts"
import type { Run, RunOptions } from "./Run.ts"
import { checkStorable } from "./StagedEvent.ts"
import { Transaction } from "./Transaction.ts"

/**
 * A checkpoint of a run.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckpointShape {
  /**
   * Runs the app's writes and commits them, in one transaction, with all facts of the run that were staged until then. When
   * it fails, nothing of either is in the database, and the facts wait, unchanged, for the next.
   */
  readonly commitWith: <A, E, R>(writes: Effect.Effect<A, E, R>) => Effect.Effect<A, E | AppendError | StagingFailed, R>
}

/**
 * The checkpoint of the run that is being recorded.
 *
 * @category services
 * @since 0.1.0
 */
export class Checkpoint extends Context.Service<Checkpoint, CheckpointShape>()("@runledger/core/Checkpoint") {}

/**
 * Commits the facts of the run with the app's own writes, see {@link CheckpointShape}.
 *
 * @category running
 * @since 0.1.0
 */
export const commitWith = <A, E, R>(
  writes: Effect.Effect<A, E, R>
): Effect.Effect<A, E | AppendError | StagingFailed, R | Checkpoint> =>
  Effect.flatMap(Checkpoint, (checkpoint) => checkpoint.commitWith(writes))

/**
 * How much may wait for a checkpoint: 16,384 facts by default. Beyond three quarters of it, observed events are left out
 * and counted in a `CaptureGap`; a fact beyond all of it ends the run with `StagingFull`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly capacity?: number
}

/** How long closing a run waits for the store. */
const closeTimeout = "30 seconds"

const closedTooSoon = new Error("the store did not answer before the run was closed")

interface LaneState {
  readonly options: LaneOptions
  isOpen: boolean
  committed: number
  lost: number
  failure: StagingFailed | undefined
}

type Batch = AppendBatch<Staged<LaneState>>

const countOf = (items: ReadonlyArray<Staged<LaneState>>): number =>
  items.reduce((facts, { unit }) => facts + unit.length, 0)

/** A stager whose lanes wait for the checkpoint, and the checkpoint. */
const make = Effect.fnUntraced(function* ({ capacity = 16_384 }: Options) {
  const transaction = yield* Transaction
  const turn = Semaphore.makeUnsafe(1)
  let waiting: Array<Staged<LaneState>> = []
  let facts = 0
  let failure: StagingFailed | undefined
  /** How many of those that wait have been sent, and may be in the ledger although nobody said so. */
  let sent = 0

  const keep = (isKept: (item: Staged<LaneState>) => boolean): void => {
    waiting = waiting.filter(isKept)
    facts = countOf(waiting)
  }

  const fail = (lane: LaneState, cause: unknown): void => {
    if (lane.failure !== undefined) {
      return
    }
    lane.lost += countOf(waiting.filter((item) => item.lane === lane))
    lane.failure = stagingFailed(lane.lost, cause)
    failure ??= lane.failure
    keep((item) => item.lane !== lane)
    sent = Math.min(sent, waiting.length)
    lane.options.onFailure?.(lane.failure)
  }

  const succeed = ({ items }: Batch): void => {
    const done = new Set(items)
    keep((item) => !done.has(item))
    sent = 0
    for (const { beside, lane, unit } of items) {
      lane.committed += unit.length
      lane.isOpen ||= lane.options.expected === undefined || isIn(unit, lane.options.expected)
      beside.onCommit?.()
    }
  }

  /** Commits what waits then, or the first of it. One at a time. */
  const commit = <A, E, R>(
    writes: Effect.Effect<A, E, R>,
    count = Number.POSITIVE_INFINITY
  ): Effect.Effect<A, E | AppendError, R> =>
    Effect.uninterruptibleMask((restore) => {
      let batch: Batch | undefined
      const append = Effect.sync(() => {
        batch = batchOf(waiting.slice(0, count))
        sent = Math.max(sent, batch.items.length)
        return { batch: batch.events, options: batch.options }
      })
      // What is committed by an interrupted call still waits, and is known by its ids when it is sent again.
      return Effect.tap(restore(transaction.commitWith(writes, append)), () =>
        Effect.sync(() => batch === undefined || succeed(batch))
      )
    }).pipe(turn.withPermit)

  const lane = (options: LaneOptions = {}): Lane => {
    const state: LaneState = { options, isOpen: false, committed: 0, lost: 0, failure: undefined }
    const failed = Effect.suspend(() => (state.failure === undefined ? Effect.void : Effect.fail(state.failure)))
    // What was sent before may be in the ledger. It goes first, as it was: a store that knows a batch changes nothing.
    const rest = Effect.suspend(() => (sent > 0 ? commit(Effect.void, sent) : Effect.void)).pipe(
      Effect.andThen(Effect.suspend(() => (waiting.length > 0 ? commit(Effect.void) : Effect.void))),
      Effect.mapError((cause) => stagingFailed(facts, cause))
    )
    const flush = Effect.andThen(failed, rest)
    return {
      stage: (unit, beside = {}) => {
        const storable = checkStorable(unit)
        if (Result.isFailure(storable)) {
          return storable
        }
        if (state.failure === undefined && facts + unit.length > capacity) {
          fail(
            state,
            new StagingFull({
              message: `more than ${capacity} facts wait for a checkpoint; commit more often, or allow more`,
              capacity
            })
          )
        }
        if (state.failure === undefined) {
          waiting.push({ lane: state, unit, beside })
          facts += unit.length
        } else {
          state.lost += unit.length
        }
        return Result.void
      },
      hold: () => {},
      room: () => (facts > capacity * 0.75 ? "facts" : "all"),
      credit: () => undefined,
      flush: () => flush,
      // What is not saved when the run is closed must not follow later.
      close: Effect.tapError(
        Effect.timeoutOrElse(flush, {
          duration: closeTimeout,
          orElse: () => Effect.fail(stagingFailed(facts, closedTooSoon))
        }),
        (error) => Effect.sync(() => fail(state, error.cause))
      ),
      fail: (cause) => fail(state, cause),
      health: () => ({
        staged: state.committed + state.lost + countOf(waiting.filter((item) => item.lane === state)),
        committed: state.committed,
        lost: state.lost,
        isAway: false,
        failure: state.failure
      })
    }
  }
  const stager: EventStagerShape = EventStager.of({ lane })
  const commitWith = <A, E, R>(writes: Effect.Effect<A, E, R>): Effect.Effect<A, E | AppendError | StagingFailed, R> =>
    Effect.suspend(
      (): Effect.Effect<A, E | AppendError | StagingFailed, R> =>
        failure === undefined ? commit(writes) : Effect.fail(failure)
    )
  return { stager, checkpoint: Checkpoint.of({ commitWith }) }
})

/**
 * As `Recorder.record`, for a run whose facts wait for {@link commitWith}. What still waits when the run ends is committed
 * alone.
 *
 * **Example** (A message and the facts of its run, both or neither)
 *
 * ```ts
 * import { Checkpoint, Run } from "@runledger/core"
 * import { Effect } from "effect"
 *
 * declare const saveMessage: (text: string) => Effect.Effect<void>
 *
 * export const agent = Effect.gen(function* () {
 *   const run = yield* Run.Run
 *   yield* run.emit({ _tag: "TextDelta", delta: "Hello" })
 *   yield* Checkpoint.commitWith(saveMessage("Hello"))
 * }).pipe(Checkpoint.record({ threadId: "thread-1", runId: "run-1" }))
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const record =
  (run: RunOptions, options: Options = {}) =>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | RecordError, Exclude<Exclude<R, Checkpoint>, Run> | Recorder | Transaction> =>
    Effect.gen(function* () {
      const recorder = yield* Recorder
      const { checkpoint, stager } = yield* make(options)
      return yield* recorder.record({ ...run, stager })(Effect.provideService(effect, Checkpoint, checkpoint))
    })
