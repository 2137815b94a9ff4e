/**
 * Copies of ledgers: all that there is, as it is, however often they are begun.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { inject } from "vitest"
import type {} from "../../sql/test/postgres/globalSetup.ts"
import { createDatabase } from "../../../scripts/postgres.ts"
import { roundTrip } from "./copying.ts"
import { entriesOf, event, makeEventful, makeLarge, stopWriting, withStore } from "./ledgers.ts"
import { assertFailed, folder, record, runledger, starting, jsonLines, runFinish, runStart } from "./process.ts"

const eventful = join(folder(), "eventful.db")
const large = join(folder(), "large.db")

beforeAll(async () => {
  await makeEventful(eventful)
  await makeLarge(large, 5000)
})

const database = (): Promise<string> => createDatabase(inject("postgresUrl"))

const copy = (from: string, to: string) => runledger(folder(), "copy", "--from", from, "--to", to)

const outputOf = async (...args: ReadonlyArray<string>): Promise<string> => {
  const { status, stderr, stdout } = await runledger(folder(), ...args)
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" }, args.join(" "))
  return stdout
}

/** Both ledgers say the same, and the second is whole. */
const assertCopied = async (from: string, to: string): Promise<void> => {
  for (const command of [
    ["export", "--all"],
    ["runs", "--json"]
  ]) {
    assert.strictEqual(
      await outputOf(...command, "--ledger", to),
      await outputOf(...command, "--ledger", from),
      command.join(" ")
    )
  }
  assert.match(await outputOf("verify", "--ledger", to), /, no faults\n$/)
}

const copied = (facts: string, has: string, more: string): RegExp =>
  new RegExp(`^${facts} facts? copied to .*, which has ${has} now, with ${more}\n$`)

describe.concurrent("a copy", () => {
  it("has everything, also by way of Postgres", async () => {
    const [file, server, back] = [join(folder(), "file.db"), await database(), join(folder(), "back.db")]
    for (const [from, to] of [
      [eventful, file],
      [file, server],
      [server, back]
    ] as const) {
      assert.match((await copy(from, to)).stdout, copied("16", "16", "4 threads, 8 runs and 2 writers"))
      await assertCopied(eventful, to)
      assert.deepStrictEqual(await entriesOf(to), await entriesOf(eventful))
    }
  })

  it("of a ledger in Postgres has everything", async () => {
    const [from, to] = [await database(), await database()]
    await makeEventful(from)
    assert.match((await copy(from, to)).stdout, copied("16", "16", "4 threads, 8 runs and 2 writers"))
    await assertCopied(from, to)
    assert.deepStrictEqual(await entriesOf(to), await entriesOf(from))
  })

  it("that is killed on its way to Postgres goes on there", async () => {
    await roundTrip(4000, await database())
  })

  it("of an empty ledger is one", async () => {
    const cwd = folder()
    await record(cwd, "")
    const { stderr, stdout } = await copy(join(cwd, "runledger.db"), join(cwd, "to.db"))
    assert.strictEqual(stderr, "")
    assert.match(stdout, copied("0", "0", "0 threads, 0 runs and 0 writers"))
    assert.strictEqual(await outputOf("verify", "--ledger", join(cwd, "to.db")), `0 facts in ${cwd}/to.db, no faults\n`)
  })

  it("made again adds nothing, and later what has been recorded since", async () => {
    const cwd = folder()
    const [from, to] = [join(cwd, "runledger.db"), join(cwd, "to.db")]
    await record(cwd, jsonLines(runStart()))
    assert.match((await copy(from, to)).stdout, copied("1", "1", "1 thread, 1 run and 0 writers"))
    assert.match((await copy(from, to)).stdout, copied("0", "1", "1 thread, 1 run and 0 writers"))
    await record(cwd, jsonLines(runStart("run-2"), runFinish("run-2")))
    assert.match((await copy(from, to)).stdout, copied("2", "3", "1 thread, 2 runs and 0 writers"))
    await assertCopied(from, to)
  })

  it("goes on where the source was pruned since", async () => {
    const cwd = folder()
    const [from, to] = [join(cwd, "runledger.db"), join(cwd, "to.db")]
    await record(cwd, jsonLines(runStart("a"), runFinish("a"), runStart("b")))
    await copy(from, to)
    await record(cwd, jsonLines(runStart("c"), runFinish("c")))
    await outputOf("prune", "--before", new Date().toISOString(), "--ledger", from)
    await record(cwd, jsonLines(runStart("d")))
    assert.match((await copy(from, to)).stdout, copied("1", "4", "1 thread, 4 runs and 0 writers"))
    const kept = await outputOf("export", "--all", "--ledger", to)
    assert.isTrue(kept.endsWith(await outputOf("export", "--all", "--ledger", from)), kept)
    assert.match(await outputOf("verify", "--ledger", to), /^4 facts in .*, no faults\n$/)
  })
})

describe.concurrent("a copy that is stopped in the middle", () => {
  it.each([["SIGKILL", null] as const, ["SIGINT", 130] as const, ["SIGTERM", 143] as const])(
    "by %s holds the beginning, and goes on when it is called again",
    async (signal, status) => {
      const cwd = folder()
      const to = join(cwd, "to.db")
      const copying = starting(cwd, "copy", "--from", large, "--to", "to.db")
      const { facts, release } = await stopWriting(to)
      copying.kill(signal)
      const ended = await copying.ended
      release()
      assert.deepInclude(ended, { status, stdout: "", stderr: "" })
      assert.isBelow(facts, 5000)
      assert.strictEqual(
        await outputOf("verify", "--ledger", to),
        `${facts.toLocaleString("en-US")} facts in ${to}, no faults\n`
      )
      const beginning = await outputOf("export", "--all", "--ledger", to)
      assert.isTrue((await outputOf("export", "--all", "--ledger", large)).startsWith(beginning))
      const rest = (5000 - facts).toLocaleString("en-US")
      assert.match((await copy(large, to)).stdout, copied(rest, "5,000", "5 threads, 5 runs and 0 writers"))
      await assertCopied(large, to)
    }
  )

  it("and gets new facts meanwhile has these too", async () => {
    const cwd = folder()
    const from = join(cwd, "from.db")
    await makeLarge(from, 5000)
    const copying = starting(cwd, "copy", "--from", "from.db", "--to", "to.db")
    const { release } = await stopWriting(join(cwd, "to.db"))
    await withStore(from, (store) => store.append([event({ threadId: "late" }), event({ threadId: "late" })]))
    release()
    const { status, stdout } = await copying.ended
    assert.strictEqual(status, 0)
    assert.match(stdout, copied("5,002", "5,002", "6 threads, 5 runs and 0 writers"))
    await assertCopied(from, join(cwd, "to.db"))
  })
})

describe.concurrent("what is no beginning of the source is refused and left as it is", () => {
  const assertRefused = async (from: string, to: string, message: RegExp) => {
    const before = await outputOf("export", "--all", "--ledger", to)
    const ended = await copy(from, to)
    assertFailed(ended, 3, message)
    assert.strictEqual(ended.stdout, "")
    assert.strictEqual(await outputOf("export", "--all", "--ledger", to), before)
    assert.match(await outputOf("verify", "--ledger", to), /, no faults\n$/)
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

  it("the same event at another place", async () => {
    const cwd = folder()
    const [from, to] = [join(cwd, "from.db"), join(cwd, "to.db")]
    const twice = event({ threadId: "thread" })
    await withStore(from, (store) => store.append([event({ threadId: "thread" }), twice]))
    await withStore(to, (store) => store.append([twice]))
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
