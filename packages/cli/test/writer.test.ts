/**
 * `record --writer`: a producer that sends its whole input again loses nothing and records nothing twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { CanonicalEvent } from "@runledger/core"
import { join } from "node:path"
import { contentsOf } from "./ledgers.ts"
import { newDatabase } from "./postgres.ts"
import {
  acksOf,
  assertFailed,
  assertWhole,
  facts,
  folder,
  inferred,
  isOfInput,
  jsonLines,
  lastAck,
  messages,
  note,
  record,
  runFinish,
  runledger,
  runStart,
  said,
  starting,
  text,
  wordsOf
} from "./process.ts"

/** Records an input under the name of a producer. */
const send = (cwd: string, input: string, ...args: ReadonlyArray<string>) =>
  record(cwd, input, "--writer", "w", ...args)

/** A process that records what is written to it, under the name of a producer. */
const sending = (cwd: string, ...args: ReadonlyArray<string>) =>
  starting(cwd, "record", "--writer", "w", "--durability", "full_fidelity", ...args)

describe.concurrent("--writer", () => {
  it("says first what it has, skips that, and goes on", async () => {
    const cwd = folder()
    const first = jsonLines(runStart(), note("1"), runFinish())
    const once = await send(cwd, first)
    assert.deepInclude(once, {
      status: 0,
      stderr: "3 lines read, 3 facts kept (full_fidelity) in ./runledger.db\n"
    })
    assert.deepStrictEqual([acksOf(once.stdout)[0], lastAck(once.stdout)], [0, 3])

    const before = await facts(cwd)
    assert.deepInclude(await send(cwd, first), {
      status: 0,
      stdout: '{"acked":3}\n',
      stderr: "3 lines read, 3 of them recorded before, 0 facts kept (full_fidelity) in ./runledger.db\n"
    })
    assert.deepStrictEqual(await facts(cwd), before)

    const more = await send(cwd, first + jsonLines(runStart(), note("2"), runFinish()))
    assert.strictEqual(
      more.stderr,
      "6 lines read, 3 of them recorded before, 3 facts kept (full_fidelity) in ./runledger.db\n"
    )
    assert.deepStrictEqual([acksOf(more.stdout)[0], lastAck(more.stdout)], [3, 6])
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "RunFinished", "RunResumed", "2", "RunFinished"])

    assert.deepInclude(await send(cwd, jsonLines(runStart())), {
      stdout: '{"acked":6}\n',
      stderr: "1 line read, 1 of them recorded before, 0 facts kept (full_fidelity) in ./runledger.db\n"
    })
    await assertWhole(cwd)
  })

  it("skips nothing for another name, or without one", async () => {
    const cwd = folder()
    const input = jsonLines(runStart(), note("1"), runFinish())
    const again = ["RunResumed", "1", "RunFinished"]
    await send(cwd, input)
    const other = await record(cwd, input, "--writer", "other")
    assert.deepStrictEqual([acksOf(other.stdout)[0], lastAck(other.stdout)], [0, 3])
    for (const _ of ["once", "again"]) {
      const { stdout } = await record(cwd, input, "--ack")
      assert.notInclude(acksOf(stdout), 0)
      assert.strictEqual(lastAck(stdout), 3)
    }
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "RunFinished", ...again, ...again, ...again])
    await assertWhole(cwd)
  })

  it("does not complain again about bad lines that it skips, and about all that follow", async () => {
    const cwd = folder()
    const first = `${jsonLines(runStart())}nonsense\n\n${jsonLines(note("1"))}`
    assertFailed(await send(cwd, first), 2, /^line 2: .*\n4 lines read, 3 facts kept.*\n.*refused 1 of 4 lines; /)
    assert.strictEqual((await send(cwd, first)).status, 0)
    const ended = await send(cwd, `${first}more nonsense\n${jsonLines(runFinish())}`)
    assertFailed(
      ended,
      2,
      /^line 5: .*\n6 lines read, 4 of them recorded before, .*\nrunledger: refused 1 of 6 lines; /
    )
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "RunFinished"])
    await assertWhole(cwd)
  })

  it("knows of the lines that it skips to which run those after them belong", async () => {
    const cwd = folder()
    const looksLikeStart = '{"id":"c","name":"n","arguments":{"_tag":"RunStart"},"_tag":"ToolCallReady"}\n'
    const lost = '{"_tag":"RunStart","threadId":"t","ru\n'
    const first = jsonLines(runStart("a"), runStart("b")) + looksLikeStart + jsonLines(inferred)
    await send(cwd, first)
    const second = first + jsonLines(note("of b")) + lost
    assertFailed(await send(cwd, second), 2, /^line 6: /)
    assertFailed(
      await send(cwd, second + jsonLines(note("lost"))),
      2,
      /^line 7: no run has been started by a line before/
    )
    await send(cwd, second + jsonLines(note("lost"), runStart("a"), note("of a")))
    assert.deepStrictEqual(
      (await facts(cwd))
        .filter(({ kind }) => kind === "ActivityDeltaObserved")
        .map((fact) => [fact.runId, wordsOf(fact)]),
      [
        ["b", "of b"],
        ["a", "of a"]
      ]
    )
    await assertWhole(cwd)
  })

  it("does not ack a line that the producer died in, and takes it when it comes as a whole", async () => {
    const cwd = folder()
    const whole = jsonLines(runStart(), note("1"), note("2"))
    const cut = await send(cwd, whole.slice(0, -10))
    assertFailed(cut, 2, /^line 3: /)
    assert.strictEqual(lastAck(cut.stdout), 2)
    const again = await send(cwd, whole)
    assert.strictEqual(lastAck(again.stdout), 3)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "2"])
  })

  it("puts a message together again that the input ended in the middle of", async () => {
    const cwd = folder()
    const first = jsonLines(runStart(), note("1"), text("so f"))
    const cut = await send(cwd, first)
    assert.strictEqual(lastAck(cut.stdout), 2)
    assert.deepStrictEqual(await messages(cwd), ["so f…"])
    const whole = await send(cwd, first + jsonLines(text("ar"), inferred, runFinish()))
    assert.deepStrictEqual([acksOf(whole.stdout)[0], lastAck(whole.stdout)], [2, 6])
    assert.deepStrictEqual(await messages(cwd), ["so f…", "so far"])
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "so f", "ar", "InferenceComplete", "RunFinished"])
    await assertWhole(cwd)
  })

  it("is refused while another process has the name, which goes on", async () => {
    const cwd = folder()
    const first = sending(cwd)
    first.write(jsonLines(runStart(), note("1")))
    await first.until('{"acked":2}\n')
    const second = await send(cwd, jsonLines(runStart(), note("1"), note("never")))
    assertFailed(
      second,
      3,
      /^runledger: the name of writer "w" is taken, by a process that is alive; stop that one, or take another name\n$/
    )
    assert.strictEqual(second.stdout, "")
    first.write(jsonLines(note("2"), runFinish()))
    await first.until('{"acked":4}\n')
    first.end()
    assert.strictEqual((await first.ended).status, 0)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "2", "RunFinished"])
    await assertWhole(cwd)
  })

  it("waits for a process that has the name and ends within five seconds", async () => {
    const cwd = folder()
    const first = sending(cwd)
    const input = jsonLines(runStart(), note("1"))
    first.write(input)
    await first.until('{"acked":2}\n')
    const second = sending(cwd)
    second.write(input + jsonLines(note("2"), runFinish()))
    second.end()
    // Long enough for it to have found the name taken, short enough for it to be there still.
    await new Promise((resolve) => setTimeout(resolve, 3000))
    first.end()
    assert.strictEqual((await first.ended).status, 0)
    const { status, stderr, stdout } = await second.ended
    assert.strictEqual(status, 0, stderr)
    assert.deepStrictEqual([acksOf(stdout)[0], lastAck(stdout)], [2, 4])
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "1", "2", "RunFinished"])
    await assertWhole(cwd)
  })
})

