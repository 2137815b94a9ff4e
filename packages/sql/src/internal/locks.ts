/**
 * Who has claimed the name of a writer.
 */
import type { EventStore, LedgerError } from "@runledger/core"
import type { Effect } from "effect"
import type { SqlError } from "effect/sql"

/** The names that are claimed through a handle, each locked against everybody else for as long. */
export interface Locks {
  /**
   * Locks a name, then does the rest of the claim; without success the name is as free as it was. Fails with `WriterHeld`
   * at once when somebody has it. Not to be interrupted.
   */
  readonly claim: <E>(
    writer: string,
    raise: Effect.Effect<EventStore.Writer, E>
  ) => Effect.Effect<EventStore.Writer, E | LedgerError.WriterHeld | LedgerError.UnavailableError | SqlError.SqlError>

  /** Frees the name of a claim. */
  readonly release: (claimed: EventStore.Writer) => Effect.Effect<void>
}
