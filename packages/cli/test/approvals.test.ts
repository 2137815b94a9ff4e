/**
 * Which tool calls wait for somebody, and what becomes of decisions.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { newDatabase } from "./postgres.ts"
import {
  assertFailed,
  assertWhole,
  facts,
  folder,
  inferred,
  jsonLines,
  path,
  record,
  run,
  runFinish,
  runledger,
  runStart,
  starting
} from "./process.ts"

const ready = (id: string, command = "rm -r build") => ({
  _tag: "ToolCallReady",
  id,
  name: "shell",
  arguments: { command }
})

/** A call that asks for a permission. */
const asks = (id: string) => ({
  _tag: "ToolCallDone",
  id,
  messageId: "m",
  result: {
    toolName: "shell",
    status: "pending",
    data: null,
    metadata: {},
    suspension: {
      suspension: { id: `perm-${id}`, action: "tool:PermissionConfirm", message: "may it?", parameters: null },
      pending: { id: `perm-${id}`, name: "permission_confirm", arguments: null },
      resumeMode: "replay_tool_call"
    }
  },
  outcome: "suspended"
})

const suspended = (runId: string) => ({ ...runFinish(runId), termination: { _tag: "Suspended" } })

/** A run that waits for a permission. */
const waiting = (runId: string, id: string, command?: string): string =>
  jsonLines(runStart(runId), ready(id, command), inferred, asks(id), suspended(runId))

const pending = async (cwd: string, ...args: ReadonlyArray<string>): Promise<ReadonlyArray<unknown>> => {
  const { status, stdout } = await runledger(cwd, "pending", "--json", ...args)
  assert.strictEqual(status, 0)
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line): unknown => JSON.parse(line))
}

const decisions = async (cwd: string) => (await facts(cwd)).filter(({ kind }) => kind === "ToolPermissionResolved")

