/**
 * Who waits for a decision, by the ledger alone, and what becomes of one.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  type AgentEvent,
  Approval,
  CanonicalEvent,
  Durability,
  EventStore,
  type Lifecycle,
  LedgerError,
  MemoryEventStore,
  Recorder,
  Redaction,
  type Run,
  RunView,
  StagedEvent
} from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Effect, Fiber, Layer, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { factsOf, kindsOf, startProcess, storeAround } from "./support.ts"

const ready = (id: string): AgentEvent.AgentEvent => ({
  _tag: "ToolCallReady",
  id,
  name: "deploy",
  arguments: { of: id }
})
const asks = (id: string, suspensionId = `perm_${id}`): AgentEvent.AgentEvent => ({
  _tag: "ToolCallDone",
  id,
  messageId: "m",
  result: {
    toolName: "deploy",
    status: "pending",
    data: null,
    metadata: {},
    suspension: {
      suspension: { id: suspensionId, action: "tool:Confirm", message: "may it?", parameters: null },
      pending: { id: suspensionId, name: "confirm", arguments: null },
      resumeMode: "replay_tool_call"
    }
  },
  outcome: "suspended"
})
const succeeds = (id: string): AgentEvent.AgentEvent => ({
  _tag: "ToolCallDone",
  id,
  messageId: "m",
  result: { toolName: "deploy", status: "success", data: 1, metadata: {} },
  outcome: "succeeded"
})
const finish = (runId: string, termination: Lifecycle.TerminationReason): AgentEvent.AgentEvent => ({
  _tag: "RunFinish",
  threadId: "t",
  runId,
  termination
})
const text: AgentEvent.AgentEvent = { _tag: "TextDelta", delta: "words" }
const inference: AgentEvent.AgentEvent = { _tag: "InferenceComplete", model: "m", durationMs: 1 }

const executing = (run: Run.RunShape, id: string) =>
  run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id, name: "deploy" })

/** Records a run with these events; it waits afterwards, unless they say otherwise. */
const recorded = (runId: string, events: ReadonlyArray<AgentEvent.AgentEvent>, last?: Lifecycle.TerminationReason) =>
  Effect.gen(function* () {
    const { open } = yield* Recorder.Recorder
    const run = yield* open({ threadId: "t", runId })
    yield* run.emitAll([...events, finish(runId, last ?? { _tag: "Suspended" })])
    yield* run.close
  }).pipe(Effect.scoped, Effect.provide(Recorder.layer()))

/** Records a run whose process dies while it executes a call. */
const dead = (runId: string, id: string) =>
  Effect.gen(function* () {
    const process = yield* startProcess()
    const run = yield* process.open({ threadId: "t", runId })
    yield* run.emitAll([ready(id), inference])
    yield* executing(run, id)
    yield* run.flush()
    yield* process.kill
  })

const again = { threadId: "t", runId: "again" }

const pending = Stream.runCollect(Approval.pending)
const brief = Effect.map(pending, (all) => all.map(({ callId, runId, state }) => `${runId} ${callId} ${state}`))

const viewOf = (runId: string) => Effect.map(factsOf(runId), (facts) => RunView.fromFacts(runId, facts))
const resolutions = Effect.map(factsOf(), (facts) => facts.filter(({ kind }) => kind === "ToolPermissionResolved"))

/** The fact of a run without an event of its own. */
const staged = (
  kind: CanonicalEvent.Kind,
  payload: unknown,
  ids: Partial<StagedEvent.StagedEvent> = { threadId: "t", runId: "r" }
) => {
  const [made] = Result.getOrThrow(
    StagedEvent.make(
      [
        {
          fidelity: "domain_event",
          draft: { scopes: [], kind, payload, origin: "native", visibility: "public", schemaVersion: 1 }
        }
      ],
      { occurredAt: 1000 }
    )
  )
  assert.isDefined(made)
  return { ...made, ...ids }
}

const append = (...batch: ReadonlyArray<StagedEvent.StagedEvent>) =>
  Effect.flatMap(EventStore.EventStore, (store) => store.append(batch))

const fails = <E extends { readonly _tag: string }, A, R>(
  tag: E["_tag"],
  message: RegExp,
  effect: Effect.Effect<A, E, R>
) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error._tag, tag)
    assert.match(String(Reflect.get(error, "message")), message)
    return error
  })

