/**
 * What tests of the stager and of the recorder share.
 */
import {
  type CanonicalEvent,
  EventStore,
  LedgerError,
  MemoryEventStore,
  Recorder,
  type Run,
  StagedEvent
} from "@runledger/core"
import { Clock, Context, Effect, Exit, Layer, Metric, Result, Scope } from "effect"

/** What an append was called with. */
export interface Call {
  readonly batch: ReadonlyArray<StagedEvent.StagedEvent>
  readonly options: EventStore.AppendOptions | undefined
}

/** What becomes of an append, the first, second … that the store is sent. */
export type Around = (
  append: Effect.Effect<void, LedgerError.AppendError>,
  call: Call,
  index: number
) => Effect.Effect<void, LedgerError.AppendError>

/** A fresh store in memory that notes its appends and does with them what it is told. */
export const storeAround = (around: Around = (append) => append) => {
  const calls: Array<Call> = []
  const layer = Layer.effect(
    EventStore.EventStore,
    Effect.map(EventStore.EventStore, (store) => ({
      ...store,
      append: (batch, options) =>
        Effect.suspend(() => {
          const call = { batch, options }
          calls.push(call)
          return around(store.append(batch, options), call, calls.length - 1)
        })
    }))
  ).pipe(Layer.provide(Layer.fresh(MemoryEventStore.layer)))
  return { calls, layer }
}

export const unavailable = new LedgerError.UnavailableError({ message: "the disk is full" })

export const kindsOf = (events: ReadonlyArray<{ readonly kind: string }>): ReadonlyArray<string> =>
  events.map(({ kind }) => kind)

interface UnitOptions {
  readonly size?: number
  readonly run?: string
  readonly payload?: unknown
  readonly ordinal?: number
  readonly lastOrdinal?: number
}

/** A unit of facts of a run in thread `t`, of the kinds `name/0`, `name/1` … */
export const unit = (
  name: string,
  { lastOrdinal, ordinal = 1, payload = {}, run = "r", size = 1 }: UnitOptions = {}
): StagedEvent.StagedUnit =>
  Result.getOrThrow(
    StagedEvent.make(
      Array.from({ length: size }, (_, index) => ({
        fidelity: "domain_event" as const,
        draft: {
          scopes: [
            { _tag: "Thread" as const, threadId: "t" },
            { _tag: "Run" as const, runId: run }
          ],
          kind: `${name}/${index}`,
          payload,
          origin: "native",
          visibility: "public" as const,
          schemaVersion: 1
        }
      })),
      { occurredAt: 0, ordinal, lastOrdinal }
    )
  )

/** All facts of a run, or of the ledger. */
export const factsOf = (
  runId?: string
): Effect.Effect<ReadonlyArray<CanonicalEvent.CanonicalEvent>, never, EventStore.EventStore> =>
  Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    const scope = runId === undefined ? ({ _tag: "Ledger" } as const) : ({ _tag: "Run", runId } as const)
    return (yield* Effect.orDie(store.read({ scope, limit: 10_000 }))).facts
  })

/** Runs an effect with a clock that counts who sleeps. */
export const countingSleeps = <A, E, R>(body: (sleeping: () => number) => Effect.Effect<A, E, R>) =>
  Clock.clockWith((clock) => {
    let sleeping = 0
    const counting: Clock.Clock = {
      ...clock,
      sleep: (duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => void (sleeping += 1)),
          () => clock.sleep(duration),
          () => Effect.sync(() => void (sleeping -= 1))
        )
    }
    return Effect.provideService(
      body(() => sleeping),
      Clock.Clock,
      counting
    )
  })

/** Runs an effect; how many fibers were started in it, and how many of them are still alive. */
export const countingFibers = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let started = 0
    let alive = 0
    const count = {
      recordFiberStart: () => {
        started += 1
        alive += 1
      },
      recordFiberEnd: () => void (alive -= 1)
    }
    return effect.pipe(
      Effect.provideService(Metric.FiberRuntimeMetrics, count),
      Effect.map((result) => ({ result, started, alive: () => alive }))
    )
  })

/** Lets the other fibers go on until they wait for something. */
export const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

/**
 * A recorder in a process of its own, over the store in force, until it is killed: from then on none of its commits
 * arrives, and its claims are free.
 */
export const startProcess = Effect.fnUntraced(function* (options?: Recorder.Options) {
  const store = yield* EventStore.EventStore
  const scope = Scope.makeUnsafe()
  const claims: Array<Scope.Closeable> = []
  let isDead = false
  const seen = EventStore.EventStore.of({
    ...store,
    append: (batch, options) => Effect.suspend(() => (isDead ? Effect.never : store.append(batch, options))),
    claimWriter: Effect.fnUntraced(function* (writer) {
      const claim = Scope.makeUnsafe()
      claims.push(claim)
      yield* Effect.addFinalizer(() => Scope.close(claim, Exit.void))
      return yield* Scope.provide(store.claimWriter(writer), claim)
    })
  })
  const layer = Layer.provide(Recorder.layer(options), Layer.succeed(EventStore.EventStore, seen))
  const { input, open, record } = Context.get(yield* Layer.buildWithScope(layer, scope), Recorder.Recorder)
  return {
    record,
    open: (options: Run.RunOptions) => Scope.provide(open(options), scope),
    input: (options: { readonly writer?: string }) => Scope.provide(input(options), scope),
    kill: Effect.suspend(() => {
      isDead = true
      return Effect.forEach(claims, (claim) => Scope.close(claim, Exit.void), { discard: true })
    }),
    stop: Scope.close(scope, Exit.void)
  }
})

/** All facts of a thread. */
export const factsIn = (
  threadId: string
): Effect.Effect<ReadonlyArray<CanonicalEvent.CanonicalEvent>, never, EventStore.EventStore> =>
  Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    return (yield* Effect.orDie(store.read({ scope: { _tag: "Thread", threadId }, limit: 10_000 }))).facts
  })
