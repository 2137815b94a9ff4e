/**
 * What records runs: many at once, each an actor of its own, into one ledger.
 *
 * @since 0.1.0
 */
import { Clock, Context, Effect, Exit, Latch, Layer, Result, Scope, Stream } from "effect"
import type * as Cursor from "./Cursor.ts"
import { EventStager } from "./EventStager.ts"
import { EventStore, type EventStoreShape, type RunRecord, type Writer } from "./EventStore.ts"
import * as GroupStager from "./GroupStager.ts"
import * as Actor from "./internal/actor.ts"
import { ageLimit } from "./internal/coalesce.ts"
import * as Emitter from "./internal/emitter.ts"
import * as InputOf from "./internal/input.ts"
import * as RunState from "./internal/runState.ts"
import { interrupted } from "./internal/interrupted.ts"
import * as Patience from "./internal/patience.ts"
import { type ReadError, type RecordError, RunHeld, ValidationError, type WriterHeld } from "./LedgerError.ts"
import * as Metrics from "./Metrics.ts"
import { type Input, Run, type RunOptions, type RunShape } from "./Run.ts"
import * as RunContext from "./RunContext.ts"
import { isStorable } from "./StagedEvent.ts"

/**
 * How runs are recorded, beside what the stager is told.
 *
 * **Details**
 *
 * - `exact`: exactly as the seed does, event by event: no messages are put together, no deltas joined, nothing redacted, no
 *   start, finish or gap is added. Off by default.
 * - `maxEventBytes`: how many bytes the payload of a fact may have, 1 MiB by default. A larger one is truncated to its ids
 *   and outcome; a larger observed event is left out, and a `CaptureGap` stands in its place.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends GroupStager.Options {
  readonly exact?: boolean
  readonly maxEventBytes?: number
}

/**
 * What opening a run can fail with: its ids are not valid, somebody has it open, the ledger cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export type OpenError = ValidationError | RunHeld | ReadError

/**
 * A recorder.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecorderShape {
  /**
   * Opens a run for as long as the scope lives. It is then ended as the scope was: it finished, it was cancelled, or it
   * failed, unless it said so itself; a run with an `input` is interrupted instead, for its producer may go on with it.
   */
  readonly open: (options: RunOptions) => Effect.Effect<RunShape, OpenError, Scope.Scope>

  /** Runs an effect as a run, see {@link record}. */
  readonly record: (
    options: RunOptions
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RecordError, Exclude<R, Run>>

  /**
   * Opens the input of a producer for as long as the scope lives; with a `writer`, under a name that only one process at a
   * time can have.
   */
  readonly input: (options?: {
    readonly writer?: string
  }) => Effect.Effect<Input, WriterHeld | ValidationError | ReadError, Scope.Scope>
}

/**
 * A run that was interrupted because its process died. `openCalls` are its tool calls that were not done; of one that was
 * `executing`, nobody knows what it did.
 *
 * @category models
 * @since 0.1.0
 */
export interface Interrupted {
  readonly runId: string
  readonly openCalls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly executing: boolean }>
}

/**
 * The recorder in force.
 *
 * @category services
 * @since 0.1.0
 */
export class Recorder extends Context.Service<Recorder, RecorderShape>()("@runledger/core/Recorder") {}

