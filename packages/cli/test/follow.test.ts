/**
 * `follow`: what is printed while another process records, and how it is gone on with.
 */
import { assert, describe, it } from "@effect/vitest"
import { newDatabase } from "./postgres.ts"
import {
  assertFailed,
  bin,
  demo,
  folder,
  jsonLines,
  note,
  notes,
  record,
  run,
  runFinish,
  runledger,
  runStart,
  starting,
  text
} from "./process.ts"

/** The lines that a follower has printed in full. */
const linesOf = (stdout: string): ReadonlyArray<string> => stdout.split("\n").slice(0, -1)

const factsOf = (stdout: string): ReadonlyArray<string> =>
  linesOf(stdout).flatMap((line) => {
    const { fact } = JSON.parse(line)
    return fact === undefined ? [] : [JSON.stringify(fact)]
  })

const lastCursor = (stdout: string): string => JSON.parse(linesOf(stdout).at(-1) ?? "").cursor

const caughtUp = '"caughtUp":true}\n'

/** A process that records what is written to it, and acks each line. */
const recorder = (cwd: string, ledger = "./runledger.db") =>
  starting(cwd, "record", "--ack", "--durability", "full_fidelity", "--ledger", ledger)

const ledgers: ReadonlyArray<readonly [string, () => Promise<string>]> = [
  ["SQLite", () => Promise.resolve("./runledger.db")],
  ["Postgres", newDatabase]
]

describe.concurrent("a follower", () => {
  it.each(ledgers)("on %s prints what another process records, as export does", async (_, make) => {
    const cwd = folder()
    const ledger = await make()
    await record(cwd, jsonLines(runStart("before"), runFinish("before")), "--ledger", ledger)
    const following = starting(cwd, "follow", "--all", "--from-start", "--ledger", ledger)
    await following.until(caughtUp)
    const recording = recorder(cwd, ledger)
    recording.write(jsonLines(runStart(), text("live")))
    await following.until('"delta":"live"')
    recording.write(notes(3000) + jsonLines(runFinish()))
    await following.until(
      '"kind":"RunFinished","fidelity":"domain_event","visibility":"public","threadId":"thread-1","threadSequence":3006'
    )
    recording.end()
    await recording.ended
    following.kill("SIGTERM")
    const { signal, status, stderr, stdout } = await following.ended
    assert.deepStrictEqual({ signal, status, stderr }, { signal: null, status: 143, stderr: "" })
    const exported = linesOf((await runledger(cwd, "export", "--all", "--ledger", ledger)).stdout)
    assert.lengthOf(exported, 3006)
    assert.deepStrictEqual(factsOf(stdout), exported)
    assert.deepStrictEqual(JSON.parse(linesOf(stdout)[2] ?? ""), {
      cursor: JSON.parse(linesOf(stdout)[1] ?? "").cursor,
      caughtUp: true
    })
    assert.deepStrictEqual(Object.keys(JSON.parse(linesOf(stdout)[0] ?? "")), ["cursor", "fact"])
  })

  it("that is killed is gone on with after the last line that it printed", async () => {
    const cwd = folder()
    const recording = recorder(cwd)
    const first = starting(cwd, "follow", "--run", "run-1", "--from-start", "--ledger", "./runledger.db")
    // There is nothing to follow yet.
    assertFailed(await first.ended, 3, /^runledger: there is no ledger at /)
    recording.write(jsonLines(runStart()) + notes(1500))
    await recording.until('{"acked":1501}')
    const second = starting(cwd, "follow", "--run", "run-1", "--from-start")
    await second.until("\n")
    second.kill("SIGKILL")
    const before = (await second.ended).stdout
    recording.write(jsonLines(note("meanwhile")))
    await recording.until('{"acked":1502}')
    const third = starting(cwd, "follow", "--run", "run-1", "--after", lastCursor(before))
    await third.until(caughtUp)
    recording.write(jsonLines(runFinish()))
    await third.until("RunFinished")
    third.kill("SIGINT")
    const ended = await third.ended
    assert.strictEqual(ended.status, 130)
    recording.end()
    await recording.ended
    assert.deepStrictEqual(
      [...factsOf(before), ...factsOf(ended.stdout)],
      linesOf((await runledger(cwd, "export", "--run", "run-1")).stdout)
    )
  })

  it("begins now unless said otherwise, and prints its scope only", async () => {
    const cwd = folder()
    await record(cwd, jsonLines(runStart("a", "one"), runFinish("a", "one")))
    const [thread, run] = [starting(cwd, "follow", "--thread", "one"), starting(cwd, "follow", "--run", "c")]
    await Promise.all([thread.until(caughtUp), run.until(caughtUp)])
    await record(
      cwd,
      jsonLines(runStart("b", "two"), runFinish("b", "two"), runStart("c", "one"), runFinish("c", "one"))
    )
    for (const following of [thread, run]) {
      await following.until('"kind":"RunFinished"')
      following.kill("SIGTERM")
      const { stdout } = await following.ended
      assert.deepStrictEqual(factsOf(stdout), linesOf((await runledger(cwd, "export", "--run", "c")).stdout))
      assert.isTrue(linesOf(stdout)[0]?.endsWith('"caughtUp":true}'))
    }
  })

  it("ends quietly when its reader has gone", async () => {
    const cwd = folder()
    await runledger(cwd, "record", demo, "--durability", "full_fidelity", "--exact")
    const script = '"$0" "$1" follow --all --from-start | head -1; echo "${PIPESTATUS[0]}"'
    const ended = await run("bash", ["-c", script, process.execPath, bin], { cwd })
    assert.strictEqual(ended.stderr, "")
    assert.match(ended.stdout, /^\{"cursor":"l\.1","fact":\{.*\}\}\n0\n$/)
  })

  it("ends with 1 when what comes after its cursor was pruned, or it has none of this scope", async () => {
    const cwd = folder()
    await record(cwd, jsonLines(runStart(), text("1"), runFinish(), runStart("run-2")))
    const following = starting(cwd, "follow", "--run", "run-1", "--from-start")
    await following.until(caughtUp)
    following.kill("SIGTERM")
    const { cursor } = JSON.parse(linesOf((await following.ended).stdout)[0] ?? "")
    assertFailed(
      await runledger(cwd, "follow", "--run", "run-2", "--after", cursor),
      1,
      /^runledger: cursor \S+ is not one of this scope; read again from the start\n$/
    )
    await runledger(cwd, "prune", "--before", new Date().toISOString())
    assertFailed(
      await runledger(cwd, "follow", "--run", "run-1", "--after", cursor),
      1,
      /^runledger: facts after cursor \S+ were pruned; read again from the start\n$/
    )
    assertFailed(
      await runledger(cwd, "follow", "--all", "--after", "l.\u001b[31m"),
      1,
      /^runledger: cursor l\.\\x1b\[31m /
    )
  })
})
