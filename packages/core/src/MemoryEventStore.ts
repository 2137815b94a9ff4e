/**
 * A ledger in memory.
 *
 * @since 0.1.0
 */
import { Clock, Context, Effect, Layer, Result, type Schema, Stream, type Types } from "effect"
import type { CanonicalEvent } from "./CanonicalEvent.ts"
import * as Cursor from "./Cursor.ts"
import * as EventStore from "./EventStore.ts"
import * as Follow from "./Follow.ts"
import * as Json from "./Json.ts"
import type { StagedEvent } from "./StagedEvent.ts"
import * as Transaction from "./Transaction.ts"

/** An event in its place. Its payload is parsed when it is read. */
interface Entry {
  readonly event: StagedEvent
  readonly threadSequence: number | undefined
  readonly runSequence: number | undefined
  readonly position: number
  readonly recordedAt: number
  readonly erased: boolean
}

/** What a scope holds, in order; the last sequence given in it, and the last that was pruned. */
interface Log {
  entries: Array<Entry>
  last: number
  floor: number
}

interface Run extends Log {
  threadId: string | undefined
  status: EventStore.RunEntry["status"]
  doneReason: string | undefined
  ordinal: number | undefined
  state: string | undefined
  labels: EventStore.Labels
}

const emptyLog = (): Log => ({ entries: [], last: 0, floor: 0 })

const factOf = ({ erased, event, position, recordedAt, runSequence, threadSequence }: Entry): CanonicalEvent => ({
  ...event,
  ...(threadSequence === undefined ? {} : { threadSequence }),
  ...(runSequence === undefined ? {} : { runSequence }),
  position,
  payload: Json.parse(event.payload) as Schema.Json,
  recordedAt,
  ...(erased ? { erased } : {})
})

const entryOf = (fact: CanonicalEvent): Entry => {
  const { erased = false, payload, position, recordedAt, runSequence, threadSequence, ...event } = fact
  return {
    event: { ...event, payload: JSON.stringify(payload) },
    threadSequence,
    runSequence,
    position,
    recordedAt,
    erased
  }
}

const runEntry = (runId: string, run: Run): EventStore.RunEntry => {
  const entry: Types.Mutable<EventStore.RunEntry> = {
    runId,
    status: run.status,
    facts: run.entries.length,
    floor: run.floor
  }
  const [first] = run.entries
  const last = run.entries.at(-1)
  if (run.threadId !== undefined) {
    entry.threadId = run.threadId
  }
  if (run.doneReason !== undefined) {
    entry.doneReason = run.doneReason
  }
  if (first !== undefined && last !== undefined) {
    entry.startedAt = first.event.occurredAt
    entry.updatedAt = last.recordedAt
  }
  if (run.ordinal !== undefined) {
    entry.ordinal = run.ordinal
  }
  if (Object.keys(run.labels).length > 0) {
    entry.labels = { ...run.labels }
  }
  return entry
}

const passes = ({ kinds, visibility }: EventStore.Filter = {}, { event }: Entry): boolean =>
  (kinds?.includes(event.kind) ?? true) && (visibility?.includes(event.visibility) ?? true)

/** Raises a floor, below which nothing is given any more. */
const raise = (log: Log, floor: number): void => {
  log.floor = Math.max(log.floor, floor)
  log.last = Math.max(log.last, floor)
}

/** How many entries there are up to a sequence. */
const countThrough = (entries: ReadonlyArray<Entry>, scope: Cursor.ReadScope, sequence: number): number => {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const entry = entries[middle]
    if (entry !== undefined && Cursor.sequenceOf(scope, entry) <= sequence) {
      low = middle + 1
    } else {
      high = middle
    }
  }
  return low
}

const pageOf = (
  log: Log,
  start: number,
  { filter, limit, reverse = false, scope }: EventStore.ReadOptions
): EventStore.EventPage => {
  const most = EventStore.pageLimit(limit)
  const facts: Array<CanonicalEvent> = []
  const split = countThrough(log.entries, scope, start)
  let index = reverse ? split - 1 : split
  let scanned = start
  let returned = start
  let hasMore = false
  for (let entry = log.entries[index]; entry !== undefined; entry = log.entries[index]) {
    const sequence = Cursor.sequenceOf(scope, entry)
    if (passes(filter, entry)) {
      if (facts.length === most) {
        hasMore = true
        scanned = returned
        break
      }
      facts.push(factOf(entry))
      returned = reverse ? sequence - 1 : sequence
    }
    scanned = reverse ? sequence - 1 : sequence
    index += reverse ? -1 : 1
  }
  if (!hasMore && !reverse) {
    scanned = log.last
  }
  return { facts, next: Cursor.within(scope, log.floor)(scanned), hasMore, scannedThrough: scanned, floor: log.floor }
}

