import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  Checkpoint,
  Durability,
  EventStore,
  LedgerError,
  MemoryEventStore,
  Recorder,
  Run,
  Transaction
} from "@runledger/core"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"

const ids = { threadId: "t", runId: "r" }
const ready = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallReady", id, name: "tool", arguments: {} })

const kinds = Effect.flatMap(EventStore.EventStore, (store) =>
  Effect.map(store.read({ scope: { _tag: "Run", runId: "r" }, limit: 10_000 }), ({ facts }) =>
    facts.map(({ kind }) => kind)
  )
)

const memory = Recorder.layer().pipe(Layer.provideMerge(MemoryEventStore.layer))

/** Commits that end as they are told to, and what was sent with them. */
const failing = (exits: ReadonlyArray<Exit.Exit<void, LedgerError.AppendError>>) => {
  const sent: Array<ReadonlyArray<string>> = []
  const layer = Layer.effect(
    Transaction.Transaction,
    Effect.map(Transaction.Transaction, (sound) => ({
      commitWith: (writes, append) =>
        Effect.suspend(() => {
          const exit = exits[sent.length] ?? Exit.void
          return sound
            .commitWith(
              writes,
              Effect.tap(append, ({ batch }) => Effect.sync(() => sent.push(batch.map(({ eventId }) => eventId))))
            )
            .pipe(Effect.tap(() => exit))
        })
    }))
  )
  return { sent, layer }
}

const unavailable = Exit.fail(new LedgerError.UnavailableError({ message: "the answer was lost" }))

describe("a run whose facts wait for a checkpoint", () => {
  it.effect("commits them with the writes, and the rest when it ends", () =>
    Effect.gen(function* () {
      const written: Array<string> = []
      yield* Effect.gen(function* () {
        const run = yield* Run.Run
        yield* run.emit(ready("1"))
        yield* Effect.yieldNow
        assert.deepStrictEqual(yield* kinds, [])
        // What is emitted while the app writes belongs to this checkpoint too.
        const saved = Effect.andThen(
          run.emit(ready("2")),
          Effect.sync(() => written.push("a"))
        )
        assert.strictEqual(yield* Checkpoint.commitWith(saved), 1)
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "ToolCallReady", "ToolCallReady"])
        yield* run.emit(ready("3"))
      }).pipe(Checkpoint.record(ids))
      assert.deepStrictEqual((yield* kinds).slice(3), ["ToolCallReady", "MessageCommitted", "RunFinished"])
      assert.deepStrictEqual(written, ["a"])
    }).pipe(Effect.provide(memory))
  )

  it.effect("keeps them when the writes fail, and sends them again as they were", () =>
    Effect.gen(function* () {
      const { layer, sent } = failing([Exit.void, unavailable])
      yield* Effect.gen(function* () {
        const run = yield* Run.Run
        yield* run.emit(ready("1"))
        assert.strictEqual(yield* Effect.flip(Checkpoint.commitWith(Effect.fail("conflict"))), "conflict")
        assert.deepStrictEqual(yield* kinds, [])
        yield* Checkpoint.commitWith(Effect.void)
        yield* run.emit(ready("2"))
        // It was committed, but the answer was lost.
        const lost = yield* Effect.flip(Checkpoint.commitWith(Effect.void))
        assert.strictEqual(lost._tag, "UnavailableError")
        yield* run.emit(ready("3"))
        yield* Checkpoint.commitWith(Effect.void)
      }).pipe(Checkpoint.record(ids), Effect.provide(layer))
      assert.deepStrictEqual(sent[2], [...(sent[1] ?? []), ...(sent[2] ?? []).slice(-1)])
      assert.deepStrictEqual(
        (yield* kinds).filter((kind) => kind === "ToolCallReady"),
        ["ToolCallReady", "ToolCallReady", "ToolCallReady"]
      )
    }).pipe(Effect.provide(memory))
  )

  it.effect("never waits: 10,000 deltas between two checkpoints", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const run = yield* Run.Run
        for (let index = 0; index < 10_000; index += 1) {
          // A fiber that had to wait could not be run so.
          Effect.runSync(run.emit({ _tag: "ToolCallStreamDelta", id: `${index}`, name: "tool", delta: "x" }))
        }
        yield* Checkpoint.commitWith(Effect.void)
      }).pipe(Checkpoint.record(ids), Effect.provideService(Durability.Durability, "full_fidelity"))
      assert.lengthOf(yield* kinds, 10_000)
    }).pipe(Effect.provide(memory))
  )

  it.effect("sheds what it observes when too much waits, and says so", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const run = yield* Run.Run
        for (let index = 0; index < 20; index += 1) {
          yield* run.emit({ _tag: "StateDelta", delta: [index] })
        }
        yield* Checkpoint.commitWith(Effect.void)
      }).pipe(Checkpoint.record(ids, { capacity: 16 }), Effect.provideService(Durability.Durability, "full_fidelity"))
      const store = yield* EventStore.EventStore
      const { facts } = yield* store.read({ scope: { _tag: "Run", runId: "r" } })
      const observed = facts.filter(({ kind }) => kind === "StateDeltaObserved").length
      const gaps = facts.flatMap(({ kind, payload }) => (kind === "CaptureGap" ? [Object(payload)] : []))
      assert.deepStrictEqual(
        gaps.map(({ events, reason, tags }) => ({ events, reason, tags })),
        [{ events: 20 - observed, reason: "overload", tags: { StateDelta: 20 - observed } }]
      )
      assert.strictEqual(observed, 12)
    }).pipe(Effect.provide(memory))
  )

  it.effect("ends with StagingFull when too many facts wait", () =>
    Effect.gen(function* () {
      const error = yield* Effect.gen(function* () {
        const run = yield* Run.Run
        for (let index = 0; index < 20; index += 1) {
          yield* run.emit(ready(`${index}`))
        }
        return yield* Effect.never
      }).pipe(Checkpoint.record(ids, { capacity: 16 }), Effect.flip)
      assert.strictEqual(error._tag, "StagingFailed")
      assert.instanceOf((error as LedgerError.StagingFailed).cause, LedgerError.StagingFull)
    }).pipe(Effect.provide(memory))
  )

  it.effect("is rolled back when it is interrupted, and goes on", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const run = yield* Run.Run
        yield* run.emit(ready("1"))
        const begun = yield* Deferred.make<void>()
        const committing = yield* Effect.forkChild(
          Checkpoint.commitWith(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        )
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(committing)
        assert.deepStrictEqual(yield* kinds, [])
        yield* Checkpoint.commitWith(Effect.void)
        assert.deepStrictEqual(yield* kinds, ["RunStarted", "ToolCallReady"])
      }).pipe(Checkpoint.record(ids))
    }).pipe(Effect.provide(memory))
  )
})
