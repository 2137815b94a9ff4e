/**
 * The ledger itself: it gives facts their place, for good, and reads them back in order.
 *
 * @since 0.1.0
 */
import { Clock, Context, Effect, Layer, Schema } from "effect"
import type { CanonicalEvent } from "./CanonicalEvent.ts"
import * as Cursor from "./Cursor.ts"
import {
  type CursorExpired,
  type IntegrityError,
  NotFound,
  type StoreError,
  type UnavailableError
} from "./LedgerError.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Json from "./Json.ts"
import type { StagedEvent } from "./StagedEvent.ts"

/**
 * A page of facts in the order of their scope. `next` is the cursor after the last of them, or the one that was asked
 * for when there were none, so that a reader can come back for more; `hasMore` says whether there is more now.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventPage {
  readonly facts: ReadonlyArray<CanonicalEvent>
  readonly next: Cursor.Cursor | undefined
  readonly hasMore: boolean
}

/**
 * What the ledger knows of a run without reading it. `startedAt` is when its first fact occurred, `updatedAt` when its
 * last was recorded, both in milliseconds since the epoch; `facts` is how many it has.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunEntry {
  readonly runId: string
  readonly threadId?: string
  readonly status: Lifecycle.RunStatus
  readonly doneReason?: string
  readonly startedAt: number
  readonly updatedAt: number
  readonly facts: number
}

/**
 * An event store.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventStoreShape {
  /**
   * Commits a batch, all of it or nothing, in its order. Sequences of a thread and of a run are dense: 1, 2, 3 … An
   * event whose id is there already is skipped, so the same batch can be sent again when its fate is not known. After
   * success the batch is durable.
   */
  readonly append: (batch: ReadonlyArray<StagedEvent>) => Effect.Effect<void, StoreError>

  /**
   * Reads a page of a scope after a cursor, from the start without one. At most `limit` facts, 1,000 by default; 0 asks only
   * whether there are more.
   */
  readonly read: (options: {
    readonly scope: Cursor.ReadScope
    readonly after?: Cursor.Cursor | undefined
    readonly limit?: number
  }) => Effect.Effect<EventPage, CursorExpired | IntegrityError | UnavailableError>

  /** The number of facts in a scope. */
  readonly count: (scope: Cursor.ReadScope) => Effect.Effect<number, IntegrityError | UnavailableError>

  /** The fact with this id. */
  readonly get: (eventId: string) => Effect.Effect<CanonicalEvent, NotFound | IntegrityError | UnavailableError>

  /** All runs, in the order in which they first appeared. */
  readonly runs: Effect.Effect<ReadonlyArray<RunEntry>, IntegrityError | UnavailableError>
}

/**
 * The event store in force.
 *
 * @category services
 * @since 0.1.0
 */
export class EventStore extends Context.Service<EventStore, EventStoreShape>()("@runledger/core/EventStore") {}

const isTermination = Schema.is(Lifecycle.TerminationReason)

/** The reason of a finish, unless the payload is not that of one; a payload that was too large keeps only its size. */
const terminationOf = (payload: string): Lifecycle.TerminationReason | undefined => {
  const finish: unknown = Json.parse(payload)
  const termination: unknown =
    typeof finish === "object" && finish !== null ? Reflect.get(finish, "termination") : undefined
  return isTermination(termination) ? termination : undefined
}

/**
 * Where a run stands after a fact, for the run index of a store; undefined when the fact does not change it. The kind
 * decides the status, the payload of a finish adds the done reason.
 *
 * @category run index
 * @since 0.1.0
 */
export const statusAfter = (
  event: Pick<StagedEvent, "kind" | "payload">
): { readonly status: Lifecycle.RunStatus; readonly doneReason: string | undefined } | undefined => {
  switch (event.kind) {
    case "RunStarted":
    case "RunResumed":
      return { status: "running", doneReason: undefined }
    case "RunSuspended":
      return { status: "waiting", doneReason: undefined }
    case "RunFinished":
    case "RunCancelled":
    case "RunErrored":
    case "RunTerminated": {
      const termination = terminationOf(event.payload)
      return { status: "done", doneReason: termination && Lifecycle.doneReason(termination) }
    }
    default:
      return undefined
  }
}

