/**
 * `prune` and `erase`: what is gone is gone, and what is kept is whole.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { contentsOf, makeEventful, makeLarge, makeOld, secret } from "./ledgers.ts"
import { newDatabase } from "./postgres.ts"
import {
  assertFailed,
  assertWhole,
  bin,
  folder,
  jsonLines,
  note,
  notes,
  record,
  run,
  runFinish,
  runledger,
  runStart,
  text
} from "./process.ts"

const now = () => new Date().toISOString()

const said = async (cwd: string, ...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await runledger(cwd, ...args)
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
  return stdout
}

describe.concurrent("erase", () => {
  it("leaves no byte of a thread in the ledger's files, which get smaller, and all facts in their place", async () => {
    const cwd = folder()
    const path = join(cwd, "runledger.db")
    await record(
      cwd,
      jsonLines(runStart("a", "private"), text(secret)) +
        notes(2000) +
        jsonLines(runFinish("a", "private"), runStart("b", "public"), text("kept"), runFinish("b", "public"))
    )
    assert.isTrue(readFileSync(path).includes(secret))
    // Somebody who has the ledger open keeps its -wal file there.
    using reader = new DatabaseSync(path, { readOnly: true })
    reader.exec("SELECT count(*) FROM events")
    const before = await contentsOf(path)
    const { size } = statSync(path)
    assert.match(
      await said(cwd, "erase", "--thread", "private"),
      /^2,004 facts of thread private erased in \.\/runledger\.db; [\d.]+ kB before, [\d.]+ kB now\n$/
    )
    for (const file of [path, `${path}-wal`]) {
      assert.isTrue(existsSync(file), file)
      assert.isFalse(readFileSync(file).includes(secret), file)
    }
    assert.isBelow(statSync(path).size, size)
    const after = await contentsOf(path)
    assert.deepStrictEqual(
      after.facts,
      before.facts.map((fact) =>
        fact.threadId === "private" ? Object.assign(fact, { payload: null, erased: true }) : fact
      )
    )
    await assertWhole(cwd)
    assert.match(await said(cwd, "show", "--thread", "private"), /^[\d:.]{12} {2}erased {5}RunStarted\n/)
    assert.match(await said(cwd, "runs"), /\na +private +done +2,004 /)
    assert.match(await said(cwd, "erase", "--thread", "private"), /^0 facts of thread private erased/)
  })

  it("takes a thread away in Postgres too, and says nothing of files", async () => {
    const ledger = await newDatabase()
    await makeEventful(ledger)
    const facts = (await contentsOf(ledger)).facts.filter(({ threadId }) => threadId === "work").length
    assert.strictEqual(
      await said(folder(), "erase", "--thread", "work", "--ledger", ledger),
      `${facts} facts of thread work erased in ${ledger.replace(/.*@/, "")}\n`
    )
    assert.match(await said(folder(), "verify", "--ledger", ledger), /, no faults\n$/)
  })

  it("of a thread that is not there ends with 1", async () => {
    const cwd = folder()
    await record(cwd, jsonLines(runStart()))
    assertFailed(
      await runledger(cwd, "erase", "--thread", "run\u001b-1"),
      1,
      /^runledger: \.\/runledger\.db holds no facts of thread run\\x1b-1\n$/
    )
  })
})

describe.concurrent("prune", () => {
  it("deletes what is old, gives its space back, and keeps runs that are not done", async () => {
    const cwd = folder()
    const path = join(cwd, "runledger.db")
    await record(
      cwd,
      jsonLines(
        runStart("waiting"),
        note("kept"),
        { ...runFinish("waiting"), termination: { _tag: "Suspended" } },
        runStart("interrupted"),
        note("gone"),
        runStart("old")
      ) +
        notes(2000) +
        jsonLines(runFinish("old"))
    )
    const before = now()
    await record(cwd, jsonLines(runStart("new"), runFinish("new")))
    const { size } = statSync(path)
    assert.match(
      await said(cwd, "prune", "--before", before),
      /^2,005 facts pruned from \.\/runledger\.db; [\d.]+ kB before, [\d.]+ kB now\n$/
    )
    assert.isBelow(statSync(path).size, size)
    assert.deepStrictEqual(
      (await contentsOf(path)).facts.map(({ position, threadSequence }) => [position, threadSequence]),
      [
        [1, 1],
        [2, 2],
        [3, 3],
        [2009, 2009],
        [2010, 2010]
      ]
    )
    await assertWhole(cwd)
    assert.match(await said(cwd, "runs"), /\ninterrupted +thread-1 +done: interrupted +0 +pruned\n/)
    assert.match(await said(cwd, "runs"), /\nold +thread-1 +done: natural +0 +pruned\n/)
  })

  it.each([
    ["2026-01-01", 2],
    ["2026-01-01T00:00", 2],
    ["2026-01-01T00:00:00.001Z", 3],
    ["2026-01-01T01:00:00+01:00", 2],
    ["2025-12-31T18:59:59-05:00", 1],
    ["2025-12-31", 0]
  ])("--before %s deletes %i of the facts around new year", async (before, pruned) => {
    const cwd = folder()
    const path = join(cwd, "runledger.db")
    const times = ["2025-12-31T12:00:00Z", "2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"]
    await makeOld(path, times)
    assert.match(await said(cwd, "prune", "--before", before), new RegExp(`^${pruned} facts? pruned from `))
    assert.deepStrictEqual(
      (await contentsOf(path)).facts.map(({ recordedAt }) => recordedAt),
      times.slice(pruned).map(Date.parse)
    )
    await assertWhole(cwd)
  })

  it("--thread deletes of this thread only", async () => {
    const cwd = folder()
    await makeOld(join(cwd, "runledger.db"), ["2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z"])
    assert.match(await said(cwd, "prune", "--before", "2026-01-01", "--thread", "thread-1"), /^1 fact pruned from /)
    assert.deepStrictEqual(
      (await contentsOf(join(cwd, "runledger.db"))).facts.map(({ threadId }) => threadId),
      ["thread-0", "thread-2"]
    )
  })

  it("works on Postgres", async () => {
    const ledger = await newDatabase()
    await makeLarge(ledger, 2000)
    assert.strictEqual(
      await said(folder(), "prune", "--before", now(), "--ledger", ledger),
      `2,000 facts pruned from ${ledger.replace(/.*@/, "")}\n`
    )
    assert.match(await said(folder(), "verify", "--ledger", ledger), /^0 facts in .*, no faults\n$/)
  })
})

describe.concurrent("a ledger that is not there", () => {
  it.each([
    ["prune", "--before", "2026-01-01"],
    ["erase", "--thread", "t"]
  ])("is not made by %s", async (...args) => {
    const cwd = folder()
    assertFailed(await runledger(cwd, ...args), 3, /^runledger: there is no ledger at .*runledger\.db; /)
    assert.deepStrictEqual(readdirSync(cwd), [])
    const ledger = await newDatabase()
    for (const _ of ["once", "again"]) {
      assertFailed(await runledger(cwd, ...args, "--ledger", ledger), 3, /^runledger: there is no ledger at /)
    }
  })
})

it("work of which nothing is heard shows in a terminal that it goes on", async (ctx) => {
  const cwd = folder()
  await record(cwd, jsonLines(runStart(), runFinish()))
  const { status, stdout } = await run(
    "script",
    ["-qec", `"${process.execPath}" "${bin}" prune --before 2026-01-01`, "/dev/null"],
    { cwd }
  ).catch(() => ctx.skip("there is no script(1) of util-linux to make a terminal"))
  if (process.platform !== "linux") {
    ctx.skip("script(1) has other options here")
  }
  assert.strictEqual(status, 0)
  assert.isTrue(stdout.startsWith("\r\u001b[Kpruning, "), stdout)
  assert.include(stdout, "\r\u001b[K0 facts pruned from ")
})
