/**
 * Ends that the command did not choose: signals, and readers that leave.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  assertWhole,
  bin,
  demo,
  empty,
  facts,
  folder,
  inferred,
  jsonLines,
  lastAck,
  messages,
  note,
  notes,
  run,
  runledger,
  runStart,
  said,
  starting,
  text,
  texts
} from "./process.ts"

const recording = (cwd: string) => starting(cwd, "record", "--ack", "--durability", "full_fidelity")

describe.concurrent("a signal", () => {
  it.each([["SIGINT", 130] as const, ["SIGTERM", 143] as const])(
    "%s while the input is open ends the recording with %i, all complete lines committed",
    async (signal, status) => {
      const cwd = folder()
      const process = recording(cwd)
      process.write(`${jsonLines(runStart())}${notes(2)}{"_tag":"TextDelta","delta":"incompl`)
      await process.until('{"acked":3}\n')
      process.kill(signal)
      const ended = await process.ended
      assert.deepInclude(ended, { status, signal: null, stderr: "" })
      assert.strictEqual(lastAck(ended.stdout), 3)
      assert.deepStrictEqual(await said(cwd), ["RunStarted", "note 0", "note 1"])
      assert.strictEqual((await facts(cwd)).at(-1)?.kind, "RunInterrupted")
      await assertWhole(cwd)
    }
  )

  it.each(["compacted", "full_fidelity"])(
    "SIGTERM in the middle of a message: what was said so far is committed in %s, and no ack covers it",
    async (durability) => {
      const cwd = folder()
      const process = starting(cwd, "record", "--ack", "--durability", durability)
      process.write(jsonLines(runStart(), note("1"), text("so f"), note("2")) + "nonsense\n")
      await process.until('{"acked":2}\n')
      await process.until("line 5: ", "stderr")
      process.kill("SIGTERM")
      const { status, stdout } = await process.ended
      assert.deepStrictEqual([status, lastAck(stdout)], [143, 2])
      assert.deepStrictEqual(await messages(cwd), ["so f…"])
      assert.match((await runledger(cwd, "runs")).stdout, /\nrun-1 +thread-1 +done: interrupted /)
      await assertWhole(cwd)
    }
  )

  it.each([["SIGINT", 130] as const, ["SIGTERM", 143] as const])(
    "%s in the middle of much input: what was read is committed, and the last ack covers it",
    async (signal, status) => {
      const cwd = folder()
      const process = recording(cwd)
      process.write(jsonLines(runStart()) + notes(20_000))
      await process.until('{"acked":')
      process.kill(signal)
      const ended = await process.ended
      assert.deepInclude(ended, { status, signal: null, stderr: "" })
      const [interrupted, ...kept] = (await facts(cwd)).toReversed()
      assert.strictEqual(interrupted?.kind, "RunInterrupted")
      assert.lengthOf(kept, lastAck(ended.stdout))
      await assertWhole(cwd)
    }
  )

  it("SIGTERM does not hide that the last commit failed", async () => {
    const cwd = folder()
    const process = recording(cwd)
    process.write(jsonLines(runStart()))
    await process.until('{"acked":1}\n')
    empty(cwd)
    process.write(`${notes(1)}that is all\n`)
    await process.until("line 3: ", "stderr")
    process.kill("SIGTERM")
    const { status, stderr } = await process.ended
    assert.strictEqual(status, 3)
    assert.match(stderr, /\nrunledger: \d staged facts? (?:was|were) not saved: the ledger .* was deleted or replaced/)
  })

  it("SIGKILL leaves everything that was acked", async () => {
    const cwd = folder()
    const process = recording(cwd)
    process.write(jsonLines(runStart()) + notes(20_000))
    await process.until('{"acked":')
    process.kill("SIGKILL")
    const { signal, stdout } = await process.ended
    assert.strictEqual(signal, "SIGKILL")
    const kept = await facts(cwd)
    assert.isAbove(lastAck(stdout), 0)
    assert.isAtLeast(kept.length, lastAck(stdout))
    assert.deepStrictEqual(
      kept.map(({ ordinal }) => ordinal),
      kept.map((_, index) => index + 1)
    )
    await assertWhole(cwd)
  })
})

describe.concurrent("a reader", () => {
  it("that leaves early ends an export quietly", async () => {
    const cwd = folder()
    await runledger(cwd, "record", demo, "--durability", "full_fidelity")
    const script = '"$0" "$1" export --all | head -1; echo "${PIPESTATUS[0]}"'
    const { stderr, stdout } = await run("bash", ["-c", script, process.execPath, bin], { cwd })
    assert.strictEqual(stderr, "")
    assert.match(stdout, /^\{"eventId":.*\}\n0\n$/)
  })

  it.each(["--ack", "--writer=w"])("of acks that leaves does not end a recording with %s", async (flag) => {
    const cwd = folder()
    const script = '"$0" "$1" record --exact "$3" "$2" --durability full_fidelity | true; echo "${PIPESTATUS[0]}"'
    const { stdout } = await run("bash", ["-c", script, process.execPath, bin, demo, flag], { cwd })
    assert.strictEqual(stdout, "0\n")
    assert.lengthOf(await facts(cwd), 484)
  })

  it.skipIf(process.platform !== "linux")("that is a full disk is an error", async () => {
    const cwd = folder()
    await runledger(cwd, "record", demo)
    const { status, stderr } = await run("bash", ["-c", '"$0" "$1" export --all >/dev/full', process.execPath, bin], {
      cwd
    })
    assert.strictEqual(status, 3)
    assert.match(stderr, /^runledger: cannot write the output: .*no space left.*\n$/)
  })

  it("sees what is committed while another process records", async () => {
    const cwd = folder()
    const process = recording(cwd)
    process.write(jsonLines(runStart()) + texts(2) + jsonLines(inferred))
    await process.until('{"acked":4}\n')
    const [shown, runs] = await Promise.all([
      runledger(cwd, "show", "--run", "run-1"),
      runledger(cwd, "runs"),
      assertWhole(cwd)
    ])
    assert.match(shown.stdout, /says {7}token 0 token 1\n/)
    assert.match(runs.stdout, /\nrun-1 +thread-1 +running +4 /)
    process.end()
    assert.strictEqual((await process.ended).status, 0)
  })
})
