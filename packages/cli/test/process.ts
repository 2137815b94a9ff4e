/**
 * Starts the command as a shell would, and looks into the ledgers that it leaves.
 */
import { assert } from "@effect/vitest"
import { CanonicalEvent, Cursor, EventStore } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect } from "effect"
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll } from "vitest"

/** The path of a file of the repository, given from this folder. */
export const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

export const bin = path("../bin/runledger.js")
export const demo = path("../demo/run.jsonl")

const root = mkdtempSync(join(tmpdir(), "runledger-test-"))
const children = new Set<ChildProcess>()
afterAll(() => {
  // Only a test that failed leaves one behind.
  for (const child of children) {
    child.kill("SIGKILL")
  }
  rmSync(root, { recursive: true, force: true })
})

/** A fresh folder, gone after the tests of the file. */
export const folder = (): string => mkdtempSync(join(root, "/"))

/** How a process ended, and what it wrote. */
export interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

// What the person who runs the tests has set must not change what they see.
const { NO_COLOR: _, RUNLEDGER_DURABILITY: __, ...environment } = process.env

/** A process that runs: its ends, and what it wrote so far. */
export const start = (command: string, args: ReadonlyArray<string>, options: SpawnOptions = {}) => {
  const child = spawn(command, args, { ...options, stdio: "pipe", env: { ...environment, ...options.env } })
  children.add(child)
  child.on("close", () => children.delete(child))
  const stdout: Array<Buffer> = []
  const stderr: Array<Buffer> = []
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk))
  // It may end before it has read everything.
  child.stdin?.on("error", () => undefined)

  const output = (): string => Buffer.concat(stdout).toString()
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (status, signal) =>
      resolve({ status, signal, stdout: output(), stderr: Buffer.concat(stderr).toString() })
    )
  })

  return {
    pid: child.pid,
    ended,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    write: (input: string | Uint8Array) => child.stdin?.write(input),
    end: () => child.stdin?.end(),
    /** Nobody reads what it says on standard error any more. */
    closeStderr: () => child.stderr?.destroy(),
    /** Waits until an output, the standard one unless said otherwise, holds this; fails if the process ends without. */
    until: (text: string, where: "stdout" | "stderr" = "stdout") =>
      new Promise<void>((resolve, reject) => {
        const chunks = where === "stdout" ? stdout : stderr
        const look = () => Buffer.concat(chunks).toString().includes(text) && resolve()
        look()
        child[where]?.on("data", look)
        void ended.then(({ stderr }) => reject(new Error(`the command ended without ${text}: ${stderr}`)), reject)
      })
  }
}

/** Runs a process to its end. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  { input, ...options }: SpawnOptions & { readonly input?: string | Uint8Array } = {}
): Promise<Ended> => {
  const running = start(command, args, options)
  running.write(input ?? "")
  running.end()
  return running.ended
}

/** Starts the command in a folder. */
export const starting = (cwd: string, ...args: ReadonlyArray<string>) =>
  start(process.execPath, [bin, ...args], { cwd })

/** Runs the command in a folder, with nothing to read. */
export const runledger = (cwd: string, ...args: ReadonlyArray<string>): Promise<Ended> =>
  run(process.execPath, [bin, ...args], { cwd })

/** Records an input into the ledger of a folder, everything of it. */
export const record = (cwd: string, input: string | Uint8Array, ...args: ReadonlyArray<string>): Promise<Ended> =>
  run(process.execPath, [bin, "record", "--durability", "full_fidelity", ...args], { cwd, input })

/** Lines of JSON, each with its end. */
export const jsonLines = (...values: ReadonlyArray<unknown>): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join("")

export const runStart = (runId = "run-1", threadId = "thread-1") => ({ _tag: "RunStart", threadId, runId })
export const runFinish = (runId = "run-1", threadId = "thread-1") => ({
  _tag: "RunFinish",
  threadId,
  runId,
  result: null,
  termination: { _tag: "NaturalEnd" }
})
export const text = (delta: string) => ({ _tag: "TextDelta", delta })

/** So many numbered texts. */
export const texts = (count: number): string =>
  jsonLines(...Array.from({ length: count }, (_, index) => text(`token ${index} `)))

/** All facts of the ledger of a folder, in the order of commits. */
export const facts = (cwd: string): Promise<ReadonlyArray<CanonicalEvent.CanonicalEvent>> =>
  Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    const facts: Array<CanonicalEvent.CanonicalEvent> = []
    let page: EventStore.EventPage | undefined
    do {
      page = yield* store.read({ scope: Cursor.ledger, after: page?.next, limit: 10_000 })
      facts.push(...page.facts)
    } while (page.hasMore)
    return facts
  }).pipe(
    Effect.provide(SqliteLedger.layerInThread({ path: join(cwd, "runledger.db"), readOnly: true })),
    Effect.runPromise
  )

/** What the facts of a folder's ledger say, one by one. */
export const said = async (cwd: string): Promise<ReadonlyArray<string>> =>
  (await facts(cwd)).map((fact) => (CanonicalEvent.isKind("TextDeltaObserved")(fact) ? fact.payload.delta : fact.kind))

/** The number of the last `{"acked":N}` of an output; 0 without any. */
export const lastAck = (stdout: string): number =>
  Number(/\{"acked":(\d+)\}\n(?:\{"acked":\d*)?$/.exec(stdout)?.[1] ?? 0)

/** Whether the ledger of a folder is whole, by the command's own word. */
export const assertWhole = async (cwd: string): Promise<void> => {
  const { status, stderr, stdout } = await runledger(cwd, "verify")
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" }, stdout)
  assert.match(stdout, /^[\d,]+ facts? in \.\/runledger\.db, no faults\n$/)
}

/** The command ended with a status and one line that says why, never with a stack trace. */
export const assertFailed = (ended: Ended, status: number, message: RegExp): void => {
  assert.strictEqual(ended.status, status, ended.stderr)
  assert.match(ended.stderr, /^(?!.*\n {4}at )(?:.+\n)+$/s)
  assert.match(ended.stderr, message)
}
