import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventStager, EventStore, GroupStager, LedgerError, Metrics } from "@runledger/core"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Metric, Option, Result, Scope, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { type Around, countingSleeps, factsOf, kindsOf, settle, storeAround, unavailable, unit } from "./support.ts"

/** Runs a test over a stager whose store does with its appends what it is told. */
const withStager = <A, E>(
  { around, ...options }: GroupStager.Options & { readonly around?: Around },
  test: (
    lane: EventStager.EventStagerShape["lane"],
    batches: () => ReadonlyArray<ReadonlyArray<string>>,
    calls: ReturnType<typeof storeAround>["calls"]
  ) => Effect.Effect<A, E, EventStore.EventStore | Scope.Scope>
) => {
  const { calls, layer } = storeAround(around)
  return Effect.flatMap(EventStager.EventStager, ({ lane }) =>
    test(lane, () => calls.map(({ batch }) => kindsOf(batch)), calls)
  ).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(GroupStager.layer(options), layer)))
}

const poison =
  (name: string): Around =>
  (append, { batch }) =>
    batch.some(({ kind }) => kind.startsWith(name))
      ? Effect.fail(new LedgerError.ValidationError({ message: "validation error: poison" }))
      : append

/** Appends fail until the clock says this. */
const awayUntil =
  (millis: number): Around =>
  (append) =>
    Effect.flatMap(
      Effect.clockWith((clock) => clock.currentTimeMillis),
      (now) => (now < millis ? Effect.fail(unavailable) : append)
    )

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("a batch", () => {
  it.effect("waits 10 ms for others to join it", () =>
    withStager({}, (lane, batches) =>
      Effect.gen(function* () {
        const [a, b] = [lane(), lane()]
        a.stage(unit("a"))
        yield* TestClock.adjust(5)
        b.stage(unit("b"))
        yield* TestClock.adjust(4)
        assert.deepStrictEqual(batches(), [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(batches(), [["a/0", "b/0"]])
        b.stage(unit("c"))
        yield* TestClock.adjust(9)
        assert.strictEqual(batches().length, 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(batches()[1], ["c/0"])
      })
    )
  )

  it.effect("is sent at once when it is full, or somebody flushes", () =>
    withStager({ capacity: { events: 1_000_000 } }, (lane, batches) =>
      Effect.gen(function* () {
        const a = lane()
        for (let index = 0; index < 4097; index++) {
          a.stage(unit("a"))
        }
        yield* settle
        assert.strictEqual(batches()[0]?.length, 4096)
        yield* a.flush()
        assert.deepStrictEqual(
          batches().map(({ length }) => length),
          [4096, 1]
        )
      })
    )
  )

  it.effect("waits for others again, when what somebody flushed is sent", () =>
    withStager({ around: (append) => Effect.delay(append, 5) }, (lane, batches) =>
      Effect.gen(function* () {
        const a = lane()
        a.stage(unit("a"))
        const flushing = yield* Effect.forkChild(a.flush())
        for (let millis = 0; millis < 300; millis += 1) {
          a.stage(unit("a"))
          yield* TestClock.adjust(1)
        }
        yield* TestClock.adjust(100)
        yield* Fiber.join(flushing)
        // One each ten milliseconds, and the one that was flushed.
        assert.isAtMost(batches().length, 31)
      })
    )
  )

  it.effect("has no more than 1 MiB, unless one unit has", () =>
    withStager({}, (lane, batches) =>
      Effect.gen(function* () {
        const a = lane()
        for (const mebibytes of [0.5, 0.25, 0.5, 1.5, 0.25]) {
          a.stage(
            unit("a").flatMap((event) => [{ ...event, payload: JSON.stringify("x".repeat(mebibytes * 2 ** 20)) }])
          )
        }
        yield* a.flush()
        assert.deepStrictEqual(
          batches().map(({ length }) => length),
          [2, 1, 1, 1]
        )
      })
    )
  )

  it.effect("begins while one emits on without end", () =>
    withStager({}, (lane, batches) =>
      Effect.gen(function* () {
        const a = lane()
        for (let index = 0; index < 5000; index++) {
          a.stage(unit("a"))
          yield* a.credit() ?? Effect.void
        }
        assert.isNotEmpty(batches())
      })
    )
  )

  it.effect("has what gathered during the last commit, and splits no unit", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* withStager({ around: (append) => Effect.andThen(Deferred.await(gate), append) }, (lane, batches) =>
        Effect.gen(function* () {
          const a = lane()
          a.stage(unit("a"))
          const first = yield* fork(a.flush())
          yield* settle
          a.stage(unit("b", { size: 3 }))
          a.stage(unit("c"))
          const second = yield* fork(a.flush())
          yield* settle
          assert.deepStrictEqual(batches(), [["a/0"]])
          assert.isUndefined(first.pollUnsafe())
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.joinAll([first, second])
          assert.deepStrictEqual(batches(), [["a/0"], ["b/0", "b/1", "b/2", "c/0"]])
        })
      )
    })
  )

  it.effect("carries the last state of each run, made once, the highest mark of each writer, and calls back", () =>
    withStager({}, (lane, _, calls) =>
      Effect.gen(function* () {
        const store = yield* EventStore.EventStore
        const [owner, producer] = [yield* store.claimWriter("owner"), yield* store.claimWriter("producer")]
        const run = lane({ writers: [owner] })
        const input = lane()
        const said: Array<string> = []
        const after = (ordinal: number) => ({
          after: { runId: "r", ordinal, state: () => (said.push("state"), `{"at":${ordinal}}`) },
          onCommit: () => void said.push(`committed ${ordinal}`)
        })
        run.stage(unit("a"), after(1))
        input.stage([], { mark: { ...producer, highWater: 7 } })
        run.stage(unit("b"), after(2))
        input.stage([], { mark: { ...producer, highWater: 9 } })
        yield* input.flush()
        assert.deepStrictEqual(calls[0]?.options, {
          writers: [owner, { ...producer, highWater: 9 }],
          expected: [],
          runs: [{ runId: "r", ordinal: 2, state: '{"at":2}' }]
        })
        assert.deepStrictEqual(said, ["state", "committed 1", "committed 2"])
        assert.include(yield* store.run("r"), { ordinal: 2, state: '{"at":2}' })
        assert.deepStrictEqual(
          (yield* Stream.runCollect(store.writers)).map(({ highWater }) => highWater),
          [0, 9]
        )
      })
    )
  )

  it.effect("without a fact, a state and a mark is not sent", () =>
    withStager({}, (lane, _, calls) =>
      Effect.gen(function* () {
        const run = lane({
          expected: { scope: { _tag: "Run", runId: "r" }, cursor: Cursor.start({ _tag: "Run", runId: "r" }) }
        })
        run.stage([], { after: { runId: "r", ordinal: 0, state: () => "{}" } })
        yield* run.flush()
        assert.deepStrictEqual(calls, [])
      })
    )
  )
})

describe("a flush", () => {
  it.effect("waits for its own lane only, and for what was staged before it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const around: Around = (append, { batch }) =>
        batch.some(({ kind }) => kind === "slow/0") ? Effect.andThen(Deferred.await(gate), append) : append
      yield* withStager({ around }, (lane) =>
        Effect.gen(function* () {
          const [a, b, c] = [lane(), lane(), lane()]
          a.stage(unit("a"))
          yield* a.flush()
          a.stage(unit("slow"))
          const slow = yield* fork(a.flush())
          yield* settle
          b.stage(unit("b"))
          const later = yield* fork(b.flush())
          yield* settle
          yield* c.flush()
          assert.isUndefined(slow.pollUnsafe())
          assert.isUndefined(later.pollUnsafe())
          assert.deepInclude(a.health(), { staged: 2, committed: 1, lost: 0 })
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.joinAll([slow, later])
          assert.deepInclude(a.health(), { staged: 2, committed: 2 })
        })
      )
    })
  )

  it.effect("up to an ordinal waits for no more than that", () =>
    Effect.gen(function* () {
      const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const around: Around = (append, _, index) =>
        Effect.andThen(Deferred.await(gates[index] as (typeof gates)[0]), append)
      yield* withStager({ around }, (lane) =>
        Effect.gen(function* () {
          const a = lane()
          const after = (ordinal: number) => ({ after: { runId: "r", ordinal, state: () => "{}" } })
          a.stage(unit("a"), after(3))
          yield* TestClock.adjust(10)
          a.stage(unit("b"), after(5))
          const waiting = [
            yield* fork(a.flush(2)),
            yield* fork(a.flush(3)),
            yield* fork(a.flush(4)),
            yield* fork(a.flush())
          ]
          const done = () => waiting.map((fiber) => fiber.pollUnsafe() !== undefined)
          yield* settle
          assert.deepStrictEqual(done(), [false, false, false, false])
          yield* Deferred.succeed(gates[0] as (typeof gates)[0], undefined)
          yield* settle
          assert.deepStrictEqual(done(), [true, true, false, false])
          yield* a.flush(3)
          yield* Deferred.succeed(gates[1] as (typeof gates)[0], undefined)
          yield* Fiber.joinAll(waiting)
          // What is beyond all that was staged is not waited for.
          yield* a.flush(9)
        })
      )
    })
  )

  it.effect("that is interrupted leaves nothing behind, and others wait on", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* withStager({ around: (append) => Effect.andThen(Deferred.await(gate), append) }, (lane) =>
        Effect.gen(function* () {
          const a = lane()
          a.stage(unit("a"))
          const [gone, stays] = [yield* fork(a.flush()), yield* fork(a.flush())]
          yield* settle
          yield* Fiber.interrupt(gone)
          assert.isUndefined(stays.pollUnsafe())
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.join(stays)
        })
      )
    })
  )
})

