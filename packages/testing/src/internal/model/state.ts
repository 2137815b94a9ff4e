/**
 * What a ledger must hold and tell, in the plainest way that there is: one list of facts, searched anew each time. It
 * shares no code with any store.
 */
import { type CanonicalEvent, type Cursor, type EventStore, type StagedEvent } from "@runledger/core"
import { isDeepStrictEqual } from "node:util"

type Fact = CanonicalEvent.CanonicalEvent

interface Run {
  readonly threadId: string | undefined
  readonly status: EventStore.RunEntry["status"]
  readonly doneReason?: string | undefined
  readonly ordinal?: number
  readonly state?: string
  readonly labels?: EventStore.Labels | undefined
}

/** A cursor that a store gave: the sequence it stands after, and the floor of its scope at that time. */
export interface Held {
  readonly scope: Cursor.ReadScope
  readonly cursor: Cursor.Cursor
  readonly sequence: number
  readonly floor: number
}

/** What an append should come to: an error, or the events that are new. */
export type Appended =
  | { readonly _tag: "ValidationError" | "Fenced" | "IdempotencyConflict" | "ExpectedCursorConflict" }
  | { readonly _tag: "Committed"; readonly news: ReadonlyArray<StagedEvent.StagedEvent> }

const statuses: { readonly [kind: string]: Run["status"] } = {
  RunStarted: "running",
  RunResumed: "running",
  RunSuspended: "waiting",
  RunFinished: "done",
  RunInterrupted: "done"
}

const doneReasons: { readonly [kind: string]: string } = { RunFinished: "natural", RunInterrupted: "interrupted" }

export const keyOf = (scope: Cursor.ReadScope): string => JSON.stringify(scope)

export const sequenceIn = (scope: Cursor.ReadScope, fact: Fact): number | undefined => {
  switch (scope._tag) {
    case "Thread":
      return fact.threadId === scope.threadId ? fact.threadSequence : undefined
    case "Run":
      return fact.runId === scope.runId ? fact.runSequence : undefined
    case "Ledger":
      return fact.position
  }
}

const matches = (fact: Fact, { kinds, visibility }: EventStore.Filter): boolean =>
  (kinds === undefined || kinds.includes(fact.kind)) &&
  (visibility === undefined || visibility.includes(fact.visibility))

/** What two events of the same id must have in common to say the same. */
const told = ({ kind, payload, runId, threadId, visibility }: Fact | StagedEvent.StagedEvent): unknown => ({
  threadId,
  runId,
  kind,
  visibility,
  payload: typeof payload === "string" ? (JSON.parse(payload) as unknown) : payload
})

const says = (event: StagedEvent.StagedEvent, known: Fact | StagedEvent.StagedEvent): boolean =>
  ("erased" in known && known.erased) || isDeepStrictEqual(told(event), told(known))

export interface State {
  facts: ReadonlyArray<Fact>
  readonly ends: Map<string, number>
  readonly floors: Map<string, number>
  readonly threads: Set<string>
  readonly runs: Map<string, Run>
  readonly writers: Map<string, EventStore.Writer>
  readonly cursors: Array<Held>
}

export const empty = (): State => ({
  facts: [],
  ends: new Map(),
  floors: new Map(),
  threads: new Set(),
  runs: new Map(),
  writers: new Map(),
  cursors: []
})

export const endOf = (state: State, scope: Cursor.ReadScope): number => state.ends.get(keyOf(scope)) ?? 0

export const floorOf = (state: State, scope: Cursor.ReadScope): number => state.floors.get(keyOf(scope)) ?? 0

/** Whether the floor has risen over a cursor, or has risen at all since one below it was given. */
export const isExpired = (state: State, { floor, scope, sequence }: Held): boolean => {
  const now = floorOf(state, scope)
  return sequence < now && floor !== now
}

/** The facts of a scope that match a filter, with their sequences. */
export const factsOf = (state: State, scope: Cursor.ReadScope, filter: EventStore.Filter = {}) =>
  state.facts.flatMap((fact) => {
    const sequence = sequenceIn(scope, fact)
    return sequence === undefined || !matches(fact, filter) ? [] : [{ fact, sequence }]
  })

