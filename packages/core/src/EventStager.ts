/**
 * What carries facts from runs to the store: a run stages, the stager commits.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Result } from "effect"
import type { Expected, RunState, Writer } from "./EventStore.ts"
import type { StagingFailed, ValidationError } from "./LedgerError.ts"
import type { StagedUnit } from "./StagedEvent.ts"

/**
 * What a run must remember after a unit. `state` makes the JSON text, once for a batch.
 *
 * @category models
 * @since 0.1.0
 */
export interface After extends Omit<RunState, "state"> {
  readonly state: () => string
}

/**
 * What is committed with a unit: what its run must remember after it; and how far the input of a writer is in the ledger
 * with it, and what the runs that it feeds must remember then. `onCommit` is called after the commit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Beside {
  readonly after?: After
  readonly mark?: Writer
  readonly others?: ReadonlyMap<string, After>
  readonly onCommit?: () => void
}

/**
 * How much a stager has room for: `all`; `facts`, so that observed events are to be shed; or `nothing`, for the store is
 * away and what could be kept until it is back is there already.
 *
 * @category models
 * @since 0.1.0
 */
export type Room = "all" | "facts" | "nothing"

/**
 * How it stands with what a run has staged: `staged` counts its facts so far, `committed` those that are in the ledger,
 * `lost` those that will never be. `isAway` says that the store does not take anything now. `failure` is why nothing more is recorded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Health {
  readonly staged: number
  readonly committed: number
  readonly lost: number
  readonly isAway: boolean
  readonly failure: StagingFailed | undefined
}

/**
 * A run's way into the stager. Nothing overtakes anything in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lane {
  /**
   * Takes a unit, synchronously and always, or refuses it as one that no store can keep. A lane that has failed counts
   * it as lost. An empty unit carries only what is beside it.
   */
  readonly stage: (unit: StagedUnit, beside?: Beside) => Result.Result<void, ValidationError>

  /** Says how many bytes the run holds back for a later unit; they use up credit like staged ones. */
  readonly hold: (bytes: number) => void

  /** What there is room for now. */
  readonly room: () => Room

  /** What an emitter waits for, after its event was staged; undefined when it need not wait. */
  readonly credit: () => Effect.Effect<void> | undefined

  /**
   * Waits until everything staged before is committed, or what was staged up to an ordinal. Fails when some of it cannot
   * be.
   */
  readonly flush: (upTo?: number) => Effect.Effect<void, StagingFailed>

  /** As `flush`, but waits no longer than a stager that closes does. */
  readonly close: Effect.Effect<void, StagingFailed>

  /** Gives up what was staged and not committed, and all that comes. */
  readonly fail: (cause: unknown) => void

  readonly health: () => Health
}

/**
 * What a lane is for. Each of its commits is under the epochs of `writers`; the first expects the scope to end as
 * `expected` says. `onFailure` is called once, when nothing more will be recorded,
 * `onGivenUp` when nothing of it can be committed any more either.
 *
 * @category models
 * @since 0.1.0
 */
export interface LaneOptions {
  readonly writers?: ReadonlyArray<Writer>
  readonly expected?: Expected
  readonly onFailure?: (failure: StagingFailed) => void
  readonly onGivenUp?: () => void
}

/**
 * An event stager.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventStagerShape {
  /** Opens a lane. It needs no closing. */
  readonly lane: (options?: LaneOptions) => Lane
}

/**
 * The stager in force.
 *
 * @category services
 * @since 0.1.0
 */
export class EventStager extends Context.Service<EventStager, EventStagerShape>()("@runledger/core/EventStager") {}