describe("a commit", () => {
  const fails: Array<readonly [string, Around]> = [
    ["failed", (append, _, index) => (index < 3 ? Effect.fail(unavailable) : append)],
    [
      "was carried out, and its answer was lost",
      (append, _, index) => (index < 3 ? Effect.andThen(append, Effect.fail(unavailable)) : append)
    ],
    ["died", (append, _, index) => (index < 3 ? Effect.die("boom") : append)],
    [
      "threw",
      (append, _, index) => {
        if (index < 3) {
          throw new Error("boom")
        }
        return append
      }
    ],
    ["was interrupted by the store", (append, _, index) => (index < 3 ? Effect.interrupt : append)]
  ]
  for (const [how, around] of fails) {
    it.effect(`that ${how} is sent again, the very same batch, and its facts are there once`, () =>
      withStager({ around }, (lane, _, calls) =>
        Effect.gen(function* () {
          const a = lane()
          a.stage(unit("a", { size: 2 }), { after: { runId: "r", ordinal: 1, state: () => "{}" } })
          const flushing = yield* fork(a.flush())
          yield* settle
          // What comes later does not get into a batch that was sent.
          a.stage(unit("b"))
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(flushing)
          assert.strictEqual(calls.length, 5)
          for (const { batch, options } of calls.slice(0, 4)) {
            assert.strictEqual(batch, calls[0]?.batch)
            assert.strictEqual(options, calls[0]?.options)
          }
          assert.deepStrictEqual(kindsOf(yield* factsOf("r")), ["a/0", "a/1", "b/0"])
        })
      )
    )
  }
})