const isIn = ({ runId, threadId }: StagedEvent.StagedEvent, scope: CanonicalEvent.EventScope) =>
  scope._tag === "Thread" ? threadId === scope.threadId : runId === scope.runId

/** What an append should come to, before anything is changed. `expected` is the sequence after which a scope should end. */
export const outcome = (
  state: State,
  batch: ReadonlyArray<StagedEvent.StagedEvent>,
  options: {
    readonly expected: ReadonlyArray<{ readonly scope: CanonicalEvent.EventScope; readonly sequence: number }>
    readonly writers: ReadonlyArray<EventStore.Writer>
    readonly runs: ReadonlyArray<EventStore.RunState>
  }
): Appended => {
  if (options.expected.some(({ scope }) => !batch.some((event) => isIn(event, scope)))) {
    return { _tag: "ValidationError" }
  }
  if (options.writers.some(({ epoch, writer }) => state.writers.get(writer)?.epoch !== epoch)) {
    return { _tag: "Fenced" }
  }
  const news: Array<StagedEvent.StagedEvent> = []
  for (const event of batch) {
    const known = [...state.facts, ...news].find(({ eventId }) => eventId === event.eventId)
    if (known === undefined) {
      news.push(event)
    } else if (!says(event, known)) {
      return { _tag: "IdempotencyConflict" }
    }
  }
  if (batch.length > 0 && news.length === 0) {
    return { _tag: "Committed", news }
  }
  if (options.expected.some(({ scope, sequence }) => endOf(state, scope) !== sequence)) {
    return { _tag: "ExpectedCursorConflict" }
  }
  if (options.runs.some(({ runId }) => !state.runs.has(runId) && !news.some((event) => event.runId === runId))) {
    return { _tag: "ValidationError" }
  }
  return { _tag: "Committed", news }
}

/** Puts a new event in its place. Its position and its time are the store's to give. */
export const commit = (
  state: State,
  event: StagedEvent.StagedEvent,
  place: { readonly position: number; readonly recordedAt: number }
): void => {
  const next = (scope: Cursor.ReadScope) => {
    const sequence = endOf(state, scope) + 1
    state.ends.set(keyOf(scope), sequence)
    return sequence
  }
  const { runId, threadId } = event
  const payload = JSON.parse(event.payload)
  let fact: Fact = { ...event, payload, ...place }
  if (threadId !== undefined) {
    state.threads.add(threadId)
    fact = { ...fact, threadSequence: next({ _tag: "Thread", threadId }) }
  }
  if (runId !== undefined) {
    fact = { ...fact, runSequence: next({ _tag: "Run", runId }) }
    const before = state.runs.get(runId) ?? { threadId, status: "created" }
    const status = statuses[event.kind]
    const changed = status === undefined ? {} : { status, doneReason: doneReasons[event.kind] }
    state.runs.set(runId, { ...before, threadId: before.threadId ?? threadId, ...changed })
  }
  state.ends.set(keyOf({ _tag: "Ledger" }), place.position)
  state.facts = [...state.facts, fact]
}

/** Raises the marks of writers. */
export const raise = (state: State, writers: ReadonlyArray<EventStore.Writer>): void => {
  for (const { highWater, writer } of writers) {
    const claim = state.writers.get(writer) ?? { writer, epoch: 0, highWater: 0 }
    state.writers.set(writer, { ...claim, highWater: Math.max(highWater, claim.highWater) })
  }
}

/** Keeps the states of runs. */
export const keep = (state: State, runs: ReadonlyArray<EventStore.RunState>): void => {
  for (const { labels, ordinal, runId, state: text } of runs) {
    const run = state.runs.get(runId) ?? { threadId: undefined, status: "created" }
    const kept = labels ?? run.labels
    const isNone = kept === undefined || Object.keys(kept).length === 0
    state.runs.set(runId, { ...run, ordinal, state: text, labels: isNone ? undefined : { ...kept } })
  }
}

