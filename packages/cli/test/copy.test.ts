/**
 * Copies of ledgers: all that there is, as it is, however often they are begun.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { copyUpTo, roundTrip } from "./copying.ts"
import { contentsOf, event, factsIn, finished, makeEventful, makeLarge, started, withStore } from "./ledgers.ts"
import { newDatabase } from "./postgres.ts"
import { assertFailed, folder, record, runledger, starting, jsonLines, runFinish, runStart } from "./process.ts"

const eventful = join(folder(), "eventful.db")
const large = join(folder(), "large.db")

beforeAll(async () => {
  await makeEventful(eventful)
  await makeLarge(large, 5000)
})

const copy = (from: string, to: string) => runledger(folder(), "copy", "--from", from, "--to", to)

const outputOf = async (...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await runledger(folder(), ...args)
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" }, args.join(" "))
  return stdout
}

const assertWhole = async (ledger: string, facts: number): Promise<void> =>
  assert.match(
    await outputOf("verify", "--ledger", ledger),
    new RegExp(`^${facts.toLocaleString("en-US")} facts? in .*, no faults\n$`)
  )

/** Both ledgers say the same, and the second is whole. */
const assertCopied = async (from: string, to: string): Promise<void> => {
  const contents = await contentsOf(from)
  assert.deepStrictEqual(await contentsOf(to), contents)
  await assertWhole(to, contents.facts.length)
}

const copied = (facts: string, has: string, more: string): RegExp =>
  new RegExp(`^${facts} facts? copied to .*, which has ${has} now, with ${more}\n$`)

describe.concurrent("a copy", () => {
  it("has everything, also by way of Postgres", { timeout: 180_000 }, async () => {
    const [file, server, back] = [join(folder(), "file.db"), await newDatabase(), join(folder(), "back.db")]
    for (const [from, to] of [
      [eventful, file],
      [file, server],
      [server, back]
    ] as const) {
      assert.match((await copy(from, to)).stdout, copied("16", "16", "4 threads, 8 runs and 2 writers"))
      await assertCopied(eventful, to)
    }
    for (const command of [
      ["export", "--all"],
      ["runs", "--json"]
    ]) {
      const said = await outputOf(...command, "--ledger", eventful)
      assert.strictEqual(await outputOf(...command, "--ledger", server), said)
      assert.strictEqual(await outputOf(...command, "--ledger", back), said)
    }
  })

  it("of a ledger in Postgres has everything", async () => {
    const [from, to] = [await newDatabase(), await newDatabase()]
    await makeEventful(from)
    assert.match((await copy(from, to)).stdout, copied("16", "16", "4 threads, 8 runs and 2 writers"))
    await assertCopied(from, to)
  })

  it("that is killed on its way to Postgres goes on there", { timeout: 180_000 }, async () => {
    await roundTrip(5000, await newDatabase())
  })

  it("of an empty ledger is one", async () => {
    const cwd = folder()
    await record(cwd, "")
    const { stderr, stdout } = await copy(join(cwd, "runledger.db"), join(cwd, "to.db"))
    assert.strictEqual(stderr, "")
    assert.match(stdout, copied("0", "0", "0 threads, 0 runs and 1 writer"))
    await assertWhole(join(cwd, "to.db"), 0)
  })

  it("made again adds nothing, and later what has been recorded since", async () => {
    const cwd = folder()
    const [from, to] = [join(cwd, "runledger.db"), join(cwd, "to.db")]
    await record(cwd, jsonLines(runStart()))
    assert.match((await copy(from, to)).stdout, copied("2", "2", "1 thread, 1 run and 1 writer"))
    assert.match((await copy(from, to)).stdout, copied("0", "2", "1 thread, 1 run and 1 writer"))
    await record(cwd, jsonLines(runStart("run-2"), runFinish("run-2")), "--writer", "laptop")
    assert.match((await copy(from, to)).stdout, copied("2", "4", "1 thread, 2 runs and 2 writers"))
    await assertCopied(from, to)
  })

  it("goes on where the source was pruned since", async () => {
    const suspended = { ...runFinish("b"), termination: { _tag: "Suspended" } }
    const cwd = folder()
    const [from, to] = [join(cwd, "runledger.db"), join(cwd, "to.db")]
    await record(cwd, jsonLines(runStart("a"), runFinish("a"), runStart("b"), suspended))
    await copy(from, to)
    await record(cwd, jsonLines(runStart("c"), runFinish("c")))
    await outputOf("prune", "--before", new Date().toISOString(), "--ledger", from)
    await record(cwd, jsonLines(runStart("d"), runFinish("d")))
    assert.match((await copy(from, to)).stdout, copied("2", "6", "1 thread, 4 runs and 1 writer"))
    assert.deepStrictEqual((await contentsOf(to)).facts.slice(2), (await contentsOf(from)).facts)
    await assertWhole(to, 6)
  })

  it("goes on where a run of it was pruned in part since", async () => {
    const [from, to] = [join(folder(), "from.db"), join(folder(), "to.db")]
    const say = () => event({ runId: "run", threadId: "thread" })
    await withStore(from, (store) => store.append([started("run", "thread"), say(), event({ runId: "live" })]))
    await copy(from, to)
    await withStore(from, (store) => store.append([say(), finished("run", "thread")]))
    await outputOf("prune", "--before", new Date().toISOString(), "--ledger", from)
    await withStore(from, (store) => store.append([say(), say()]))
    assert.match((await copy(from, to)).stdout, copied("2", "5", "1 thread, 2 runs and 0 writers"))
    assert.deepStrictEqual(
      (await contentsOf(to)).facts.map(({ runSequence }) => runSequence),
      [1, 2, 1, 5, 6]
    )
    await assertWhole(to, 5)
  })
})