describe("what the store refuses", () => {
  it.effect("gives way to a gap; other runs, and the rest of its own, are committed in order", () =>
    withStager({ around: poison("bad") }, (lane) =>
      Effect.gen(function* () {
        const [a, b] = [lane(), lane()]
        for (const name of ["a1", "a2", "bad", "a3", "a4"]) {
          a.stage(unit(name, { size: 2 }))
          b.stage(unit(`of b ${name}`, { run: "other" }))
        }
        yield* Effect.all([a.flush(), b.flush()], { concurrency: 2 })
        const facts = yield* factsOf("r")
        assert.deepStrictEqual(kindsOf(facts), [
          "a1/0",
          "a1/1",
          "a2/0",
          "a2/1",
          "CaptureGap",
          "a3/0",
          "a3/1",
          "a4/0",
          "a4/1"
        ])
        const gap = facts[4]
        assert.deepInclude(gap, { fidelity: "control_event", threadId: "t", runId: "r", origin: "native", ordinal: 1 })
        assert.deepStrictEqual(gap?.payload, {
          reason: "refused",
          events: 2,
          tags: { "bad/0": 1, "bad/1": 1 },
          firstOrdinal: 1,
          lastOrdinal: 1,
          message: "validation error: poison"
        })
        assert.strictEqual((yield* factsOf("other")).length, 5)
        assert.deepInclude(a.health(), { staged: 9, committed: 9, lost: 0, failure: undefined })
      })
    )
  )

  it.effect("keeps what is beside it", () =>
    withStager({ around: poison("bad") }, (lane) =>
      Effect.gen(function* () {
        const a = lane()
        a.stage(unit("bad"), { after: { runId: "r", ordinal: 8, state: () => '"after"' } })
        yield* a.flush()
        const store = yield* EventStore.EventStore
        assert.include(yield* store.run("r"), { ordinal: 8, state: '"after"', facts: 1 })
      })
    )
  )

  it.effect("fails the run when not even the gap is taken", () =>
    withStager(
      {
        around: (append, { batch }) =>
          batch.some(({ runId }) => runId === "r")
            ? Effect.fail(LedgerError.ValidationError.make({ message: "no" }))
            : append
      },
      (lane) =>
        Effect.gen(function* () {
          const failures: Array<LedgerError.StagingFailed> = []
          const [a, b] = [lane({ onFailure: (failure) => failures.push(failure) }), lane()]
          a.stage(unit("a"))
          a.stage(unit("a"))
          b.stage(unit("b", { run: "other" }))
          const error = yield* Effect.flip(a.flush())
          yield* b.flush()
          assert.deepStrictEqual(failures, [error])
          assert.strictEqual(error.message, "2 staged facts were not saved: no")
          a.stage(unit("a"))
          assert.strictEqual(yield* Effect.flip(a.flush()), error)
          assert.strictEqual(yield* Effect.flip(a.close), error)
          assert.deepInclude(a.health(), { staged: 3, committed: 0, lost: 3, failure: error })
          assert.deepStrictEqual(kindsOf(yield* factsOf()), ["b/0"])
        })
    )
  )

  it.effect("is refused when it is staged, if no store can keep its ids", () =>
    withStager({}, (lane, batches) =>
      Effect.gen(function* () {
        const a = lane()
        for (const kind of ["\0", "a\ud800"]) {
          assert.isTrue(Result.isFailure(a.stage(unit(kind))))
        }
        yield* a.flush()
        assert.deepStrictEqual(batches(), [])
        assert.deepInclude(a.health(), { staged: 0, lost: 0 })
      })
    )
  )
})

