/**
 * What ours and each peer append: the events of ten threads with a hundred runs each, a run's events a batch.
 */
import { StagedEvent } from "@runledger/core"
import { Effect } from "effect"
import { join } from "node:path"
import { folder, ledgerIn } from "../files.ts"
import { microsEach, type Size } from "../Row.ts"

const eventsOfRun = 100

/** What a peer is handed in one call. `events` are some 200 bytes of JSON each. */
export interface Batch {
  readonly threadId: string
  readonly runId: string
  readonly events: ReadonlyArray<object>
}

export const batchesOf = (size: Size): ReadonlyArray<Batch> =>
  Array.from({ length: size.of(1000) }, (_, run) => {
    const runId = `run-${run}`
    return {
      threadId: `thread-${run % 10}`,
      runId,
      events: Array.from({ length: eventsOfRun }, (_, index) => ({
        _tag: "TextDelta",
        runId,
        delta: `event ${index} of ${runId} `.padEnd(150, "and says as much as a call does ")
      }))
    }
  })

const staged = ({ events, runId, threadId }: Batch): ReadonlyArray<StagedEvent.StagedEvent> =>
  events.map((payload, index) =>
    StagedEvent.fromText(
      {
        fidelity: "observed_runtime_event",
        draft: {
          scopes: [
            { _tag: "Thread", threadId },
            { _tag: "Run", runId }
          ],
          kind: "TextDeltaObserved",
          payload,
          origin: "native",
          visibility: "public",
          schemaVersion: 1
        }
      },
      JSON.stringify(payload),
      { occurredAt: 0, ordinal: index + 1 }
    )
  )

/** What an event costs, from the object to the ack of its batch. */
export const eachOf = <E, R>(
  batches: ReadonlyArray<Batch>,
  append: (batch: Batch) => Effect.Effect<unknown, E, R>
): Effect.Effect<number, E, R> =>
  microsEach(batches.length * eventsOfRun, Effect.forEach(batches, append, { discard: true }))

/** Ours: the ledger that one gets who says nothing, on a new file. */
export const ours = (batches: ReadonlyArray<Batch>) =>
  Effect.gen(function* () {
    const store = yield* ledgerIn(join(yield* folder, "ours.db"))
    return yield* eachOf(batches, (batch) => store.append(staged(batch)))
  }).pipe(Effect.scoped)