const memory = MemoryEventStore.layer

describe("what waits for a decision", () => {
  it.effect("is what asked for a permission, with all that a person must know", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust(5000)
      yield* recorded("r", [text, ready("c1"), inference, asks("c1"), ready("c2"), succeeds("c2")])
      assert.deepStrictEqual(yield* pending, [
        {
          callId: "c1",
          runId: "r",
          threadId: "t",
          tool: "deploy",
          arguments: { of: "c1" },
          requestedAt: 5000,
          state: "waits_for_permission",
          suspensionId: "perm_c1",
          message: "may it?"
        }
      ])
    }).pipe(Effect.provide(memory))
  )

  it.effect("is what was executing when its process died, once the run is interrupted", () =>
    Effect.gen(function* () {
      yield* dead("r", "c1")
      assert.deepStrictEqual(yield* pending, [])
      yield* TestClock.adjust(5000)
      yield* Recorder.recover
      const [only, ...others] = yield* pending
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(only, {
        callId: "c1",
        runId: "r",
        threadId: "t",
        tool: "deploy",
        arguments: { of: "c1" },
        requestedAt: 5000,
        state: "outcome_unknown"
      })
    }).pipe(Effect.provide(memory))
  )

  it.effect("is what is known to have been executing by its output alone", () =>
    Effect.gen(function* () {
      yield* append(
        staged("RunStarted", null),
        staged("ToolCallReady", ready("c1")),
        staged("ToolCallStreamDeltaObserved", { _tag: "ToolCallStreamDelta", id: "c1", name: "deploy", delta: "…" }),
        staged("RunInterrupted", null)
      )
      assert.deepStrictEqual(yield* brief, ["r c1 outcome_unknown"])
    }).pipe(Effect.provide(memory))
  )

  it.effect("is nothing in a run that ended, and in one that was interrupted what it asked", () =>
    Effect.gen(function* () {
      yield* recorded("natural", [asks("c")], { _tag: "NaturalEnd" })
      yield* recorded("failed", [asks("c")], { _tag: "Error", message: "no" })
      yield* recorded("cancelled", [asks("c")], { _tag: "Cancelled" })
      yield* recorded("stopped", [asks("c")], { _tag: "Stopped", code: "interrupted" })
      yield* append(
        staged("RunStarted", { _tag: "RunStart", threadId: "t", runId: "r" }),
        staged("ToolPermissionRequested", asks("c")),
        staged("RunInterrupted", { threadId: "t", runId: "r", openCalls: [] })
      )
      assert.deepStrictEqual(yield* brief, ["r c waits_for_permission"])
    }).pipe(Effect.provide(memory))
  )

  it.effect("reads no texts, and never writes", () => {
    const { calls, layer } = storeAround()
    const filters: Array<ReadonlyArray<string> | undefined> = []
    return Effect.gen(function* () {
      yield* recorded("r", [text, ready("c1"), inference, asks("c1")])
      const appends = calls.length
      const store = yield* EventStore.EventStore
      const seen = EventStore.EventStore.of({
        ...store,
        read: (options) => {
          filters.push(options.filter?.kinds)
          return store.read({ ...options, limit: 1 })
        }
      })
      // A fact a page: the pages are one run.
      assert.lengthOf(yield* Effect.provideService(pending, EventStore.EventStore, seen), 1)
      assert.isAbove(filters.length, 3)
      assert.isTrue(filters.every((kinds) => kinds !== undefined && !kinds.includes("MessageCommitted")))
      assert.lengthOf(calls, appends)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is told of what is left where payloads were not kept", () =>
    Effect.gen(function* () {
      const truncated = { bytes: 9, sha256: "" }
      yield* append(
        staged("RunStarted", null),
        staged("ToolPermissionRequested", { id: "c1", truncated }),
        staged("ToolPermissionRequested", { withheld: "not_json" }),
        staged("ToolPermissionRequested", null),
        staged("ToolCallExecuting", { id: "c2", withheld: "not_redacted" }),
        staged("ToolPermissionResolved", { id: 7, approved: "yes" }),
        staged("RunInterrupted", { threadId: "t", runId: "r", truncated })
      )
      assert.deepStrictEqual(yield* brief, ["r c1 waits_for_permission", "r c2 outcome_unknown"])
      yield* Approval.decide({ callId: "c1", approved: true })
      yield* fails("AlreadyDecided", /was approved/, Approval.decide({ callId: "c1", approved: true }))
      yield* Approval.decide({ callId: "c2", approved: false })
      assert.deepStrictEqual(yield* brief, [])
      const store = yield* EventStore.EventStore
      yield* append(staged("ToolPermissionRequested", { id: "c3", truncated }))
      assert.lengthOf(yield* brief, 1)
      yield* store.erase({ threadId: "t" })
      assert.deepStrictEqual(yield* brief, [])
      yield* fails("NotFound", /no tool call "c3"/, Approval.decide({ callId: "c3", approved: true }))
    }).pipe(Effect.provide(memory))
  )

  const decision = Arbitrary.all([
    Arbitrary.schema(Schema.Literals(["ToolCallExecuting", "ToolPermissionResolved", "RunInterrupted"])),
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))),
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })))
  ])

  it.effect.prop(
    "is what a view of all facts says",
    [Arbitraries.stream({ threadId: "t", runId: "r" }), Arbitrary.array(decision, { maxLength: 8 })],
    ([events, decisions]) =>
      Effect.gen(function* () {
        yield* recorded("r", events).pipe(Effect.provideService(Durability.Durability, "full_fidelity"))
        const ids = events.flatMap((event) =>
          event._tag === "ToolCallDone" || event._tag === "ToolCallReady" ? [event.id] : []
        )
        const facts = (yield* factsOf("r")).map(({ payload, kind }) => staged(kind, payload, again))
        // The same run once more, with decisions, executions and interruptions in between.
        const others = decisions.map(([kind, at, of]) => {
          const id = ids[of % Math.max(ids.length, 1)] ?? "c"
          return [
            at,
            staged(kind, { id, name: "n", approved: true, threadId: "t", runId: "r", openCalls: [] })
          ] as const
        })
        const all = facts.flatMap((fact, index) =>
          [fact].concat(others.flatMap(([at, other]) => (at % facts.length === index ? [other] : [])))
        )
        yield* append(...all)
        const view = RunView.fromFacts("again", yield* factsOf("again"))
        const waits = view.permissions.map(({ callId }) => callId)
        const unknown = RunView.calls(view).filter(({ state }) => state === "unknown")
        const expected = [...new Set([...waits, ...unknown.map(({ id }) => id)])]
          .map((id) => RunView.call(view, id) ?? { id, approval: undefined, arguments: undefined, state: undefined })
          .filter(({ approval }) => approval === undefined)
          .map(({ id, state, ...call }) => [id, state === "unknown", call.arguments])
        const isOver = view.status === "done" && view.doneReason !== "interrupted"
        const found = (yield* pending).filter(({ runId }) => runId === "again")
        assert.sameDeepMembers(
          found.map((one) => [one.callId, one.state === "outcome_unknown", one.arguments]),
          isOver ? [] : expected
        )
      }).pipe(Effect.provide(Layer.fresh(memory))),
    { arbitrary: { runs: 500 } }
  )
})

