/**
 * Examples and commands as processes.
 */
import { spawn } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export interface Ended {
  /** The exit status; undefined when it was killed. */
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script, and kills it when so many milliseconds have passed. */
const run = (script: string, args: ReadonlyArray<string>, killedAfter?: number): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe"] })
    let [stdout, stderr] = ["", ""]
    child.stdout.on("data", (data) => (stdout += String(data)))
    child.stderr.on("data", (data) => (stderr += String(data)))
    const killing = killedAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killedAfter)
    child.on("close", (status) => {
      clearTimeout(killing)
      resolve({ status: status ?? undefined, stdout, stderr })
    })
  })

export const example = (args: ReadonlyArray<string>, killedAfter?: number): Promise<Ended> =>
  run(path("../src/main.ts"), args, killedAfter)

export const runledger = (...args: ReadonlyArray<string>): Promise<Ended> =>
  run(path("../../cli/bin/runledger.js"), args)

export const folder = (): string => mkdtempSync(join(tmpdir(), "runledger-examples-"))
