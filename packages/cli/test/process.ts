/**
 * Starts the command as a shell would, and looks into the ledgers that it leaves.
 */
import { assert } from "@effect/vitest"
import { CanonicalEvent, Cursor, EventStore } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect } from "effect"
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
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

/** Records an input into the ledger of a folder, everything of it unless said otherwise. */
export const record = (cwd: string, input: string | Uint8Array, ...args: ReadonlyArray<string>): Promise<Ended> => {
  const durability = args.includes("--durability") ? [] : ["--durability", "full_fidelity"]
  return run(process.execPath, [bin, "record", ...durability, ...args], { cwd, input })
}

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

export const inferred = { _tag: "InferenceComplete", model: "m", durationMs: 1 }

/** So many numbered texts. */
export const texts = (count: number): string =>
  jsonLines(...Array.from({ length: count }, (_, index) => text(`token ${index} `)))

/** An event that is a fact of its own, also among others like it, and that no later one is waited for with. */
export const note = (words: string) => ({
  _tag: "ActivityDelta",
  messageId: "message-1",
  activityType: "note",
  patch: [words]
})

/** So many numbered notes. */
export const notes = (count: number): string =>
  jsonLines(...Array.from({ length: count }, (_, index) => note(`note ${index}`)))

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

/** What a fact says in a few words. */
export const wordsOf = (fact: CanonicalEvent.CanonicalEvent): string => {
  if (CanonicalEvent.isKind("TextDeltaObserved")(fact)) {
    return fact.payload.delta
  }
  return CanonicalEvent.isKind("ActivityDeltaObserved")(fact) ? String(fact.payload.patch[0]) : fact.kind
}

/** Whether a fact was made of an event of the input, and not by the recorder. */
export const isOfInput = ({ kind, origin }: CanonicalEvent.CanonicalEvent): boolean =>
  origin !== "recovery" && kind !== "MessageCommitted"

/** What the facts of a folder's ledger say that are made of events of the input, one by one. */
export const said = async (cwd: string): Promise<ReadonlyArray<string>> =>
  (await facts(cwd)).filter(isOfInput).map(wordsOf)

/** The texts of the messages in a folder's ledger; an ellipsis ends what is said in part. */
export const messages = async (cwd: string): Promise<ReadonlyArray<string>> =>
  (await facts(cwd)).filter(CanonicalEvent.isKind("MessageCommitted")).map(({ payload: { partial, parts } }) => {
    const said = parts.map((part) => (part._tag === "Text" ? part.text : part._tag)).join()
    return partial ? `${said}…` : said
  })

/** Takes everything in a folder away. */
export const empty = (cwd: string): void => {
  for (const name of readdirSync(cwd)) {
    rmSync(join(cwd, name), { recursive: true })
  }
}

/** The numbers of the acks of an output. */
export const acksOf = (stdout: string): ReadonlyArray<number> =>
  Array.from(stdout.matchAll(/^\{"acked":(\d+)\}\n/gm), ([, acked]) => Number(acked))

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
