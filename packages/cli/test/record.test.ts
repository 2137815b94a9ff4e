/**
 * What `record` records, and what it says about it.
 */
import { assert, describe, it } from "@effect/vitest"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  acksOf,
  assertFailed,
  assertWhole,
  bin,
  demo,
  facts,
  folder,
  inferred,
  jsonLines,
  lastAck,
  messages,
  note,
  notes,
  record,
  run,
  runFinish,
  runledger,
  runStart,
  said,
  starting,
  text,
  wordsOf
} from "./process.ts"

const places = async (cwd: string) =>
  (await facts(cwd)).map(({ runId, runSequence, threadId }) => `${threadId}/${runId}/${runSequence}`)

const kinds = async (cwd: string) =>
  (await facts(cwd)).map(
    ({ kind, origin, runId }) => (origin === "recovery" ? `${kind} by recovery` : `${kind}`) + ` of ${runId}`
  )

describe.concurrent("runs", () => {
  it("each start opens the run that it names, and later lines belong to it", async () => {
    const cwd = folder()
    const [a, b] = [runStart("a", "t"), runStart("b", "t")]
    const input = jsonLines(a, note("1"), b, note("2"), runFinish("b", "t"), a, note("3"), runFinish("a", "t"))
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

  it("--thread and --run take every line, and the run starts with the first", async () => {
    const cwd = folder()
    const { status } = await record(
      cwd,
      jsonLines(note("1"), note("2"), runFinish("r", "t")),
      "--thread",
      "t",
      "--run",
      "r"
    )
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(await places(cwd), ["t/r/1", "t/r/2", "t/r/3", "t/r/4"])
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "2", "RunFinished"])
    await assertWhole(cwd)
  })

  it("--thread and --run take children of the run too, and refuse what belongs to others, which leaves a gap", async () => {
    const cwd = folder()
    const child = { ...runStart("child", "t"), parentRunId: "r" }
    const input = jsonLines(child, runFinish("child", "t"), runStart("other", "t"), note("after"), runFinish("r", "t"))
    const ended = await record(cwd, input, "--thread", "t", "--run", "r")
    assertFailed(
      ended,
      2,
      /^line 3: a RunStart of run "other" in thread "t" was emitted into run "r" in thread "t", which is not its parent.*\n5 lines read, 6 facts kept .*\nrunledger: refused 1 of 5 lines; the others are recorded\n$/
    )
    assert.deepStrictEqual(await kinds(cwd), [
      "RunStarted of r",
      "RunStarted of child",
      "RunFinished of child",
      "CaptureGap of r",
      "ActivityDeltaObserved of r",
      "RunFinished of r"
    ])
    await assertWhole(cwd)
  })

  it("a run goes on over several files, read in their order", async () => {
    const cwd = folder()
    writeFileSync(join(cwd, "one.jsonl"), jsonLines(runStart(), note("1")))
    writeFileSync(join(cwd, "two.jsonl"), `${jsonLines(note("2"))}nonsense`)
    const ended = await record(cwd, "", "one.jsonl", "two.jsonl")
    assertFailed(ended, 2, /^two\.jsonl line 2: /)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "2"])
  })

  it("two processes record into one ledger at once", async () => {
    const cwd = folder()
    const inputs = ["a", "b"].map((runId) => jsonLines(runStart(runId)) + notes(3000) + jsonLines(runFinish(runId)))
    const ended = await Promise.all(inputs.map((input) => record(cwd, input)))
    assert.deepStrictEqual(
      ended.map(({ status }) => status),
      [0, 0]
    )
    assert.lengthOf(await facts(cwd), 6004)
    await assertWhole(cwd)
  })

  it("a run that another process records is refused, and that process goes on with it", async () => {
    const cwd = folder()
    const recording = starting(cwd, "record", "--ack", "--durability", "full_fidelity")
    recording.write(jsonLines(runStart()))
    await recording.until('{"acked":1}\n')
    const ended = await record(cwd, jsonLines(runStart("run-2"), note("other"), runStart(), note("lost")), "--ack")
    assertFailed(
      ended,
      3,
      /^runledger: run "run-1" is open already, here or in a process that is alive; close it there first\n$/
    )
    assert.strictEqual(lastAck(ended.stdout), 2)
    recording.write(jsonLines(note("kept"), runFinish()))
    recording.end()
    assert.strictEqual((await recording.ended).status, 0)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "RunStarted", "other", "kept", "RunFinished"])
    await assertWhole(cwd)
  })

  it("a run whose recording ends within five seconds is waited for", async () => {
    const cwd = folder()
    const recording = starting(cwd, "record", "--ack", "--durability", "full_fidelity")
    recording.write(jsonLines(runStart()))
    await recording.until('{"acked":1}\n')
    const waiting = starting(cwd, "record", "--ack", "--durability", "full_fidelity")
    // It has read the first line when it comes to the second.
    waiting.write(jsonLines(runStart("run-2"), note("first")))
    await waiting.until('{"acked":2}\n')
    waiting.write(jsonLines(runStart(), note("second"), runFinish()))
    waiting.end()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    recording.end()
    assert.strictEqual((await recording.ended).status, 0)
    const ended = await waiting.ended
    assert.deepStrictEqual([ended.status, lastAck(ended.stdout)], [0, 5], ended.stderr)
    assert.deepStrictEqual(
      (await kinds(cwd)).filter((kind) => kind.endsWith("run-1")),
      ["RunStarted", "RunInterrupted by recovery", "RunResumed", "ActivityDeltaObserved", "RunFinished"].map(
        (kind) => `${kind} of run-1`
      )
    )
    await assertWhole(cwd)
  })
})