describe("a lane fails alone", () => {
  it.effect("when its writer is fenced off", () =>
    withStager({}, (lane) =>
      Effect.gen(function* () {
        const store = yield* EventStore.EventStore
        const stale = yield* Effect.scoped(store.claimWriter("w"))
        yield* store.claimWriter("w")
        const [a, b] = [lane({ writers: [stale] }), lane()]
        a.stage(unit("a"))
        b.stage(unit("b", { run: "other" }))
        const error = yield* Effect.flip(a.flush())
        assert.propertyVal(error.cause, "_tag", "Fenced")
        yield* b.flush()
        assert.deepStrictEqual(kindsOf(yield* factsOf()), ["b/0"])
      })
    )
  )

  it.effect("when its scope does not end where it should; later batches do not ask again", () =>
    withStager({}, (lane) =>
      Effect.gen(function* () {
        const scope = { _tag: "Run", runId: "r" } as const
        const expected = { scope, cursor: Cursor.start(scope) }
        const [first, second, other] = [lane({ expected }), lane({ expected }), lane()]
        first.stage(unit("a"))
        yield* first.flush()
        first.stage(unit("b"))
        second.stage(unit("c"))
        other.stage(unit("d", { run: "other" }))
        assert.propertyVal((yield* Effect.flip(second.flush())).cause, "_tag", "ExpectedCursorConflict")
        yield* first.flush()
        yield* other.flush()
        assert.deepStrictEqual(kindsOf(yield* factsOf()).toSorted(), ["a/0", "b/0", "d/0"])
      })
    )
  )

  it.effect("and marks of an input do not pass what it lost", () =>
    withStager({}, (lane) =>
      Effect.gen(function* () {
        const store = yield* EventStore.EventStore
        const stale = yield* Effect.scoped(store.claimWriter("w"))
        yield* store.claimWriter("w")
        const producer = yield* store.claimWriter("producer")
        const input = lane()
        const run = lane({ writers: [stale], onFailure: (failure) => input.fail(failure) })
        let acked = 0
        const mark = (highWater: number) =>
          input.stage([], { mark: { ...producer, highWater }, onCommit: () => void (acked = highWater) })
        mark(1)
        yield* input.flush()
        // The mark is staged before the fact that it must not pass is known to be lost, and stands before another run's.
        mark(2)
        run.stage(unit("a"))
        mark(3)
        const error = yield* Effect.flip(input.flush())
        assert.strictEqual(
          run.health().failure?.cause,
          error.cause instanceof LedgerError.StagingFailed ? error.cause.cause : undefined
        )
        mark(4)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(acked, 1)
        assert.deepStrictEqual(
          (yield* Stream.runCollect(store.writers)).find(({ writer }) => writer === "producer")?.highWater,
          1
        )
      })
    )
  )

  it.effect("when it is told to", () =>
    withStager({}, (lane) =>
      Effect.gen(function* () {
        const [a, b] = [lane(), lane()]
        a.stage(unit("a"))
        b.stage(unit("b"))
        const flushing = yield* fork(Effect.flip(a.flush()))
        a.fail("stopped")
        assert.strictEqual((yield* Fiber.join(flushing)).message, "1 staged fact was not saved: stopped")
        yield* b.flush()
        assert.deepStrictEqual(kindsOf(yield* factsOf()), ["b/0"])
      })
    )
  )
})

