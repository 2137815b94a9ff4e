/**
 * How old facts are deleted, and payloads erased: in slices, so that others get their turn, and at last the space that
 * they took is given back.
 */
import type { EventStore } from "@runledger/core"
import { Effect } from "effect"
import type { Database } from "./database.ts"
import { erasedFlag } from "./eventRow.ts"
import { idParam } from "./scope.ts"

/** How many facts of the ledger one transaction looks at. */
const sliceFacts = 5000

/** What was done to a slice of the ledger, and the position that the next begins after, if it was not the last. */
export interface Slice {
  readonly facts: number
  readonly next: number | undefined
}

type Prune = Parameters<EventStore.EventStoreShape["prune"]>[0]

const belongs = `(e.thread = (SELECT id FROM threads WHERE thread_id = ?)
  OR (e.thread IS NULL AND e.run IN (SELECT id FROM runs WHERE thread = (SELECT id FROM threads WHERE thread_id = ?))))`

const isDone = "(e.run IS NULL OR (SELECT status FROM runs WHERE id = e.run) = 'done')"

/** The last position of the slice that begins after a position; undefined where there are no more facts. */
const sliceEnd = Effect.fnUntraced(function* (db: Database, after: number) {
  const [[end] = []] = yield* db.query(
    "SELECT max(position) FROM (SELECT position FROM events WHERE position > ? ORDER BY position LIMIT ?) slice",
    [after, sliceFacts]
  )
  return typeof end === "number" ? end : undefined
})

/** The last sequence of each scope among pruned facts, given as a scope and a sequence for each. */
const lastOf = (pruned: ReadonlyArray<readonly [unknown, unknown]>): ReadonlyArray<readonly [number, number]> => {
  const last = new Map<number, number>()
  for (const [scope, sequence] of pruned) {
    if (typeof scope === "number" && typeof sequence === "number") {
      last.set(scope, Math.max(sequence, last.get(scope) ?? 0))
    }
  }
  return [...last]
}

/** Raises floors, in the order of ids, in which appends lock these rows too. */
const raise = Effect.fnUntraced(function* (
  db: Database,
  table: "threads" | "runs",
  id: string,
  floors: ReadonlyArray<readonly [number, number]>
) {
  const rows = new Map(floors)
  const ordered = yield* db.query(
    `SELECT id FROM ${table} WHERE id IN (${[...rows.keys()].join(", ") || "NULL"}) ORDER BY ${id}`,
    []
  )
  for (const [row] of ordered) {
    const floor = rows.get(Number(row))
    yield* db.query(`UPDATE ${table} SET floor = ? WHERE id = ? AND floor < ?`, [floor, row, floor])
  }
})

/** Deletes what is old enough of the slice after a position. */
export const pruneSlice = Effect.fnUntraced(function* (db: Database, { before, threadId }: Prune, after: number) {
  const ceiling = yield* db.ceiling
  return yield* db.transaction(
    Effect.fnUntraced(function* (within) {
      const end = yield* sliceEnd(within, after)
      if (end === undefined) {
        return { facts: 0, next: undefined }
      }
      const [[young] = []] = yield* within.query(
        "SELECT min(position) FROM events WHERE position > ? AND position <= ? AND occurred_at + recorded_after >= ?",
        [after, end, before]
      )
      const through = Math.min(end, ceiling, typeof young === "number" ? young - 1 : end)
      const pruned = yield* within.query(
        `DELETE FROM events AS e WHERE e.position > ? AND e.position <= ? AND ${isDone}${threadId === undefined ? "" : ` AND ${belongs}`}
         RETURNING thread, thread_sequence, run, run_sequence, position`,
        [after, through, ...(threadId === undefined ? [] : [idParam(threadId), idParam(threadId)])]
      )
      yield* raise(within, "threads", "thread_id", lastOf(pruned.map(([thread, sequence]) => [thread, sequence])))
      yield* raise(within, "runs", "run_id", lastOf(pruned.map(([, , run, sequence]) => [run, sequence])))
      for (const [, floor] of lastOf(pruned.map((row) => [0, row[4]]))) {
        yield* within.query("UPDATE ledger SET floor = ? WHERE floor < ?", [floor, floor])
      }
      const slice: Slice = { facts: pruned.length, next: through < end ? undefined : end }
      return slice
    })
  )
})

/** Takes away the payloads of a thread in the slice after a position, and what its runs keep. */
export const eraseSlice = Effect.fnUntraced(function* (db: Database, threadId: string, after: number) {
  const id = idParam(threadId)
  return yield* db.transaction(
    Effect.fnUntraced(function* (within) {
      yield* within.query(
        `UPDATE runs SET state = NULL, labels = NULL, done_reason = NULL
         WHERE thread = (SELECT id FROM threads WHERE thread_id = ?)
           AND (state IS NOT NULL OR labels IS NOT NULL OR done_reason IS NOT NULL)`,
        [id]
      )
      const end = yield* sliceEnd(within, after)
      if (end === undefined) {
        return { facts: 0, next: undefined }
      }
      const erased = yield* within.query(
        `UPDATE events AS e SET payload = 'null', flags = e.flags | ${erasedFlag}
         WHERE e.position > ? AND e.position <= ? AND (e.flags & ${erasedFlag}) = 0 AND ${belongs} RETURNING position`,
        [after, end, id, id]
      )
      const slice: Slice = { facts: erased.length, next: end }
      return slice
    })
  )
})
