/**
 * How events get into the tables of SQLite: surrogates and sequences from memory where they are known, many rows with a
 * statement.
 */
import { EventStore, type LedgerError, type StagedEvent } from "@runledger/core"
import { Clock, Effect } from "effect"
import type { SqlError } from "effect/sql"
import type { Database, Place } from "../internal/database.ts"
import * as EventRow from "../internal/eventRow.ts"

/** A thread or a run: its surrogate, and the last sequence given in it. */
interface Scope {
  readonly id: number
  sequence: number
}

/** A run, and its thread, if it has had a fact that is in one. */
interface Run extends Scope {
  thread: number | null
}

/**
 * What is known of the end of the ledger. It holds as long as nobody else has written and nothing was rolled back:
 * `version` is SQLite's data version, which changes when another connection commits.
 */
interface Tail {
  readonly version: number
  position: number
  readonly threads: Map<string, Scope>
  readonly runs: Map<string, Run>
  readonly names: Map<string, number>
}

/** A tail that knows more than this is dropped, so that a process that lives long does not grow. */
const tailLimit = 100_000

/** The most rows of one insert; beyond it, more rows at once are no faster. */
const insertLimit = 25

/** The columns that an insert writes, in the order of {@link valuesOf}. */
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
  "last_ordinal",
  "occurred_at",
  "recorded_after",
  "origin",
  "correlation",
  "causation",
  "schema_version",
  "payload"
]

const placeholders = `(${columns.map(() => "?").join(", ")})`

/** The insert of each number of rows, so that each has one text and is prepared once. */
const inserts = Array.from(
  { length: insertLimit + 1 },
  (_, rows) =>
    `INSERT INTO events (${columns.join(", ")}) VALUES ${Array.from({ length: rows }, () => placeholders).join(", ")}`
)

/**
 * Makes the insert of a connection, and what makes a transaction keep the tail: without it, each insert begins with
 * what it finds. Transactions that keep the tail must wait for one another.
 */
