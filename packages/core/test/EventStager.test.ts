import { assert, describe, it } from "@effect/vitest"
import { EventStager, EventStore, LedgerError, StagedEvent } from "@runledger/core"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"

const unit = (name: string, size = 1): StagedEvent.StagedUnit =>
  Result.getOrThrow(
    StagedEvent.make(
      Array.from({ length: size }, (_, index) => ({
        fidelity: "domain_event" as const,
        draft: {
          scopes: [{ _tag: "Thread" as const, threadId: "t" }],
          kind: `${name}/${index}`,
          payload: {},
          origin: "native",
          visibility: "public" as const,
          schemaVersion: 1
        }
      })),
      { occurredAt: 0 }
    )
  )

/** A store that notes the kinds of each batch, after `before` lets it. */
const storeOf = (before: Effect.Effect<void, LedgerError.AppendError> = Effect.void) => {
  const batches: Array<ReadonlyArray<string>> = []
  const layer = Layer.mock(EventStore.EventStore)({
    append: (batch) =>
      Effect.andThen(
        before,
        Effect.sync(() => void batches.push(batch.map(({ kind }) => kind)))
      )
  })
  return { batches, layer: Layer.provide(EventStager.layer, layer) }
}

const unavailable = new LedgerError.UnavailableError({ message: "the disk is full" })

describe("EventStager", () => {
  it.effect("commits what gathered during a commit as one batch, and splits no unit", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batches, layer } = storeOf(Deferred.await(gate))
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        stager.stage(unit("a"))
        yield* Effect.yieldNow
        yield* Effect.yieldNow
        stager.stage(unit("b", 3))
        stager.stage(unit("c"))
        const flushing = yield* Effect.forkChild(stager.flush)
        yield* Effect.yieldNow
        assert.isUndefined(flushing.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(flushing)
        assert.deepStrictEqual(batches, [["a/0"], ["b/0", "b/1", "b/2", "c/0"]])
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("loses nothing when its scope closes", () =>
    Effect.gen(function* () {
      const { batches, layer } = storeOf(Effect.yieldNow)
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        for (let index = 0; index < 10_000; index++) {
          stager.stage(unit(String(index)))
        }
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(
        batches.flat(),
        Array.from({ length: 10_000 }, (_, index) => `${index}/0`)
      )
    })
  )

  it.effect("loses nothing when the program around it is interrupted", () =>
    Effect.gen(function* () {
      const { batches, layer } = storeOf()
      const fiber = yield* Effect.forkChild(
        Effect.gen(function* () {
          const stager = yield* EventStager.EventStager
          stager.stage(unit("a"))
          return yield* Effect.never
        }).pipe(Effect.provide(layer)),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(batches, [["a/0"]])
    })
  )

  it.effect("sends a batch again, unchanged, while the store is not available", () =>
    Effect.gen(function* () {
      let failures = 3
      const { batches, layer } = storeOf(
        Effect.suspend(() => (failures-- > 0 ? Effect.fail(unavailable) : Effect.void))
      )
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        stager.stage(unit("a"))
        const flushing = yield* Effect.forkChild(stager.flush)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(flushing)
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(batches, [["a/0"]])
    })
  )

  it.effect("counts what the store does not take, and says so at each flush", () =>
    Effect.gen(function* () {
      const { batches, layer } = storeOf(Effect.fail(unavailable))
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        stager.stage(unit("a", 2))
        const flushing = yield* Effect.forkChild(Effect.flip(stager.flush))
        yield* TestClock.adjust("10 seconds")
        const first = yield* Fiber.join(flushing)
        assert.strictEqual(first.events, 2)
        assert.strictEqual(first.message, "2 staged events were not saved: the disk is full")
        stager.stage(unit("b"))
        const second = yield* Effect.flip(stager.flush)
        assert.strictEqual(second.events, 3)
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(batches, [])
    })
  )

  it.effect("waits in a flush for the commit, also while its scope is closing", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batches, layer } = storeOf(Deferred.await(gate))
      const scope = yield* Scope.make()
      const stager = Context.get(yield* Layer.buildWithScope(layer, scope), EventStager.EventStager)
      stager.stage(unit("a"))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      const flushing = yield* Effect.forkChild(stager.flush, { startImmediately: true })
      yield* Effect.yieldNow
      assert.isUndefined(flushing.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll([closing, flushing])
      assert.deepStrictEqual(batches, [["a/0"]])
    })
  )

  it.effect("does not hang on a store that throws", () =>
    Effect.gen(function* () {
      const store = Layer.mock(EventStore.EventStore)({
        append: () => {
          throw new Error("bug")
        }
      })
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        stager.stage(unit("a"))
        assert.strictEqual((yield* Effect.flip(stager.flush)).events, 1)
      }).pipe(Effect.provide(Layer.provide(EventStager.layer, store)))
    })
  )

  it.effect("does not hang on a store that dies", () =>
    Effect.gen(function* () {
      const { layer } = storeOf(Effect.die(new Error("bug")))
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        stager.stage(unit("a"))
        assert.strictEqual((yield* Effect.flip(stager.flush)).message, "1 staged event was not saved: bug")
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("refuses ids that no store can keep", () =>
    Effect.gen(function* () {
      const { batches, layer } = storeOf()
      yield* Effect.gen(function* () {
        const stager = yield* EventStager.EventStager
        for (const kind of ["\0", "a\ud800"]) {
          assert.isTrue(Result.isFailure(stager.stage(unit(kind))))
        }
        yield* stager.flush
      }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(batches, [])
    })
  )
})