const inTheMiddle = { table: "events", where: "NEW.position = 2500" } as const

describe.concurrent("a copy that is stopped in the middle", () => {
  it.each([["SIGINT", 130] as const, ["SIGTERM", 143] as const])(
    "by %s holds the beginning, and goes on when it is called again",
    async (signal, status) => {
      const to = await newDatabase()
      const ended = await copyUpTo(inTheMiddle, large, to, (copying) => {
        copying.kill(signal)
        return copying.ended
      })
      assert.deepInclude(ended, { status, stdout: "", stderr: "" })
      await assertWhole(to, 2000)
      assert.deepStrictEqual((await contentsOf(to)).facts, (await contentsOf(large)).facts.slice(0, 2000))
      assert.match((await copy(large, to)).stdout, copied("3,000", "5,000", "5 threads, 5 runs and 0 writers"))
      await assertCopied(large, to)
    }
  )

  it("by SIGKILL does so in a file too", async () => {
    let to: string
    let facts: number
    do {
      const cwd = folder()
      to = join(cwd, "to.db")
      const copying = starting(cwd, "copy", "--from", large, "--to", "to.db")
      while (factsIn(to) === 0) {
        await new Promise((resolve) => setImmediate(resolve))
      }
      copying.kill("SIGKILL")
      await copying.ended
      facts = factsIn(to)
      // It may have come to its end before.
    } while (facts === 5000)
    await assertWhole(to, facts)
    assert.deepStrictEqual((await contentsOf(to)).facts, (await contentsOf(large)).facts.slice(0, facts))
    assert.isTrue(
      (await copy(large, to)).stdout.startsWith(`${(5000 - facts).toLocaleString("en-US")} facts copied to `)
    )
    await assertCopied(large, to)
  })

  it("and gets new facts meanwhile has these too", async () => {
    const [from, to] = [join(folder(), "from.db"), await newDatabase()]
    await makeLarge(from, 5000)
    const { status, stdout } = await copyUpTo(inTheMiddle, from, to, () =>
      withStore(from, (store) => store.append([event({ threadId: "late" }), event({ threadId: "late" })]))
    )
    assert.strictEqual(status, 0)
    assert.match(stdout, copied("5,002", "5,002", "6 threads, 5 runs and 0 writers"))
    await assertCopied(from, to)
  })

  it("and at its end gets new facts has these too, and says that it should be made again", async () => {
    const [from, to] = [join(folder(), "from.db"), await newDatabase()]
    await makeEventful(from)
    const ended = await copyUpTo({ table: "writers", where: "NEW.writer = 'idle'" }, from, to, () =>
      withStore(from, (store) => store.append([started("late", "late"), finished("late", "late")]))
    )
    assert.strictEqual(ended.status, 0)
    assert.match(ended.stdout, copied("18", "18", "4 threads, 8 runs and 2 writers"))
    assert.match(
      ended.stderr,
      /^facts were recorded while the runs were copied, .* stop the recorders and copy again\n$/
    )
    await assertWhole(to, 18)
    assert.match((await copy(from, to)).stdout, copied("0", "18", "5 threads, 9 runs and 2 writers"))
    await assertCopied(from, to)
  })
})

