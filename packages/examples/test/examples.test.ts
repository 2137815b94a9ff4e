import { assert, describe, it } from "vitest"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { campaign } from "./kills.ts"
import { example, folder, runledger } from "./process.ts"

describe("the coding agent", () => {
  it("waits for a decision, and goes on in another process", { timeout: 120_000 }, async () => {
    const workDir = folder()
    const ledger = join(workDir, "runledger.db")
    const start = () => example(["coding-agent", "--work-dir", workDir])
    const waiting = await start()
    assert.strictEqual(waiting.status, 75, waiting.stderr)
    assert.include(waiting.stdout, `runledger decide call-3 --approve --ledger ${ledger}`)
    const pending = await runledger("pending", "--json", "--ledger", ledger)
    assert.deepInclude(JSON.parse(pending.stdout), {
      callId: "call-3",
      runId: "mend-the-sum-1",
      threadId: "mend-the-sum",
      tool: "run_command",
      state: "waits_for_permission"
    })
    assert.strictEqual((await runledger("decide", "call-3", "--approve", "--ledger", ledger)).status, 0)
    assert.strictEqual((await runledger("decide", "call-3", "--reject", "--ledger", ledger)).status, 4)
    const done = await start()
    assert.deepInclude(done, { status: 0, stdout: "Mended: 1 + 2 is 3 again.\n" })
    assert.strictEqual(readFileSync(join(workDir, "tool.log"), "utf8"), "call-1\ncall-2\ncall-3\n")
    assert.include(readFileSync(join(workDir, "add.js"), "utf8"), "a + b")
  })

  it("does not run a command that was rejected", { timeout: 120_000 }, async () => {
    const workDir = folder()
    const ledger = join(workDir, "runledger.db")
    await example(["coding-agent", "--work-dir", workDir])
    await runledger("decide", "call-3", "--reject", "--reason", "not now", "--ledger", ledger)
    const done = await example(["coding-agent", "--work-dir", workDir])
    assert.strictEqual(done.status, 0, done.stderr)
    assert.include(readFileSync(join(workDir, "add.js"), "utf8"), "a - b")
  })

  it("runs once when two processes go on with it at once", { timeout: 120_000 }, async () => {
    const workDir = folder()
    const ledger = join(workDir, "runledger.db")
    await example(["coding-agent", "--work-dir", workDir])
    await runledger("decide", "call-3", "--approve", "--ledger", ledger)
    const start = () => example(["coding-agent", "--work-dir", workDir])
    const ended = await Promise.all([start(), start()])
    assert.isTrue(ended.some(({ status }) => status === 0))
    assert.strictEqual(readFileSync(join(workDir, "tool.log"), "utf8"), "call-1\ncall-2\ncall-3\n")
  })

  it("runs no call twice when it is killed at random points, and always ends", { timeout: 300_000 }, () =>
    campaign("coding-agent", 8)
  )
})

describe("the agent on the AI SDK", () => {
  it("waits for a decision, and goes on in another process", { timeout: 120_000 }, async () => {
    const workDir = folder()
    const ledger = join(workDir, "runledger.db")
    const start = () => example(["ai-sdk-agent", "--work-dir", workDir])
    for (const _ of [1, 2]) {
      const waiting = await start()
      assert.strictEqual(waiting.status, 75, waiting.stderr)
    }
    assert.strictEqual((await runledger("decide", "call-2", "--approve", "--ledger", ledger)).status, 0)
    const done = await start()
    assert.deepInclude(done, { status: 0, stdout: "Mended: 1 + 2 is 3 again.\n" })
    assert.strictEqual(readFileSync(join(workDir, "tool.log"), "utf8"), "call-1\ncall-2\n")
    assert.strictEqual((await runledger("verify", "--ledger", ledger)).status, 0)
  })

  it("does not run a command that was rejected", { timeout: 120_000 }, async () => {
    const workDir = folder()
    const ledger = join(workDir, "runledger.db")
    await example(["ai-sdk-agent", "--work-dir", workDir])
    await runledger("decide", "call-2", "--reject", "--ledger", ledger)
    const done = await example(["ai-sdk-agent", "--work-dir", workDir])
    assert.strictEqual(done.status, 0, done.stderr)
    assert.include(readFileSync(join(workDir, "add.js"), "utf8"), "a - b")
  })

  it("runs no call twice when it is killed at random points, and always ends", { timeout: 300_000 }, () =>
    campaign("ai-sdk-agent", 4)
  )
})

describe("the other examples", () => {
  it("a chat goes on where it was", { timeout: 60_000 }, async () => {
    const workDir = folder()
    assert.deepInclude(await example(["chat", "--work-dir", workDir]), { status: 0, stdout: "Hello!\n" })
    assert.deepInclude(await example(["chat", "--work-dir", workDir]), { status: 0, stdout: "We have met.\n" })
  })

  it("many agents share a ledger, and are watched", { timeout: 60_000 }, async () => {
    const workDir = folder()
    const { status, stdout } = await example(["many-agents", "--work-dir", workDir])
    assert.strictEqual(status, 0)
    for (const city of ["Bergen", "Cusco", "Dakar", "Hanoi", "Turin"]) {
      const kinds = stdout.split("\n").filter((line) => line.startsWith(`${city}: `))
      assert.strictEqual(kinds[0], `${city}: RunStarted`)
      assert.strictEqual(kinds.at(-1), `${city}: RunFinished`)
    }
  })

  it("a name that is none is told, and leaves nothing behind", { timeout: 60_000 }, async () => {
    const workDir = join(folder(), "none")
    const ended = await example(["fly", "--work-dir", workDir])
    assert.strictEqual(ended.status, 64)
    assert.include(ended.stderr, "NAME is one of")
    assert.isFalse(existsSync(workDir))
  })
})
