/**
 * What a commit costs in SQLite, in numbers that do not depend on the machine. Who makes it dearer has to say so here.
 */
import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, Durability, EventStore, Recorder, type Run } from "@runledger/core"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Effect, Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { statSync } from "node:fs"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { Worker } from "node:worker_threads"
import { vi } from "vitest"
import { events, newPath } from "./support.ts"

const ids = { threadId: "thread-1", runId: "run-1" }

const inference = (durationMs: number): AgentEvent.AgentEvent => ({ _tag: "InferenceComplete", model: "m", durationMs })

/** Runs a test over a recorder with an open run, which saves everything before this ends. */
const withRun = <A, E, R>(
  store: Layer.Layer<EventStore.EventStore, unknown>,
  test: (run: Run.RunShape) => Effect.Effect<A, E, R>
) =>
  Recorder.Recorder.pipe(
    Effect.flatMap(({ open }) => open(ids)),
    Effect.flatMap(test),
    Effect.scoped,
    Effect.provide(Layer.provide(Recorder.layer(), store))
  )

/** Commits so many facts at once. */
const commit = (run: Run.RunShape, facts: number) =>
  Effect.andThen(run.emitAll(Array.from({ length: facts }, (_, index) => inference(index))), run.flush())

/** Commits until all that is known of the end of the ledger is in memory, and all statements are prepared. */
const warm = (run: Run.RunShape) => Effect.forEach([100, 100, 1, 1], (facts) => commit(run, facts), { discard: true })

/** The mocks made since are undone with the scope. */
const spies: Effect.Effect<typeof vi, never, Scope.Scope> = Effect.acquireRelease(Effect.succeed(vi), () =>
  Effect.sync(() => vi.restoreAllMocks())
)

describe("the statements of a commit", () => {
  const firstWords = ({ sourceSQL }: StatementSync) => sourceSQL.split(/\s+/).slice(0, 3).join(" ")

  for (const [facts, inserts] of [
    [1, 1],
    [100, 4]
  ] as const) {
    it.effect(`of ${facts} facts of a run: ${inserts} inserts, and five others, all of them prepared before`, () =>
      Effect.gen(function* () {
        const { spyOn } = yield* spies
        yield* withRun(layerInThread({ path: yield* newPath }), (run) =>
          Effect.gen(function* () {
            yield* warm(run)
            const all = spyOn(StatementSync.prototype, "all")
            const others = [
              ...(["get", "iterate", "run"] as const).map((name) => spyOn(StatementSync.prototype, name)),
              ...(["exec", "prepare"] as const).map((name) => spyOn(DatabaseSync.prototype, name))
            ]
            yield* commit(run, facts)
            assert.deepStrictEqual(
              all.mock.contexts.map((statement) => firstWords(statement as StatementSync)),
              [
                "BEGIN IMMEDIATE",
                "UPDATE writers SET",
                "PRAGMA data_version",
                ...Array.from({ length: inserts }, () => "INSERT INTO events"),
                "UPDATE runs SET",
                "COMMIT"
              ]
            )
            assert.deepStrictEqual(
              others.map(({ mock }) => mock.calls),
              [[], [], [], [], []]
            )
          })
        )
      })
    )
  }
})

describe("the messages of a commit", () => {
  for (const facts of [1, 100]) {
    it.effect(`of ${facts} facts between the threads: a request and an answer`, () =>
      Effect.gen(function* () {
        const { spyOn } = yield* spies
        yield* withRun(layer({ path: yield* newPath }), (run) =>
          Effect.gen(function* () {
            yield* warm(run)
            const sent = spyOn(Worker.prototype, "postMessage")
            const emitted = spyOn(Worker.prototype, "emit")
            yield* commit(run, facts)
            assert.deepStrictEqual(
              sent.mock.calls.map(([{ method }]) => method),
              ["append"]
            )
            assert.deepStrictEqual(
              emitted.mock.calls.map(([name]) => name),
              ["message"]
            )
          })
        )
      })
    )
  }
})

describe("the pages of a commit", () => {
  const frames = (path: string) => (statSync(`${path}-wal`).size - 32) / (24 + 4096)

  /**
   * How many pages a commit adds to the write-ahead log, on average of 40 commits; these are fewer than the 1,000 pages
   * after which SQLite begins that file anew. Now and then a page is full, and its neighbours take a part of it: which
   * ones, depends on the random part of the ids of events. The limits are what was found, and 10 % for that.
   */
  const framesOf = (facts: number) =>
    Effect.flatMap(newPath, (path) =>
      withRun(layerInThread({ path }), (run) =>
        Effect.gen(function* () {
          yield* warm(run)
          const before = frames(path)
          yield* Effect.replicateEffect(commit(run, facts), 40)
          return (frames(path) - before) / 40
        })
      )
    )

  it.effect("are 5 for 1 fact: one of each table and index that it writes", () =>
    Effect.gen(function* () {
      assert.isAtMost(yield* framesOf(1), 5.05 * 1.1)
    })
  )

  it.effect("are 18 for 100 facts", () =>
    Effect.gen(function* () {
      assert.isAtMost(yield* framesOf(100), 17.5 * 1.1)
    })
  )
})

describe("a ledger that was closed", () => {
  /** A step of 60 events, most of them deltas of a text. */
  const step = (messageId: string): ReadonlyArray<AgentEvent.AgentEvent> => {
    const call = { id: `call-${messageId}`, name: "read_file" }
    return [
      { _tag: "StepStart", messageId },
      ...Array.from({ length: 50 }, (): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta: "word " })),
      { _tag: "ToolCallStart", ...call },
      ...Array.from(
        { length: 4 },
        (): AgentEvent.AgentEvent => ({ _tag: "ToolCallDelta", id: call.id, argsDelta: "[]" })
      ),
      { _tag: "ToolCallReady", ...call, arguments: {} },
      {
        _tag: "ToolCallDone",
        id: call.id,
        messageId,
        result: { toolName: call.name, status: "success", data: {}, metadata: {} },
        outcome: "succeeded"
      },
      inference(1),
      { _tag: "StepEnd" }
    ]
  }

  it.effect("has 202 facts of a run of 20 steps and 1,200 events, 100 in a second", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      yield* withRun(layerInThread({ path }), (run) =>
        Effect.forEach(
          Array.from({ length: 20 }, (_, index) => step(`message-${index}`)).flat(),
          (event) => Effect.andThen(run.emit(event), TestClock.adjust("10 millis")),
          { discard: true }
        )
      ).pipe(Effect.provideService(Durability.Durability, "full_fidelity"))
      const database = new DatabaseSync(path, { readOnly: true })
      const rows = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .all()
        .map(({ name }) => [name, database.prepare(`SELECT count(*) AS rows FROM ${name}`).get()?.["rows"]])
      database.close()
      assert.deepStrictEqual(Object.fromEntries(rows), {
        ledger: 1,
        threads: 1,
        runs: 1,
        names: 12,
        writers: 1,
        events: 202
      })
    })
  )

  it.effect("has 158 bytes for a fact with a payload of 35", () =>
    Effect.gen(function* () {
      const path = yield* newPath
      yield* Effect.flatMap(EventStore.EventStore, (store) =>
        Effect.forEach([0, 1, 2, 3, 4], (thousand) => store.append(events(thousand * 1000 + 1, thousand * 1000 + 1000)))
      ).pipe(Effect.provide(layerInThread({ path })))
      // The ids are the same each time, so the slack of 3 % is for another SQLite: less than any index takes.
      assert.isAtMost(statSync(path).size / 5000, 158.1 * 1.03)
    })
  )
})