export const make = (
  query: Database["query"]
): Pick<Database, "insert"> & {
  readonly keepingTail: <A, E>(transaction: Effect.Effect<A, E>) => Effect.Effect<A, E>
} => {
  let tail: Tail | undefined
  let afterCommit: Tail | undefined

  /** The tail is taken for the time of the transaction and put back after the commit: a rollback drops it. */
  const takeTail = Effect.fnUntraced(function* () {
    const [[version] = []] = yield* query("PRAGMA data_version", [])
    const kept = tail
    tail = undefined
    if (
      kept !== undefined &&
      kept.version === version &&
      kept.threads.size + kept.runs.size + kept.names.size < tailLimit
    ) {
      return kept
    }
    const [[position] = []] = yield* query(
      "SELECT max(floor, coalesce((SELECT max(position) FROM events), 0)) FROM ledger",
      []
    )
    const fresh: Tail = {
      version: Number(version),
      position: Number(position),
      threads: new Map(),
      runs: new Map(),
      names: new Map()
    }
    return fresh
  })

  /** The surrogate, and what else is asked for, of a text that the tail does not know; inserted if it is new. */
  const findOrInsert = Effect.fnUntraced(function* (
    text: string,
    find: string,
    insert: string,
    more: ReadonlyArray<unknown>
  ) {
    const [found] = yield* query(find, [text])
    const [[id, sequence, thread] = []] = found === undefined ? yield* query(insert, [text, ...more]) : [found]
    return { id: Number(id), sequence: Number(sequence), thread: typeof thread === "number" ? thread : null }
  })

  const addThread = (known: Tail, threadId: string) =>
    findOrInsert(
      threadId,
      `SELECT id, max(floor, coalesce((SELECT max(thread_sequence) FROM events WHERE thread = threads.id), 0))
       FROM threads WHERE thread_id = ?`,
      "INSERT INTO threads (thread_id) VALUES (?) RETURNING id, 0",
      []
    ).pipe(Effect.tap((scope) => Effect.sync(() => known.threads.set(threadId, scope))))

  const addRun = (known: Tail, runId: string, thread: number | null) =>
    findOrInsert(
      runId,
      `SELECT id, max(floor, coalesce((SELECT max(run_sequence) FROM events WHERE run = runs.id), 0)), thread
       FROM runs WHERE run_id = ?`,
      "INSERT INTO runs (run_id, thread, status) VALUES (?, ?, 'created') RETURNING id, 0, thread",
      [thread]
    ).pipe(Effect.tap((scope) => Effect.sync(() => known.runs.set(runId, scope))))

  const addName = (known: Tail, name: string) =>
    findOrInsert(
      name,
      "SELECT id, 0 FROM names WHERE name = ?",
      "INSERT INTO names (name) VALUES (?) RETURNING id, 0",
      []
    ).pipe(Effect.map(({ id }) => (known.names.set(name, id), id)))

  const keepingTail = <A, E>(transaction: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      afterCommit = undefined
      return transaction
    }).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          tail = afterCommit ?? tail
        })
      )
    )

  const insert = Effect.fnUntraced(function* (
    events: ReadonlyArray<StagedEvent.StagedEvent>,
    places?: ReadonlyArray<Place>
  ): Effect.fn.Return<void, SqlError.SqlError | LedgerError.ValidationError> {
    const end = yield* takeTail()
    const now = yield* Clock.currentTimeMillis
    const statuses = new Map<number, ReturnType<typeof EventStore.statusAfter>>()
    let pending: Array<unknown> = []
    let rows = 0
    let index = 0
    for (const event of events) {
      const place = places?.[index]
      index += 1
      const thread =
        event.threadId === undefined
          ? undefined
          : (end.threads.get(event.threadId) ?? (yield* addThread(end, event.threadId)))
      const run =
        event.runId === undefined
          ? undefined
          : (end.runs.get(event.runId) ?? (yield* addRun(end, event.runId, thread?.id ?? null)))
      if (run !== undefined && run.thread === null && thread !== undefined) {
        run.thread = thread.id
        yield* query("UPDATE runs SET thread = ? WHERE id = ?", [thread.id, run.id])
      }
      if (
        place !== undefined &&
        (place.position <= end.position ||
          (thread !== undefined && (place.threadSequence ?? 0) <= thread.sequence) ||
          (run !== undefined && (place.runSequence ?? 0) <= run.sequence))
      ) {
        return yield* EventStore.doesNotGoOn(place)
      }
      end.position = place?.position ?? end.position + 1
      if (thread !== undefined) {
        thread.sequence = place?.threadSequence ?? thread.sequence + 1
      }
      if (run !== undefined) {
        run.sequence = place?.runSequence ?? run.sequence + 1
      }
      const { causationId, correlationId } = event
      pending.push(
        end.position,
        EventRow.uuidBytes(event.eventId),
        thread?.id ?? null,
        thread?.sequence ?? null,
        run?.id ?? null,
        run?.sequence ?? null,
        end.names.get(event.kind) ?? (yield* addName(end, event.kind)),
        EventRow.flags(event, place?.erased),
        event.ordinal ?? null,
        event.lastOrdinal ?? null,
        event.occurredAt,
        (place?.recordedAt ?? now) - event.occurredAt,
        end.names.get(event.origin) ?? (yield* addName(end, event.origin)),
        correlationId === undefined ? null : (end.names.get(correlationId) ?? (yield* addName(end, correlationId))),
        causationId === undefined ? null : EventRow.uuidOrText(causationId),
        event.schemaVersion,
        event.payload
      )
      rows += 1
      if (rows === insertLimit) {
        yield* query(inserts[rows] ?? "", pending)
        pending = []
        rows = 0
      }
      const after = EventStore.statusAfter(event)
      if (run !== undefined && after !== undefined) {
        statuses.set(run.id, after)
      }
    }
    if (rows > 0) {
      yield* query(inserts[rows] ?? "", pending)
    }
    for (const [run, after] of statuses) {
      yield* query("UPDATE runs SET status = ?, done_reason = ? WHERE id = ?", [
        after?.status,
        after?.doneReason ?? null,
        run
      ])
    }
    // A restore goes on to change what the tail knows.
    afterCommit = places === undefined ? end : undefined
  })

  return { insert, keepingTail }
}
