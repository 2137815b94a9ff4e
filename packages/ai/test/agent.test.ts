import { assert, describe, it } from "@effect/vitest"
import {
  Approval,
  CanonicalEvent,
  Durability,
  EventSink,
  EventStore,
  MemoryEventStore,
  Recorder,
  Redaction,
  RunView
} from "@runledger/core"
import { Agent, Conversation } from "@runledger/ai/effect"
import { ScriptedModel } from "@runledger/testing"
import { Deferred, Effect, Fiber, Layer, Redacted, Schema, Stream } from "effect"
import { type Response, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"

const Look = Tool.make("look", { parameters: Schema.Struct({ at: Schema.String }), success: Schema.String })
const Delete = Tool.make("delete", {
  parameters: Schema.Struct({ path: Schema.String }),
  success: Schema.String,
  needsApproval: true
})
const Count = Tool.make("count", { parameters: Schema.Struct({}), success: Schema.Int }).annotate(Tool.Idempotent, true)
const tools = Toolkit.make(Look, Delete, Count)

const ids = { threadId: "t", runId: "r" }

/** The tools, and what was done with them. */
const toolsThat = (handle: (name: string) => Effect.Effect<string> = (name) => Effect.succeed(`${name} done`)) => {
  const done: Array<string> = []
  const used = (name: string, what: string) =>
    Effect.suspend(() => {
      done.push(`${name} ${what}`)
      return handle(name)
    })
  const layer = tools.toLayer({
    look: ({ at }) => used("look", at),
    delete: ({ path }) => used("delete", path),
    count: () => Effect.as(used("count", ""), 3)
  })
  return { done, layer }
}

const { answer, call, text } = ScriptedModel

const agent = (options: Partial<Agent.Options<typeof tools.tools>> = {}) =>
  Effect.flatMap(tools, (toolkit) => Agent.run({ ...ids, input: "Tidy up.", toolkit, ...options }))

const viewOf = Effect.fnUntraced(function* (runId = "r") {
  const store = yield* EventStore.EventStore
  const { facts } = yield* store.read({ scope: { _tag: "Run", runId } })
  return { view: RunView.fromFacts(runId, facts), kinds: facts.map(({ kind }) => kind), facts }
})

const script = [
  answer(text("Let me look."), call("1", "look", { at: "a" }), call("2", "look", { at: "b" })),
  answer(call("3", "delete", { path: "a" })),
  answer(text("All tidy."))
]

const inMemory = Effect.provide(Layer.fresh(MemoryEventStore.layer))

const process = (model: ReadonlyArray<ScriptedModel.Answer>, used: ReturnType<typeof toolsThat>) =>
  Layer.mergeAll(Recorder.layer(), ScriptedModel.layer(model), used.layer)

describe("an agent", () => {
  it.effect("asks the model, runs its tools, and waits for an approval; then it goes on", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const first = yield* agent().pipe(Effect.provide(process(script, used)))
      assert.strictEqual(first._tag, "Suspended")
      assert.deepStrictEqual(used.done, ["look a", "look b"])
      const { view } = yield* viewOf()
      assert.strictEqual(view.status, "waiting")
      assert.deepStrictEqual(
        view.permissions.map(({ callId, toolName }) => [callId, toolName]),
        [["3", "delete"]]
      )
      const again = yield* agent().pipe(Effect.provide(process(script, used)))
      assert.strictEqual(again._tag, "Suspended")
      yield* Approval.decide({ callId: "3", approved: true })
      const last = yield* agent().pipe(Effect.provide(process(script, used)))
      assert.deepStrictEqual(last, { _tag: "Finished", text: "All tidy." })
      assert.deepStrictEqual(used.done, ["look a", "look b", "delete a"])
      const after = yield* viewOf()
      assert.deepInclude(after.view, { status: "done", doneReason: "natural", inferences: 3 })
      assert.deepStrictEqual(
        RunView.calls(after.view).map(({ state }) => state),
        ["succeeded", "succeeded", "succeeded"]
      )
    }).pipe(inMemory)
  })

  it.effect("tells the model that somebody did not approve", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      yield* agent().pipe(Effect.provide(process(script, used)))
      yield* Approval.decide({ callId: "3", approved: false, reason: "keep it" })
      const last = yield* agent().pipe(Effect.provide(process(script, used)))
      assert.strictEqual(last._tag, "Finished")
      assert.deepStrictEqual(used.done, ["look a", "look b"])
      const prompt = yield* Conversation.prompt("t")
      const results = prompt.content.flatMap((message) => (message.role === "tool" ? message.content : []))
      assert.deepInclude(results.at(-1), {
        id: "3",
        isFailure: true,
        result: { type: "execution-denied", reason: "keep it" }
      })
    }).pipe(inMemory)
  })

  it.effect("asks for no approval of a call twice, and decides on it once", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      yield* agent().pipe(Effect.provide(process(script, used)))
      yield* Approval.decide({ callId: "3", approved: true })
      const again = yield* Effect.flip(Approval.decide({ callId: "3", approved: false }))
      assert.strictEqual(again._tag, "AlreadyDecided")
      yield* agent().pipe(Effect.provide(process(script, used)))
      const { kinds } = yield* viewOf()
      assert.lengthOf(
        kinds.filter((kind) => kind === "ToolPermissionRequested"),
        1
      )
      assert.strictEqual((yield* Effect.flip(Approval.decide({ callId: "3", approved: true })))._tag, "AlreadyDecided")
    }).pipe(inMemory)
  })

  it.effect("hands on every part as it is, in order, and what its tools add", () => {
    const seen: Array<Response.AnyPart> = []
    return Effect.gen(function* () {
      yield* agent({ onPart: (part) => Effect.sync(() => void seen.push(part)) }).pipe(
        Effect.provide(process(script, toolsThat()))
      )
      const said = (script[0]?.parts ?? []).map(({ type }) => type)
      const [first, second] = [seen.slice(0, said.length), seen.slice(said.length)]
      assert.deepStrictEqual<unknown>(
        first.map(({ type }) => type),
        said
      )
      assert.deepStrictEqual(
        second.slice(0, 2).map(({ type }) => type),
        ["tool-result", "tool-result"]
      )
      assert.strictEqual(second.at(-1)?.type, "tool-approval-request")
    }).pipe(inMemory)
  })

  it.effect("commits that a tool is about to run before it runs", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      const committed: Array<boolean> = []
      const used = toolsThat(() =>
        Effect.gen(function* () {
          const { facts } = yield* Effect.orDie(store.read({ scope: { _tag: "Run", runId: "r" } }))
          committed.push(facts.some(CanonicalEvent.isKind("ToolCallExecuting")))
          return ""
        })
      )
      yield* agent().pipe(Effect.provide(process(script, used)))
      assert.deepStrictEqual(committed, [true, true])
    }).pipe(inMemory)
  )

  it.effect("runs no tool whose call cannot be committed", () =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      const used = toolsThat()
      const broken = EventStore.EventStore.of({
        ...store,
        append: (batch, options) =>
          batch.some(({ kind }) => kind === "ToolCallExecuting") ? Effect.die("no more") : store.append(batch, options)
      })
      const running = yield* Effect.forkChild(
        Effect.exit(
          agent().pipe(
            Effect.provide(
              Layer.mergeAll(Recorder.layer({ onStoreFailure: "failRun" }), ScriptedModel.layer(script), used.layer)
            ),
            Effect.provideService(EventStore.EventStore, broken)
          )
        )
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* Fiber.join(running))._tag, "Failure")
      assert.deepStrictEqual(used.done, [])
    }).pipe(inMemory)
  )

  /** A process that dies while these tools run: what it has committed is all that is left of it. */
  const died = (...calls: ReadonlyArray<readonly [id: string, name: string]>) =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      yield* Effect.scoped(
        Effect.gen(function* () {
          const recorder = yield* Recorder.Recorder
          const run = yield* recorder.open(ids)
          yield* run.emit({ _tag: "RunStart", ...ids })
          yield* run.message({ role: "user", parts: [{ _tag: "Text", text: "Tidy up." }] })
          for (const [id, name] of calls) {
            yield* run.emit({ _tag: "ToolCallReady", id, name, arguments: name === "count" ? {} : { at: "a" } })
          }
          yield* run.emit({ _tag: "InferenceComplete", model: "m", durationMs: 1 })
          for (const [id, name] of calls) {
            yield* run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id, name })
          }
          yield* run.flush()
        }).pipe(Effect.provide(Recorder.layer()))
      ).pipe(
        Effect.provideService(EventStore.EventStore, {
          ...store,
          append: (batch, options) =>
            batch.some(({ kind }) => kind === "RunFinished" || kind === "RunCancelled")
              ? Effect.void
              : store.append(batch, options)
        })
      )
    })

  const finished = [answer(text("-")), answer(text("Done."))]

  it.effect("does not run a tool again whose outcome is unknown, before somebody says so", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      yield* died(["1", "look"])
      const waiting = yield* agent().pipe(Effect.provide(process(finished, used)))
      assert.strictEqual(waiting._tag, "Suspended")
      assert.deepStrictEqual(used.done, [])
      const pending = yield* Stream.runCollect(Approval.pending)
      assert.deepStrictEqual(
        pending.map(({ callId, state }) => [callId, state]),
        [["1", "outcome_unknown"]]
      )
      yield* Approval.decide({ callId: "1", approved: true })
      const last = yield* agent().pipe(Effect.provide(process(finished, used)))
      assert.strictEqual(last._tag, "Finished")
      assert.deepStrictEqual(used.done, ["look a"])
    }).pipe(inMemory)
  })

  it.effect(
    "tells the model of a call whose outcome stays unknown, when somebody decides that it does not run again",
    () => {
      const used = toolsThat()
      return Effect.gen(function* () {
        yield* died(["1", "look"])
        yield* agent().pipe(Effect.provide(process(finished, used)))
        yield* Approval.decide({ callId: "1", approved: false })
        const last = yield* agent().pipe(Effect.provide(process(finished, used)))
        assert.strictEqual(last._tag, "Finished")
        assert.deepStrictEqual(used.done, [])
        const { view } = yield* viewOf()
        assert.strictEqual(RunView.call(view, "1")?.state, "failed")
      }).pipe(inMemory)
    }
  )

  it.effect("runs a tool again that may be, and only that one", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      yield* died(["1", "count"], ["2", "look"])
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(finished, used))))._tag, "Suspended")
      assert.deepStrictEqual(used.done, ["count "])
    }).pipe(inMemory)
  })

  it.effect("goes on after its model failed, and after it was interrupted, with what the tools did", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const failing = [script[0], { ...script[1], failsAfter: 3 }] as ReadonlyArray<ScriptedModel.Answer>
      const failure = yield* Effect.flip(agent().pipe(Effect.provide(process(failing, used))))
      assert.strictEqual(failure._tag, "AiError")
      const { view } = yield* viewOf()
      assert.strictEqual(view.doneReason, "error")

      const hanging = yield* Deferred.make<void>()
      const running = yield* Effect.forkChild(
        agent({ onPart: () => Deferred.succeed(hanging, undefined) }).pipe(
          Effect.provide(Layer.merge(process(script, used), ScriptedModel.layer(script, { delay: "1 hour" })))
        )
      )
      yield* TestClock.adjust("90 minutes")
      yield* Deferred.await(hanging)
      yield* Fiber.interrupt(running)
      assert.strictEqual((yield* viewOf()).view.doneReason, "cancelled")

      assert.strictEqual((yield* agent().pipe(Effect.provide(process(script, used))))._tag, "Suspended")
      assert.deepStrictEqual(used.done, ["look a", "look b"])
    }).pipe(inMemory)
  })

  it.effect("stops when its model goes on forever, and when it has nothing to say", () =>
    Effect.gen(function* () {
      const endless = Array.from({ length: 9 }, (_, index) => answer(call(`c${index}`, "count", {})))
      const stopped = yield* agent({ maxSteps: 4 }).pipe(Effect.provide(process(endless, toolsThat())))
      assert.deepStrictEqual(stopped, { _tag: "Stopped", code: "max_steps", text: "" })
      const silent = yield* agent({ runId: "silent", threadId: "silent" }).pipe(
        Effect.provide(process([answer()], toolsThat()))
      )
      assert.deepStrictEqual(silent, { _tag: "Finished", text: "" })
    }).pipe(inMemory)
  )

  it.effect("tells the model that there is no such tool, and that arguments are none of it", () =>
    Effect.gen(function* () {
      const model = [answer(call("1", "fly", {}), call("2", "look", { nowhere: 1 })), answer(text("I see."))]
      const last = yield* agent().pipe(Effect.provide(process(model, toolsThat())), Effect.result)
      const { view } = yield* viewOf()
      assert.strictEqual(RunView.call(view, "1")?.state, "failed")
      assert.strictEqual(RunView.call(view, "2")?.state, "failed")
      assert.strictEqual(last._tag, "Failure")
    }).pipe(inMemory)
  )

  it.effect("runs as well when nothing is recorded", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const last = yield* agent().pipe(Effect.provide(process([script[0], answer(text("Done."))] as never, used)))
      assert.deepStrictEqual(last, { _tag: "Finished", text: "Done." })
      assert.deepStrictEqual((yield* viewOf()).facts, [])
    }).pipe(inMemory, Effect.provideService(Durability.Durability, "disabled"))
  })

  it.effect("is refused while somebody else has its run open", () =>
    Effect.gen(function* () {
      const held = yield* Effect.scoped(
        Effect.gen(function* () {
          const recorder = yield* Recorder.Recorder
          const run = yield* recorder.open(ids)
          yield* run.emit({ _tag: "RunStart", ...ids })
          yield* run.flush()
          return yield* Effect.flip(agent().pipe(Effect.provide(process(script, toolsThat()))))
        }).pipe(Effect.provide(Recorder.layer()))
      )
      assert.strictEqual(held._tag, "RunHeld")
    }).pipe(inMemory)
  )

  it.effect("tells calls apart that a provider gave the same id in each of its responses", () =>
    Effect.gen(function* () {
      const used = toolsThat((name) => Effect.succeed(`${name} ${used.done.length}`))
      const model = [
        answer(call("0", "look", { at: "a" })),
        answer(call("0", "look", { at: "b" })),
        answer(call("0", "look", { at: "c" })),
        answer(text("Done."))
      ]
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(model, used))))._tag, "Finished")
      assert.deepStrictEqual(used.done, ["look a", "look b", "look c"])
      const { content } = yield* Conversation.prompt("t")
      const said = content.flatMap((message) =>
        message.role === "assistant" || message.role === "tool"
          ? (message.content as ReadonlyArray<object>).map((part) => Object(part).params?.at ?? Object(part).result)
          : []
      )
      assert.deepStrictEqual(said, ["a", "look 1", "b", "look 2", "c", "look 3", undefined])
    }).pipe(inMemory)
  )

  it.effect("does not run a tool again that was interrupted, before somebody says so", () => {
    const started = Deferred.makeUnsafe<void>()
    const hanging = toolsThat(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
    const used = toolsThat()
    return Effect.gen(function* () {
      const model = [answer(call("1", "look", { at: "a" })), answer(text("Done."))]
      const running = yield* Effect.forkChild(agent().pipe(Effect.provide(process(model, hanging))))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(running)
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(model, used))))._tag, "Suspended")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Approval.pending)).map(({ callId, state }) => [callId, state]),
        [["1", "outcome_unknown"]]
      )
      yield* Approval.decide({ callId: "1", approved: true })
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(model, used))))._tag, "Finished")
      assert.deepStrictEqual(used.done, ["look a"])
    }).pipe(inMemory)
  })

  it.effect("lets a tool come to its end when the one beside it fails", () => {
    const used = toolsThat((name) => (name === "look" ? Effect.as(Effect.sleep(100), "seen") : Effect.die("it broke")))
    return Effect.gen(function* () {
      const model = [answer(call("1", "look", { at: "a" }), call("2", "count", {})), answer(text("Done."))]
      const running = yield* Effect.forkChild(Effect.exit(agent().pipe(Effect.provide(process(model, used)))))
      while (running.pollUnsafe() === undefined) {
        yield* TestClock.adjust(50)
      }
      assert.strictEqual((yield* Fiber.join(running))._tag, "Failure")
      const { view } = yield* viewOf()
      assert.deepStrictEqual(
        RunView.calls(view).map(({ state }) => state),
        ["succeeded", "failed"]
      )
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(model, used))))._tag, "Finished")
    }).pipe(inMemory)
  })

  it.effect("goes on with its own turn, also when others have spoken in its thread", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      yield* agent().pipe(Effect.provide(process(script, used)))
      const other = yield* agent({ runId: "other" }).pipe(
        Effect.provide(
          process([...script, answer(text("Somebody else."))].slice(0, 2).concat(answer(text("Other."))), used)
        )
      )
      assert.strictEqual(other._tag, "Finished")
      yield* Approval.decide({ callId: "3", approved: true, runId: "r" })
      const last = yield* agent().pipe(Effect.provide(process(script, used)))
      assert.deepStrictEqual(last, { _tag: "Finished", text: "All tidy." })
      assert.deepStrictEqual(used.done, ["look a", "look b", "delete a"])
    }).pipe(inMemory)
  })

  it.effect("comes to the same end again when its model was cut off, and runs no call of that response", () => {
    const used = toolsThat()
    const cutOff = answer(text("I was"), call("1", "look", { at: "a" }))
    const parts = cutOff.parts.map((part) => (part.type === "finish" ? ScriptedModel.finish("length") : part))
    return Effect.gen(function* () {
      for (const _ of [1, 2]) {
        const last = yield* agent().pipe(Effect.provide(process([{ parts }], used)))
        assert.deepStrictEqual(last, { _tag: "Stopped", code: "length", text: "I was" })
      }
      assert.deepStrictEqual(used.done, [])
      assert.strictEqual((yield* viewOf()).view.doneReason, "stopped:length")
    }).pipe(inMemory)
  })

  it.effect("fails when the response breaks off or has an error, and asks again the next time", () =>
    Effect.gen(function* () {
      const good = answer(text("Whole."))
      const broken: ReadonlyArray<ScriptedModel.Answer> = [
        { parts: good.parts.slice(0, -1) },
        { parts: [...good.parts.slice(0, -1), { type: "error", error: "overloaded" }, ScriptedModel.finish()] }
      ]
      for (const model of broken) {
        const failure = yield* Effect.flip(agent().pipe(Effect.provide(process([model], toolsThat()))))
        assert.strictEqual(failure._tag, "AiError")
      }
      const last = yield* agent().pipe(Effect.provide(process([good], toolsThat())))
      assert.deepStrictEqual(last, { _tag: "Finished", text: "Whole." })
    }).pipe(inMemory)
  )

  it.effect("keeps what a tool did when the app fails to take it", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const model = [answer(call("1", "look", { at: "a" })), answer(text("Done."))]
      const failing = Effect.gen(function* () {
        const onPart = ({ type }: Response.AnyPart) => (type === "tool-result" ? Effect.fail("the app") : Effect.void)
        return yield* Agent.run({ ...ids, input: "Tidy up.", toolkit: yield* tools, onPart })
      })
      yield* Effect.flip(failing.pipe(Effect.provide(process(model, used))))
      const { kinds, view } = yield* viewOf()
      assert.strictEqual(RunView.call(view, "1")?.state, "succeeded")
      assert.lengthOf(
        kinds.filter((kind) => kind === "ToolCallDone"),
        1
      )
    }).pipe(inMemory)
  })

  it.effect("refuses an input that is empty or too large, and a ledger that keeps no messages", () =>
    Effect.gen(function* () {
      const tries = [
        agent({ input: "", runId: "1" }).pipe(Effect.provide(Recorder.layer())),
        agent({ input: "x".repeat(3000), runId: "2" }).pipe(Effect.provide(Recorder.layer({ maxEventBytes: 2000 }))),
        agent({ runId: "3" }).pipe(Effect.provide(Recorder.layer({ exact: true })))
      ]
      for (const trying of tries) {
        const failure = yield* Effect.flip(
          trying.pipe(Effect.provide(Layer.merge(ScriptedModel.layer([answer(text("Hm."))]), toolsThat().layer)))
        )
        assert.strictEqual(failure._tag, "ValidationError")
      }
    }).pipe(
      inMemory,
      Effect.provideService(EventSink.OnNotRecorded, () => Effect.void)
    )
  )

  it.effect("runs a tool with the arguments that the model gave, which the ledger has without secrets", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const model = [answer(call("1", "look", { at: "sesame" })), answer(text("Done."))]
      yield* agent().pipe(Effect.provide(process(model, used)))
      assert.deepStrictEqual(used.done, ["look sesame"])
      const { facts } = yield* viewOf()
      assert.notInclude(JSON.stringify(facts), "sesame")
    }).pipe(inMemory, Effect.provideService(Redaction.Redaction, Redaction.fromSecrets([Redacted.make("sesame")])))
  })

  it.effect("runs no call in another process with arguments that are not whole", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const model = [
        answer(call("1", "delete", { path: "sesame" }), call("2", "delete", { path: "plain" })),
        answer(text("Done."))
      ]
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(model, used))))._tag, "Suspended")
      for (const callId of ["1", "2"]) {
        yield* Approval.decide({ callId, approved: true })
      }
      assert.strictEqual((yield* agent().pipe(Effect.provide(process(model, used))))._tag, "Finished")
      assert.deepStrictEqual(used.done, ["delete plain"])
      const { view } = yield* viewOf()
      assert.strictEqual(RunView.call(view, "1")?.state, "failed")
    }).pipe(inMemory, Effect.provideService(Redaction.Redaction, Redaction.fromSecrets([Redacted.make("sesame")])))
  })

  it.effect("denies what needs an approval when nothing is recorded, for nobody could be asked", () => {
    const used = toolsThat()
    return Effect.gen(function* () {
      const last = yield* agent().pipe(Effect.provide(process(script, used)))
      assert.deepStrictEqual(last, { _tag: "Finished", text: "All tidy." })
      assert.deepStrictEqual(used.done, ["look a", "look b"])
    }).pipe(inMemory, Effect.provideService(Durability.Durability, "disabled"))
  })
})