describe("a decision", () => {
  it.effect("is one fact of the run, which its view has as the approval of the call", () =>
    Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), inference, asks("c1")])
      const store = yield* EventStore.EventStore
      const before = yield* store.run("r")
      yield* TestClock.adjust(7000)
      const { decisionId, ...decision } = yield* Approval.decide({ callId: "c1", approved: false, reason: "too late" })
      assert.match(decisionId, /^[0-9a-f-]{36}$/)
      assert.deepInclude(decision, { callId: "c1", runId: "r", approved: false, reason: "too late", decidedAt: 7000 })
      const [fact, ...others] = yield* resolutions
      assert.deepStrictEqual(others, [])
      assert.deepInclude(fact, {
        threadId: "t",
        runId: "r",
        fidelity: "domain_event",
        visibility: "public",
        origin: "approval",
        occurredAt: 7000,
        payload: { id: "c1", suspensionId: "perm_c1", approved: false, decisionId, reason: "too late" }
      })
      const { facts, updatedAt: _, ...after } = yield* store.run("r")
      const { facts: factsBefore, updatedAt: __, ...rest } = before
      assert.deepStrictEqual([after, facts], [rest, factsBefore + 1])
      const view = yield* viewOf("r")
      assert.deepStrictEqual(RunView.call(view, "c1")?.approval, { approved: false, reason: "too late" })
      assert.deepStrictEqual(view.permissions, [])
      assert.deepStrictEqual(yield* pending, [])
    }).pipe(Effect.provide(memory))
  )

  it.effect("can be addressed to a suspension, which is not the next one of the same call", () =>
    Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), asks("c1", "first")])
      yield* Approval.decide({ callId: "first", approved: true })
      assert.deepStrictEqual((yield* resolutions)[0]?.payload, {
        ...Object((yield* resolutions)[0]?.payload),
        id: "c1",
        suspensionId: "first"
      })
      yield* recorded("r", [{ _tag: "RunStart", threadId: "t", runId: "r" }, asks("c1", "second")])
      assert.deepStrictEqual(yield* brief, ["r c1 waits_for_permission"])
      yield* fails("AlreadyDecided", /was approved/, Approval.decide({ callId: "first", approved: true }))
      yield* Approval.decide({ callId: "second", approved: true })
      assert.deepStrictEqual(yield* brief, [])
    }).pipe(Effect.provide(memory))
  )

  it.effect("on an unknown outcome counts until the call is executed again", () =>
    Effect.gen(function* () {
      yield* dead("r", "c1")
      yield* fails("AlreadyDecided", /it is executing/, Approval.decide({ callId: "c1", approved: true }))
      yield* Recorder.recover
      yield* Approval.decide({ callId: "c1", approved: true })
      assert.deepInclude((yield* resolutions)[0]?.payload, { id: "c1", suspensionId: "", reason: "" })
      assert.deepStrictEqual(yield* brief, [])
      yield* append(
        staged("RunResumed", { _tag: "RunStart", threadId: "t", runId: "r" }),
        staged("ToolCallExecuting", { id: "c1", name: "deploy" })
      )
      yield* fails(
        "AlreadyDecided",
        /was approved at .*it is executing/,
        Approval.decide({ callId: "c1", approved: true })
      )
      yield* append(staged("RunInterrupted", { threadId: "t", runId: "r", openCalls: [] }))
      assert.deepStrictEqual(yield* brief, ["r c1 outcome_unknown"])
      yield* Approval.decide({ callId: "c1", approved: false })
      assert.deepInclude(RunView.call(yield* viewOf("r"), "c1"), { approval: { approved: false, reason: "" } })
    }).pipe(Effect.provide(memory))
  )

  it.effect("answers the permission and the unknown outcome of one call at once", () =>
    Effect.gen(function* () {
      yield* append(
        staged("RunStarted", null),
        staged("ToolCallSuspended", asks("c1")),
        staged("ToolPermissionRequested", asks("c1")),
        staged("ToolCallExecuting", { id: "c1", name: "deploy" }),
        staged("RunInterrupted", null)
      )
      assert.deepStrictEqual(yield* brief, ["r c1 outcome_unknown"])
      yield* Approval.decide({ callId: "c1", approved: true })
      assert.deepStrictEqual(yield* brief, [])
      assert.deepStrictEqual((yield* viewOf("r")).permissions, [])
    }).pipe(Effect.provide(memory))
  )

  it.effect("is refused, and says why, when nothing waits", () =>
    Effect.gen(function* () {
      const decide = (callId: string, runId?: string) => Approval.decide({ callId, approved: true, runId })
      yield* recorded("r", [ready("c1"), asks("c1"), ready("c2"), succeeds("c2"), ready("c3")])
      yield* recorded("over", [ready("c4"), asks("c4")], { _tag: "NaturalEnd" })
      yield* decide("c1")
      const error = yield* fails("AlreadyDecided", /waits for no decision: it was approved at 1970-.*Z$/, decide("c1"))
      assert.deepInclude(error, { callId: "c1", runId: "r", approved: true, decidedAt: 0 })
      yield* fails("AlreadyDecided", /: it has succeeded$/, decide("c2"))
      yield* fails("AlreadyDecided", /: nobody was asked$/, decide("c3"))
      yield* fails("AlreadyDecided", /: it is suspended.*, its run has ended \(natural\)$/, decide("c4"))
      yield* fails("AlreadyDecided", /its run has ended \(natural\)$/, decide("c4", "over"))
      yield* fails("NotFound", /^there is no tool call "c9" in this ledger$/, decide("c9"))
      yield* fails("NotFound", /^there is no tool call "c1" in run "over" of this ledger$/, decide("c1", "over"))
      yield* fails("NotFound", /in run "none" of this ledger$/, decide("c1", "none"))
      assert.lengthOf(yield* resolutions, 1)
    }).pipe(Effect.provide(memory))
  )

  it.effect("on a call that two runs have needs the run", () =>
    Effect.gen(function* () {
      yield* recorded("over", [ready("c1"), asks("c1")], { _tag: "NaturalEnd" })
      yield* recorded("one", [ready("c1"), asks("c1")])
      yield* recorded("two", [ready("c1"), asks("c1")])
      const error = yield* fails(
        "AmbiguousCall",
        /each of the runs "one", "two"; say which run is meant$/,
        Approval.decide({ callId: "c1", approved: true })
      )
      assert.deepInclude(error, { runIds: ["one", "two"] })
      yield* Approval.decide({ callId: "c1", approved: true, runId: "two" })
      // Who was meant to be approved may be the one that somebody just decided on.
      yield* fails("AmbiguousCall", /"one", "two"/, Approval.decide({ callId: "c1", approved: true }))
      assert.deepStrictEqual(yield* brief, ["one c1 waits_for_permission"])
    }).pipe(Effect.provide(memory))
  )

  it.live("of many who decide at once is that of one", () =>
    Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), asks("c1")])
      const store = yield* EventStore.EventStore
      // Each has read before the first appends.
      const slow = EventStore.EventStore.of({
        ...store,
        append: (batch, options) => Effect.andThen(Effect.sleep("20 millis"), store.append(batch, options))
      })
      const exits = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => index),
        (index) => Effect.result(Approval.decide({ callId: "c1", approved: index % 2 === 0, reason: `${index}` })),
        { concurrency: "unbounded" }
      ).pipe(Effect.provideService(EventStore.EventStore, slow))
      const [winner, ...others] = exits.filter(Result.isSuccess)
      assert.deepStrictEqual(others, [])
      const [fact, ...more] = yield* resolutions
      assert.deepStrictEqual(more, [])
      assert.deepInclude(fact?.payload, { decisionId: winner?.success.decisionId, reason: winner?.success.reason })
      for (const exit of exits.filter(Result.isFailure)) {
        const { _tag, approved } = Object(exit.failure)
        assert.deepStrictEqual([_tag, approved], ["AlreadyDecided", winner?.success.approved])
      }
    }).pipe(Effect.provide(memory))
  )

  it.live("is made while others append to the run", () =>
    Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), asks("c1")])
      const store = yield* EventStore.EventStore
      let appends = 0
      const busy = EventStore.EventStore.of({
        ...store,
        append: (batch, options) =>
          Effect.suspend(() => {
            appends += 1
            return appends > 5 ? Effect.void : store.append([staged("app.note", appends)])
          }).pipe(Effect.andThen(store.append(batch, options)))
      })
      yield* Approval.decide({ callId: "c1", approved: true }).pipe(Effect.provideService(EventStore.EventStore, busy))
      assert.strictEqual(appends, 6)
      assert.lengthOf(yield* resolutions, 1)
    }).pipe(Effect.provide(memory))
  )

  it.effect("is given up when others never stop, and when the ledger cannot be written", () => {
    let failure: LedgerError.AppendError | undefined
    const { layer } = storeAround((append) => (failure === undefined ? append : Effect.fail(failure)))
    return Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), asks("c1")])
      const giveUp = Effect.gen(function* () {
        const deciding = yield* Effect.forkChild(Approval.decide({ callId: "c1", approved: true }))
        for (let second = 0; second < 20; second += 1) {
          yield* TestClock.adjust("1 second")
        }
        return yield* Fiber.join(deciding)
      })
      failure = new LedgerError.ExpectedCursorConflict({ message: "somebody was faster", actual: "" })
      yield* fails("UnavailableError", /^run "r" is being written to all the time, .*; try again$/, giveUp)
      failure = new LedgerError.UnavailableError({ message: "the disk is full" })
      yield* fails("UnavailableError", /^the disk is full$/, giveUp)
      assert.lengthOf(yield* resolutions, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("whose answer was lost is sent again, and is there once", () => {
    let lose = false
    const unavailable = new LedgerError.UnavailableError({ message: "the connection was lost" })
    const { layer } = storeAround((append) => {
      const lost = lose
      lose = false
      return lost ? Effect.andThen(append, Effect.fail(unavailable)) : append
    })
    return Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), asks("c1")])
      lose = true
      const deciding = yield* Effect.forkChild(Approval.decide({ callId: "c1", approved: true }))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(deciding)
      assert.lengthOf(yield* resolutions, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves a run alone that somebody has open", () =>
    Effect.gen(function* () {
      const process = yield* startProcess()
      const run = yield* process.open({ threadId: "t", runId: "r" })
      yield* run.emitAll([ready("c1"), inference, asks("c1")])
      yield* run.flush()
      const store = yield* EventStore.EventStore
      const { ordinal, state } = yield* store.run("r")
      yield* Approval.decide({ callId: "c1", approved: true })
      const after = yield* store.run("r")
      assert.deepStrictEqual([after.status, after.ordinal, after.state], ["running", ordinal, state])
      yield* executing(run, "c1")
      yield* run.emitAll([succeeds("c1"), text, inference])
      yield* run.flush()
      yield* run.close
      yield* process.stop
      assert.deepStrictEqual(kindsOf(yield* factsOf("r")), [
        "RunStarted",
        "ToolCallReady",
        "MessageCommitted",
        "InferenceComplete",
        "ToolCallSuspended",
        "ToolPermissionRequested",
        "ToolPermissionResolved",
        "ToolCallExecuting",
        "ToolCallDone",
        "MessageCommitted",
        "InferenceComplete",
        "RunFinished"
      ])
      const view = yield* viewOf("r")
      assert.deepInclude(RunView.call(view, "c1"), { state: "succeeded", approval: undefined })
      assert.deepInclude(yield* store.run("r"), { status: "done", doneReason: "natural" })
      // Another recorder can go on with the run, after the last ordinal.
      yield* recorded("r", [{ _tag: "RunStart", threadId: "t", runId: "r" }, asks("c1", "again")])
      yield* Approval.decide({ callId: "again", approved: true })
      yield* recorded("r", [{ _tag: "RunStart", threadId: "t", runId: "r" }, text], { _tag: "NaturalEnd" })
      const ordinals = (yield* factsOf("r")).flatMap(({ ordinal = 0 }) => (ordinal === 0 ? [] : [ordinal]))
      assert.deepStrictEqual(
        ordinals,
        ordinals.toSorted((a, b) => a - b)
      )
    }).pipe(Effect.provide(memory))
  )

  it.effect("has no secrets in its reason", () =>
    Effect.gen(function* () {
      yield* recorded("r", [ready("c1"), asks("c1")])
      const withRedactor = (redact: (text: string) => string) =>
        Approval.decide({ callId: "c1", approved: true, reason: "the key is s3cret" }).pipe(
          Effect.provideService(Redaction.Redaction, { redact, longest: 9 })
        )
      yield* fails(
        "ValidationError",
        /the reason could not be redacted/,
        withRedactor(() => {
          throw new Error("no")
        })
      )
      const { reason } = yield* withRedactor((text) => text.replace("s3cret", "…"))
      assert.strictEqual(reason, "the key is …")
      assert.deepInclude((yield* resolutions)[0]?.payload, { reason: "the key is …" })
    }).pipe(Effect.provide(memory))
  )

  it.effect("finds a run of which facts were pruned while it was read", () =>
    Effect.gen(function* () {
      yield* dead("r", "c1")
      yield* Recorder.recover
      const store = yield* EventStore.EventStore
      let reads = 0
      const seen = EventStore.EventStore.of({
        ...store,
        read: (options) =>
          Effect.suspend(() => {
            reads += 1
            return reads === 2
              ? Effect.fail(new LedgerError.CursorExpired({ message: "pruned" }))
              : store.read({ ...options, limit: 2 })
          })
      })
      const all = yield* Effect.provideService(pending, EventStore.EventStore, seen)
      assert.deepStrictEqual(
        all.map(({ callId }) => callId),
        ["c1"]
      )
      assert.isAbove(reads, 3)
    }).pipe(Effect.provide(memory))
  )
})