/**
 * Runs an effect as a run: it finds the run's handle as `Run`, and whatever way it ends, the run ends too, and everything
 * is committed before this does.
 *
 * **Details**
 *
 * The run that did not finish itself finishes naturally when the effect succeeds, as cancelled when it is interrupted, as
 * failed when it fails. What could not be saved is an error beside those of the effect; it never takes the place of one.
 *
 * **Example** (Recording an agent in memory)
 *
 * ```ts
 * import { MemoryEventStore, Recorder, Run } from "@runledger/core"
 * import { Effect, Layer } from "effect"
 *
 * const agent = Effect.gen(function* () {
 *   const run = yield* Run.Run
 *   yield* run.message({ role: "user", parts: [{ _tag: "Text", text: "Hello?" }] })
 *   yield* run.emit({ _tag: "TextDelta", delta: "Hello" })
 *   yield* run.emit({ _tag: "TextDelta", delta: "!" })
 * })
 *
 * export const main = agent.pipe(
 *   Recorder.record({ threadId: "thread-1", runId: "run-1" }),
 *   Effect.provide(Recorder.layer().pipe(Layer.provide(MemoryEventStore.layer)))
 * )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const record =
  (options: RunOptions) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | RecordError, Exclude<R, Run> | Recorder> =>
    Effect.flatMap(Recorder, (recorder) => recorder.record(options)(effect))

const checked = (options: RunOptions): Result.Result<RunOptions, ValidationError> => {
  const { correlationId = "", labels = {}, origin = "native", runId, threadId } = options
  const ids = [threadId, runId, origin, correlationId, ...Object.entries(labels).flat()]
  return Result.flatMap(RunContext.make({ threadId, runId, origin }), () =>
    ids.every(isStorable)
      ? Result.succeed(options)
      : Result.fail(
          new ValidationError({
            message:
              "validation error: an id or a label of the run holds a NUL or a lone surrogate, which no store can keep"
          })
        )
  )
}

const held = (runId: string): RunHeld =>
  new RunHeld({
    message: `run ${JSON.stringify(runId)} is open already, here or in a process that is alive; close it there first`,
    runId
  })

/** The name under which a recorder claims the runs that it has open: the first one that is free. */
const claim = Effect.fnUntraced(function* () {
  const store = yield* EventStore
  for (let slot = 1; ; slot += 1) {
    const claimed = yield* Effect.result(store.claimWriter(`recorder/${slot}`))
    if (Result.isSuccess(claimed)) {
      return claimed.success
    }
    if (claimed.failure._tag === "ValidationError") {
      return yield* Effect.die(claimed.failure)
    }
    if (claimed.failure._tag !== "WriterHeld") {
      return yield* Effect.fail(claimed.failure)
    }
  }
})

/** A timer for all actors: it sleeps until something has waited long enough, and as long as nothing waits. */
const makeTimer = Effect.fnUntraced(function* () {
  const clock = yield* Clock.Clock
  const waiting = new Map<Actor.Actor, number>()
  const wake = Latch.makeUnsafe()

  const wait = (actor: Actor.Actor): void => {
    if (!waiting.has(actor)) {
      waiting.set(actor, clock.currentTimeMillisUnsafe() + ageLimit)
      wake.openUnsafe()
    }
  }

  const loop = Effect.gen(function* () {
    while (true) {
      const [next] = waiting
      if (next === undefined) {
        wake.closeUnsafe()
        yield* wake.await
        continue
      }
      const [actor, due] = next
      yield* Effect.sleep(Math.max(due - clock.currentTimeMillisUnsafe(), 0))
      waiting.delete(actor)
      const since = actor.waitingSince()
      if (since !== undefined && since + ageLimit <= clock.currentTimeMillisUnsafe()) {
        // What is wrong with one run must not hold up the others.
        yield* Effect.ignoreCause(Effect.sync(actor.release.bind(actor)), { log: true })
      }
      if (actor.waitingSince() !== undefined) {
        wait(actor)
      }
    }
  })
  yield* Effect.forkScoped(loop)
  return wait
})

const savedOf = ({ runId, state }: RunRecord) =>
  state === undefined ? Result.succeed(undefined) : RunState.decode(runId, state)

