import { assert, describe, it } from "@effect/vitest"
import { CanonicalEvent, Cursor, EventStore, LedgerError, MemoryEventStore, type StagedEvent } from "@runledger/core"
import { layer, layerInThread, type OpenError } from "@runledger/sql/sqlite"
import { Context, Effect, Layer, Schema, Stream } from "effect"
import { DatabaseSync } from "node:sqlite"
import { expectTypeOf } from "vitest"
import { event, eventId, events, newPath, readAll, run, thread } from "./support.ts"

const layers = { "in a worker": layer, "in the thread": layerInThread }

const storeOf = (built: Layer.Layer<EventStore.EventStore, OpenError>) =>
  Effect.map(Layer.build(built), (context) => Context.get(context, EventStore.EventStore))

/** What a random event says; its id and its place are given later. */
const Said = Schema.Struct({
  resend: Schema.Literals([false, false, false, true]),
  scopes: Schema.Literals(["both", "both", "thread", "run"]),
  threadId: Schema.Literals(["thread-1", "thread 🧵", "_"]),
  runId: Schema.Literals(["run-1", "run-2", "r\u0301un", "' --"]),
  kind: Schema.Literals(["RunStarted", "RunFinished", "RunSuspended", "RunResumed", "TextDeltaObserved", "my.own ✓"]),
  fidelity: CanonicalEvent.Fidelity,
  visibility: CanonicalEvent.Visibility,
  ordinal: Schema.optionalKey(Schema.Literals([1, 7, Number.MAX_SAFE_INTEGER])),
  text: Schema.Union([Schema.String, Schema.Literals(["\ud800", "\0", "日本語 🎉", '"\\'])]),
  correlationId: Schema.optionalKey(Schema.Literals(["c-1", "run-1"])),
  causationId: Schema.optionalKey(Schema.Literals([eventId(1), eventId(1).replace("7", "A"), "tool-call"])),
  occurredAt: Schema.Literals([0, 1_700_000_000_000, Number.MAX_SAFE_INTEGER])
})

const terminations = {
  RunFinished: { _tag: "NaturalEnd" },
  RunSuspended: { _tag: "Suspended" }
} as const

const batchesOf = (said: ReadonlyArray<ReadonlyArray<typeof Said.Type>>) => {
  const sent: Array<StagedEvent.StagedEvent> = []
  const staged = ({ resend, runId, scopes, text, threadId, ...rest }: typeof Said.Type): StagedEvent.StagedEvent => {
    const earlier = sent[Math.floor(sent.length / 2)]
    if (resend && earlier !== undefined) {
      return earlier
    }
    const termination =
      rest.kind === "RunFinished" || rest.kind === "RunSuspended" ? { termination: terminations[rest.kind] } : {}
    const fresh = {
      ...rest,
      eventId: eventId(sent.length + 1),
      ...(scopes === "run" ? {} : { threadId }),
      ...(scopes === "thread" ? {} : { runId }),
      payload: JSON.stringify({ text, ...termination }),
      origin: "native",
      schemaVersion: 1
    }
    sent.push(fresh)
    return fresh
  }
  return said.map((batch) => batch.map(staged))
}

const withoutClock = (fact: CanonicalEvent.CanonicalEvent) => ({ ...fact, recordedAt: 0 })

const withoutUpdate = (entry: EventStore.RunEntry) => ({ ...entry, updatedAt: 0 })

/** All that a store tells, but for the times at which it recorded. */
const told = Effect.fnUntraced(function* (store: EventStore.EventStoreShape) {
  const facts = (yield* readAll(store, Cursor.ledger)).map(withoutClock)
  const scopes: ReadonlyArray<Cursor.ReadScope> = [
    Cursor.ledger,
    ...Said.fields.threadId.literals.map((threadId) => ({ _tag: "Thread" as const, threadId })),
    ...Said.fields.runId.literals.map((runId) => ({ _tag: "Run" as const, runId }))
  ]
  return {
    facts,
    scopes: yield* Effect.forEach(scopes, (scope) =>
      Effect.all([store.count(scope), Effect.map(readAll(store, scope, 3), (facts) => facts.map(withoutClock))])
    ),
    got: (yield* Effect.forEach(facts, ({ eventId }) => store.get(eventId))).map(withoutClock),
    runs: (yield* Stream.runCollect(store.runs())).map(withoutUpdate)
  }
})

