/**
 * `npm run demo`: records the run beside this file into a fresh ledger, and shows what the ledger then tells.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const ledger = join(mkdtempSync(join(tmpdir(), "runledger-demo-")), "demo.db")
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const runledger = (...args: ReadonlyArray<string>): void => {
  say(`\n$ runledger ${args.join(" ").replace(path("run.jsonl"), "packages/cli/demo/run.jsonl")}`)
  const { status } = spawnSync(process.execPath, [path("../bin/runledger.js"), ...args], { stdio: "inherit" })
  if (status !== 0) {
    process.exit(status ?? 1)
  }
}

runledger("record", path("run.jsonl"), "--durability", "full_fidelity", "--ledger", ledger)
runledger("show", "--run", "run-1", "--ledger", ledger)
runledger("runs", "--ledger", ledger)
runledger("verify", "--ledger", ledger)
say(`\nThe ledger is ${ledger}`)
