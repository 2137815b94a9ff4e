/**
 * What can be measured of a ledger while it is written.
 *
 * @since 0.1.0
 */
import { Metric } from "effect"

/**
 * Facts staged.
 *
 * @category metrics
 * @since 0.1.0
 */
export const staged = Metric.counter("runledger_staged_total", { description: "Facts staged", incremental: true })

/**
 * Facts committed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const committed = Metric.counter("runledger_committed_total", {
  description: "Facts committed",
  incremental: true
})

/**
 * Events that were not recorded: shed, refused, or lost with the store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const shed = Metric.counter("runledger_shed_total", {
  description: "Events that were not recorded: shed, refused, or lost with the store",
  incremental: true
})

/**
 * Facts staged and not yet committed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const depth = Metric.gauge("runledger_depth", { description: "Facts staged and not yet committed" })

/**
 * How long a commit took, retries included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const commitTime = Metric.timer("runledger_commit_time", {
  description: "How long a commit took, retries included"
})

/**
 * How long the oldest fact of a commit waited for it, from staging on.
 *
 * @category metrics
 * @since 0.1.0
 */
export const lag = Metric.timer("runledger_lag", {
  description: "How long the oldest fact of a commit waited for it, from staging on"
})
