/**
 * What the command says of itself, and of calls that are wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { serverUrl } from "./postgres.ts"
import packageJson from "../package.json" with { type: "json" }
import { assertFailed, bin, folder, run, runledger } from "./process.ts"

const parts = ["record", "runs", "show", "follow", "export", "verify", "pending", "decide", "copy", "prune", "erase"]

describe.concurrent("help", () => {
  it.each(parts)("%s has examples", async (command) => {
    const { status, stderr, stdout } = await runledger(folder(), command, "--help")
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    assert.include(stdout, `EXAMPLES\n`)
    assert.include(stdout, `runledger ${command}`)
  })

  it("the command lists its parts", async () => {
    const { status, stdout } = await runledger(folder(), "--help")
    assert.strictEqual(status, 0)
    for (const part of [...parts, "EXAMPLES"]) {
      assert.include(stdout, part)
    }
  })

  it("the version is that of the package", async () => {
    const { status, stdout } = await runledger(folder(), "--version")
    assert.deepStrictEqual({ status, stdout }, { status: 0, stdout: `runledger v${packageJson.version}\n` })
  })
})

describe.concurrent("a wrong call ends with 64, one clear line, and no ledger", () => {
  it.each<readonly [string, ReadonlyArray<string>, RegExp]>([
    ["an unknown command", ["frobnicate"], /^runledger: Unknown subcommand "frobnicate".*\nsee: runledger --help\n$/],
    ["an unknown flag", ["runs", "--bogus"], /^runledger: Unrecognized flag: --bogus.*\nsee: runledger runs --help\n$/],
    ["a flag without its value", ["runs", "--ledger"], /Missing value for flag --ledger/],
    ["a flag given twice", ["runs", "--ledger", "a", "--ledger", "b"], /--ledger: "2 occurrences"/],
    ["an empty ledger", ["record", "--ledger", ""], /--ledger.*a text that is not blank/],
    ["a ledger without a file", ["record", "--ledger", ":memory:"], /":memory:".*the path of a file/],
    ["an empty run", ["show", "--run", ""], /--run.*a text that is not blank/],
    ["a blank origin", ["record", "--origin", " "], /--origin.*a text that is not blank/],
    ["a blank writer", ["record", "--writer", " "], /--writer.*a text that is not blank/],
    ["a writer without its value", ["record", "--writer"], /Missing value for flag --writer/],
    ["an unknown format", ["record", "--format", "xml"], /"xml".*"native" \| "awaken"/],
    ["an unknown durability", ["record", "--durability", "all"], /"disabled" \| "compacted" \| "full_fidelity"/],
    ["a thread without a run", ["record", "--thread", "t"], /^runledger: --thread and --run go together\n$/],
    ["no scope to show", ["show"], /^runledger: name one of --run and --thread\n$/],
    ["two scopes to show", ["show", "--run", "r", "--thread", "t"], /name one of --run and --thread\n/],
    ["no scope to export", ["export"], /^runledger: name one of --run and --thread, or --all\n$/],
    ["two scopes to export", ["export", "--all", "--run", "r"], /, or --all\n/],
    ["no scope to follow", ["follow"], /^runledger: name one of --run and --thread, or --all\n$/],
    ["two scopes to follow", ["follow", "--all", "--thread", "t"], /, or --all\n/],
    [
      "two places to follow from",
      ["follow", "--all", "--after", "l.1", "--from-start"],
      /^runledger: name one of --after and --from-start, or neither to begin now\n$/
    ],
    ["an empty cursor", ["follow", "--all", "--after", ""], /--after.*a text that is not blank/],
    ["a copy from nowhere", ["copy", "--to", "a.db"], /--from/],
    ["a copy to nowhere", ["copy", "--from", "a.db"], /--to/],
    ["no date", ["prune"], /--before/],
    ["a date of another form", ["prune", "--before", "1 May 2026"], /"1 May 2026".*an ISO date or date-time/],
    ["a number for a date", ["prune", "--before", "20260101"], /an ISO date or date-time/],
    ["a date that does not exist", ["prune", "--before", "2026-02-30"], /an ISO date or date-time/],
    ["a time that does not exist", ["prune", "--before", "2026-02-20T25:00"], /an ISO date or date-time/],
    ["an offset of a date", ["prune", "--before", "2026-02-20Z"], /an ISO date or date-time/],
    ["a date to come", ["prune", "--before", "2999-01-01"], /^runledger: --before is in the future; /],
    ["no thread to erase", ["erase"], /--thread/],
    ["a blank thread to erase", ["erase", "--thread", " "], /--thread.*a text that is not blank/],
    [
      "a URL of something else",
      ["runs", "--ledger", "mysql://me@host/db"],
      /^runledger: a ledger is the path of a file or a URL of Postgres/
    ],
    ["an input that is not there", ["record", "no.jsonl"], /^runledger: cannot read no\.jsonl: no such file\n$/],
    ["a folder as input", ["record", "."], /^runledger: cannot read \.: it is a directory\n$/],
    ["escapes in an argument", ["record", "a\u001b[31m\nb"], /^runledger: cannot read a\\x1b\[31m\\nb: no such file\n$/]
  ])("%s", async (_, args, message) => {
    const cwd = folder()
    const ended = await runledger(cwd, ...args)
    assertFailed(ended, 64, message)
    assert.strictEqual(ended.stdout, "")
    assert.deepStrictEqual(readdirSync(cwd), [])
  })

  it("a wrong RUNLEDGER_DURABILITY", async () => {
    const cwd = folder()
    const ended = await run(process.execPath, [bin, "record"], { cwd, env: { RUNLEDGER_DURABILITY: "all" } })
    assertFailed(ended, 64, /^runledger: RUNLEDGER_DURABILITY must be one of disabled, compacted, full_fidelity\n$/)
    assert.deepStrictEqual(readdirSync(cwd), [])
  })
})

const secret = "hunter2"

describe.concurrent("a password is told nobody", () => {
  it.each([
    ["of a server that is not there", ["runs", "--ledger", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be read", ["export", "--all", "--ledger", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be followed", ["follow", "--all", "--ledger", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be verified", ["verify", "--ledger", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be recorded into", ["record", "--ledger", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be erased from", ["erase", "--thread", "t", "--ledger", `postgresql://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be pruned", ["prune", "--before", "2026-01-01", "--ledger", `POSTGRES://me:${secret}@127.0.0.1:1/ledger`]],
    ["to be copied", ["copy", "--to", "a.db", "--from", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["given as a parameter", ["runs", "--ledger", `postgres://127.0.0.1:1/ledger?user=me&password=${secret}`]],
    ["that is not encoded", ["runs", "--ledger", `postgres://me:12/${secret}@127.0.0.1:1/ledger`]],
    ["that makes no URL", ["runs", "--ledger", `postgres://me:${secret}/#?@127.0.0.1:1/ledger`]],
    ["of another scheme", ["runs", "--ledger", `postgress://me:${secret}@127.0.0.1:1/ledger`]],
    ["at the place of a command", [`postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["at a place where nothing is expected", ["runs", `postgres://me:${secret} "'@127.0.0.1:1/ledger`]],
    ["at the place of a file", ["record", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["at the place of a date", ["prune", "--before", `postgres://me:${secret}@127.0.0.1:1/ledger`]],
    ["behind a wrong flag", ["runs", `--leger=postgres://me:${secret}@127.0.0.1:1/ledger`]]
  ])("%s", async (_, args) => {
    const { status, stderr, stdout } = await runledger(folder(), ...args)
    assert.include([3, 64], status)
    assert.notInclude(stdout + stderr, secret)
    assert.notInclude(stderr, "me:")
    assert.match(stderr, /^runledger: .+\n/)
  })

  it("of a server that refuses it", async () => {
    const url = new URL(serverUrl())
    Object.assign(url, { username: "me", password: secret })
    const ended = await runledger(folder(), "runs", "--ledger", url.href)
    assertFailed(ended, 3, /^runledger: the ledger [^@]*:\d+\/\w+ does not let this user in; /)
    assert.notInclude(ended.stderr, secret)
  })
})
