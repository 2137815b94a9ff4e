/**
 * What `runs`, `show` and `export` print, and what they never print.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { stripVTControlCharacters } from "node:util"
import {
  assertFailed,
  bin,
  demo,
  folder,
  jsonLines,
  path,
  record,
  run,
  runFinish,
  runledger,
  runStart,
  text
} from "./process.ts"

const cwd = folder()

beforeAll(async () => {
  const { status, stderr } = await runledger(cwd, "record", demo, "--durability", "full_fidelity")
  assert.strictEqual(status, 0, stderr)
})

const parsed = (output: string): ReadonlyArray<{ readonly [key: string]: unknown }> =>
  output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))

describe.concurrent("export", () => {
  const keys =
    "eventId kind fidelity visibility threadId threadSequence runId runSequence position ordinal payload origin correlationId causationId schemaVersion occurredAt recordedAt".split(
      " "
    )

  it.each([
    ["--all", [], "position", 485],
    ["--run", ["run-1"], "runSequence", 483],
    ["--thread", ["fix-login-test"], "threadSequence", 485]
  ] as const)("%s, in its order", async (flag, value, order, count) => {
    const { status, stderr, stdout } = await runledger(cwd, "export", flag, ...value)
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    const facts = parsed(stdout)
    assert.deepStrictEqual(
      facts.map((fact) => fact[order]),
      Array.from({ length: count }, (_, index) => index + 1)
    )
    for (const fact of facts) {
      assert.deepStrictEqual(
        Object.keys(fact),
        keys.filter((key) => key in fact)
      )
    }
  })

  it("of what is not there", async () => {
    assertFailed(
      await runledger(cwd, "export", "--run", "no\u001b[31m"),
      1,
      /^runledger: \.\/runledger\.db holds no facts of run no\\x1b\[31m\n$/
    )
  })
})

describe.concurrent("runs", () => {
  it("is a table", async () => {
    const { status, stderr, stdout } = await runledger(cwd, "runs")
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    assert.match(
      stdout,
      /^RUN {4}THREAD {10}STATUS {9}FACTS {2}STARTED \(UTC\) {12}LASTED\nrun-1 {2}fix-login-test {2}done: natural {2}483 {4}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} {2}.+\n$/
    )
  })

  it("--json is for programs", async () => {
    const { stdout } = await runledger(cwd, "runs", "--json")
    const [entry = {}] = parsed(stdout)
    assert.deepStrictEqual(Object.keys(entry).toSorted(), [
      "doneReason",
      "facts",
      "floor",
      "runId",
      "startedAt",
      "status",
      "threadId",
      "updatedAt"
    ])
    assert.deepInclude(entry, {
      runId: "run-1",
      threadId: "fix-login-test",
      status: "done",
      doneReason: "natural",
      facts: 483
    })
  })
})

describe.concurrent("show", () => {
  it.each([
    ["--run", "run-1"],
    ["--thread", "fix-login-test"]
  ])("%s tells what happened, without colours in a pipe", async (flag, id) => {
    const { status, stderr, stdout } = await runledger(cwd, "show", flag, id)
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    assert.match(stdout, /^── run run-1 · thread fix-login-test · agent coder · /)
    assert.match(stdout, /says {7}I'll start by running the failing test to see what it says\.\n/)
    assert.match(
      stdout,
      /tool {7}run_command \{"command":"npm test -- test\/login\.test\.ts","timeoutSeconds":120\} · call-1\n/
    )
    assert.match(stdout, /\n── run run-1 finished · took .+\n$/)
    assert.strictEqual(stdout, stripVTControlCharacters(stdout))
  })

  it("of what is not there", async () => {
    assertFailed(await runledger(cwd, "show", "--thread", "no"), 1, /^runledger: .* holds no facts of thread no\n$/)
  })

  it("has colours in a terminal, and none with NO_COLOR", async (ctx) => {
    const inTerminal = (env: { readonly [name: string]: string }) =>
      run("script", ["-qec", `"${process.execPath}" "${bin}" show --run run-1`, "/dev/null"], { cwd, env }).catch(() =>
        ctx.skip("there is no script(1) of util-linux to make a terminal")
      )
    const colored = await inTerminal({})
    const plain = await inTerminal({ NO_COLOR: "1" })
    if (process.platform !== "linux") {
      ctx.skip("script(1) has other options here")
    }
    assert.deepStrictEqual([colored.status, plain.status], [0, 0])
    assert.isTrue(colored.stdout.startsWith("\u001b[1m── run run-1 "))
    assert.strictEqual(plain.stdout, stripVTControlCharacters(plain.stdout))
    assert.strictEqual(stripVTControlCharacters(colored.stdout), plain.stdout)
  })
})

describe.concurrent("texts that mean harm to a terminal", () => {
  const evil = "\u001b]0;title\u0007\u001b[31m\u009b2J\u202e\r\n\u2028"
  // All control characters but the newlines of our own, and all that reorder or break lines.
  const harmful = /[^\P{Cc}\n]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

  it("are written out, wherever they stand", async () => {
    const cwd = folder()
    const id = `run${evil}`
    const input = jsonLines(
      runStart(id, evil),
      { _tag: "StepStart", messageId: evil },
      text(evil),
      { _tag: "ToolCallReady", id: evil, name: evil, arguments: { [evil]: evil } },
      { _tag: evil },
      { _tag: "Error", message: evil, code: evil },
      { ...runFinish(id, evil), termination: { _tag: "Blocked", reason: evil } }
    )
    const recorded = await record(cwd, input)
    assertFailed(recorded, 2, /^line 5: Unknown _tag /)
    const shown = await runledger(cwd, "show", "--run", id)
    assert.strictEqual(shown.status, 0)
    assert.include(shown.stdout, "run\\x1b]0;title\\x07\\x1b[31m\\x9b2J\\u202e")
    const listed = await runledger(cwd, "runs")
    for (const output of [recorded.stderr, shown.stdout, listed.stdout]) {
      assert.notMatch(output, harmful)
    }
  })
})

it("the demo records a run, shows it, and verifies it", async () => {
  const { status, stderr, stdout } = await run(process.execPath, [path("../demo/main.ts")], {
    env: { TMPDIR: folder() }
  })
  assert.strictEqual(status, 0, stderr)
  assert.strictEqual(stderr.replace(/ in .*/, ""), "482 lines read, 485 facts kept (full_fidelity)\n")
  for (const said of [
    "$ runledger record packages/cli/demo/run.jsonl --durability full_fidelity",
    "── run run-1 · thread fix-login-test · agent coder · ",
    "permission",
    "compaction",
    "── run run-1 finished",
    "done: natural",
    "485 facts in "
  ]) {
    assert.include(stdout, said)
  }
  assert.match(stdout, /, no faults\n\nThe ledger is .*demo\.db\n$/)
})
