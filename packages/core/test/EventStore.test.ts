import { assert, describe, it, layer } from "@effect/vitest"
import { Cursor, EventStore, type StagedEvent } from "@runledger/core"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { randomUUID } from "node:crypto"

const event = (kind: string, more: Partial<StagedEvent.StagedEvent> = {}): StagedEvent.StagedEvent => ({
  eventId: randomUUID(),
  kind,
  fidelity: "domain_event",
  visibility: "public",
  threadId: "t",
  runId: "r",
  payload: JSON.stringify({ kind }),
  origin: "native",
  schemaVersion: 1,
  occurredAt: 5,
  ...more
})

const run = { _tag: "Run", runId: "r" } as const
const thread = { _tag: "Thread", threadId: "t" } as const

layer(EventStore.layerMemory)("layerMemory, filled once", (it) => {
  const sent = [event("a"), event("b", { runId: "s" }), event("c"), event("d")]

  it.effect("numbers facts within thread, run and ledger", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      yield* TestClock.setTime(100)
      yield* store.append(sent.slice(0, 2))
      yield* store.append(sent)
      const { facts } = yield* store.read({ scope: Cursor.ledger })
      assert.deepStrictEqual(
        facts.map((fact) => [fact.kind, fact.position, fact.threadSequence, fact.runSequence, fact.recordedAt]),
        [
          ["a", 1, 1, 1, 100],
          ["b", 2, 2, 1, 100],
          ["c", 3, 3, 2, 100],
          ["d", 4, 4, 3, 100]
        ]
      )
      assert.deepStrictEqual(facts[0]?.payload, { kind: "a" })
      assert.strictEqual(yield* store.count(thread), 4)
      assert.strictEqual(yield* store.count(run), 3)
    })
  )

  it.effect("reads pages that add up, whatever their size", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      for (const limit of [1, 2, 3, 10]) {
        const kinds: Array<string> = []
        let page = yield* store.read({ scope: run, limit })
        kinds.push(...page.facts.map(({ kind }) => kind))
        while (page.hasMore) {
          page = yield* store.read({ scope: run, limit, after: page.next })
          kinds.push(...page.facts.map(({ kind }) => kind))
        }
        assert.deepStrictEqual(kinds, ["a", "c", "d"])
        const end = yield* store.read({ scope: run, after: page.next })
        assert.deepStrictEqual(end, { facts: [], next: page.next, hasMore: false })
      }
    })
  )

  it.effect("refuses a cursor of another scope, and one that is ahead of the ledger", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      for (const after of [
        Cursor.make(thread, 1),
        Cursor.make({ _tag: "Run", runId: "s" }, 1),
        Cursor.make(Cursor.ledger, 1),
        Cursor.make(run, 4),
        Cursor.Cursor.make("1"),
        Cursor.Cursor.make("")
      ]) {
        const error = yield* Effect.flip(store.read({ scope: run, after }))
        assert.strictEqual(error._tag, "CursorExpired")
      }
    })
  )

  it.effect("finds a fact by its id", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      assert.strictEqual((yield* store.get(sent[2]?.eventId ?? "")).kind, "c")
      assert.strictEqual((yield* Effect.flip(store.get(randomUUID())))._tag, "NotFound")
    })
  )

  it.effect("reads an unknown scope as empty", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      assert.deepStrictEqual(yield* store.read({ scope: { _tag: "Run", runId: "nobody" } }), {
        facts: [],
        next: undefined,
        hasMore: false
      })
    })
  )
})

describe("runs", () => {
  it.effect("stand where their last telling fact left them", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      const finish = (kind: string, runId: string, termination: object) =>
        event(kind, { runId, payload: JSON.stringify({ _tag: "RunFinish", termination }) })
      yield* store.append([
        event("RunStarted", { runId: "a" }),
        event("RunStarted", { runId: "b" }),
        event("StepStarted", { runId: "c" }),
        finish("RunTerminated", "a", { _tag: "Stopped", code: "max_turns" }),
        finish("RunSuspended", "b", { _tag: "Suspended" }),
        event("ToolCallReady", { runId: "b" }),
        event("RunTerminated", { runId: "d", payload: JSON.stringify({ truncated: { bytes: 9 } }) })
      ])
      const runs = yield* store.runs
      assert.deepStrictEqual(
        runs.map(({ doneReason, facts, runId, status }) => [runId, status, doneReason, facts]),
        [
          ["a", "done", "stopped:max_turns", 2],
          ["b", "waiting", undefined, 3],
          ["c", "created", undefined, 1],
          ["d", "done", undefined, 1]
        ]
      )
    }).pipe(Effect.provide(EventStore.layerMemory))
  )
})
