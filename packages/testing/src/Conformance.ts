/**
 * The conformance suite for event stores: everything in docs/store-contract.md that can be found out by using a store.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { Check, CheckFailed } from "./Check.ts"
import { append } from "./internal/conformance/append.ts"
import { durability } from "./internal/conformance/durability.ts"
import { erase } from "./internal/conformance/erase.ts"
import { expected } from "./internal/conformance/expected.ts"
import { filter } from "./internal/conformance/filter.ts"
import { follow } from "./internal/conformance/follow.ts"
import { followEnds } from "./internal/conformance/followEnds.ts"
import { idempotency } from "./internal/conformance/idempotency.ts"
import { payloads } from "./internal/conformance/payloads.ts"
import { prune } from "./internal/conformance/prune.ts"
import { read } from "./internal/conformance/read.ts"
import { restore } from "./internal/conformance/restore.ts"
import { runs } from "./internal/conformance/runs.ts"
import { writers } from "./internal/conformance/writers.ts"
import type { Fresh, UseOptions } from "./TestLedger.ts"

/**
 * All checks, in the order of the contract.
 *
 * **Example** (A test for each check)
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { MemoryEventStore } from "@runledger/core"
 * import { Conformance, TestLedger } from "@runledger/testing"
 *
 * const fresh = TestLedger.shared(MemoryEventStore.layer)
 *
 * for (const check of Conformance.checks) {
 *   it.effect(check.id, () => check.run(fresh))
 * }
 * ```
 *
 * @category checks
 * @since 0.1.0
 */
export const checks: ReadonlyArray<Check> = [
  ...append,
  ...payloads,
  ...idempotency,
  ...expected,
  ...writers,
  ...runs,
  ...read,
  ...filter,
  ...follow,
  ...followEnds,
  ...prune,
  ...erase,
  ...restore,
  ...durability
]

/**
 * What came out for a store: which checks it passed, and how it failed the others.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly passed: ReadonlyArray<Check>
  readonly failed: ReadonlyArray<{ readonly check: Check; readonly failure: CheckFailed }>
}

/**
 * Runs checks on a store, all of them unless others are given, one after the other unless `concurrency` says otherwise.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function* (
  fresh: Fresh,
  options: UseOptions & { readonly checks?: ReadonlyArray<Check>; readonly concurrency?: number } = {}
) {
  const [passed, failed] = yield* Effect.partition(
    options.checks ?? checks,
    (check) =>
      Effect.matchEffect(check.run(fresh, options), {
        onFailure: (failure) => Effect.fail({ check, failure }),
        onSuccess: () => Effect.succeed(check)
      }),
    { concurrency: options.concurrency ?? 1 }
  )
  const report: Report = { passed, failed }
  return report
})
