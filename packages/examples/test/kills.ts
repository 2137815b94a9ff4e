/**
 * A coding agent that is killed, and started again, until its run has ended.
 */
import { assert } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { example, folder, runledger } from "./process.ts"

interface Pending {
  readonly callId: string
  readonly state: string
}

const executed = (workDir: string): ReadonlyArray<string> => {
  const log = join(workDir, "tool.log")
  return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []
}

/**
 * Decides as a careful person would: what waits for a permission may run, and what may have run already runs again only when
 * its tool left no trace.
 */
const decideAll = async (workDir: string, ledger: string): Promise<number> => {
  const { status, stdout } = await runledger("pending", "--json", "--ledger", ledger)
  assert.strictEqual(status, 0)
  const pending = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Pending)
  for (const { callId, state } of pending) {
    const mayRun = state === "waits_for_permission" || !executed(workDir).includes(callId)
    const decided = await runledger("decide", callId, mayRun ? "--approve" : "--reject", "--ledger", ledger)
    assert.strictEqual(decided.status, 0, decided.stderr)
  }
  return pending.length
}

/** Kills the agent again and again; how often it was killed before its run had ended. */
const killUntilDone = async (name: string): Promise<number> => {
  const workDir = folder()
  const ledger = join(workDir, "runledger.db")
  const args = [name, "--work-dir", workDir, "--ledger", ledger]
  let kills = 0
  for (let life = 0; life < 60; life += 1) {
    // Each life may be a little longer, so that it takes as many as the machine is slow.
    const ended = await example(args, 300 + Math.random() * 900 + life * 50)
    if (ended.status === 0) {
      const log = executed(workDir)
      assert.strictEqual(new Set(log).size, log.length, `a call that ran twice: ${log.join(", ")}`)
      assert.include([...log], "call-1")
      const verified = await runledger("verify", "--ledger", ledger)
      assert.strictEqual(verified.status, 0, verified.stderr)
      return kills
    }
    if (ended.status === undefined) {
      kills += 1
    } else {
      assert.strictEqual(ended.status, 75, ended.stderr)
      assert.isAbove(await decideAll(workDir, ledger), 0, "it waits for a decision that nobody is asked for")
    }
  }
  return assert.fail("the run did not end")
}

/** Kills the agent at this many random points, of as many runs as that takes. */
export const campaign = async (name: string, points: number): Promise<void> => {
  for (let kills = 0; kills < points; ) {
    kills += await killUntilDone(name)
  }
}
