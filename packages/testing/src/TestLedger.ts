/**
 * A ledger under test: how to make a fresh one, and how to open it as often as a test wants.
 *
 * @since 0.1.0
 */
import { EventStore } from "@runledger/core"
import { Cause, Clock, Context, Duration, Effect, Layer, Predicate, type Scope } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"

/**
 * A ledger. Each build of `open` is one more handle on it, as if another process had opened it.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestLedger {
  readonly open: Layer.Layer<EventStore.EventStore, unknown>
}

/**
 * Makes a fresh, empty ledger, which is given up when the scope closes.
 *
 * @category models
 * @since 0.1.0
 */
export type Fresh = Effect.Effect<TestLedger, unknown, Scope.Scope>

/**
 * A ledger that lives only as long as its store, such as one in memory: all of its handles are the same store.
 *
 * @category constructors
 * @since 0.1.0
 */
export const shared = (layer: Layer.Layer<EventStore.EventStore, unknown>): Fresh =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => ({ open: Layer.succeedContext(context) }))

/**
 * A ledger in a file, or a folder, that is at a path: a new one each time, removed with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inFile = (open: (path: string) => Layer.Layer<EventStore.EventStore, unknown>): Fresh =>
  Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "runledger-"))),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  ).pipe(Effect.map((folder) => ({ open: open(join(folder, "ledger")) })))

/**
 * How long a test of a fresh ledger may take, on the live clock: 30 seconds by default.
 *
 * @category models
 * @since 0.1.0
 */
export interface UseOptions {
  readonly timeout?: Duration.Input | undefined
}

/** What went wrong: an expectation is a text of its own, all else comes from the store. */
export const reason = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (typeof error === "string") {
    return error
  }
  if (Predicate.hasProperty(error, "message") && !Cause.hasDies(cause)) {
    const tag = Predicate.hasProperty(error, "_tag") ? error._tag : "an error"
    return `the store failed with ${String(tag)}: ${String(error.message)}`
  }
  return `the store broke: ${inspect(error)}`
}

/**
 * Uses a fresh ledger. The body gets what opens a handle on it, and fails with a text that says what it expected.
 *
 * **Details**
 *
 * It runs on the live clock, whatever clock is provided. All that goes wrong becomes a text: failures and defects of the
 * store, and a body that does not end in time.
 *
 * @category running
 * @since 0.1.0
 */
export const use = (
  fresh: Fresh,
  body: (
    open: Effect.Effect<EventStore.EventStoreShape, unknown, Scope.Scope>
  ) => Effect.Effect<void, unknown, Scope.Scope>,
  { timeout = "30 seconds" }: UseOptions = {}
): Effect.Effect<void, string> =>
  fresh.pipe(
    Effect.flatMap(({ open }) => body(Effect.map(Layer.build(Layer.fresh(open)), Context.get(EventStore.EventStore)))),
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(`nothing came within ${Duration.format(Duration.fromInputUnsafe(timeout))}`)
    }),
    Effect.catchCause((cause) => Effect.fail(reason(cause))),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )
