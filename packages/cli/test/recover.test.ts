/**
 * What becomes of the runs of a process that died.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  assertFailed,
  assertWhole,
  facts,
  folder,
  jsonLines,
  record,
  runFinish,
  runledger,
  runStart,
  starting
} from "./process.ts"

const call = { _tag: "ToolCallReady", id: "call-1", name: "search", arguments: {} }
const inference = { _tag: "InferenceComplete", model: "m", durationMs: 1 }

/** A process that records a run with an open call, all of it acked. */
const recording = async (cwd: string, runId: string) => {
  const process = starting(cwd, "record", "--ack")
  process.write(jsonLines(runStart(runId), call, inference))
  await process.until('{"acked":3}\n')
  return process
}

const kill = async (process: Awaited<ReturnType<typeof recording>>) => {
  process.kill("SIGKILL")
  await process.ended
}

const statuses = async (cwd: string): Promise<ReadonlyArray<string>> =>
  (await runledger(cwd, "runs", "--json")).stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .map(({ doneReason, runId, status }) => `${runId} ${status} ${doneReason}`)

describe.concurrent("recover", () => {
  it("interrupts the runs of processes that died, names their calls, and leaves the others alone", async () => {
    const cwd = folder()
    const living = await recording(cwd, "living")
    await kill(await recording(cwd, "dead"))
    await record(cwd, jsonLines(runStart("waiting"), { ...runFinish("waiting"), termination: { _tag: "Suspended" } }))
    const before = await statuses(cwd)
    // Another recording has started since, which recovered already.
    assert.deepStrictEqual(before, ["living running undefined", "dead done interrupted", "waiting waiting undefined"])
    const fact = (await facts(cwd)).find(({ kind }) => kind === "RunInterrupted")
    assert.deepStrictEqual(fact?.payload, {
      threadId: "thread-1",
      runId: "dead",
      openCalls: [{ id: "call-1", name: "search", executing: false }]
    })

    await kill(living)
    const { status, stdout } = await runledger(cwd, "recover")
    assert.deepStrictEqual([status, stdout], [0, "living was interrupted\n  search · call-1 · was not run\n"])
    assert.deepStrictEqual(await statuses(cwd), [
      "living done interrupted",
      "dead done interrupted",
      "waiting waiting undefined"
    ])
    const again = await runledger(cwd, "recover")
    assert.deepInclude(again, { status: 0, stdout: "" })
    assert.strictEqual(again.stderr, "./runledger.db has no runs of processes that died\n")
    await assertWhole(cwd)
  })

  it("makes no ledger", async () => {
    assertFailed(await runledger(folder(), "recover"), 3, /there is no ledger at /)
  })
})