/** The runs that a filter lets through, in order. */
export const runsWith = (state: State, { labels = {}, status }: EventStore.RunFilter): ReadonlyArray<string> =>
  Array.from(state.runs)
    .filter(([, run]) => status === undefined || run.status === status)
    .filter(([, run]) => isDeepStrictEqual({ ...run.labels, ...labels }, { ...run.labels }))
    .map(([runId]) => runId)

/** Gives a writer its next epoch. */
export const claim = (state: State, writer: string): EventStore.Writer => {
  const { epoch, highWater } = state.writers.get(writer) ?? { epoch: 0, highWater: 0 }
  const claimed = { writer, epoch: epoch + 1, highWater }
  state.writers.set(writer, claimed)
  return claimed
}

/** Whether a fact is one of a thread, or is in no thread and of one of its runs. */
const belongs = (state: State, { runId, ...fact }: Fact, threadId: string): boolean =>
  (fact.threadId ?? (runId === undefined ? undefined : state.runs.get(runId)?.threadId)) === threadId

export const prune = (state: State, before: number, threadId: string | undefined): number => {
  const young = state.facts.findIndex(({ recordedAt }) => recordedAt >= before)
  const old = young === -1 ? state.facts : state.facts.slice(0, young)
  const gone = old.filter(
    (fact) =>
      (threadId === undefined || belongs(state, fact, threadId)) &&
      (fact.runId === undefined || state.runs.get(fact.runId)?.status === "done")
  )
  for (const fact of gone) {
    const scopes: ReadonlyArray<Cursor.ReadScope> = [
      { _tag: "Ledger" },
      ...(fact.threadId === undefined ? [] : [{ _tag: "Thread" as const, threadId: fact.threadId }]),
      ...(fact.runId === undefined ? [] : [{ _tag: "Run" as const, runId: fact.runId }])
    ]
    for (const scope of scopes) {
      state.floors.set(keyOf(scope), Math.max(floorOf(state, scope), sequenceIn(scope, fact) ?? 0))
    }
  }
  state.facts = state.facts.filter((fact) => !gone.includes(fact))
  return gone.length
}

export const erase = (state: State, threadId: string): number => {
  const isGone = (fact: Fact) => fact.erased !== true && belongs(state, fact, threadId)
  const erased = state.facts.filter(isGone).length
  state.facts = state.facts.map((fact) => (isGone(fact) ? { ...fact, payload: null, erased: true } : fact))
  for (const [runId, { doneReason: _, state: __, labels: ___, ...run }] of state.runs) {
    if (run.threadId === threadId) {
      state.runs.set(runId, run)
    }
  }
  return erased
}

/** All that a store should tell about the ledger. */
export const contents = (state: State) => {
  const threads = Array.from(state.threads, (threadId) => ({ _tag: "Thread" as const, threadId }))
  const runs = Array.from(state.runs, ([runId, run]) => ({ scope: { _tag: "Run" as const, runId }, run }))
  return {
    facts: state.facts,
    threads: threads.map((scope) => ({
      threadId: scope.threadId,
      facts: factsOf(state, scope).length,
      floor: floorOf(state, scope)
    })),
    runs: runs.map(({ run, scope }) => {
      const facts = factsOf(state, scope).map(({ fact }) => fact)
      const record = {
        runId: scope.runId,
        ...run,
        facts: facts.length,
        floor: floorOf(state, scope),
        startedAt: facts[0]?.occurredAt,
        updatedAt: facts.at(-1)?.recordedAt
      }
      return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
    }),
    writers: [...state.writers.values()],
    scopes: [...threads, ...runs.map(({ scope }) => scope), { _tag: "Ledger" as const }].map((scope) => {
      const facts = factsOf(state, scope).map(({ fact }) => fact)
      return { scope, count: facts.length, floor: floorOf(state, scope), ids: facts.map(({ eventId }) => eventId) }
    })
  }
}
