/**
 * How a run ends, and where it stands.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * Why a run ended. `Suspended` is the one that is no end: the run waits for a decision.
 *
 * @category models
 * @since 0.1.0
 */
export const TerminationReason = Schema.TaggedUnion({
  NaturalEnd: {},
  BehaviorRequested: {},
  Stopped: { code: Schema.String, detail: Schema.optionalKey(Schema.String) },
  Cancelled: {},
  Blocked: { reason: Schema.String },
  Suspended: {},
  Error: { message: Schema.String }
})

/**
 * @category models
 * @since 0.1.0
 */
export type TerminationReason = typeof TerminationReason.Type

/**
 * Where a run stands.
 *
 * @category models
 * @since 0.1.0
 */
export const RunStatus = Schema.Literals(["created", "running", "waiting", "done"])

/**
 * @category models
 * @since 0.1.0
 */
export type RunStatus = typeof RunStatus.Type

const nextStatus: { readonly [Status in RunStatus]: ReadonlyArray<RunStatus> } = {
  created: ["running", "waiting", "done"],
  running: ["waiting", "done"],
  waiting: ["running", "done"],
  done: []
}

/**
 * Whether a run may go from one status to another; staying is always allowed, `done` is final (from the seed).
 *
 * @category predicates
 * @since 0.1.0
 */
export const canTransition = (from: RunStatus, to: RunStatus): boolean => from === to || nextStatus[from].includes(to)

/**
 * The status that a run has after it ended for this reason.
 *
 * @category getters
 * @since 0.1.0
 */
export const statusAfter = (reason: TerminationReason): RunStatus => (reason._tag === "Suspended" ? "waiting" : "done")

/**
 * The short reason kept beside the status `done`: `natural`, `behavior_requested`, `cancelled`, `blocked:<reason>`,
 * `stopped:<code>`, or `error` without its message (from the seed). Undefined for a run that is not done.
 *
 * @category getters
 * @since 0.1.0
 */
export const doneReason = (reason: TerminationReason): string | undefined => {
  switch (reason._tag) {
    case "NaturalEnd":
      return "natural"
    case "BehaviorRequested":
      return "behavior_requested"
    case "Stopped":
      return `stopped:${reason.code}`
    case "Cancelled":
      return "cancelled"
    case "Blocked":
      return `blocked:${reason.reason}`
    case "Suspended":
      return undefined
    case "Error":
      return "error"
  }
}