const rounds = 24

/** What three runs do, by turns, which the starts of others interrupt also in the middle of a message. */
const input =
  Array.from({ length: rounds }, (_, round) => {
    const [run = "", other = ""] = [0, 1].map((turn) => "abc"[(round + turn) % 3])
    const id = `call-${round}`
    return (
      jsonLines(
        runStart(run),
        { _tag: "StepStart", messageId: `message-${round}` },
        ...Array.from({ length: 40 }, (_, index) => text(`${round}.${index} `.repeat(50))),
        { _tag: "ToolCallStart", id, name: "search" },
        ...Array.from({ length: 5 }, () => ({ _tag: "ToolCallDelta", id, argsDelta: "[]" })),
        { _tag: "ToolCallReady", id, name: "search", arguments: [] }
      ) +
      (round % 2 === 0 ? jsonLines(runStart(other), note(`between ${round}`), text("?"), runStart(run)) : "") +
      `${jsonLines(inferred)}nonsense\n${jsonLines({ _tag: "StepEnd" }, note(`after ${round}`))}`
    )
  }).join("") + jsonLines(...["a", "b", "c"].flatMap((run) => [runStart(run), runFinish(run)]))

const lineCount = input.split("\n").length - 1

/** What the facts of each run say, whole messages only, and texts however they were cut. */
const contents = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) =>
  ["a", "b", "c"].map((run) => {
    const said: Array<{
      kind: string
      from: number | undefined
      to: number | undefined
      payload: unknown
      words: string
    }> = []
    for (const fact of facts) {
      const isMessage = CanonicalEvent.isKind("MessageCommitted")(fact) && !("partial" in fact.payload)
      if (fact.runId === run && (isOfInput(fact) || isMessage)) {
        const { kind, lastOrdinal: to = fact.ordinal, ordinal: from, payload } = fact
        const isDelta =
          CanonicalEvent.isKind("TextDeltaObserved")(fact) || CanonicalEvent.isKind("ToolCallDeltaObserved")(fact)
        const last = said.at(-1)
        const words = CanonicalEvent.isKind("ToolCallDeltaObserved")(fact) ? fact.payload.argsDelta : wordsOf(fact)
        if (isDelta && last?.kind === kind && last.to !== undefined && from === last.to + 1) {
          last.to = to
          last.words += words
        } else {
          said.push({ kind, from, to, payload: isDelta ? undefined : payload, words })
        }
      }
    }
    return said
  })