describe("credit", () => {
  const waits = (lane: EventStager.Lane) => lane.credit() !== undefined

  it.effect("ends above the capacity in events, and comes back at a quarter", () =>
    Effect.gen(function* () {
      const gates = yield* Effect.forEach([0, 1, 2], () => Deferred.make<void>())
      const around: Around = (append, _, index) =>
        Effect.andThen(index < 3 ? Deferred.await(gates[index] as (typeof gates)[0]) : Effect.void, append)
      yield* withStager({ capacity: { events: 8 }, around }, (lane) =>
        Effect.gen(function* () {
          const [a, b] = [lane(), lane()]
          a.stage(unit("a", { size: 5 }))
          yield* TestClock.adjust(10)
          b.stage(unit("b", { size: 3 }))
          assert.isFalse(waits(a))
          yield* TestClock.adjust(10)
          const first = yield* fork(Effect.void)
          yield* Fiber.join(first)
          b.stage(unit("c"))
          assert.isTrue(waits(a))
          assert.isTrue(waits(b))
          const waiting = yield* fork(b.credit() ?? Effect.void)
          yield* Deferred.succeed(gates[0] as (typeof gates)[0], undefined)
          yield* settle
          // Four of eight are left.
          assert.isUndefined(waiting.pollUnsafe())
          assert.isTrue(waits(a))
          b.stage(unit("d", { size: 2 }))
          yield* Deferred.succeed(gates[1] as (typeof gates)[0], undefined)
          yield* settle
          // Two are left, a quarter.
          assert.isFalse(waits(a))
          yield* Fiber.join(waiting)
          yield* Deferred.succeed(gates[2] as (typeof gates)[0], undefined)
        })
      )
    })
  )

  it.effect("ends above the capacity in bytes, held ones included", () =>
    withStager({ capacity: { bytes: 10_000 } }, (lane) =>
      Effect.gen(function* () {
        const [a, b] = [lane(), lane()]
        b.hold(4000)
        a.stage(unit("a", { payload: "x".repeat(5000) }))
        assert.isFalse(waits(a))
        b.hold(5000)
        assert.isTrue(waits(a))
        b.hold(0)
        // Not before a quarter is left.
        assert.isTrue(waits(a))
        yield* a.flush()
        assert.isFalse(waits(a))
      })
    )
  )

  it.effect("does not wait for what is only held, which no commit frees", () =>
    withStager({ capacity: { bytes: 10_000 } }, (lane) =>
      Effect.gen(function* () {
        const a = lane()
        a.hold(1_000_000)
        assert.isFalse(waits(a))
        a.stage(unit("a"))
        assert.isTrue(waits(a))
        const waiting = yield* fork(a.credit() ?? Effect.void)
        yield* TestClock.adjust(10)
        yield* Fiber.join(waiting)
        // Nor for what a run held that failed.
        a.fail("stopped")
        a.hold(1_000_000)
        const b = lane()
        b.stage(unit("b"))
        assert.isFalse(waits(b))
        b.hold(10_000)
        assert.isTrue(waits(b))
      })
    )
  )

  it.effect("leaves room for facts only when observed events are to be shed", () =>
    withStager({ capacity: { events: 2 }, whenFull: "shedObserved" }, (lane) =>
      Effect.gen(function* () {
        const a = lane()
        a.stage(unit("a", { size: 2 }))
        assert.strictEqual(a.room(), "all")
        a.stage(unit("a"))
        assert.strictEqual(a.room(), "facts")
        assert.isTrue(waits(a))
        yield* a.flush()
        assert.strictEqual(a.room(), "all")
      })
    )
  )
})

