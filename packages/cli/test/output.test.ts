/**
 * What `runs`, `show` and `export` print, and what they never print.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { finished, started, withStore } from "./ledgers.ts"
import {
  assertFailed,
  bin,
  demo,
  facts,
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
/** How many facts there are, which is for the recorder to say; two of them are in the thread alone. */
let kept = 0

beforeAll(async () => {
  const { status, stderr } = await runledger(cwd, "record", demo, "--durability", "full_fidelity")
  assert.strictEqual(status, 0, stderr)
  kept = (await facts(cwd)).length
  assert.isAbove(kept, 100)
})

const parsed = (output: string): ReadonlyArray<{ readonly [key: string]: unknown }> =>
  output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))

describe.concurrent("export", () => {
  const keys =
    "eventId kind fidelity visibility threadId threadSequence runId runSequence position ordinal lastOrdinal payload origin correlationId causationId schemaVersion occurredAt recordedAt".split(
      " "
    )

  it.each([
    ["--all", [], "position", 0],
    ["--run", ["run-1"], "runSequence", 2],
    ["--thread", ["fix-login-test"], "threadSequence", 0]
  ] as const)("%s, in its order", async (flag, value, order, without) => {
    const { status, stderr, stdout } = await runledger(cwd, "export", flag, ...value)
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    const exported = parsed(stdout)
    assert.deepStrictEqual(
      exported.map((fact) => fact[order]),
      Array.from({ length: kept - without }, (_, index) => index + 1)
    )
    for (const fact of exported) {
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
    const row =
      /^RUN {4}THREAD {10}STATUS {9}FACTS {2}STARTED \(UTC\) {12}LASTED\nrun-1 {2}fix-login-test {2}done: natural {2}(\d+) {4}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} {2}.+\n$/
    assert.match(stdout, row)
    assert.strictEqual(Number(row.exec(stdout)?.[1]), kept - 2)
  })

  it("--json is for programs", async () => {
    const { stdout } = await runledger(cwd, "runs", "--json")
    const [entry = {}] = parsed(stdout)
    assert.deepStrictEqual(Object.keys(entry).toSorted(), [
      "doneReason",
      "facts",
      "floor",
      "ordinal",
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
      facts: kept - 2,
      ordinal: 482
    })
  })
})

describe.concurrent("runs with labels", () => {
  const cwd = folder()
  const labels = { team: "web", branch: "a=b", note: "" }

  beforeAll(async () => {
    await withStore(join(cwd, "runledger.db"), (store) =>
      store.append(
        [
          started("one", "t"),
          started("two", "t"),
          finished("two", "t", "RunSuspended", "Suspended"),
          started("three", "t"),
          finished("three", "t")
        ],
        {
          runs: [
            { runId: "one", ordinal: 1, state: "{}", labels },
            { runId: "two", ordinal: 2, state: "{}", labels: { team: "web" } }
          ]
        }
      )
    )
  })

  const ids = async (...args: ReadonlyArray<string>) => {
    const { status, stderr, stdout } = await runledger(cwd, "runs", "--json", ...args)
    assert.strictEqual(status, 0, stderr)
    return stdout === "" ? stderr : parsed(stdout).map(({ runId }) => runId)
  }

  it("has a column for them, when a run that is shown has any", async () => {
    const { stdout } = await runledger(cwd, "runs")
    const lines = stdout.trimEnd().split("\n")
    const column = (lines[0] ?? "").indexOf("  LABELS")
    assert.deepStrictEqual(
      lines.map((line) => line.slice(column)),
      ["  LABELS", "  team=web, branch=a=b, note=", "  team=web", ""]
    )
    const { stdout: without } = await runledger(cwd, "runs", "--status", "done")
    assert.match(without, /LASTED\nthree .*\n$/)
  })

  it("--json has them as they are", async () => {
    const { stdout } = await runledger(cwd, "runs", "--json")
    assert.deepStrictEqual(
      parsed(stdout).map((run) => run["labels"]),
      [labels, { team: "web" }, undefined]
    )
  })

  it("are found by status and by all labels that are named", async () => {
    assert.deepStrictEqual(await ids("--status", "running"), ["one"])
    assert.deepStrictEqual(await ids("--label", "team=web"), ["one", "two"])
    assert.deepStrictEqual(await ids("--label", "team=web", "--label", "branch=a=b"), ["one"])
    assert.deepStrictEqual(await ids("--label", "note="), ["one"])
    assert.deepStrictEqual(await ids("--status", "waiting", "--label", "team=web"), ["two"])
    assert.strictEqual(await ids("--label", "team=we"), "./runledger.db holds no such runs\n")
    assert.strictEqual(await ids("--status", "created"), "./runledger.db holds no such runs\n")
  })

  it.each([
    [["--label", "team"], /"team".*a label, like team=web/],
    [["--label", "=web"], /"=web".*a label, like team=web/],
    [["--label", "team=a", "--label", "team=b"], /^runledger: one --label for each name: a run has one value of it\n$/],
    [["--status", "asleep"], /"created" \| "running" \| "waiting" \| "done"/]
  ] as const)("%s is a wrong call", async (args, message) => {
    assertFailed(await runledger(folder(), "runs", ...args), 64, message)
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
  assert.strictEqual(
    stderr.replace(/ in .*/, "").replace(/\d+(?= facts)/, "N"),
    "482 lines read, N facts kept (full_fidelity)\n"
  )
  for (const said of [
    "$ runledger record packages/cli/demo/run.jsonl --durability full_fidelity",
    "── run run-1 · thread fix-login-test · agent coder · ",
    "permission",
    "compaction",
    "── run run-1 finished",
    "done: natural"
  ]) {
    assert.include(stdout, said)
  }
  assert.match(stdout, /\n\d+ facts in .*, no faults\n\nThe ledger is .*demo\.db\n$/)
})