/**
 * A store in memory, for tests and for runs that need not survive the process.
 *
 * **Gotchas**
 *
 * It has no SQL client, so `commitWith` runs the writes and then appends; it does not take back what the writes did when
 * the append fails.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<EventStore.EventStore | Transaction.Transaction> = Layer.effectContext(
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const { changed, notify } = Follow.signal()
    const all = emptyLog()
    const byId = new Map<string, Entry>()
    const threads = new Map<string, Log>()
    const runs = new Map<string, Run>()
    const writers = new Map<string, EventStore.Writer>()
    const held = new Set<string>()

    const logOf = (scope: Cursor.ReadScope): Log => {
      switch (scope._tag) {
        case "Thread":
          return threads.get(scope.threadId) ?? emptyLog()
        case "Run":
          return runs.get(scope.runId) ?? emptyLog()
        case "Ledger":
          return all
      }
    }

    const threadOf = (threadId: string): Log => {
      const log = threads.get(threadId) ?? emptyLog()
      threads.set(threadId, log)
      return log
    }

    const runOf = (runId: string, threadId: string | undefined): Run => {
      const run = runs.get(runId) ?? {
        ...emptyLog(),
        threadId,
        status: "created",
        doneReason: undefined,
        ordinal: undefined,
        state: undefined,
        labels: {}
      }
      run.threadId ??= threadId
      runs.set(runId, run)
      return run
    }

    const insert = (entry: Entry): void => {
      const { event, position, runSequence, threadSequence } = entry
      all.entries.push(entry)
      all.last = position
      byId.set(event.eventId, entry)
      if (event.threadId !== undefined && threadSequence !== undefined) {
        const thread = threadOf(event.threadId)
        thread.entries.push(entry)
        thread.last = threadSequence
      }
      if (event.runId !== undefined && runSequence !== undefined) {
        const run = runOf(event.runId, event.threadId)
        run.entries.push(entry)
        run.last = runSequence
        Object.assign(run, EventStore.statusAfter(event))
      }
    }

    /** The events of a batch that are new, or what is wrong with it. */
    const fresh = (batch: ReadonlyArray<StagedEvent>) => {
      const news = new Map<string, StagedEvent>()
      for (const event of batch) {
        const known = byId.get(event.eventId)
        const before = known === undefined ? news.get(event.eventId) : undefined
        if (
          (known !== undefined && !EventStore.says(event, factOf(known))) ||
          (before !== undefined && !EventStore.repeats(event, before))
        ) {
          return Result.fail(EventStore.idempotencyConflict(event.eventId))
        }
        if (known === undefined && before === undefined) {
          news.set(event.eventId, event)
        }
      }
      return Result.succeed([...news.values()])
    }

    /** The entries that prune and erase are about: those of a thread and of its runs, or all. */
    const belongs = (threadId: string | undefined) => {
      return ({ event }: Entry): boolean =>
        threadId === undefined ||
        event.threadId === threadId ||
        (event.threadId === undefined && event.runId !== undefined && runs.get(event.runId)?.threadId === threadId)
    }

    const raiseMarks = (marks: ReadonlyArray<EventStore.Writer> = []): void => {
      for (const { epoch, highWater, writer } of marks) {
        writers.set(writer, { writer, epoch, highWater: Math.max(highWater, writers.get(writer)?.highWater ?? 0) })
      }
    }

    const commit = Effect.fnUntraced(function* (
      batch: ReadonlyArray<StagedEvent>,
      options: EventStore.AppendOptions = {}
    ) {
      const problem = EventStore.check(batch) ?? EventStore.checkOptions(batch, options)
      if (problem !== undefined) {
        return yield* problem
      }
      for (const writer of options.writers ?? []) {
        const current = writers.get(writer.writer)?.epoch
        if (writer.epoch !== current) {
          return yield* EventStore.fenced(writer, current)
        }
      }
      const news = yield* Effect.fromResult(fresh(batch))
      if (news.length === 0 && batch.length > 0) {
        return raiseMarks(options.writers)
      }
      for (const expected of options.expected ?? []) {
        const actual = Cursor.make(expected.scope, logOf(expected.scope).last)
        if (Result.getOrThrow(Cursor.sequence(expected.scope, expected.cursor)) !== logOf(expected.scope).last) {
          return yield* EventStore.expectedCursorConflict(expected, actual)
        }
      }
      for (const { runId } of options.runs ?? []) {
        if (!runs.has(runId) && !news.some((event) => event.runId === runId)) {
          return yield* EventStore.stateOfNoRun(runId)
        }
      }
      const recordedAt = clock.currentTimeMillisUnsafe()
      for (const event of news) {
        insert({
          event,
          threadSequence: event.threadId === undefined ? undefined : threadOf(event.threadId).last + 1,
          runSequence: event.runId === undefined ? undefined : runOf(event.runId, event.threadId).last + 1,
          position: all.last + 1,
          recordedAt,
          erased: false
        })
      }
      for (const { labels, ordinal, runId, state } of options.runs ?? []) {
        Object.assign(runOf(runId, undefined), { ordinal, state, ...(labels && { labels: { ...labels } }) })
      }
      raiseMarks(options.writers)
      notify()
    })

    const read: EventStore.EventStoreShape["read"] = (options) =>
      Effect.suspend(() => {
        const log = logOf(options.scope)
        const { after, reverse = false, scope } = options
        const start = after === undefined ? Result.succeed(reverse ? log.last : 0) : Cursor.resolve(scope, after, log)
        return Effect.map(Effect.fromResult(start), (sequence) => pageOf(log, sequence, options))
      })

    const prune = (before: number, threadId: string | undefined): number => {
      const mine = belongs(threadId)
      const young = all.entries.find(({ recordedAt }) => recordedAt >= before)?.position ?? all.last + 1
      const gone = (entry: Entry): boolean =>
        entry.position < young &&
        mine(entry) &&
        (entry.event.runId === undefined || runs.get(entry.event.runId)?.status === "done")
      const pruned = new Set(all.entries.filter(gone))
      const logs: ReadonlyArray<readonly [Log, Cursor.ReadScope]> = [
        ...[...threads].map(([threadId, log]) => [log, { _tag: "Thread", threadId }] as const),
        ...[...runs].map(([runId, log]) => [log, { _tag: "Run", runId }] as const),
        [all, Cursor.ledger]
      ]
      for (const [log, scope] of logs) {
        const last = log.entries.findLast((entry) => pruned.has(entry))
        log.floor = Math.max(log.floor, last === undefined ? 0 : Cursor.sequenceOf(scope, last))
        log.entries = log.entries.filter((entry) => !pruned.has(entry))
      }
      for (const { event } of pruned) {
        byId.delete(event.eventId)
      }
      return pruned.size
    }

    const erase = (threadId: string): number => {
      const mine = belongs(threadId)
      const erased = new Map<Entry, Entry>()
      for (const entry of all.entries) {
        if (!entry.erased && mine(entry)) {
          erased.set(entry, { ...entry, event: { ...entry.event, payload: "null" }, erased: true })
        }
      }
      for (const log of [all, ...threads.values(), ...runs.values()]) {
        log.entries = log.entries.map((entry) => erased.get(entry) ?? entry)
      }
      for (const entry of erased.values()) {
        byId.set(entry.event.eventId, entry)
      }
      for (const run of runs.values()) {
        if (run.threadId === threadId) {
          Object.assign(run, { doneReason: undefined, state: undefined, labels: {} })
        }
      }
      return erased.size
    }

    const restore = Effect.fnUntraced(function* (part: EventStore.Part) {
      const problem = EventStore.checkPart(part)
      if (problem !== undefined) {
        return yield* problem
      }
      const ends = new Map<string, number>()
      const follows = (key: string, log: Log | undefined, sequence: number | undefined): boolean => {
        const end = ends.get(key) ?? log?.last ?? 0
        ends.set(key, sequence ?? end)
        return sequence === undefined || sequence > end
      }
      const news = (part.facts ?? []).filter(({ eventId }) => !byId.has(eventId))
      for (const fact of news) {
        const inOrder =
          follows("l", all, fact.position) &&
          follows(`t${fact.threadId}`, threads.get(fact.threadId ?? ""), fact.threadSequence) &&
          follows(`r${fact.runId}`, runs.get(fact.runId ?? ""), fact.runSequence)
        if (!inOrder) {
          return yield* EventStore.doesNotGoOn(fact)
        }
      }
      for (const fact of news) {
        insert(entryOf(fact))
      }
      raise(all, part.floor ?? 0)
      for (const { floor, threadId } of part.threads ?? []) {
        raise(threadOf(threadId), floor)
      }
      for (const { doneReason, facts, floor, ordinal, runId, state, status, threadId, ...rest } of part.runs ?? []) {
        const labels = { ...rest.labels }
        const run = runOf(runId, threadId)
        const isKnownBetter =
          run.floor > floor ||
          (run.floor === floor && run.entries.length > facts) ||
          (run.entries.at(-1)?.recordedAt ?? 0) > (rest.updatedAt ?? 0)
        // A state is gone where there is an ordinal without one.
        const isErased = run.ordinal !== undefined && run.state === undefined && run.ordinal >= (ordinal ?? 0)
        if (!isKnownBetter && !isErased) {
          const keepsReason = run.entries.some(({ erased }) => erased)
          Object.assign(run, { status, ordinal, state, labels, doneReason: keepsReason ? run.doneReason : doneReason })
        }
        raise(run, floor)
      }
      for (const writer of part.writers ?? []) {
        const { epoch, highWater } = writers.get(writer.writer) ?? { epoch: 0, highWater: 0 }
        if (writer.epoch > epoch || (writer.epoch === epoch && writer.highWater > highWater)) {
          writers.set(writer.writer, writer)
        }
      }
      notify()
    })

    const claim = Effect.fnUntraced(function* (writer: string) {
      const problem = EventStore.checkWriter(writer)
      if (problem !== undefined) {
        return yield* problem
      }
      if (held.has(writer)) {
        return yield* EventStore.writerHeld(writer)
      }
      held.add(writer)
      const { epoch, highWater } = writers.get(writer) ?? { epoch: 0, highWater: 0 }
      const claimed = { writer, epoch: epoch + 1, highWater }
      writers.set(writer, claimed)
      return claimed
    })

    const store = EventStore.EventStore.of({
      append: commit,
      claimWriter: (writer) => Effect.acquireRelease(claim(writer), () => Effect.sync(() => void held.delete(writer))),
      read,
      follow: Follow.make({ read, changed }),
      count: (scope) => Effect.sync(() => logOf(scope).entries.length),
      get: (eventId) =>
        Effect.suspend(() => {
          const entry = byId.get(eventId)
          return entry === undefined ? Effect.fail(EventStore.noSuchFact(eventId)) : Effect.succeed(factOf(entry))
        }),
      run: (runId) =>
        Effect.suspend(() => {
          const run = runs.get(runId)
          return run === undefined
            ? Effect.fail(EventStore.noSuchRun(runId))
            : Effect.succeed({
                ...runEntry(runId, run),
                ...(run.state === undefined ? {} : { state: run.state })
              })
        }),
      runs: (filter = {}) =>
        Stream.suspend(() =>
          Stream.fromIterable(
            Array.from(runs, ([runId, run]) => runEntry(runId, run)).filter(EventStore.isWanted(filter))
          )
        ),
      threads: Stream.suspend(() =>
        Stream.fromIterable(
          Array.from(threads, ([threadId, { entries, floor }]) => ({ threadId, facts: entries.length, floor }))
        )
      ),
      writers: Stream.suspend(() => Stream.fromIterable([...writers.values()])),
      prune: ({ before, threadId }) =>
        Effect.suspend(() => {
          const problem = EventStore.checkBefore(before)
          return problem === undefined ? Effect.succeed(prune(before, threadId)) : Effect.fail(problem)
        }),
      erase: ({ threadId }) => Effect.sync(() => erase(threadId)),
      restore
    })
    const transaction = Transaction.Transaction.of({
      commitWith: (writes, append) =>
        Effect.tap(writes, () => Effect.flatMap(append, ({ batch, options }) => commit(batch, options)))
    })
    return Context.make(EventStore.EventStore, store).pipe(Context.add(Transaction.Transaction, transaction))
  })
)