describe("a store that is away", () => {
  it.effect("is waited for ten seconds; then nobody waits, until it is back", () =>
    withStager({ capacity: { events: 3 }, around: awayUntil(60_000) }, (lane, _, calls) =>
      Effect.gen(function* () {
        const a = lane()
        a.stage(unit("a", { size: 4 }))
        const emitter = yield* fork(a.credit() ?? Effect.void)
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(emitter.pollUnsafe())
        assert.isFalse(a.health().isAway)
        yield* TestClock.adjust("6 seconds")
        assert.isTrue(a.health().isAway)
        yield* Fiber.join(emitter)
        assert.isUndefined(a.credit())
        assert.strictEqual(a.room(), "nothing")
        // What is staged all the same is kept.
        a.stage(unit("b"))
        const flushing = yield* fork(a.flush())
        yield* TestClock.adjust("30 seconds")
        assert.isUndefined(flushing.pollUnsafe())
        const asked = calls.length
        yield* TestClock.adjust("2 minutes")
        assert.isBelow(calls.length - asked, 5)
        yield* Fiber.join(flushing)
        assert.deepInclude(a.health(), { isAway: false, staged: 5, committed: 5, lost: 0, failure: undefined })
        assert.strictEqual(a.room(), "all")
        assert.deepStrictEqual(kindsOf(yield* factsOf()), ["a/0", "a/1", "a/2", "a/3", "b/0"])
      })
    )
  )

  it.effect("has room while the backlog is within the capacity", () =>
    withStager({ capacity: { events: 3 }, around: awayUntil(60_000) }, (lane) =>
      Effect.gen(function* () {
        const a = lane()
        a.stage(unit("a"))
        yield* TestClock.adjust("20 seconds")
        assert.isTrue(a.health().isAway)
        assert.strictEqual(a.room(), "all")
        a.stage(unit("b", { size: 3 }))
        assert.strictEqual(a.room(), "nothing")
        yield* TestClock.adjust("2 minutes")
      })
    )
  )

  it.effect("fails the runs of its batch, if that is asked for, and others go on", () =>
    withStager({ onStoreFailure: "failRun", around: awayUntil(15_000) }, (lane) =>
      Effect.gen(function* () {
        const [a, b] = [lane(), lane()]
        a.stage(unit("a", { size: 2 }))
        yield* TestClock.adjust(10)
        b.stage(unit("b", { run: "other" }))
        yield* TestClock.adjust("20 seconds")
        const error = yield* Effect.flip(a.flush())
        assert.strictEqual(error.message, "2 staged facts were not saved: the disk is full")
        assert.strictEqual(error.cause, unavailable)
        yield* b.flush()
        assert.deepInclude(a.health(), { isAway: false, staged: 2, committed: 0, lost: 2 })
        assert.deepStrictEqual(kindsOf(yield* factsOf()), ["b/0"])
      })
    )
  )

  it.effect("does not keep a run from closing longer than the close timeout", () =>
    withStager({ closeTimeout: "3 seconds", around: awayUntil(60_000) }, (lane) =>
      Effect.gen(function* () {
        const a = lane()
        a.stage(unit("a"))
        yield* TestClock.adjust(10)
        a.stage(unit("b"))
        const closing = yield* fork(Effect.flip(a.close))
        yield* TestClock.adjust(2999)
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust(1)
        const error = yield* Fiber.join(closing)
        assert.strictEqual(error._tag, "StagingFailed")
        assert.strictEqual(error.events, 2)
        assert.include(error.message, "2 staged facts were not saved")
        // What was sent is committed when the store is back; what was not does not follow.
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual((yield* Effect.flip(a.close)).events, 2)
        assert.deepInclude(a.health(), { staged: 2, committed: 1, lost: 1 })
      })
    )
  )

  it.effect("does not keep the stager from closing longer than that; who still waits is told", () =>
    Effect.gen(function* () {
      const { layer } = storeAround(() => Effect.never)
      const scope = yield* Scope.make()
      const stager = Layer.provide(GroupStager.layer({ closeTimeout: "3 seconds" }), layer)
      const { lane } = Context.get(yield* Layer.buildWithScope(stager, scope), EventStager.EventStager)
      const [sent, queued] = [lane(), lane()]
      sent.stage(unit("a"))
      yield* TestClock.adjust(10)
      queued.stage(unit("b", { size: 2 }))
      const waiting = [yield* fork(Effect.flip(sent.flush())), yield* fork(Effect.flip(queued.flush()))]
      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(
        (yield* Fiber.joinAll(waiting)).map(({ events }) => events),
        [1, 2]
      )
    })
  )
})