describe.concurrent("texts", () => {
  const input = jsonLines(runStart(), text("Hel"), text("lo"), inferred, text("?"), text("!"), runFinish())

  it("are one fact each and a message in full_fidelity", async () => {
    const cwd = folder()
    const { stderr } = await record(cwd, input)
    assert.strictEqual(stderr, "7 lines read, 7 facts kept (full_fidelity) in ./runledger.db\n")
    assert.deepStrictEqual(
      (await facts(cwd)).map(({ kind, lastOrdinal, ordinal }) => [kind, ordinal, lastOrdinal]),
      [
        ["RunStarted", 1, undefined],
        ["TextDeltaObserved", 2, 3],
        ["MessageCommitted", 4, undefined],
        ["InferenceComplete", 4, undefined],
        ["TextDeltaObserved", 5, 6],
        ["MessageCommitted", 7, undefined],
        ["RunFinished", 7, undefined]
      ]
    )
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "Hello", "InferenceComplete", "?!", "RunFinished"])
    assert.deepStrictEqual(await messages(cwd), ["Hello", "?!"])
    await assertWhole(cwd)
  })

  it("are messages in compacted", async () => {
    const cwd = folder()
    await record(cwd, input, "--durability", "compacted")
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "InferenceComplete", "RunFinished"])
    assert.deepStrictEqual(await messages(cwd), ["Hello", "?!"])
    await assertWhole(cwd)
  })

  it("are what they were with --exact", async () => {
    const cwd = folder()
    await record(cwd, input, "--exact")
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "Hel", "lo", "InferenceComplete", "?", "!", "RunFinished"])
    assert.lengthOf(await facts(cwd), 7)
    assert.isTrue((await facts(cwd)).every(({ lastOrdinal }) => lastOrdinal === undefined))
    await assertWhole(cwd)
  })
})

describe.concurrent("a run whose input ends without its finish", () => {
  it.each(["compacted", "full_fidelity"])("is interrupted, with what was said so far, in %s", async (durability) => {
    const cwd = folder()
    const { status, stderr } = await record(cwd, jsonLines(runStart(), text("so f")), "--durability", durability)
    assert.strictEqual(status, 0, stderr)
    assert.deepStrictEqual(await kinds(cwd), [
      "RunStarted of run-1",
      ...(durability === "compacted" ? [] : ["TextDeltaObserved of run-1"]),
      "MessageCommitted of run-1",
      "RunInterrupted by recovery of run-1"
    ])
    assert.deepStrictEqual(await messages(cwd), ["so f…"])
    assert.match((await runledger(cwd, "runs")).stdout, /\nrun-1 +thread-1 +done: interrupted /)
    await assertWhole(cwd)
  })

  it("has no message when nothing was said", async () => {
    const cwd = folder()
    await record(cwd, jsonLines(runStart(), note("1")))
    assert.deepStrictEqual(await kinds(cwd), [
      "RunStarted of run-1",
      "ActivityDeltaObserved of run-1",
      "RunInterrupted by recovery of run-1"
    ])
  })

  it("is interrupted with its children, of which nothing more is said when it goes on alone", async () => {
    const cwd = folder()
    const run = ["--thread", "thread-1", "--run", "run-1"]
    const one = { ...runStart("one"), parentRunId: "run-1" }
    const two = { ...runStart("two"), parentRunId: "run-1" }
    await record(cwd, jsonLines(runStart(), one, runFinish("one"), two), ...run)
    const { stdout } = await runledger(cwd, "runs")
    assert.match(stdout, /\none +thread-1 +done: natural +2 /)
    assert.match(stdout, /\ntwo +thread-1 +done: interrupted +2 /)
    await record(cwd, jsonLines(runStart(), runFinish()), ...run)
    assert.deepStrictEqual((await kinds(cwd)).slice(-2), ["RunResumed of run-1", "RunFinished of run-1"])
    await assertWhole(cwd)
  })

  it("goes on later, which a fact says unless the input does", async () => {
    const cwd = folder()
    const run = ["--thread", "t", "--run", "r"]
    await record(cwd, jsonLines(note("1")), ...run)
    await record(cwd, jsonLines(note("2")), ...run)
    await record(cwd, jsonLines(runStart("r", "t"), note("3"), runFinish("r", "t")), ...run)
    assert.deepStrictEqual(
      (await facts(cwd)).map((fact) => (fact.origin === "recovery" ? `${fact.kind} by recovery` : wordsOf(fact))),
      [
        "RunStarted",
        "1",
        "RunInterrupted by recovery",
        "RunResumed by recovery",
        "2",
        "RunInterrupted by recovery",
        "RunResumed",
        "3",
        "RunFinished"
      ]
    )
    assert.match((await runledger(cwd, "runs")).stdout, /\nr +t +done: natural /)
    await assertWhole(cwd)
  })

  it("is left as it is with --exact", async () => {
    const cwd = folder()
    await record(cwd, jsonLines(runStart(), text("so f")), "--exact")
    assert.deepStrictEqual(await kinds(cwd), ["RunStarted of run-1", "TextDeltaObserved of run-1"])
    await record(cwd, jsonLines(text("ar")), "--exact", "--thread", "thread-1", "--run", "run-1")
    assert.lengthOf(await facts(cwd), 3)
    await assertWhole(cwd)
  })
})

