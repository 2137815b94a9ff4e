/**
 * What `record` records, and what it says about it.
 */
import { assert, describe, it } from "@effect/vitest"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  assertFailed,
  assertWhole,
  bin,
  demo,
  facts,
  folder,
  jsonLines,
  record,
  run,
  runFinish,
  runledger,
  runStart,
  said,
  starting,
  text
} from "./process.ts"

const places = async (cwd: string) =>
  (await facts(cwd)).map(({ runId, runSequence, threadId }) => `${threadId}/${runId}/${runSequence}`)

describe.concurrent("runs", () => {
  it("each start opens the run that it names, and later lines belong to it", async () => {
    const cwd = folder()
    const [a, b] = [runStart("a", "t"), runStart("b", "t")]
    const input = jsonLines(a, text("1"), b, text("2"), runFinish("b", "t"), a, text("3"), runFinish("a", "t"))
    const { status, stderr } = await record(cwd, input)
    assert.strictEqual(status, 0)
    assert.strictEqual(stderr, "8 lines read, 8 facts kept (full_fidelity) in ./runledger.db\n")
    assert.deepStrictEqual(await places(cwd), "t/a/1 t/a/2 t/b/1 t/b/2 t/b/3 t/a/3 t/a/4 t/a/5".split(" "))
    await assertWhole(cwd)
  })

  it("lines before any run are refused", async () => {
    const cwd = folder()
    const ended = await record(cwd, jsonLines(text("lost"), runStart(), text("kept")))
    assertFailed(ended, 2, /^line 1: no run has been started by a line before it\n/)
    assert.match(ended.stderr, /\nrunledger: refused 1 of 3 lines; the others are recorded\n$/)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "kept"])
  })

  it("--thread and --run take every line", async () => {
    const cwd = folder()
    const { status } = await record(cwd, jsonLines(text("1"), text("2")), "--thread", "t", "--run", "r")
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(await places(cwd), ["t/r/1", "t/r/2"])
  })

  it("a run goes on over several files, read in their order", async () => {
    const cwd = folder()
    writeFileSync(join(cwd, "one.jsonl"), jsonLines(runStart(), text("1")))
    writeFileSync(join(cwd, "two.jsonl"), `${jsonLines(text("2"))}nonsense`)
    const ended = await record(cwd, "", "one.jsonl", "two.jsonl")
    assertFailed(ended, 2, /^two\.jsonl line 2: /)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "2"])
  })

  it("two processes record into one ledger at once", async () => {
    const cwd = folder()
    const inputs = ["a", "b"].map((runId) =>
      jsonLines(runStart(runId), ...Array.from({ length: 3000 }, (_, index) => text(`${runId}${index}`)))
    )
    const ended = await Promise.all(inputs.map((input) => record(cwd, input)))
    assert.deepStrictEqual(
      ended.map(({ status }) => status),
      [0, 0]
    )
    assert.lengthOf(await facts(cwd), 6002)
    await assertWhole(cwd)
  })
})

describe.concurrent("options", () => {
  it("the origin is kept with each fact, the format's name without it; a ledger goes on where it stopped", async () => {
    const cwd = folder()
    await record(cwd, jsonLines(runStart()), "--origin", "my-agent")
    const awaken = { event_type: "run_start", thread_id: "thread-1", run_id: "run-1" }
    await record(cwd, jsonLines(awaken), "--format", "awaken")
    assert.deepStrictEqual(
      (await facts(cwd)).map(({ origin, runSequence }) => [origin, runSequence]),
      [
        ["my-agent", 1],
        ["awaken", 2]
      ]
    )
  })

  it("RUNLEDGER_DURABILITY says what is kept, --durability overrules it, compacted is the default", async () => {
    const cwd = folder()
    const kept = async (env: { readonly [name: string]: string }, ...args: ReadonlyArray<string>) => {
      const { status, stderr } = await run(process.execPath, [bin, "record", demo, ...args], { cwd, env })
      assert.strictEqual(status, 0, stderr)
      return stderr.replace(/^482 lines read, | kept.*\n$/g, "")
    }
    assert.strictEqual(await kept({ RUNLEDGER_DURABILITY: "full_fidelity" }), "485 facts")
    assert.strictEqual(await kept({ RUNLEDGER_DURABILITY: "full_fidelity" }, "--durability", "disabled"), "0 facts")
    assert.strictEqual(await kept({}), "38 facts")
  })

  it("with --exact, the finish of a run that was suspended and resumed counts once", async () => {
    const suspended = { ...runFinish(), termination: { _tag: "Suspended" } }
    const input = jsonLines(runStart(), suspended, runStart(), runFinish())
    const [cwd, exact] = [folder(), folder()]
    await record(cwd, input)
    await record(exact, input, "--exact")
    assert.lengthOf(await facts(cwd), 4)
    assert.lengthOf(await facts(exact), 3)
  })

  it("an empty input makes an empty ledger", async () => {
    const cwd = folder()
    const { status, stderr, stdout } = await record(cwd, "", "--ack")
    assert.deepStrictEqual({ status, stdout }, { status: 0, stdout: "" })
    assert.strictEqual(stderr, "0 lines read, 0 facts kept (full_fidelity) in ./runledger.db\n")
    await assertWhole(cwd)
    assertFailed(await runledger(cwd, "export", "--all"), 1, /^runledger: \.\/runledger\.db holds no facts\n$/)
    assert.deepInclude(await runledger(cwd, "runs"), { status: 0, stderr: "./runledger.db holds no runs\n" })
  })
})

describe.concurrent("--ack", () => {
  it("counts blank and bad lines, and comes while the input is open", async () => {
    const cwd = folder()
    const recording = starting(cwd, "record", "--ack")
    recording.write(`${jsonLines(runStart())}\n  \nnonsense\n`)
    await recording.until('{"acked":4}\n')
    assert.lengthOf(await facts(cwd), 1)
    recording.write(jsonLines(runFinish()))
    await recording.until('{"acked":5}\n')
    assert.lengthOf(await facts(cwd), 2)
    recording.end()
    assert.strictEqual((await recording.ended).status, 2)
  })

  it.each(["disabled", "compacted"])("comes for lines of which %s keeps nothing", async (durability) => {
    const recording = starting(folder(), "record", "--ack", "--durability", durability)
    recording.write(jsonLines(runStart()))
    await recording.until('{"acked":1}\n')
    recording.write(jsonLines(text("1"), text("2")))
    await recording.until('{"acked":3}\n')
    recording.end()
    assert.strictEqual((await recording.ended).status, 0)
  })

  it("each ack is higher than the one before", async () => {
    const { stdout } = await record(
      folder(),
      jsonLines(runStart(), ...Array.from({ length: 5000 }, () => text("x"))),
      "--ack"
    )
    const acks = stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.replace(/\D/g, "")))
    assert.deepStrictEqual(
      acks,
      [...new Set(acks)].toSorted((a, b) => a - b)
    )
    assert.strictEqual(acks.at(-1), 5001)
  })
})
