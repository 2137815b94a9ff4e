/**
 * The stream that is recorded: three runs of a coding agent, side by side.
 */
import { readFileSync } from "node:fs"
import { demo } from "./child.ts"

/** How many lines of a run come before those of the next. */
const turn = 70

/** The ids of a pass, so that many passes can be in one ledger. */
export const runIds = (pass: string): ReadonlyArray<string> => ["a", "b", "c"].map((name) => `${pass}-${name}`)

/** The lines of a pass, each with its end. A start that is repeated turns to its run again. */
export const linesOf = (pass: string): ReadonlyArray<string> => {
  const events = readFileSync(demo, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly threadId?: string; readonly runId?: string })
  const runs = runIds(pass).map((runId) =>
    events.map((event) => JSON.stringify(event.runId === undefined ? event : { ...event, threadId: pass, runId }))
  )
  const lines: Array<string> = []
  for (let from = 0; from < events.length; from += turn) {
    for (const run of runs) {
      lines.push(...(from === 0 ? [] : run.slice(0, 1)), ...run.slice(from, from + turn))
    }
  }
  return lines.map((line) => `${line}\n`)
}
