/**
 * A command that runs, until it ends or is killed.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../../bin/runledger.js", import.meta.url))
export const demo = fileURLToPath(new URL("../../demo/run.jsonl", import.meta.url))

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export const start = (
  args: ReadonlyArray<string>,
  { env = {}, hook = [] }: { readonly env?: Record<string, string>; readonly hook?: ReadonlyArray<string> } = {}
) => {
  const child = spawn(process.execPath, [...hook, bin, ...args], { env: { ...process.env, ...env } })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  // It may end before it has read everything.
  child.stdin.on("error", () => undefined)
  const closed = once(child, "close")
  return {
    write: (text: string) => child.stdin.write(text),
    end: () => child.stdin.end(),
    kill: () => child.kill("SIGKILL"),
    isOver: () => child.exitCode !== null || child.signalCode !== null,
    /** Waits until it has said something, or has ended. */
    spoke: Promise.race([once(child.stdout, "data"), closed]),
    ended: closed.then((): Ended => ({ status: child.exitCode, stdout, stderr }))
  }
}