describe("sqlite", () => {
  it("has the store as its only output and typed opening errors (types)", () => {
    type Expected = Layer.Layer<
      EventStore.EventStore,
      LedgerError.IntegrityError | LedgerError.UnavailableError | LedgerError.NotFound
    >
    expectTypeOf(layer({ path: "" })).toEqualTypeOf<Expected>()
    expectTypeOf(layerInThread({ path: "", readOnly: true })).toEqualTypeOf<Expected>()
  })

  for (const [where, make] of Object.entries(layers)) {
    describe(where, () => {
      it.effect.prop(
        "tells what the store in memory tells, before and after the file was closed",
        { said: Schema.Array(Schema.Array(Said)) },
        ({ said }) =>
          Effect.gen(function* () {
            const path = yield* newPath
            const memory = yield* storeOf(MemoryEventStore.layer)
            const batches = batchesOf(said)
            const half = Math.floor(batches.length / 2)
            for (const part of [batches.slice(0, half), batches.slice(half)]) {
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const store = yield* storeOf(make({ path }))
                  for (const batch of part) {
                    yield* store.append(batch)
                    yield* memory.append(batch)
                  }
                  assert.deepStrictEqual(yield* told(store), yield* told(memory))
                })
              )
            }
            const reader = yield* storeOf(make({ path, readOnly: true }))
            assert.deepStrictEqual(yield* told(reader), yield* told(memory))
          }).pipe(Effect.scoped),
        { arbitrary: { runs: make === layer ? 4 : 60 } }
      )

      it.effect("pages reassemble whatever their size, with hasMore and next as in memory", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          const memory = yield* storeOf(MemoryEventStore.layer)
          const batch = [
            ...events(1, 20),
            ...Array.from({ length: 20 }, (_, n) => event(n + 21, { runId: "run-2" })),
            ...events(41, 60)
          ]
          yield* store.append(batch)
          yield* memory.append(batch)
          for (const scope of [thread, run, Cursor.ledger]) {
            const whole = yield* readAll(memory, scope)
            for (const limit of [1, 2, 7, 1000, 10_000]) {
              const paged = yield* readAll(store, scope, limit)
              assert.deepStrictEqual(paged.map(withoutClock), whole.map(withoutClock))
            }
            for (const limit of [0, 5, 40, 60]) {
              const [ours, theirs] = [yield* store.read({ scope, limit }), yield* memory.read({ scope, limit })]
              assert.deepStrictEqual([ours.next, ours.hasMore], [theirs.next, theirs.hasMore])
            }
            const end = (yield* store.read({ scope })).next
            assert.deepStrictEqual(yield* store.read({ scope, after: end }), yield* memory.read({ scope, after: end }))
          }
        })
      )

      it.effect("refuses the cursor of another scope, and one beyond the end", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          yield* store.append(events(1, 3))
          const { next } = yield* store.read({ scope: thread, limit: 2 })
          for (const refused of [
            store.read({ scope: run, after: next }),
            store.read({ scope: Cursor.ledger, after: next }),
            store.read({ scope: thread, after: Cursor.make(thread, 4) }),
            store.read({ scope: thread, after: Cursor.make(thread, 4), limit: 0 }),
            store.read({ scope: thread, after: Cursor.Cursor.make("nonsense") })
          ]) {
            assert.instanceOf(yield* Effect.flip(refused), LedgerError.CursorExpired)
          }
        })
      )

      it.effect("knows nothing of an id that it was not given", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          for (const id of [eventId(1), "not a uuid"]) {
            assert.deepStrictEqual(yield* Effect.flip(store.get(id)), EventStore.noSuchFact(id))
          }
        })
      )

      it.effect("takes a batch whole or not at all, and goes on after a refused one", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          yield* store.append(events(1, 2))
          for (const bad of [
            event(70, { eventId: "not a uuid" }),
            event(70, { eventId: eventId(70).replace("7", "A") }),
            event(70, { runId: "run\0" }),
            event(70, { threadId: "\ud800" }),
            event(70, { causationId: "\ud800" }),
            event(70, { occurredAt: 1.5 })
          ]) {
            const refused = yield* Effect.flip(
              store.append([...events(3, 60), event(61, { runId: "run-new", origin: "new" }), bad])
            )
            assert.instanceOf(refused, LedgerError.ValidationError)
            assert.match(refused.message, /^validation error: /)
          }
          assert.strictEqual(yield* store.count(Cursor.ledger), 2)
          yield* store.append([event(3), event(4, { runId: "run-new" })])
          const facts = yield* readAll(store, Cursor.ledger)
          assert.deepStrictEqual(
            facts.map(({ position, runSequence, threadSequence }) => [position, threadSequence, runSequence]),
            [
              [1, 1, 1],
              [2, 2, 2],
              [3, 3, 3],
              [4, 4, 1]
            ]
          )
        })
      )

      it.effect("skips what it has when a batch is sent again, in part or with repeats", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          yield* store.append(events(1, 40))
          yield* store.append(events(1, 40))
          yield* store.append([...events(30, 50), ...events(45, 55), event(55), event(1)])
          yield* store.append([])
          const facts = yield* readAll(store, thread)
          assert.deepStrictEqual(
            facts.map(({ eventId, threadSequence }) => [eventId, threadSequence]),
            events(1, 55).map(({ eventId, ordinal }) => [eventId, ordinal])
          )
        })
      )

      it.effect("keeps sequences dense when two stores append to one file in turns", () =>
        Effect.gen(function* () {
          const path = yield* newPath
          const stores = [yield* storeOf(make({ path })), yield* storeOf(make({ path }))]
          for (let n = 0; n < 20; n += 1) {
            yield* stores[n % 2]?.append([event(2 * n + 1), event(2 * n + 2, { runId: `run-${n % 3}` })]) ?? Effect.void
          }
          for (const store of stores) {
            const facts = yield* readAll(store, Cursor.ledger)
            assert.deepStrictEqual(
              facts.map(({ position, threadSequence }) => [position, threadSequence]),
              events(1, 40).map(({ ordinal }) => [ordinal, ordinal])
            )
            for (const runId of ["run-0", "run-1", "run-2"]) {
              const sequences = (yield* readAll(store, { _tag: "Run", runId })).map(({ runSequence }) => runSequence)
              assert.deepStrictEqual(
                sequences,
                sequences.map((_, index) => index + 1)
              )
            }
          }
        })
      )

      it.effect("commits what is appended concurrently in the order of the calls", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          const batches = Array.from({ length: 40 }, (_, n) => events(n * 30 + 1, n * 30 + 30))
          yield* Effect.forEach(batches, (batch) => store.append(batch), { concurrency: 8, discard: true })
          const facts = yield* readAll(store, run)
          assert.deepStrictEqual(
            facts.map(({ ordinal }) => ordinal),
            events(1, 1200).map(({ ordinal }) => ordinal)
          )
        })
      )

      it.effect("is not harmed by an append that is interrupted", () =>
        Effect.gen(function* () {
          const store = yield* storeOf(make({ path: yield* newPath }))
          for (let n = 0; n < 30; n += 1) {
            const batch = events(n * 20 + 1, n * 20 + 20)
            const interrupt = Array.from({ length: n }).reduce<Effect.Effect<void>>(
              (before) => Effect.andThen(before, Effect.yieldNow),
              Effect.void
            )
            yield* Effect.raceFirst(store.append(batch), interrupt)
          }
          yield* store.append(events(1, 600))
          const facts = yield* readAll(store, run)
          assert.strictEqual(facts.length, 600)
          assert.isTrue(facts.every(({ runSequence }, index) => runSequence === index + 1))
        })
      )
    })
  }

  it.live("sends a long page from its worker in parts, which make the page that the thread itself reads", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const worker = yield* storeOf(layer({ path }))
      for (let first = 1; first <= 1100; first += 100) {
        yield* worker.append(
          Array.from({ length: 100 }, (_, index) =>
            event(first + index, index % 7 === 0 ? { visibility: "audit" } : {})
          )
        )
      }
      yield* worker.append([event(1101, { payload: "[]" })])
      const here = yield* storeOf(layerInThread({ path, readOnly: true }))
      for (const scope of [thread, Cursor.ledger]) {
        const { next } = yield* here.read({ scope, limit: 130 })
        const options: ReadonlyArray<Omit<EventStore.ReadOptions, "scope">> = [
          ...[1, 249, 250, 251, 500, 501, 1000].map((limit) => ({ limit })),
          { limit: 1000, after: next },
          { limit: 900, reverse: true },
          { limit: 600, filter: { visibility: ["audit"] } },
          { limit: 300, filter: { visibility: ["public"] }, after: next },
          { limit: 600, filter: { kinds: ["Nothing"] } }
        ]
        for (const option of options) {
          assert.deepStrictEqual(yield* worker.read({ ...option, scope }), yield* here.read({ ...option, scope }))
        }
      }
    })
  )

  it.live("says which part of a page is damaged, whichever it is", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      const worker = yield* storeOf(layer({ path }))
      yield* worker.append(events(1, 1000))
      const database = new DatabaseSync(path)
      database.exec("UPDATE events SET payload = '{' WHERE position = 3")
      database.close()
      const damaged = yield* Effect.flip(worker.read({ scope: thread, limit: 1000 }))
      assert.strictEqual(damaged._tag, "IntegrityError")
      assert.include(damaged.message, "position 3")
    })
  )

  it.effect("keeps a ledger in memory, each on its own", () =>
    Effect.gen(function* () {
      const [one, other] = [
        yield* storeOf(layerInThread({ path: ":memory:" })),
        yield* storeOf(layerInThread({ path: ":memory:" }))
      ]
      yield* one.append(events(1, 3))
      assert.deepStrictEqual([yield* one.count(run), yield* other.count(run)], [3, 0])
    })
  )
})
