/**
 * Kills the command while it records, at any time, lets it record the same input again until it is through, and compares what
 * the ledger says with what it would say had nothing happened.
 */
import { Cursor, EventStore } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { start } from "./child.ts"
import { compare, type Facts } from "./compare.ts"
import { linesOf, runIds } from "./stream.ts"

export const sabotages = ["ack-first", "no-highwater"] as const

export interface Options {
  /** How often the command is killed. */
  readonly rounds: number
  /** A path or a URL; a file that is removed afterwards, without one. */
  readonly ledger?: string | undefined
  readonly sabotage?: (typeof sabotages)[number] | undefined
  readonly onRound?: (round: number) => void
}

export interface Result {
  readonly rounds: number
  readonly lost: number
  readonly duplicated: number
  readonly holes: number
  /** What is wrong, for a person: some of the facts, and what `verify` says. */
  readonly complaints: string
}

const modes = ["compacted", "full_fidelity"] as const

/** The longest that a process lives, in milliseconds after its first ack: about as long as an input takes. */
const longestLife = 600

const storeAt = (ledger: string) =>
  ledger.startsWith("postgres")
    ? PostgresLedger.layer({ url: ledger, readOnly: true })
    : SqliteLedger.layerInThread({ path: ledger, readOnly: true })

const factsOf = (ledger: string, pass: string) =>
  Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    const all = Effect.fnUntraced(function* (scope: Cursor.ReadScope) {
      const facts: Array<Facts[number]> = []
      let after: Cursor.Cursor | undefined
      while (true) {
        const page = yield* store.read({ scope, after })
        facts.push(...page.facts)
        if (!page.hasMore) {
          return facts
        }
        after = page.next
      }
    })
    return {
      pass,
      thread: yield* all({ _tag: "Thread", threadId: pass }),
      runs: yield* Effect.forEach(runIds(pass), (runId) => all({ _tag: "Run", runId }))
    }
  }).pipe(Effect.provide(storeAt(ledger)), Effect.runPromise)

const acksIn = (output: string): ReadonlyArray<number> =>
  output
    .split("\n")
    .slice(0, -1)
    .map((line) => Number(JSON.parse(line).acked))

/** Records a pass, and dies meanwhile if it is told to. */
const attempt = async (
  ledger: string,
  pass: string,
  mode: string,
  sabotage: Options["sabotage"],
  dies: boolean
): Promise<{ readonly through: boolean; readonly acks: ReadonlyArray<number> }> => {
  const child = start(
    ["record", "--writer", pass, "--durability", mode, "--ledger", ledger],
    sabotage === undefined ? {} : { hook: ["--import", hook], env: { RUNLEDGER_SABOTAGE: sabotage } }
  )
  await child.spoke
  if (dies) {
    void setTimeout(Math.random() * longestLife).then(child.kill)
  }
  const lines = linesOf(pass)
  // In pieces of any size, with or without a pause.
  for (let from = 0; from < lines.length && !child.isOver(); ) {
    const to = from + 1 + Math.floor(Math.random() * 40)
    child.write(lines.slice(from, to).join(""))
    from = to
    await setTimeout(Math.random() * 8)
  }
  child.end()
  const { status, stderr, stdout } = await child.ended
  if (status !== null && status !== 0) {
    throw new Error(`the command failed with ${status}: ${stderr}`)
  }
  return { through: status === 0, acks: acksIn(stdout) }
}

const hook = fileURLToPath(new URL("./sabotage.ts", import.meta.url))

const uninterrupted = async (folder: string) => {
  const sound = new Map<string, Awaited<ReturnType<typeof factsOf>>>()
  for (const mode of modes) {
    const ledger = join(folder, `${mode}.db`)
    await attempt(ledger, "sound", mode, undefined, false)
    sound.set(mode, await factsOf(ledger, "sound"))
  }
  return sound
}

export const crash = async ({ onRound, rounds, sabotage, ...options }: Options): Promise<Result> => {
  const folder = mkdtempSync(join(tmpdir(), "runledger-crash-"))
  const ledger = options.ledger ?? join(folder, "ledger.db")
  const result = { rounds: 0, lost: 0, duplicated: 0, holes: 0, complaints: "" }
  try {
    const sound = await uninterrupted(folder)
    for (let passes = 0; result.rounds < rounds; passes += 1) {
      const mode = modes[passes % modes.length] ?? "compacted"
      const pass = `crash-${randomUUID()}`
      let acked = 0
      let through = false
      while (!through) {
        const dies = result.rounds < rounds
        const { acks, ...attempted } = await attempt(ledger, pass, mode, sabotage, dies)
        // What was acked before must be in the ledger, which the first ack tells.
        const [first = 0] = acks
        if (first < acked) {
          result.lost += acked - first
          result.complaints += `line ${acked} was acked, then only ${first}\n`
        }
        acked = Math.max(acked, ...acks)
        through = attempted.through
        if (!through) {
          result.rounds += 1
          onRound?.(result.rounds)
        }
      }
      const faults = compare(sound.get(mode) ?? { pass, runs: [] }, await factsOf(ledger, pass))
      result.lost += faults.lost
      result.duplicated += faults.duplicated
      result.holes += faults.holes
      result.complaints += faults.examples.map((example) => `${mode}: ${example.slice(0, 300)}\n`).join("")
    }
    const verified = await start(["verify", "--ledger", ledger]).ended
    if (verified.status !== 0) {
      result.complaints += `${verified.stdout}${verified.stderr}`
    }
    return result
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
