/**
 * A recorded run is complete: its facts, recorded again, are the same facts.
 */
import { assert, describe, it } from "@effect/vitest"
import { AgentEvent, type CanonicalEvent, RunView } from "@runledger/core"
import { Awaken } from "@runledger/wire"
import { Schema } from "effect"
import { existsSync } from "node:fs"
import { assertWhole, demo, facts, folder, jsonLines, path, record, runledger } from "./process.ts"

const isEvent = Schema.is(AgentEvent.AgentEvent)

/** The kinds of facts that stand beside another one of the same event. */
const beside = /^(?:ToolPermissionRequested|MessageCommitted|ContextCompaction.*)$/

/** The events that the facts came from. */
const events = (all: ReadonlyArray<CanonicalEvent.CanonicalEvent>): ReadonlyArray<AgentEvent.AgentEvent> =>
  all
    .filter(({ kind }) => !beside.test(kind))
    .map(({ payload }) => {
      assert.isTrue(isEvent(payload))
      return payload as AgentEvent.AgentEvent
    })

/** What two recordings of the same events have in common. */
const lasting = (all: ReadonlyArray<CanonicalEvent.CanonicalEvent>) =>
  all.map((fact) => ({ ...fact, eventId: "", occurredAt: 0, recordedAt: 0 }))

describe.concurrent("the demo's run", () => {
  it("recorded again from its facts gives the same facts", async () => {
    const [first, second] = [folder(), folder()]
    const exact = ["--exact", "--durability", "full_fidelity"]
    assert.strictEqual((await runledger(first, "record", demo, ...exact)).status, 0)
    const kept = await facts(first)
    assert.lengthOf(kept, 484)
    assert.strictEqual((await record(second, jsonLines(...events(kept)), "--exact")).status, 0)
    assert.deepStrictEqual(lasting(await facts(second)), lasting(kept))
    await assertWhole(second)
  })

  it("recorded again from facts that stand for many events comes to the same", async () => {
    const [first, second] = [folder(), folder()]
    assert.strictEqual((await runledger(first, "record", demo, "--durability", "full_fidelity")).status, 0)
    const kept = await facts(first)
    assert.strictEqual((await record(second, jsonLines(...events(kept)))).status, 0)
    const seen = (all: ReadonlyArray<CanonicalEvent.CanonicalEvent>) => {
      const view = RunView.fromFacts("run-1", all)
      return {
        status: view.status,
        tokens: view.tokens,
        messages: view.messages.map(({ messageId, parts, step }) => ({ messageId, parts, step })),
        calls: RunView.calls(view).map(({ output, result, state }) => ({ output, result, state }))
      }
    }
    assert.lengthOf(seen(kept).messages, 7)
    assert.deepStrictEqual(seen(await facts(second)), seen(kept))
  })
})

describe.concurrent("a run of awaken", () => {
  const source = path("../../../../shared/bench/run.awaken.jsonl")
  const absent = "the recorded run of awaken is not beside this checkout"

  it.for([
    ["full_fidelity", 4412],
    ["compacted", 112],
    ["disabled", 0]
  ] as const)("%s keeps %i facts", async ([durability, count], ctx) => {
    if (!existsSync(source)) {
      ctx.skip(absent)
    }
    const cwd = folder()
    const { status, stderr } = await runledger(
      cwd,
      "record",
      source,
      "--exact",
      "--format",
      "awaken",
      "--durability",
      durability
    )
    assert.strictEqual(status, 0, stderr)
    assert.lengthOf(await facts(cwd), count)
  })

  it("written in awaken's form and recorded again gives the same facts", async (ctx) => {
    if (!existsSync(source)) {
      ctx.skip(absent)
    }
    const [first, second] = [folder(), folder()]
    const exact = ["--exact", "--format", "awaken"]
    assert.strictEqual((await record(first, "", source, ...exact)).status, 0)
    const kept = await facts(first)
    const again = jsonLines(...events(kept).map(Awaken.encodeAgentEvent))
    assert.strictEqual((await record(second, again, ...exact)).status, 0)
    assert.deepStrictEqual(lasting(await facts(second)), lasting(kept))
  })
})