/**
 * The error for an event id that is not in the ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export const noSuchFact = (eventId: string): NotFound =>
  new NotFound({ message: `there is no fact ${eventId} in this ledger` })

/** A staged event in its place. Its payload is parsed when it is read. */
interface Entry {
  readonly event: StagedEvent
  readonly threadSequence: number | undefined
  readonly runSequence: number | undefined
  readonly position: number
  readonly recordedAt: number
}

/** The entries of one scope, in order: the one with sequence n is at n - 1. */
type Entries = Array<Entry>

const factOf = ({ event, position, recordedAt, runSequence, threadSequence }: Entry): CanonicalEvent => ({
  ...event,
  ...(threadSequence === undefined ? {} : { threadSequence }),
  ...(runSequence === undefined ? {} : { runSequence }),
  position,
  payload: Json.parse(event.payload) as Schema.Json,
  recordedAt
})

const entriesOf = (index: Map<string, Entries>, id: string | undefined): Entries | undefined => {
  if (id === undefined) {
    return undefined
  }
  const entries = index.get(id)
  if (entries !== undefined) {
    return entries
  }
  const fresh: Entries = []
  index.set(id, fresh)
  return fresh
}

const runEntry = (runId: string, entries: Entries): RunEntry => {
  const [first, last] = [entries[0], entries[entries.length - 1]]
  const after = entries.map(({ event }) => statusAfter(event)).findLast((status) => status !== undefined)
  return {
    runId,
    ...(first?.event.threadId === undefined ? {} : { threadId: first.event.threadId }),
    status: after?.status ?? "created",
    ...(after?.doneReason === undefined ? {} : { doneReason: after.doneReason }),
    startedAt: first?.event.occurredAt ?? 0,
    updatedAt: last?.recordedAt ?? 0,
    facts: entries.length
  }
}

/**
 * A store in memory, for tests and for runs that need not survive the process.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<EventStore> = Layer.effect(
  EventStore,
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const all: Entries = []
    const byId = new Map<string, Entry>()
    const threads = new Map<string, Entries>()
    const runs = new Map<string, Entries>()

    const inScope = (scope: Cursor.ReadScope): Entries => {
      switch (scope._tag) {
        case "Thread":
          return threads.get(scope.threadId) ?? []
        case "Run":
          return runs.get(scope.runId) ?? []
        case "Ledger":
          return all
      }
    }

    const commit = (event: StagedEvent, recordedAt: number): void => {
      const thread = entriesOf(threads, event.threadId)
      const run = entriesOf(runs, event.runId)
      const entry: Entry = {
        event,
        threadSequence: thread && thread.length + 1,
        runSequence: run && run.length + 1,
        position: all.length + 1,
        recordedAt
      }
      for (const entries of [all, thread, run]) {
        entries?.push(entry)
      }
      byId.set(event.eventId, entry)
    }

    return EventStore.of({
      append: (batch) =>
        Effect.sync(() => {
          const recordedAt = clock.currentTimeMillisUnsafe()
          for (const event of batch) {
            if (!byId.has(event.eventId)) {
              commit(event, recordedAt)
            }
          }
        }),
      read: ({ after, limit = 1000, scope }) =>
        Effect.gen(function* () {
          const entries = inScope(scope)
          const start = after === undefined ? 0 : yield* Effect.fromResult(Cursor.sequence(scope, after))
          if (after !== undefined && start > entries.length) {
            return yield* Cursor.expired(after)
          }
          const page = entries.slice(start, start + limit)
          const end = start + page.length
          return {
            facts: page.map(factOf),
            next: end === 0 ? undefined : Cursor.make(scope, end),
            hasMore: end < entries.length
          }
        }),
      count: (scope) => Effect.sync(() => inScope(scope).length),
      get: (eventId) =>
        Effect.suspend(() => {
          const entry = byId.get(eventId)
          return entry === undefined ? Effect.fail(noSuchFact(eventId)) : Effect.succeed(factOf(entry))
        }),
      runs: Effect.sync(() => Array.from(runs, ([runId, entries]) => runEntry(runId, entries)))
    })
  })
)
