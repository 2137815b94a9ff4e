/**
 * Lines that are not what they should be: each is named and refused, and what is good around it is recorded.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  assertFailed,
  assertWhole,
  facts,
  folder,
  inferred,
  isOfInput,
  jsonLines,
  note,
  record,
  runFinish,
  runStart,
  said,
  starting,
  text,
  wordsOf
} from "./process.ts"

type Bytes = string | Uint8Array

const bytes = (...parts: ReadonlyArray<Bytes>): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)))

const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)
const snapshot = (json: string): string => `{"_tag":"StateSnapshot","snapshot":${json}}`

const bad: ReadonlyArray<readonly [what: string, line: Bytes, problem: RegExp]> = [
  ["truncated JSON", '{"_tag":"TextDelta","del', /^Unterminated string in JSON/],
  ["no JSON", "hello", /^Unexpected token/],
  ["two events on a line", '{"_tag":"StepEnd"}{"_tag":"StepEnd"}', /^Unexpected non-whitespace/],
  ["a wrong type", '{"_tag":"TextDelta","delta":1}', /^Expected string at \["delta"\]$/],
  [
    "a wrong type deep inside",
    '{"_tag":"ToolCallDone","id":"c","messageId":"m","outcome":"succeeded","result":{"toolName":1,"status":"success","data":null}}',
    /^Expected string at \["result"\]\["toolName"\]$/
  ],
  ["a missing key", '{"_tag":"TextDelta"}', /^Missing key at \["delta"\]$/],
  ["an unknown tag", '{"_tag":"TextDelt\\u001b[31m"}', /^Unknown _tag "TextDelt\\u001b\[31m"$/],
  ["a missing tag", '{"delta":"x"}', /^Missing key at \["_tag"\]$/],
  ["an array", "[1]", /^Expected an object with "_tag"$/],
  ["a scalar", "42", /^Expected an object with "_tag"$/],
  ["null", "null", /^Expected an object with "_tag"$/],
  ["200 levels", snapshot(nested(200)), /^nested deeper than 127 levels$/],
  ["100,000 levels", snapshot(nested(100_000)), /^nested deeper than 127 levels$/],
  ["a number that would change", snapshot("9007199254740993"), /^the number 9007199254740993 cannot be kept/],
  ["a raw NUL", '{"_tag":"TextDelta","delta":"a\0b"}', /^Bad control character/],
  ["a raw escape", '{"_tag":"\u001b[31m"}', /^Bad control character/],
  [
    "bytes that are not UTF-8",
    bytes('{"_tag":"TextDelta","delta":"', Buffer.of(0xff), '"}'),
    /^the line is not UTF-8$/
  ],
  ["an event of the other format", '{"event_type":"step_end"}', /^Missing key at \["_tag"\]$/]
]

describe.concurrent("bad lines", () => {
  it("are named, each with what is wrong, and all between them is recorded", async () => {
    const cwd = folder()
    const input = bad.flatMap(([what, line]) => [line, "\n", jsonLines(note(`after ${what}`))])
    const ended = await record(cwd, bytes(jsonLines(runStart()), ...input, jsonLines(runFinish())))
    assertFailed(ended, 2, /\nrunledger: refused 18 of 38 lines; the others are recorded\n$/)
    const problems = ended.stderr.split("\n")
    for (const [index, [what, , problem]] of bad.entries()) {
      const [, line, message = ""] = /^line (\d+): (.+)$/.exec(problems[index] ?? "") ?? []
      assert.strictEqual(Number(line), 2 * index + 2, what)
      assert.match(message, problem, what)
    }
    assert.strictEqual(problems[bad.length], "38 lines read, 20 facts kept (full_fidelity) in ./runledger.db")
    assert.deepStrictEqual(await said(cwd), ["RunStarted", ...bad.map(([what]) => `after ${what}`), "RunFinished"])
    await assertWhole(cwd)
  })

  it("alone, they leave an empty ledger", async () => {
    const cwd = folder()
    const ended = await record(cwd, '{"_tag":')
    assertFailed(ended, 2, /^line 1: .+\n1 line read, 0 facts kept.*\nrunledger: refused 1 of 1 line\n$/)
    await assertWhole(cwd)
  })

  it("in the format of awaken, a text with a lone surrogate is one", async () => {
    const cwd = folder()
    const input = jsonLines(
      { event_type: "run_start", thread_id: "t", run_id: "r" },
      { event_type: "text_delta", delta: "\ud83d" },
      { event_type: "tool_call_done", id: "c" },
      { event_type: "text_delta", delta: "after" }
    )
    const ended = await record(cwd, input, "--format", "awaken")
    assertFailed(ended, 2, /^line 2: a string holds a lone surrogate\nline 3: Missing key at \["message_id"\]/)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "after"])
    await assertWhole(cwd)
  })

  it("many of them, and nobody reads what is said about them", async () => {
    const cwd = folder()
    const recording = starting(cwd, "record", "--durability", "full_fidelity")
    recording.closeStderr()
    recording.write(jsonLines(runStart()) + "nonsense\n".repeat(2000) + jsonLines(text("after")))
    recording.end()
    assert.strictEqual((await recording.ended).status, 2)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "after"])
  })

  it("one that only mentions a start: what follows stays in its run", async () => {
    const cwd = folder()
    const bad = '{"_tag":"ToolCallReady","id":"call-1","name":"RunStart"}\n{"_tag":"ToolCallReady","name":"RunStart",\n'
    const ended = await record(cwd, jsonLines(runStart()) + bad + jsonLines(text("after")))
    assertFailed(ended, 2, /\nrunledger: refused 2 of 4 lines; the others are recorded\n$/)
    assert.deepStrictEqual(await said(cwd), ["RunStarted", "after"])
  })

  it("a run start among them: what follows does not land in the run before it", async () => {
    const starts: ReadonlyArray<Bytes> = [
      '{"_tag":"RunStart","threadId":"t","runId":1}',
      '{"_tag":"RunStart","threadId":"t","runId":" "}',
      '{"_tag":"RunStart","threadId":"t","runId":"r\\u0000"}',
      '{"_tag":"RunStart","threadId":"t\\ud83d","runId":"r"}',
      '{"_tag":"RunStart","threadId":"t","ru',
      '{"_tag":"RunSta',
      bytes('{"_tag":"RunStart","threadId":"', Buffer.of(0xe4), '","runId":"r"}'),
      '{"event_type":"run_start","thread_id":"t","run_id":"r"}'
    ]
    const cwd = folder()
    const input = starts.flatMap((line, index) => [
      jsonLines(runStart(`run-${index}`), note(`of run-${index}`)),
      line,
      "\n",
      jsonLines(note("lost"))
    ])
    const ended = await record(cwd, bytes(...input))
    const problems = ended.stderr.split("\n")
    for (const index of starts.keys()) {
      assert.match(problems[2 * index] ?? "", new RegExp(`^line ${4 * index + 3}: (?!no run)`))
      assert.strictEqual(problems[2 * index + 1], `line ${4 * index + 4}: no run has been started by a line before it`)
    }
    assertFailed(ended, 2, /\nrunledger: refused 16 of 32 lines; the others are recorded\n$/)
    assert.deepStrictEqual(
      (await facts(cwd)).filter(isOfInput).map(({ kind, runId }) => `${kind} of ${runId}`),
      [...starts.keys()].flatMap((index) => [`RunStarted of run-${index}`, `ActivityDeltaObserved of run-${index}`])
    )
    await assertWhole(cwd)
  })
})

describe.concurrent("an odd input that says what it means is recorded", () => {
  const plain = jsonLines(runStart(), text("x"))

  it.each<readonly [string, Bytes, ReadonlyArray<string>]>([
    ["a byte order mark at the start", `\ufeff${plain}`, ["RunStarted", "x"]],
    ["CR LF at the ends of lines", plain.replaceAll("\n", "\r\n"), ["RunStarted", "x"]],
    ["no end of the last line", plain.trimEnd(), ["RunStarted", "x"]],
    [
      "blank lines, odd texts, ids and keys",
      `\n \t\r\n${jsonLines(
        runStart("\u001b[31m\n", "\u202e"),
        note("a\0b"),
        note("\ud83d"),
        note("\ude00"),
        { ...note("x"), extra: 1 },
        runStart("r".repeat(100_000))
      )}\n`,
      ["RunStarted", "a\0b", "\ud83d", "\ude00", "x", "RunStarted"]
    ],
    [
      "odd texts that become one",
      jsonLines(runStart(), text("a\0b"), text("\ud83d"), text("\ude00"), { ...text("x"), extra: 1 }, text("\ud83d")),
      ["RunStarted", "a\0b\ud83d\ude00x\ud83d"]
    ]
  ])("%s", async (_, input, expected) => {
    const cwd = folder()
    const { status, stderr } = await record(cwd, input)
    assert.strictEqual(status, 0, stderr)
    assert.deepStrictEqual(await said(cwd), expected)
    await assertWhole(cwd)
  })

  const long = "0123456789".repeat(5_000_000)
  const longLine = jsonLines(runStart(), text(long), inferred, note("after"), runFinish())

  it("a line of 50 MB, exactly", async () => {
    const cwd = folder()
    const { status, stderr } = await record(cwd, longLine, "--exact")
    assert.strictEqual(status, 0, stderr)
    const [start, kept, ...after] = await said(cwd)
    assert.deepStrictEqual([start, ...after], ["RunStarted", "InferenceComplete", "after", "RunFinished"])
    assert.isTrue(kept === long)
    await assertWhole(cwd)
  })

  it("a line of 50 MB, which is too long for a fact", async () => {
    const cwd = folder()
    assertFailed(
      await record(cwd, longLine),
      2,
      /^line 2: .* 50000031 bytes, .*\nline 3: .*; its kind, its ids and its outcome are kept\n/
    )
    assert.deepStrictEqual((await facts(cwd)).map(wordsOf), [
      "RunStarted",
      "CaptureGap",
      "MessageCommitted",
      "InferenceComplete",
      "after",
      "RunFinished"
    ])
    const [, gap, message] = await facts(cwd)
    assert.deepInclude(gap?.payload, { reason: "too_large", events: 1 })
    assert.hasAllKeys(message?.payload, ["role", "fromOrdinal", "truncated"])
    await assertWhole(cwd)
  })
})
