/**
 * How events get into the tables of PostgreSQL: a few statements with arrays, whatever their number.
 *
 * Whoever appends takes locks in one order: threads by their ids, then runs by theirs, then new names, then the events.
 * So nobody waits for somebody who waits for them, and as the counters of threads and runs are locked until the commit,
 * sequences and, within a scope, positions have the order of commits.
 */
import { EventStore, type LedgerError, type StagedEvent } from "@runledger/core"
import { Clock, Effect } from "effect"
import type { SqlError } from "effect/sql"
import type { Database, Place } from "../internal/database.ts"
import * as EventRow from "../internal/eventRow.ts"
import { mark } from "./positions.ts"
import { integers, texts, uuids } from "./values.ts"

type Batch = ReadonlyArray<StagedEvent.StagedEvent>

/** A thread or a run: its surrogate, and the last sequence given in it. */
interface Scope {
  readonly id: number
  sequence: number
}

/** The scopes and names of a batch. */
interface Known {
  readonly threads: ReadonlyMap<string, Scope>
  readonly runs: ReadonlyMap<string, Scope>
  readonly names: Map<string, number>
}

/**
 * Locks the counters of threads, new ones included, and raises them; surrogates of new ones are drawn in the order in
 * which they appear, before the rows are sorted. Finds the surrogates of names on the way.
 */
const raiseThreads = `WITH raised AS (
  INSERT INTO threads (id, thread_id, sequence)
  SELECT id, thread_id, facts
  FROM (
    SELECT nextval('threads_id_seq') AS id, thread_id, facts FROM unnest($1, $2) AS given (thread_id, facts)
  ) AS numbered
  ORDER BY thread_id COLLATE "C"
  ON CONFLICT (thread_id) DO UPDATE SET sequence = greatest(threads.sequence, threads.floor) + excluded.sequence
  RETURNING id, thread_id, sequence
)
SELECT TRUE, id, thread_id, sequence FROM raised
UNION ALL SELECT FALSE, id, name, 0 FROM names WHERE name = ANY ($3)`

/** The same for runs, with their status. No fact makes a run `created`, so this stands for one that stays as it is. */
const raiseRuns = `INSERT INTO runs (id, run_id, thread, sequence, status, done_reason)
SELECT id, run_id, thread, facts, status, done_reason
FROM (
  SELECT nextval('runs_id_seq') AS id, run_id, thread, facts, status, done_reason
  FROM unnest($1, $2, $3, $4, $5) AS given (run_id, thread, facts, status, done_reason)
) AS numbered
ORDER BY run_id COLLATE "C"
ON CONFLICT (run_id) DO UPDATE SET
  sequence = greatest(runs.sequence, runs.floor) + excluded.sequence,
  status = CASE excluded.status WHEN 'created' THEN runs.status ELSE excluded.status END,
  done_reason = CASE excluded.status WHEN 'created' THEN runs.done_reason ELSE excluded.done_reason END
RETURNING id, run_id, sequence`

/** Somebody may have added the same name since it was not found: the update makes it a row of the result. */
const addNames = `INSERT INTO names (name) SELECT name FROM unnest($1) AS given (name) ORDER BY name COLLATE "C"
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id, name`

/** The columns that an insert writes, each from an array. */
const columns = [
  "position",
  "event_id",
  "thread",
  "thread_sequence",
  "run",
  "run_sequence",
  "kind",
  "flags",
  "ordinal",
  "occurred_at",
  "recorded_after",
  "origin",
  "correlation",
  "causation",
  "schema_version",
  "payload"
]

/**
 * There is no row of the events without the one of the marker, so no position is drawn before it is there. The join of
 * one row leaves the order of the arrays as it is.
 */
const insertEvents = `WITH marker AS MATERIALIZED (SELECT ${mark("last_value")} FROM positions)
INSERT INTO events (${columns.join(", ")})
SELECT coalesce(position, nextval('positions')), ${columns.slice(1).join(", ")}
FROM marker, unnest(${columns.map((_, index) => `$${index + 1}`).join(", ")}) AS given (${columns.join(", ")})`

/** Nobody else inserts events until the end of the transaction. */
const lockEvents = "LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"

/** Makes the insert of a ledger, and the lock that it begins with. */
export const make = (query: Database["query"]): Pick<Database, "insert" | "lock"> => {
  /** Locks the scopes of events. With `facts`, counts these events, and sets the status of their runs. */
  const raise = Effect.fnUntraced(function* (
    events: Batch,
    facts: boolean
  ): Effect.fn.Return<Known, SqlError.SqlError> {
    const threadFacts = new Map<string, number>()
    const runFacts = new Map<string, { threadId: string | undefined; facts: number }>()
    const statuses = new Map<string, ReturnType<typeof EventStore.statusAfter>>()
    const names = new Set<string>()
    const one = facts ? 1 : 0
    for (const event of events) {
      const { correlationId, kind, origin, runId, threadId } = event
      names.add(kind).add(origin)
      if (correlationId !== undefined) {
        names.add(correlationId)
      }
      if (threadId !== undefined) {
        threadFacts.set(threadId, (threadFacts.get(threadId) ?? 0) + one)
      }
      if (runId !== undefined) {
        const before = runFacts.get(runId) ?? { threadId, facts: 0 }
        runFacts.set(runId, { ...before, facts: before.facts + one })
        const after = facts ? EventStore.statusAfter(event) : undefined
        if (after !== undefined) {
          statuses.set(runId, after)
        }
      }
    }
    const known = {
      threads: new Map<string, Scope>(),
      runs: new Map<string, Scope>(),
      names: new Map<string, number>()
    }
    for (const [isThread, id, text, sequence] of yield* query(raiseThreads, [
      texts([...threadFacts.keys()]),
      integers([...threadFacts.values()]),
      texts([...names])
    ])) {
      if (isThread === true) {
        known.threads.set(String(text), {
          id: Number(id),
          sequence: Number(sequence) - (threadFacts.get(String(text)) ?? 0)
        })
      } else {
        known.names.set(String(text), Number(id))
      }
    }
    const runs = [...runFacts.keys()]
    const raised =
      runs.length === 0
        ? []
        : yield* query(raiseRuns, [
            texts(runs),
            integers([...runFacts.values()].map(({ threadId }) => known.threads.get(threadId ?? "")?.id ?? null)),
            integers([...runFacts.values()].map(({ facts }) => facts)),
            texts(runs.map((run) => statuses.get(run)?.status ?? "created")),
            texts(runs.map((run) => statuses.get(run)?.doneReason?.replaceAll("\0", "\ufffd") ?? null))
          ])
    for (const [id, run, sequence] of raised) {
      known.runs.set(String(run), {
        id: Number(id),
        sequence: Number(sequence) - (runFacts.get(String(run))?.facts ?? 0)
      })
    }
    return known
  })

  const insert = Effect.fnUntraced(function* (
    events: Batch,
    places?: ReadonlyArray<Place>
  ): Effect.fn.Return<void, SqlError.SqlError | LedgerError.ValidationError> {})

  return { insert, lock: (events) => Effect.asVoid(raise(events, false)) }
}