describe("the end of a stager", () => {
  it.effect("commits all that is staged, and what comes later is an error", () =>
    Effect.gen(function* () {
      const { calls, layer } = storeAround((append) => Effect.andThen(Effect.yieldNow, append))
      const scope = yield* Scope.make()
      const stager = Layer.provide(GroupStager.layer(), layer)
      const { lane } = Context.get(yield* Layer.buildWithScope(stager, scope), EventStager.EventStager)
      const a = lane()
      for (let index = 0; index < 10_000; index++) {
        a.stage(unit(String(index)))
      }
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(
        calls.flatMap(({ batch }) => kindsOf(batch)),
        Array.from({ length: 10_000 }, (_, index) => `${index}/0`)
      )
      yield* a.flush()
      a.stage(unit("late"))
      assert.strictEqual((yield* Effect.flip(a.flush())).events, 1)
      assert.deepInclude(a.health(), { staged: 10_001, committed: 10_000, lost: 1 })
    })
  )

  it.effect("commits it also when the program around it is interrupted", () =>
    Effect.gen(function* () {
      const { calls, layer } = storeAround()
      const fiber = yield* fork(
        Effect.gen(function* () {
          const { lane } = yield* EventStager.EventStager
          lane().stage(unit("a"))
          return yield* Effect.never
        }).pipe(Effect.provide(Layer.provide(GroupStager.layer(), layer)))
      )
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(calls.length, 1)
    })
  )

  it.effect("leaves no timer, and while it is idle there is none", () =>
    countingSleeps((sleeping) =>
      Effect.gen(function* () {
        yield* withStager({}, (lane) =>
          Effect.gen(function* () {
            yield* settle
            assert.strictEqual(sleeping(), 0)
            const a = lane()
            a.stage(unit("a"))
            yield* settle
            assert.strictEqual(sleeping(), 1)
            yield* a.flush()
            yield* settle
            assert.strictEqual(sleeping(), 0)
            a.stage(unit("b"))
            yield* TestClock.adjust(10)
            yield* settle
            assert.strictEqual(sleeping(), 0)
            a.stage(unit("c"))
          })
        )
        assert.strictEqual(sleeping(), 0)
      })
    )
  )
})

