/**
 * How the file gets smaller, and loses every byte of what was deleted.
 */
import { LedgerError } from "@runledger/core"
import { Effect, type Semaphore } from "effect"
import type { SqlError } from "effect/sql"
import type { Database } from "../internal/database.ts"
import { patience } from "../SqlEventStore.ts"

const checkpoint = Effect.fnUntraced(function* (path: string, query: Database["query"]) {
  const [[busy] = []] = yield* query("PRAGMA wal_checkpoint(TRUNCATE)", [])
  if (busy !== 0) {
    return yield* new LedgerError.UnavailableError({
      message: `what was deleted from the ledger ${path} is gone from it, but its -wal file still has traces: another process is reading it; do the same again when it has ended`
    })
  }
})

/**
 * Writes the file anew, without what was deleted, and empties the write-ahead log, which still has old pages. Readers
 * that are in the middle of one keep it from being emptied; they are waited for.
 */
export const compact = (
  path: string,
  query: Database["query"],
  turn: Semaphore.Semaphore
): Effect.Effect<void, SqlError.SqlError | LedgerError.UnavailableError> =>
  Effect.andThen(turn.withPermit(query("VACUUM", [])), Effect.retry(checkpoint(path, query), patience))