describe.concurrent("pending and decide", () => {
  it("list what waits, decide on it once, and refuse to do so again", async () => {
    const cwd = folder()
    await record(cwd, waiting("run-1", "call-1"))
    await record(cwd, waiting("run-2", "call-2", `echo ${"x".repeat(200)}\u001b[31m\n`))
    const [first, second, ...others] = await pending(cwd)
    assert.deepStrictEqual(others, [])
    const { requestedAt, ...rest } = Object(first)
    assert.deepStrictEqual(rest, {
      callId: "call-1",
      runId: "run-1",
      threadId: "thread-1",
      tool: "shell",
      arguments: { command: "rm -r build" },
      state: "waits_for_permission"
    })
    assert.isAbove(requestedAt, Date.parse("2026-01-01"))
    assert.isAbove(JSON.stringify(second).length, 200)

    const table = await runledger(cwd, "pending")
    assert.deepInclude(table, { status: 0, stderr: "" })
    const [header, one, two, ...more] = table.stdout.trimEnd().split("\n")
    assert.deepStrictEqual(more, [])
    assert.match(header ?? "", /^CALL {4}RUN {4}TOOL {3}WAITS FOR {5}SINCE \(UTC\) +ARGUMENTS$/)
    assert.match(
      one ?? "",
      /^call-1 {2}run-1 {2}shell {2}a permission {2}\d{4}-\d\d-\d\d [\d:.]{12} {2}\{"command":"rm -r build"\}$/
    )
    assert.match(two ?? "", /^call-2 {2}run-2 .* \{"command":"echo x+….*$/)
    assert.isBelow(two?.length ?? 0, 160)
    assert.notInclude(table.stdout, "\u001b")

    const decided = await runledger(cwd, "decide", "perm-call-1", "--reject", "--reason", "not on a Friday")
    assert.deepStrictEqual(decided, {
      status: 0,
      signal: null,
      stdout: "",
      stderr: "rejected: shell · call-1 · of run run-1 · it may not run · not on a Friday\n"
    })
    const [fact, ...again] = await decisions(cwd)
    assert.deepStrictEqual(again, [])
    assert.deepInclude(fact, { runId: "run-1", threadId: "thread-1", origin: "approval" })
    assert.deepInclude(fact?.payload, { id: "call-1", approved: false, reason: "not on a Friday" })
    assert.deepStrictEqual(
      (await pending(cwd)).map((one) => Object(one).callId),
      ["call-2"]
    )
    assertFailed(
      await runledger(cwd, "decide", "call-1", "--approve"),
      4,
      /^runledger: tool call "call-1" of run "run-1" waits for no decision: it was rejected at .*Z\n$/
    )

    assert.strictEqual((await runledger(cwd, "decide", "call-2", "--approve", "--run", "run-2")).status, 0)
    const nothing = await runledger(cwd, "pending")
    assert.deepInclude(nothing, { status: 0, stdout: "" })
    assert.strictEqual(nothing.stderr, "./runledger.db holds no tool calls that wait for a decision\n")
    assert.deepStrictEqual(await pending(cwd), [])
    const { stdout } = await runledger(cwd, "show", "--run", "run-1")
    assert.match(stdout, /decision +shell · denied · not on a Friday · waited /)
    await assertWhole(cwd)
  })

  it("let one of many processes decide", async () => {
    const cwd = folder()
    await record(cwd, waiting("run-1", "call-1"))
    const all = await Promise.all(
      Array.from({ length: 5 }, (_, index) =>
        runledger(cwd, "decide", "call-1", index % 2 === 0 ? "--approve" : "--reject")
      )
    )
    assert.deepStrictEqual(all.map(({ status }) => status).toSorted(), [0, 4, 4, 4, 4])
    assert.lengthOf(await decisions(cwd), 1)
    await assertWhole(cwd)
  })

  it("know a call that was executing when its process was killed, once its run was recovered", async () => {
    const cwd = folder()
    const { signal, stderr } = await run(process.execPath, [path("dying.ts"), join(cwd, "runledger.db"), "run-1"])
    assert.deepStrictEqual([signal, stderr], ["SIGKILL", ""])
    assert.deepStrictEqual(await pending(cwd), [])
    assertFailed(await runledger(cwd, "decide", "call-1", "--approve"), 4, /it is executing/)
    assert.strictEqual((await runledger(cwd, "recover")).status, 0)
    const [only, ...others] = await pending(cwd)
    assert.deepStrictEqual(others, [])
    const { requestedAt: _, ...rest } = Object(only)
    assert.deepStrictEqual(rest, {
      callId: "call-1",
      runId: "run-1",
      threadId: "thread-1",
      tool: "deploy",
      arguments: { to: "production" },
      state: "outcome_unknown"
    })
    assert.match((await runledger(cwd, "pending")).stdout, /deploy {2}a word on its outcome {2}/)
    const decided = await runledger(cwd, "decide", "call-1", "--approve")
    assert.deepInclude(decided, { status: 0 })
    assert.match(
      decided.stderr,
      /^approved: deploy · call-1 · of run run-1 · its outcome was unknown, it may run again\n$/
    )
    assert.deepStrictEqual(await pending(cwd), [])
    await assertWhole(cwd)
  })

  it("leave a process alone that has the run open", async () => {
    const cwd = folder()
    const recording = starting(cwd, "record", "--ack", "--durability", "full_fidelity")
    recording.write(jsonLines(runStart("run-1"), ready("call-1"), inferred, asks("call-1")))
    await recording.until('{"acked":4}\n')
    assert.strictEqual((await runledger(cwd, "decide", "call-1", "--approve")).status, 0)
    recording.write(jsonLines({ _tag: "TextDelta", delta: "on we go" }, inferred, runFinish("run-1")))
    recording.end()
    const { status, stdout } = await recording.ended
    assert.deepStrictEqual([status, stdout.endsWith('{"acked":7}\n')], [0, true])
    const kinds = (await facts(cwd)).map(({ kind }) => kind)
    assert.isBelow(kinds.indexOf("ToolPermissionResolved"), kinds.indexOf("TextDeltaObserved"))
    assert.strictEqual(kinds.at(-1), "RunFinished")
    await assertWhole(cwd)
  })

  it("tell apart what is wrong, and write nothing then", async () => {
    const cwd = folder()
    await record(cwd, waiting("run-1", "call-1"))
    await record(cwd, waiting("run-2", "call-1"))
    await record(cwd, jsonLines(runStart("run-3"), ready("call-3"), asks("call-3"), runFinish("run-3")))
    const decide = (...args: ReadonlyArray<string>) => runledger(cwd, "decide", ...args)
    assertFailed(await decide("call-9", "--approve"), 1, /^runledger: there is no tool call "call-9" in this ledger\n$/)
    assertFailed(await decide("call-3", "--approve", "--run", "run-1"), 1, /no tool call "call-3" in run "run-1"/)
    assertFailed(await decide("call-3", "--approve"), 4, /its run has ended \(natural\)/)
    assertFailed(await decide("call-1", "--approve"), 64, /in each of the runs run-1, run-2; name one .* --run\n$/)
    assertFailed(await decide("call-1"), 64, /^runledger: name one of --approve and --reject\n$/)
    assertFailed(await decide("call-1", "--approve", "--reject"), 64, /name one of --approve and --reject/)
    assertFailed(await decide("--approve"), 64, /call/)
    assertFailed(await decide("", "--approve"), 64, /the id of a tool call/)
    assertFailed(await decide("call-1", "--approve", "--reason", " "), 64, /a text that is not blank/)
    assert.lengthOf(await decisions(cwd), 0)
  })

  it("make no ledger", async () => {
    const cwd = folder()
    assertFailed(await runledger(cwd, "pending"), 3, /there is no ledger at /)
    assertFailed(await runledger(cwd, "decide", "call-1", "--approve"), 3, /there is no ledger at /)
    assert.deepStrictEqual(readdirSync(cwd), [])
  })

  it("work on Postgres", async () => {
    const cwd = folder()
    const ledger = ["--ledger", await newDatabase()] as const
    await record(cwd, waiting("run-1", "call-1"), ...ledger)
    assert.lengthOf(await pending(cwd, ...ledger), 1)
    const all = await Promise.all(
      ["--approve", "--reject", "--approve", "--reject"].map((flag) =>
        runledger(cwd, "decide", "call-1", flag, ...ledger)
      )
    )
    assert.deepStrictEqual(all.map(({ status }) => status).toSorted(), [0, 4, 4, 4])
    assert.deepStrictEqual(await pending(cwd, ...ledger), [])
    assert.match((await runledger(cwd, "pending", ...ledger)).stderr, /^[\w.]+:\d+\/\w+ holds no tool calls/)
  })
})
