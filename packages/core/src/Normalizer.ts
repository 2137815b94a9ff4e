/**
 * Turns the events of one run into drafts of facts, each fact once.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Ref, Result } from "effect"
import type { AgentEvent } from "./AgentEvent.ts"
import type { NormalizedEvent } from "./CanonicalEvent.ts"
import type { DurabilityMode } from "./Durability.ts"
import { reopen } from "./internal/reopen.ts"
import { frame, initial, isDropped, nothing, primary, transition } from "./internal/transition.ts"
import type { ValidationError } from "./LedgerError.ts"
import * as RunContext from "./RunContext.ts"

/**
 * A normalizer of one run. It is synchronous, and remembers what later events depend on.
 *
 * @category models
 * @since 0.1.0
 */
export interface NormalizerShape {
  /**
   * The primary draft of an event, none for an event that is no new fact (a second finish of a run). A failure names
   * the rule that the draft breaks.
   */
  readonly normalize: (event: AgentEvent) => Result.Result<NormalizedEvent | undefined, ValidationError>

  /**
   * The primary draft and its companions, in order. Drafts that `durability` would drop may be left out; without it
   * (that is, with `full_fidelity`) all are there.
   */
  readonly normalizeMany: (
    event: AgentEvent,
    durability?: DurabilityMode
  ) => Result.Result<ReadonlyArray<NormalizedEvent>, ValidationError>
}

/**
 * The normalizer of the run that a sink records.
 *
 * @category services
 * @since 0.1.0
 */
export class Normalizer extends Context.Service<Normalizer, NormalizerShape>()("@runledger/core/Normalizer") {}

/**
 * Makes a normalizer from `normalize` alone: `normalizeMany` then gives what `normalize` gives.
 *
 * **Example** (A normalizer that keeps nothing but errors)
 *
 * ```ts
 * import { CanonicalEvent, Normalizer } from "@runledger/core"
 * import { Layer, Result } from "effect"
 *
 * export const layer = Layer.succeed(
 *   Normalizer.Normalizer,
 *   Normalizer.fromNormalize((event) =>
 *     event._tag !== "Error"
 *       ? Result.succeed(undefined)
 *       : Result.map(
 *           CanonicalEvent.validate({
 *             scopes: [{ _tag: "Thread", threadId: "thread-1" }],
 *             kind: "ErrorRecorded",
 *             payload: event,
 *             origin: "native",
 *             visibility: "public",
 *             schemaVersion: 1
 *           }),
 *           (draft) => ({ fidelity: "committed_runtime_event" as const, draft })
 *         )
 *   )
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromNormalize = (normalize: NormalizerShape["normalize"]): NormalizerShape => ({
  normalize,
  normalizeMany: (event) => Result.map(normalize(event), (normalized) => (normalized === undefined ? [] : [normalized]))
})

/**
 * How a normalizer begins and what it adds to the seed's transition.
 *
 * @category options
 * @since 0.1.0
 */
export interface NormalizerOptions {
  /** The run of the context counts as started, so its first start is recorded as `RunResumed`. Off by default. */
  readonly resumed?: boolean

  /**
   * Starting a run that ended reopens it, so its next finish is a fact. Off by default: exactly the seed's transition,
   * which records one finish of a run and no more, also when it was only suspended.
   */
  readonly reopen?: boolean
}

/**
 * Makes the normalizer of one run: a pure transition over a state of its own, held in a Ref. For an app with many
 * runs, make one for each. The context is taken as it is: see {@link RunContext.make}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (context: RunContext.RunContext, options?: NormalizerOptions): Effect.Effect<NormalizerShape> =>
  Effect.map(Ref.make(initial(context, options?.resumed ?? false)), (ref) => {
    const run = frame(context)
    const reopens = options?.reopen === true
    const before = (event: AgentEvent) => (reopens ? reopen(ref.ref.current, event) : ref.ref.current)
    return {
      normalize: (event) => {
        const [state, drafts] = primary(before(event), run, event)
        ref.ref.current = state
        return Result.map(drafts, ([draft]) => draft)
      },
      normalizeMany: (event, durability = "full_fidelity") => {
        if (isDropped(event, durability)) {
          return nothing
        }
        const [state, drafts] = transition(before(event), run, event, durability)
        ref.ref.current = state
        return drafts
      }
    }
  })

/**
 * The normalizer of one run, for an app that records one: {@link make} behind a Layer. A context that is not valid
 * fails with the reason.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  context: RunContext.RunContext,
  options?: NormalizerOptions
): Layer.Layer<Normalizer, ValidationError> =>
  Layer.effect(
    Normalizer,
    Effect.flatMap(Effect.fromResult(RunContext.make(context)), (checked) => make(checked, options))
  )
