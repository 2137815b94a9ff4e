/**
 * What the command says of itself, and of calls that are wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import packageJson from "../package.json" with { type: "json" }
import { assertFailed, bin, folder, run, runledger } from "./process.ts"

describe.concurrent("help", () => {
  it.each(["record", "runs", "show", "export", "verify"])("%s has examples", async (command) => {
    const { status, stderr, stdout } = await runledger(folder(), command, "--help")
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    assert.include(stdout, `EXAMPLES\n`)
    assert.include(stdout, `runledger ${command}`)
  })

  it("the command lists its parts", async () => {
    const { status, stdout } = await runledger(folder(), "--help")
    assert.strictEqual(status, 0)
    for (const part of ["record", "runs", "show", "export", "verify", "EXAMPLES"]) {
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
    ["an unknown format", ["record", "--format", "xml"], /"xml".*"native" \| "awaken"/],
    ["an unknown durability", ["record", "--durability", "all"], /"disabled" \| "compacted" \| "full_fidelity"/],
    ["a thread without a run", ["record", "--thread", "t"], /^runledger: --thread and --run go together\n$/],
    ["no scope to show", ["show"], /^runledger: name one of --run and --thread\n$/],
    ["two scopes to show", ["show", "--run", "r", "--thread", "t"], /name one of --run and --thread\n/],
    ["no scope to export", ["export"], /^runledger: name one of --run and --thread, or --all\n$/],
    ["two scopes to export", ["export", "--all", "--run", "r"], /, or --all\n/],
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
