/**
 * The facts of a ledger as a timeline that a person can read: one line per thing that happened, with the time at the
 * left. What the model said and thought piece by piece is put together again; a ledger that kept no pieces reads as
 * well.
 */
import type { CanonicalEvent } from "@runledger/core"
import * as Format from "./Format.ts"
import * as Rows from "./Rows.ts"

/**
 * A timeline in the making. What `push` and `end` give are lines to print, without line ends.
 */
export interface Timeline {
  /** The lines that this fact completes; there may be none, for pieces of a text are held until something else comes. */
  readonly push: (fact: CanonicalEvent.CanonicalEvent) => ReadonlyArray<string>

  /** What is still held. */
  readonly end: () => ReadonlyArray<string>
}

const codes: { readonly [tint in Rows.Tint]: number } = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36
}

const labelWidth = 11

/**
 * Makes a timeline for facts in the order of a scope. With `color`, the lines hold ANSI colours, and no other control
 * characters but tabs; without it, none but tabs.
 *
 * **Details**
 *
 * Lines of different runs are told apart by a mark as soon as more than one run is active, or when the run is another
 * than that of the line before.
 */
export const make = ({ color }: { readonly color: boolean }): Timeline => {
  const runs = new Map<string | undefined, Rows.Run>()
  const active = new Set<string>()
  let shown: string | undefined
  let printed = false

  const paint = (tint: Rows.Tint | undefined, text: string): string =>
    color && tint !== undefined && text !== "" ? `\u001b[${codes[tint]}m${text}\u001b[0m` : text

  const markOf = (runId: string | undefined): string =>
    runId !== undefined && (active.size > 1 || (shown !== undefined && shown !== runId))
      ? `[${Format.short(runId)}] `
      : ""

  const layout = (row: Rows.Row, runId: string | undefined, at: number): ReadonlyArray<string> => {
    const mark = markOf(runId)
    shown = runId ?? shown
    const gap = row.opens === true && printed ? [""] : []
    printed = true
    if ("rule" in row) {
      return [...gap, paint(row.tint, `── ${row.rule}`)]
    }
    const time = Format.timeOfDay(row.at ?? at)
    const indent = " ".repeat(time.length + 2 + mark.length + labelWidth)
    const lines = row.text.map((text, index) => {
      const body = paint(row.textTint, text)
      return index > 0
        ? `${indent}${body}`
        : `${paint("dim", time)}  ${paint("cyan", mark)}${paint(row.tint, row.label.padEnd(labelWidth))}${body}`
    })
    return [...gap, ...lines]
  }

  const runOf = (runId: string | undefined): Rows.Run => {
    const known = runs.get(runId)
    if (known !== undefined) {
      return known
    }
    const run = Rows.newRun(runId)
    runs.set(runId, run)
    return run
  }

  return {
    push: (fact) => {
      const { occurredAt, runId } = fact
      const run = runOf(runId)
      const rows = Rows.rows(fact, run)
      if (runId !== undefined) {
        Rows.isActive(run) ? active.add(runId) : active.delete(runId)
      }
      return rows.flatMap((row) => layout(row, runId, occurredAt))
    },
    end: () =>
      Array.from(runs).flatMap(([runId, run]) =>
        Rows.closed(run).flatMap((row) => layout(row, runId, run.view.updatedAt ?? 0))
      )
  }
}