describe("what is measured", () => {
  const values = Effect.map(Metric.snapshot, (all) => new Map(all.map(({ id, state }) => [id, state])))

  it.effect("are facts staged, committed and lost, the depth, the time of commits and the lag", () =>
    Effect.gen(function* () {
      const around: Around = (append, call, index) =>
        poison("bad")(index === 0 ? append : Effect.andThen(Effect.sleep(40), append), call, index)
      yield* withStager({ around }, (lane) =>
        Effect.gen(function* () {
          const a = lane()
          a.stage(unit("a", { size: 3 }))
          yield* TestClock.adjust(10)
          a.stage(unit("b", { size: 2 }))
          yield* TestClock.adjust(10)
          const during = yield* Metric.value(Metrics.depth)
          assert.strictEqual(during.value, 2)
          yield* TestClock.adjust(100)
          a.stage(unit("bad", { size: 2 }))
          yield* TestClock.adjust(100)
        })
      )
      const measured = yield* values
      const number = (id: string) => measured.get(id) as { readonly count: number; readonly max: number }
      assert.strictEqual(number("runledger_staged_total").count, 7)
      assert.strictEqual(number("runledger_committed_total").count, 6)
      assert.strictEqual(number("runledger_shed_total").count, 2)
      assert.propertyVal(measured.get("runledger_depth"), "value", 0)
      assert.include(number("runledger_commit_time"), { count: 3, max: 40 })
      assert.include(number("runledger_lag"), { count: 3, max: 50 })
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("is a span a commit, retries included", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* withStager({ around: (append, _, index) => (index === 0 ? Effect.fail(unavailable) : append) }, (lane) =>
        Effect.gen(function* () {
          const a = lane()
          a.stage(unit("a", { size: 2 }))
          a.stage(unit("b"))
          yield* TestClock.adjust("1 second")
          a.stage(unit("c"))
          yield* a.flush()
        })
      ).pipe(Effect.provideService(Tracer.Tracer, tracer))
      assert.deepStrictEqual(
        spans.filter(({ name }) => name === "runledger.commit").map(({ attributes }) => Object.fromEntries(attributes)),
        [
          { events: 3, units: 2 },
          { events: 1, units: 1 }
        ]
      )
      assert.isTrue(spans.every(({ status }) => status._tag === "Ended"))
      assert.isTrue(spans.every(({ parent }) => Option.isNone(parent)))
    })
  )
})