/** What dead recorders left behind, as far as this one must know it. */
const makeRecovery = (store: EventStoreShape, owner: Writer, now: () => number) => {
  const isOwn = ({ epoch, writer }: Pick<Writer, "epoch" | "writer">): boolean =>
    writer === owner.writer && epoch === owner.epoch

  /** Whether the recorder that had a run open is gone. Once this says so, nothing more of it can be committed. */
  const isGone = Effect.fnUntraced(function* ({ epoch, writer }: Pick<Writer, "epoch" | "writer">) {
    if (writer === owner.writer) {
      return epoch < owner.epoch
    }
    const current = yield* Stream.runFold(
      store.writers,
      () => 0,
      (found, other) => (other.writer === writer ? other.epoch : found)
    )
    return (
      current > epoch ||
      (yield* store
        .claimWriter(writer)
        .pipe(
          Effect.scoped,
          Effect.as(true),
          Effect.catchTags({ WriterHeld: () => Effect.succeed(false), ValidationError: Effect.die })
        ))
    )
  })

  const endOf = (scope: Cursor.ReadScope) =>
    Effect.map(
      Effect.catchTag(store.read({ scope, reverse: true, limit: 0 }), "CursorExpired", Effect.die),
      ({ next }) => next
    )

  /** Interrupts a run of a recorder that is gone, if it still ends here: who else does the same may be faster. */
  const interrupt = Effect.fnUntraced(function* (run: RunRecord, saved: RunState.Saved, end: Cursor.Cursor) {
    return yield* store
      .append(interrupted(run, saved, now()), {
        expected: [{ scope: { _tag: "Run", runId: run.runId }, cursor: end }],
        runs: [{ runId: run.runId, ordinal: run.ordinal ?? 0, state: RunState.withoutOwner(saved) }]
      })
      .pipe(
        Effect.as(true),
        Effect.catchTags({
          ExpectedCursorConflict: () => Effect.succeed(false),
          IdempotencyConflict: Effect.die,
          Fenced: Effect.die,
          SerializationError: Effect.die,
          ValidationError: Effect.die
        })
      )
  })

  const recordOf = (runId: string) =>
    Effect.catchTag(store.run(runId), "NotFound", () => Effect.succeed<RunRecord | undefined>(undefined))

  /** The last ordinal of a run that was recorded without a state; decisions, which have none, may have come after it. */
  const lastOrdinal = (scope: Cursor.ReadScope) =>
    Effect.map(
      Effect.catchTag(store.read({ scope, reverse: true, limit: 100 }), "CursorExpired", Effect.die),
      ({ facts }) => facts.reduce((last, { lastOrdinal, ordinal = 0 }) => Math.max(last, lastOrdinal ?? ordinal), 0)
    )

  /**
   * What the ledger knows of a run that is to be opened. Where its scope ends is looked at first: who
   * goes on with the run meanwhile makes the first commit of this one fail.
   */
  const look = Effect.fnUntraced(function* (threadId: string, runId: string): Effect.fn.Return<Actor.Known, OpenError> {
    const scope = { _tag: "Run", runId } as const
    const end = yield* endOf(scope)
    const run = yield* recordOf(runId)
    if (run === undefined) {
      return Actor.newRun(runId)
    }
    if (run.threadId !== undefined && run.threadId !== threadId) {
      return yield* new ValidationError({
        message: `validation error: run ${JSON.stringify(runId)} is in thread ${JSON.stringify(run.threadId)}, not in ${JSON.stringify(threadId)}`
      })
    }
    const saved = yield* Effect.fromResult(savedOf(run))
    if (saved?.owner !== undefined) {
      // What this recorder owns and has not open, it has given up.
      if (!isOwn(saved.owner) && !(yield* isGone(saved.owner))) {
        return yield* held(runId)
      }
      if (run.status === "running") {
        yield* interrupt(run, saved, end)
        return yield* look(threadId, runId)
      }
    }
    return {
      isNew: false,
      saved,
      ordinal: run.ordinal ?? (yield* lastOrdinal(scope)),
      expected: { scope, cursor: end }
    }
  })

  const recover = Stream.runCollect(
    store.runs({ status: "running" }).pipe(
      Stream.filterMapEffect(
        Effect.fnUntraced(function* ({ runId }) {
          const end = yield* endOf({ _tag: "Run", runId })
          const run = yield* recordOf(runId)
          // A state that cannot be read is not one of a recorder, or of a newer one.
          const saved = run === undefined ? undefined : Result.getOrUndefined(savedOf(run))
          if (run === undefined || saved?.owner === undefined || !(yield* isGone(saved.owner))) {
            return Result.failVoid
          }
          const isDone = run.status === "running" && (yield* interrupt(run, saved, end))
          return isDone ? Result.succeed({ runId, openCalls: saved.calls }) : Result.failVoid
        })
      )
    )
  )

  return { look, recover }
}

type Look = Effect.Effect<Actor.Known, OpenError>

