/**
 * `node gigabyte.ts PATH`: records 1 GB of events into a ledger there, and prints by how many bytes the memory of this
 * process grew after the first 50 MB.
 */
import { type AgentEvent, Durability } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect } from "effect"
import { ids, runOf } from "./events.ts"
import { recorderInto } from "./recording.ts"

const [path = ""] = process.argv.slice(2)

const content = "a line of the file\n".repeat(842)

/** The tools of the benchmark's run read files of 16 KB. */
const withFile = (event: AgentEvent.AgentEvent): AgentEvent.AgentEvent =>
  event._tag === "ToolCallDone" ? { ...event, result: { ...event.result, data: { content } } } : event

const steps = runOf().slice(1, -1).map(withFile)

const bytes = steps.reduce((bytes, event) => bytes + Buffer.byteLength(JSON.stringify(event)), 0)

const growth = Effect.gen(function* () {
  const recorder = yield* recorderInto(SqliteLedger.layer({ path }))
  const run = yield* recorder.open(ids)
  let before: number | undefined
  let peak = 0
  for (let recorded = bytes; recorded < 1e9; recorded += bytes) {
    yield* run.emitAll(steps)
    if (recorded >= 50e6) {
      const now = process.memoryUsage.rss()
      before ??= now
      peak = Math.max(peak, now)
    }
  }
  yield* run.flush()
  return Math.max(peak, process.memoryUsage.rss()) - (before ?? 0)
}).pipe(Effect.scoped, Effect.provideService(Durability.Durability, "full_fidelity"))

process.stdout.write(`${await Effect.runPromise(growth)}\n`)
