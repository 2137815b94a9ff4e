/**
 * How a batch gets into the tables: one transaction, surrogates and sequences from memory where they are known.
 */
import { EventStore, LedgerError, StagedEvent } from "@runledger/core"
import { Clock, Effect, Semaphore } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as Row from "./eventRow.ts"

type Batch = ReadonlyArray<StagedEvent.StagedEvent>
type Failure = LedgerError.ValidationError | SqlError.SqlError

/** A thread or a run: its surrogate, and the last sequence given in it. */
interface Scope {
  readonly id: number
  sequence: number
}

/**
 * What is known of the end of the ledger. It holds as long as nobody else has written and nothing was rolled back:
 * `version` is SQLite's data version, which changes when another connection commits.
 */
interface Tail {
  readonly version: number
  position: number
  readonly threads: Map<string, Scope>
  readonly runs: Map<string, Scope>
  readonly names: Map<string, number>
}

/** A tail that knows more than this is dropped, so that a process that lives long does not grow. */
const tailLimit = 100_000

/** The most rows of one insert; beyond it, more rows at once are no faster. */
const insertLimit = 25

const placeholders = `(${Row.columns.map(() => "?").join(", ")})`

/** The insert of each number of rows, so that each has one text and is prepared once. */
const inserts = Array.from(
  { length: insertLimit + 1 },
  (_, rows) =>
    `INSERT INTO events (${Row.columns.join(", ")}) VALUES ${Array.from({ length: rows }, () => placeholders).join(", ")}`
)

const invalid = (what: string): LedgerError.ValidationError =>
  new LedgerError.ValidationError({ message: `validation error: ${what}` })

const isKnownEventId = (error: Failure): boolean =>
  error._tag === "SqlError" && error.reason._tag === "UniqueViolation" && error.reason.constraint === "events.event_id"

/** Makes the append of a store. Appends wait for one another, so that the tail always is that of the last commit. */
export const make = Effect.fnUntraced(function* () {
  const sql = yield* SqlClient.SqlClient
  const turn = Semaphore.makeUnsafe(1)
  let tail: Tail | undefined

  const query = (text: string, params: ReadonlyArray<unknown>) => sql.unsafe(text, params).values

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
    if (!StagedEvent.isStorable(text)) {
      return yield* invalid(`${JSON.stringify(text)} holds a NUL or a lone surrogate, which no store can keep`)
    }
    const [found] = yield* query(find, [text])
    const [[id, sequence] = []] = found === undefined ? yield* query(insert, [text, ...more]) : [found]
    return { id: Number(id), sequence: Number(sequence) }
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
      `SELECT id, max(floor, coalesce((SELECT max(run_sequence) FROM events WHERE run = runs.id), 0))
       FROM runs WHERE run_id = ?`,
      "INSERT INTO runs (run_id, thread, status) VALUES (?, ?, 'created') RETURNING id, 0",
      [thread]
    ).pipe(Effect.tap((scope) => Effect.sync(() => known.runs.set(runId, scope))))

  const addName = (known: Tail, name: string) =>
    findOrInsert(
      name,
      "SELECT id, 0 FROM names WHERE name = ?",
      "INSERT INTO names (name) VALUES (?) RETURNING id, 0",
      []
    ).pipe(Effect.map(({ id }) => (known.names.set(name, id), id)))

  /** The ids of a batch that are in the ledger, as the hexadecimal digits that they are compared by. */
  const knownIds = Effect.fnUntraced(function* (batch: Batch) {
    const ids = batch.map(({ eventId }) => eventId.replaceAll("-", ""))
    const rows = yield* query(
      "SELECT lower(hex(event_id)) FROM events WHERE event_id IN (SELECT unhex(value) FROM json_each(?))",
      [JSON.stringify(ids)]
    )
    return new Set(rows.map(([id]) => String(id)))
  })

  const insert = Effect.fnUntraced(function* (batch: Batch, known: Set<string> | undefined) {
    const end = yield* takeTail()
    const recordedAt = yield* Clock.currentTimeMillis
    const statuses = new Map<number, ReturnType<typeof EventStore.statusAfter>>()
    let pending: Array<unknown> = []
    let rows = 0
    for (const event of batch) {
      const problem = Row.refuse(event)
      if (problem !== undefined) {
        return yield* invalid(problem)
      }
      const id = known && event.eventId.replaceAll("-", "")
      if (known !== undefined && id !== undefined) {
        if (known.has(id)) {
          continue
        }
        known.add(id)
      }
      const thread =
        event.threadId === undefined
          ? undefined
          : (end.threads.get(event.threadId) ?? (yield* addThread(end, event.threadId)))
      const run =
        event.runId === undefined
          ? undefined
          : (end.runs.get(event.runId) ?? (yield* addRun(end, event.runId, thread?.id ?? null)))
      pending.push(
        ...Row.encode(event, {
          position: (end.position += 1),
          thread: thread?.id ?? null,
          threadSequence: thread === undefined ? null : (thread.sequence += 1),
          run: run?.id ?? null,
          runSequence: run === undefined ? null : (run.sequence += 1),
          kind: end.names.get(event.kind) ?? (yield* addName(end, event.kind)),
          origin: end.names.get(event.origin) ?? (yield* addName(end, event.origin)),
          correlation:
            event.correlationId === undefined
              ? null
              : (end.names.get(event.correlationId) ?? (yield* addName(end, event.correlationId))),
          recordedAt
        })
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
    return end
  })

  return (batch: Batch): Effect.Effect<void, Failure> =>
    sql.withTransaction(insert(batch, undefined)).pipe(
      // Ids are almost always new, so they are looked up only when one turns out not to be.
      Effect.catchIf(isKnownEventId, () =>
        sql.withTransaction(Effect.flatMap(knownIds(batch), (known) => insert(batch, known)))
      ),
      Effect.map((end) => {
        tail = end
      }),
      turn.withPermit
    )
})