/** Nobody could tell the program that a child was not opened for a passing reason. */
const patiently = (look: Look): Look =>
  look.pipe(
    Effect.retry({ schedule: Patience.retries, while: (error) => error._tag === "UnavailableError" }),
    Patience.answered
  )

const make = Effect.fnUntraced(function* (options: Options) {
  const { closeTimeout = Patience.closeTimeout, exact = false, maxEventBytes = 2 ** 20 } = options
  const store = yield* EventStore
  // The claim outlives the stager, which commits what is left under it.
  const owner = yield* claim()
  const stager = Context.get(yield* Layer.build(GroupStager.layer(options)), EventStager)
  const emitting = yield* Emitter.environment
  const { look, recover } = makeRecovery(store, owner, emitting.now)
  /** The runs that are open; undefined for one that is being opened. */
  const open = new Map<string, Actor.Actor | undefined>()
  const services = yield* Effect.context<never>()
  const shared: Actor.Shared = {
    ...emitting,
    stager,
    owner,
    exact,
    maxEventBytes,
    closeTimeout,
    wait: yield* makeTimer(),
    openChild: (env, options, opened) =>
      Effect.uninterruptibleMask((restore) =>
        openRun(env, options, (look) => restore(patiently(look)), true).pipe(Effect.exit, Effect.map(opened))
      ),
    closed: (actor) => {
      if (open.get(actor.runId) === actor) {
        open.delete(actor.runId)
      }
    },
    shed: () => Metrics.shed.updateUnsafe(1, services)
  }
  /** Only what it waits for can be interrupted, as `waiting` has it, so that no run stays open that nobody has. */
  const openRun = Effect.fnUntraced(function* (
    env: Actor.Environment,
    options: RunOptions,
    waiting: (look: Look) => Look,
    isChild: boolean
  ): Effect.fn.Return<Actor.Actor, OpenError> {
    const { runId, threadId } = yield* Effect.fromResult(checked(options))
    if (env.durability === "disabled") {
      return Actor.make(env, shared, options, Actor.newRun(runId))
    }
    if (open.has(runId)) {
      return yield* held(runId)
    }
    open.set(runId, undefined)
    return yield* look(threadId, runId).pipe(
      waiting,
      Effect.map((known) => {
        const actor = Actor.make(env, shared, options, known, isChild)
        open.set(runId, actor)
        return actor
      }),
      Effect.onError(() => Effect.sync(() => open.delete(runId)))
    )
  })

  yield* recover

  return Recorder.of({
    open: (options) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const scope = yield* Effect.scope
          const actor = yield* openRun(yield* Actor.environment, options, restore, false)
          yield* Scope.addFinalizerExit(scope, (exit) => Effect.ignoreCause(actor.end(exit), { log: true }))
          return actor
        })
      ),
    record: (options) => (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const actor = yield* openRun(yield* Actor.environment, options, restore, false)
          const exit = yield* Effect.provideService(effect, Run, actor).pipe(
            Effect.raceFirst(actor.failed),
            restore,
            Effect.exit
          )
          const ended = yield* Effect.exit(actor.end(exit))
          if (Exit.isSuccess(exit)) {
            yield* ended
          } else if (Exit.isFailure(ended)) {
            yield* Effect.logError("a run that failed was not saved as a whole", ended.cause)
          }
          return yield* exit
        })
      ),
    input: ({ writer } = {}) =>
      Effect.gen(function* () {
        return yield* InputOf.make(stager, owner, writer === undefined ? undefined : yield* store.claimWriter(writer))
      })
  })
})

/**
 * Interrupts the runs of recorders that died, each with a `RunInterrupted`; those that are suspended stay so. A recorder
 * does this when it starts.
 *
 * @category running
 * @since 0.1.0
 */
export const recover: Effect.Effect<ReadonlyArray<Interrupted>, ReadError, EventStore> = Effect.scoped(
  Effect.gen(function* () {
    const store = yield* EventStore
    return yield* makeRecovery(store, yield* claim(), (yield* Emitter.environment).now).recover
  })
)

/**
 * A recorder with a stager of its own, into the store in force. Before it starts, it interrupts the runs of recorders that
 * died.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Recorder, ReadError, EventStore> =>
  Layer.effect(Recorder, make(options))