describe.concurrent("what is no beginning of the source is refused and left as it is", () => {
  const assertRefused = async (from: string, to: string, message: RegExp) => {
    const before = await contentsOf(to)
    const ended = await copy(from, to)
    assertFailed(ended, 3, message)
    assert.strictEqual(ended.stdout, "")
    assert.deepStrictEqual(await contentsOf(to), before)
  }
  const refusal = (why: string): RegExp =>
    new RegExp(
      `^runledger: .*/to\\.db cannot be told to be a beginning of .*: its last fact, \\S+ at position \\d+, ${why}; copy into a new ledger\n$`
    )

  it("another ledger", async () => {
    const to = join(folder(), "to.db")
    await makeLarge(to, 1000)
    await assertRefused(large, to, refusal("is not there"))
  })

  it("a copy that was recorded into", async () => {
    const cwd = folder()
    const to = join(cwd, "to.db")
    await copy(large, to)
    await record(cwd, jsonLines(runStart()), "--ledger", to)
    await assertRefused(large, to, refusal("is not there"))
  })

  it.each([
    ["position", [event({ threadId: "other" })], []],
    ["sequence of its thread", [event({ threadId: "thread" })], [event({ threadId: "other" })]],
    ["sequence of its run", [event({ runId: "run" })], [event({ runId: "other" })]]
  ] as const)("the same event with another %s", async (_, before, instead) => {
    const [from, to] = [join(folder(), "from.db"), join(folder(), "to.db")]
    const last = event({ threadId: "thread", runId: "run" })
    await withStore(from, (store) => store.append([...before, last]))
    await withStore(to, (store) => store.append([...instead, last]))
    await assertRefused(from, to, refusal("is not there"))
  })

  it("a copy of what was pruned since", async () => {
    const cwd = folder()
    const [from, to] = [join(cwd, "runledger.db"), join(cwd, "to.db")]
    await record(cwd, jsonLines(runStart(), runFinish()))
    await copy(from, to)
    await outputOf("prune", "--before", new Date().toISOString(), "--ledger", from)
    await assertRefused(from, to, refusal("is not there or was pruned"))
  })
})

describe.concurrent("a wrong call", () => {
  it("without a source makes no target", async () => {
    const cwd = folder()
    const ended = await runledger(cwd, "copy", "--from", "no.db", "--to", "to.db")
    assertFailed(ended, 3, /^runledger: there is no ledger at .*no\.db; /)
    assert.deepStrictEqual(readdirSync(cwd), [])
  })

  it.each([
    ["runledger.db", "./runledger.db"],
    ["postgres://me:one@host/ledger", "postgresql://you:two@host:5432/ledger"]
  ])("into the same ledger", async (from, to) => {
    const cwd = folder()
    const ended = await runledger(cwd, "copy", "--from", from, "--to", to)
    assertFailed(ended, 64, /^runledger: --from and --to are the same ledger\n$/)
    assert.deepStrictEqual(readdirSync(cwd), [])
  })
})
