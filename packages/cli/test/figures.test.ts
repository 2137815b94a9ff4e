/**
 * A recorded run is complete: its facts, recorded again, are the same facts.
 */
import { assert, describe, it } from "@effect/vitest"
import { AgentEvent, type CanonicalEvent } from "@runledger/core"
import { Awaken } from "@runledger/wire"
import { Schema } from "effect"
import { existsSync } from "node:fs"
import { assertWhole, demo, facts, folder, jsonLines, path, record, runledger } from "./process.ts"

const isEvent = Schema.is(AgentEvent.AgentEvent)

/** The events that the facts came from: all but those of which a fact stands beside another one of the same event. */
const events = (all: ReadonlyArray<CanonicalEvent.CanonicalEvent>): ReadonlyArray<AgentEvent.AgentEvent> =>
  all
    .filter(({ kind }) => kind !== "ToolPermissionRequested" && !kind.startsWith("ContextCompaction"))
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
    assert.strictEqual((await runledger(first, "record", demo, "--durability", "full_fidelity")).status, 0)
    const kept = await facts(first)
    assert.lengthOf(kept, 485)
    assert.strictEqual((await record(second, jsonLines(...events(kept)))).status, 0)
    assert.deepStrictEqual(lasting(await facts(second)), lasting(kept))
    await assertWhole(second)
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