const ledgers: ReadonlyArray<readonly [string, string, () => Promise<string | undefined>]> = [
  ["compacted", "SQLite", () => Promise.resolve(undefined)],
  ["full_fidelity", "SQLite", () => Promise.resolve(undefined)],
  ["full_fidelity", "Postgres", newDatabase]
]

describe.concurrent("a producer whose recorder is killed, and that sends everything again", () => {
  it.each(ledgers)("has the facts of one pass, %s in %s", { timeout: 240_000 }, async (durability, _, make) => {
    const [cwd, once] = [folder(), folder()]
    const ledger = (await make()) ?? join(cwd, "runledger.db")
    const args = ["--durability", durability]
    assert.strictEqual((await send(once, input, ...args)).status, 2)

    let acked = 0
    let kills = 0
    while (acked < lineCount) {
      const recording = starting(cwd, "record", "--writer", "w", "--ledger", ledger, ...args)
      recording.write(input)
      await Promise.race([recording.until("}\n{"), recording.until(`{"acked":${lineCount}}\n`)])
      recording.kill("SIGKILL")
      kills += 1
      const { stderr, stdout } = await recording.ended
      // What was acked is there; and what was committed, but not said before the process died, may be too.
      const [first = -1] = acksOf(stdout)
      assert.isAtLeast(first, acked)
      assert.isAbove(lastAck(stdout), acked)
      for (const [, line] of stderr.matchAll(/^line (\d+): /gm)) {
        assert.isAbove(Number(line), first)
      }
      acked = lastAck(stdout)
    }
    assert.isAtLeast(kills, 3)

    const last = await send(cwd, input, "--ledger", ledger, ...args)
    assert.deepInclude(last, { status: 0, stdout: `{"acked":${lineCount}}\n` })
    const [killed, whole] = [(await contentsOf(ledger)).facts, await facts(once)]
    assert.deepStrictEqual(contents(killed), contents(whole))
    assert.isAbove(killed.filter(({ origin }) => origin === "recovery").length, 0)
    assert.isFalse(whole.some(({ origin }) => origin === "recovery"))
    assert.match((await runledger(cwd, "verify", "--ledger", ledger)).stdout, /, no faults\n$/)
    const { stdout: runs } = await runledger(cwd, "runs", "--ledger", ledger)
    assert.lengthOf(runs.match(/^[abc] +thread-1 +done: natural /gm) ?? [], 3)
  })
})
