/**
 * How a reader of the whole ledger knows up to where nothing can come in between any more. Positions come from a
 * sequence, so that appends need not wait for one another, and a later commit may have a lower position.
 *
 * Before a transaction takes its first position it takes a shared advisory lock, its marker, which says after which
 * position its own are, and which it has until it is committed and seen by all. A reader asks first for the last position that was
 * given, then for the markers: who has a marker later than that takes positions beyond the first answer, and who has none
 * any more is in every snapshot that is taken from then on.
 */
import { Effect } from "effect"
import type { Database } from "../internal/database.ts"

/**
 * Takes a marker. Its key tells the markers of this ledger from those of another in the same database; a position is too
 * long for the rest of it, so the low 32 bits stand for it.
 */
export const mark =
  "SELECT pg_advisory_xact_lock_shared('events'::regclass::oid::int4, last_value::bit(32)::int4) FROM positions"

export const ceiling = Effect.fnUntraced(function* (query: Database["query"]) {
  const [[given] = []] = yield* query("SELECT last_value FROM positions", [])
  const last = Number(given)
  const markers = yield* query(
    `SELECT objid FROM pg_locks
     WHERE locktype = 'advisory' AND classid = 'events'::regclass AND objsubid = 2
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    []
  )
  // The signed difference of 32 bits, which is right as long as no transaction stays open for 2 billion positions.
  return markers.reduce((lowest, [marker]) => Math.min(lowest, last + ((Number(marker) - last) | 0)), last)
})
