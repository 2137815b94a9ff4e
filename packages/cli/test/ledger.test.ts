/**
 * Ledgers that cannot be opened, read or written: status 3, one line that says why, and nothing is damaged.
 */
import { assert, describe, it } from "@effect/vitest"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import {
  assertFailed,
  assertWhole,
  bin,
  demo,
  empty,
  facts,
  folder,
  jsonLines,
  lastAck,
  notes,
  run,
  runledger,
  runStart,
  start,
  starting,
  texts
} from "./process.ts"

const reads = [["runs"], ["export", "--all"]]

describe.concurrent("what is not a ledger is refused and left as it is", () => {
  const assertRefused = async (cwd: string, name: string, message: RegExp) => {
    const before = existsSync(join(cwd, name)) && !name.endsWith("folder") ? readFileSync(join(cwd, name)) : undefined
    const files = readdirSync(cwd)
    for (const ended of await Promise.all([
      runledger(cwd, "record", demo, "--ledger", name),
      runledger(cwd, "verify", "--ledger", name)
    ])) {
      assertFailed(ended, 3, message)
      assert.strictEqual(ended.stdout, "")
    }
    assert.deepStrictEqual(readdirSync(cwd), files)
    if (before !== undefined) {
      assert.isTrue(before.equals(readFileSync(join(cwd, name))))
    }
  }

  it("a folder", async () => {
    const cwd = folder()
    mkdirSync(join(cwd, "a folder"))
    await assertRefused(cwd, "a folder", /^runledger: .*a folder is a folder, not a ledger; give the path of a file\n$/)
  })

  it("a file of another kind", async () => {
    const cwd = folder()
    writeFileSync(join(cwd, "notes.txt"), "notes\n".repeat(1000))
    await assertRefused(cwd, "notes.txt", /^runledger: .*notes\.txt is not an SQLite database and so not a ledger; /)
  })

  it("a database of another program", async () => {
    const cwd = folder()
    const database = new DatabaseSync(join(cwd, "other.db"))
    database.exec("CREATE TABLE events (position INTEGER PRIMARY KEY, payload TEXT)")
    database.close()
    await assertRefused(
      cwd,
      "other.db",
      /^runledger: .*other\.db is an SQLite database of another program, not a ledger; /
    )
  })

  it("a ledger of a later format", async () => {
    const cwd = folder()
    await runledger(cwd, "record", demo)
    const database = new DatabaseSync(join(cwd, "runledger.db"))
    database.exec("PRAGMA user_version = 99; PRAGMA journal_mode = DELETE")
    database.close()
    await assertRefused(
      cwd,
      "runledger.db",
      /^runledger: .*written by a newer runledger.*upgrade runledger to open it\n$/
    )
  })

  it("a path in a folder that does not exist", async () => {
    const cwd = folder()
    const ended = await runledger(cwd, "record", demo, "--ledger", "no/a.db")
    assertFailed(ended, 3, /^runledger: .*a\.db cannot be made: its folder does not exist; create .*no first\n$/)
  })

  it.each(reads)("%s of a ledger that is not there", async (...args) => {
    const cwd = folder()
    assertFailed(
      await runledger(cwd, ...args),
      3,
      /^runledger: there is no ledger at .*runledger\.db; check the path, or /
    )
    assert.deepStrictEqual(readdirSync(cwd), [])
  })

  it("escapes in its name are written out", async () => {
    const ended = await runledger(folder(), "runs", "--ledger", "a\u001b]0;x\u0007\n.db")
    assertFailed(ended, 3, /there is no ledger at .*a\\x1b\]0;x\\x07\\n\.db;/)
  })
})

/** A user that is not the administrator, who may read everything: the one who runs the tests, or nobody. */
const somebody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

it("a ledger that the user may not read or write", async (ctx) => {
  const cwd = folder()
  for (const path of [cwd, dirname(cwd)]) {
    chmodSync(path, 0o755)
  }
  const asSomebody = (...args: ReadonlyArray<string>) => run(process.execPath, [bin, ...args], { cwd, ...somebody })
  const { status } = await asSomebody("--version").catch(() => ({ status: undefined }))
  if (process.platform === "win32" || status !== 0) {
    ctx.skip("no user without permissions can run the command here")
  }
  await runledger(cwd, "record", demo)
  chmodSync(join(cwd, "runledger.db"), 0o000)
  const refused = /^runledger: the ledger .*runledger\.db may not be opened by this user; change its permissions/
  assertFailed(await asSomebody("verify"), 3, refused)
  assertFailed(await asSomebody("record", demo), 3, refused)
  chmodSync(join(cwd, "runledger.db"), 0o600)
  await assertWhole(cwd)
})

describe.concurrent("a ledger that goes away or cannot grow", () => {
  it.each<readonly [string, string]>([
    ["the line is a fact of its own", notes(1)],
    ["the line waits for others", texts(1)]
  ])("ends the recording, also while it waits for input, when %s", async (_, line) => {
    const cwd = folder()
    const recording = starting(cwd, "record", "--ack", "--durability", "full_fidelity")
    recording.write(jsonLines(runStart()))
    await recording.until('{"acked":1}\n')
    empty(cwd)
    recording.write(line)
    const ended = await recording.ended
    assertFailed(
      ended,
      3,
      /^runledger: \d staged facts? (?:was|were) not saved: the ledger .* was deleted or replaced while it was/
    )
    assert.strictEqual(ended.stdout, '{"acked":1}\n')
    assert.notInclude(readdirSync(cwd), "runledger.db")
  })

  it.skipIf(process.platform === "win32")("a full disk", async () => {
    const cwd = folder()
    const script = 'ulimit -f 400; exec "$0" "$1" record --ack --durability full_fidelity'
    const recording = start("bash", ["-c", script, process.execPath, bin], { cwd })
    recording.write(Array.from({ length: 5 }, (_, index) => jsonLines(runStart(`run-${index}`))).join(""))
    await recording.until('{"acked":5}\n')
    recording.write(notes(20_000))
    const ended = await recording.ended
    assertFailed(ended, 3, /^runledger: \d+ staged facts were not saved: the ledger .* disk is full or failing/)
    const kept = (await facts(cwd)).length
    assert.isTrue(lastAck(ended.stdout) <= kept && kept < 20_001, `${ended.stdout}${kept} facts kept`)
    await assertWhole(cwd)
  })
})
