/**
 * What our neighbours need for the same work, each with the settings that it comes with.
 */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as AgUi from "./peers/agui.ts"
import { writeAll } from "./peers/eventjournal.ts"
import { nodeOfNpm, type Options, peer } from "./peers/process.ts"
import { batchesOf, ours } from "./peers/work.ts"
import type { Row } from "./Row.ts"

const { optionalDependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

const versioned = (name: string): string => `${name} ${optionalDependencies[name]}`

const nodeOfAddons = `Node ${execFileSync(nodeOfNpm, ["--version"], { encoding: "utf8" }).trim().slice(1)}`

const compiled = (addon: string): string =>
  `${addon} is not installed, or not compiled for the Node that runs npm. After an npm ci that omits nothing, \`npm rebuild ${addon} --dangerously-allow-all-scripts\` compiles it, and nothing else: it takes minutes, Python and a C++ compiler`

const appending = {
  work: "append 10 threads x 100 runs x 100 events of 200 bytes, a run a batch, each acked before the next; SQLite, FULL, in the worker",
  unit: "us/event",
  mark: { ratio: 1 },
  rounds: 3
} as const

const apart = (name: string, against: string, options: Omit<Options, "batches">): Row => ({
  ...appending,
  name,
  against,
  prepare: (size) =>
    Effect.gen(function* () {
      const batches = batchesOf(size)
      return { ours: ours(batches), theirs: yield* peer({ ...options, batches }) }
    })
})

export const rows: ReadonlyArray<Row> = [
  apart(
    "peer.langgraph",
    `${versioned("@langchain/langgraph-checkpoint-sqlite")}, putWrites: it sets WAL, its better-sqlite3 synchronous=NORMAL; in the calling thread, ${nodeOfAddons}`,
    { script: "./langgraph.mjs", node: nodeOfNpm, remedy: compiled("better-sqlite3") }
  ),
  {
    ...appending,
    name: "peer.eventjournal",
    against: "effect's SqlEventJournal, writeMany: WAL, FULL, node:sqlite in the calling thread",
    prepare: (size) =>
      Effect.sync(() => {
        const batches = batchesOf(size)
        return { ours: ours(batches), theirs: writeAll(batches) }
      })
  },
  apart(
    "peer.emmett",
    `${versioned("@event-driven-io/emmett-sqlite")} paired with emmett 0.42.0 by an override, appendToStream, its connection kept: WAL, FULL, ${nodeOfAddons}`,
    { script: "./emmett.mjs", node: nodeOfNpm, remedy: compiled("sqlite3") }
  ),
  apart(
    "peer.durablestreams",
    `${versioned("@durable-streams/server")}, FileBackedStreamStore without HTTP, a JSON stream and a file a thread: fdatasync each batch, LMDB flushes its index later`,
    { script: "./durablestreams.mjs", node: process.execPath, remedy: compiled("lmdb") }
  ),
  {
    name: "peer.agui",
    work: "100 texts of 1,000 deltas each, put together as they pass, by the stage of the recorder that does so",
    against: `${versioned("@ag-ui/client")}, compactEvents: an array in, an array out`,
    unit: "us/delta",
    mark: { ratio: 1 },
    prepare: AgUi.prepare
  }
]