it("a start of a run that ended lets it go on", async () => {
  const cwd = folder()
  const input = jsonLines(runStart(), runFinish(), runStart(), note("more"), runFinish())
  await record(cwd, input)
  await record(cwd, input)
  const once = ["RunFinished", "RunResumed", "more", "RunFinished"]
  assert.deepStrictEqual(await said(cwd), ["RunStarted", ...once, "RunResumed", ...once])
  await assertWhole(cwd)
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
        ["recovery", 2],
        ["awaken", 3],
        ["recovery", 4]
      ]
    )
  })

  it("RUNLEDGER_DURABILITY says what is kept, --durability overrules it, compacted is the default", async () => {
    const kept = async (env: { readonly [name: string]: string }, ...args: ReadonlyArray<string>) => {
      const cwd = folder()
      const { status, stderr } = await run(process.execPath, [bin, "record", demo, ...args], { cwd, env })
      assert.strictEqual(status, 0, stderr)
      return stderr.replace(/^482 lines read, | kept.*\n$/g, "")
    }
    const full = { RUNLEDGER_DURABILITY: "full_fidelity" }
    // Exactly, for how many facts the texts become depends on how fast they come.
    assert.strictEqual(await kept(full, "--exact"), "484 facts")
    assert.strictEqual(await kept(full, "--durability", "disabled"), "0 facts")
    assert.strictEqual(await kept({}, "--exact"), "37 facts")
    assert.strictEqual(await kept({}), "45 facts")
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
    recording.write(notes(2))
    await recording.until('{"acked":3}\n')
    recording.end()
    assert.strictEqual((await recording.ended).status, 0)
  })

  it("each ack is higher than the one before", async () => {
    const { stdout } = await record(folder(), jsonLines(runStart()) + notes(5000), "--ack")
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
  it.each(["compacted", "full_fidelity"])(
    "waits for the end of a message that a line began, in %s",
    async (durability) => {
      const cwd = folder()
      const recording = starting(cwd, "record", "--ack", "--durability", durability)
      recording.write(jsonLines(runStart(), note("1"), text("Hel"), note("2"), text("lo")))
      await recording.until('{"acked":2}\n')
      recording.write(jsonLines(note("3"), inferred))
      await recording.until('{"acked":7}\n')
      assert.deepStrictEqual(await messages(cwd), ["Hello"])
      // A message of one run holds the lines of another too.
      recording.write(jsonLines(text("Bye"), runStart("run-2"), note("4"), runFinish("run-2"), runStart(), text("!")))
      recording.write("nonsense\n")
      await recording.until("line 14: ", "stderr")
      recording.write(jsonLines(runFinish()))
      await recording.until('{"acked":15}\n')
      recording.end()
      const { status, stdout } = await recording.ended
      assert.strictEqual(status, 2)
      // The second start of the run, at line 12, cut its message short.
      assert.includeMembers([1, 2, 7, 11, 12, 13, 14, 15], [...acksOf(stdout)])
      assert.includeMembers([...acksOf(stdout)], [2, 7, 15])
      assert.deepStrictEqual(await messages(cwd), ["Hello", "Bye…", "!"])
      await assertWhole(cwd)
    }
  )

  it("does not pass a message that never came to its end", async () => {
    const cwd = folder()
    const { stdout } = await record(cwd, jsonLines(runStart(), text("so f"), note("1")), "--ack")
    assert.strictEqual(stdout, '{"acked":1}\n')
  })

  it("does not pass the text that a run starts with", async () => {
    const args = ["--ack", "--thread", "t", "--run", "r"]
    assert.strictEqual((await record(folder(), jsonLines(text("so f"), note("1")), ...args)).stdout, "")
    const whole = await record(folder(), jsonLines(text("all"), inferred), ...args)
    assert.strictEqual(whole.stdout, '{"acked":2}\n')
  })
})
