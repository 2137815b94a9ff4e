/**
 * A stager without a ledger, for tests of what records into one.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Result } from "effect"
import { type Beside, EventStager, type LaneOptions } from "./EventStager.ts"
import { stagingFailed, type StagingFailed } from "./LedgerError.ts"
import { checkStorable, type StagedUnit } from "./StagedEvent.ts"

/**
 * A unit as it was staged: with what was beside it, and the options of its lane.
 *
 * @category models
 * @since 0.1.0
 */
export interface Staged {
  readonly unit: StagedUnit
  readonly beside: Beside
  readonly options: LaneOptions
}

/**
 * A stager in memory, and what was staged, in order. `staged` has all of it, `units` leaves out the units without a fact.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryStager {
  readonly units: ReadonlyArray<StagedUnit>
  readonly staged: ReadonlyArray<Staged>
  readonly layer: Layer.Layer<EventStager>
}

/**
 * Makes a stager that keeps what it is handed, as if it were committed at once: nobody ever waits for it.
 *
 * **Example** (Looking at what a sink stages)
 *
 * ```ts
 * import { EventSink, MemoryStager, Normalizer } from "@runledger/core"
 * import { Effect } from "effect"
 *
 * const stager = MemoryStager.make()
 *
 * export const kinds = Effect.gen(function* () {
 *   const sink = yield* EventSink.EventSink
 *   yield* sink.emit({ _tag: "Error", message: "no model" })
 *   return stager.units.flat().map(({ kind }) => kind)
 * }).pipe(
 *   Effect.provide(EventSink.layer),
 *   Effect.provide(Normalizer.layer({ threadId: "thread-1", runId: "run-1", origin: "native" })),
 *   Effect.provide(stager.layer)
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): MemoryStager => {
  const units: Array<StagedUnit> = []
  const staged: Array<Staged> = []

  const lane = (options: LaneOptions = {}) => {
    let committed = 0
    let lost = 0
    let failure: StagingFailed | undefined
    const flush = Effect.suspend(() => (failure === undefined ? Effect.void : Effect.fail(failure)))
    return {
      stage: (unit: StagedUnit, beside: Beside = {}) => {
        const storable = checkStorable(unit)
        if (Result.isSuccess(storable) && failure === undefined) {
          staged.push({ unit, beside, options })
          if (unit.length > 0) {
            units.push(unit)
          }
          committed += unit.length
          beside.onCommit?.()
        } else if (Result.isSuccess(storable)) {
          lost += unit.length
        }
        return storable
      },
      hold: () => {},
      room: () => "all" as const,
      credit: () => undefined,
      flush: () => flush,
      close: flush,
      fail: (cause: unknown) => {
        if (failure === undefined) {
          failure = stagingFailed(0, cause)
          options.onFailure?.(failure)
        }
      },
      health: () => ({ staged: committed + lost, committed, lost, isAway: false, failure })
    }
  }
  return { units, staged, layer: Layer.succeed(EventStager, EventStager.of({ lane })) }
}

/**
 * A stager in memory whose units nobody looks at.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<EventStager> = Layer.suspend(() => make().layer)
