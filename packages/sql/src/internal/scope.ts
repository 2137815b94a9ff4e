/**
 * Where the facts of a scope are, and what is known of its ends.
 */
import { type Cursor, StagedEvent } from "@runledger/core"
import { Effect } from "effect"
import type { Database } from "./database.ts"

/** An id to look for. One that no store can keep is in none, and the database would take it for another. */
export const idParam = (id: string): string | null => (StagedEvent.isStorable(id) ? id : null)

/**
 * How the facts of a scope are found, and which column gives their order. `floor` is a query for the last sequence that
 * was pruned.
 */
export const sqlOf = (
  scope: Cursor.ReadScope
): {
  readonly where: string
  readonly params: ReadonlyArray<string | null>
  readonly sequence: string
  readonly floor: string
} => {
  switch (scope._tag) {
    case "Thread":
      return {
        where: "e.thread = (SELECT id FROM threads WHERE thread_id = ?)",
        params: [idParam(scope.threadId)],
        sequence: "e.thread_sequence",
        floor: "(SELECT floor FROM threads WHERE thread_id = ?)"
      }
    case "Run":
      return {
        where: "e.run = (SELECT id FROM runs WHERE run_id = ?)",
        params: [idParam(scope.runId)],
        sequence: "e.run_sequence",
        floor: "(SELECT floor FROM runs WHERE run_id = ?)"
      }
    case "Ledger":
      return { where: "TRUE", params: [], sequence: "e.position", floor: "(SELECT floor FROM ledger)" }
  }
}

/** The first sequence that a scope has, the last that was given, and the last that was pruned. */
export interface Bounds {
  readonly first: number
  readonly last: number
  readonly floor: number
}

export const bounds = Effect.fnUntraced(function* ({ query }: Pick<Database, "query">, scope: Cursor.ReadScope) {
  const { floor, params, sequence, where } = sqlOf(scope)
  const [[first, last, pruned] = []] = yield* query(
    `SELECT (SELECT min(${sequence}) FROM events e WHERE ${where}),
      (SELECT max(${sequence}) FROM events e WHERE ${where}), ${floor}`,
    [...params, ...params, ...params]
  )
  const end = Math.max(Number(last ?? 0), Number(pruned ?? 0))
  const found: Bounds = { first: Number(first ?? end + 1), last: end, floor: Number(pruned ?? 0) }
  return found
})
