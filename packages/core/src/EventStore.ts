/**
 * The ledger itself: it gives facts their place, for good, and reads them back in order. What every store must do is
 * written down in docs/store-contract.md, and checked by the conformance suite of `@runledger/testing`.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Result, Schema, type Scope, type Stream } from "effect"
import * as CanonicalEvent from "./CanonicalEvent.ts"
import * as Cursor from "./Cursor.ts"
import {
  type AppendError,
  type CursorExpired,
  ExpectedCursorConflict,
  Fenced,
  type FollowerLagged,
  IdempotencyConflict,
  NotFound,
  type ReadError,
  SerializationError,
  ValidationError,
  WriterHeld
} from "./LedgerError.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Json from "./Json.ts"
import * as StagedEvent from "./StagedEvent.ts"

type EventScope = CanonicalEvent.EventScope

/**
 * What goes into the commit of a batch beside its events, all or nothing like them.
 *
 * **Details**
 *
 * - `writers`: under whose names the batch is written. Each must have the epoch of the latest claim, or the append is
 *   `Fenced`; its high-water mark is raised to the one given.
 * - `expected`: the cursor at which a scope must still end, `Cursor.start` for an empty one, or the append is an
 *   `ExpectedCursorConflict`. Not asked when all events of the batch are in the ledger already.
 * - `runs`: the state of runs after the batch. A run must have a fact, in the ledger or in the batch.
 *
 * @category models
 * @since 0.1.0
 */
export interface AppendOptions {
  readonly writers?: ReadonlyArray<Writer>
  readonly expected?: ReadonlyArray<Expected>
  readonly runs?: ReadonlyArray<RunState>
}

/**
 * A claim on a writer's name: a producer that resends what was not acknowledged. `epoch` counts the claims; `highWater`
 * is how far its input is in the ledger, in a unit of its own (lines, offsets), and never goes back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer {
  readonly writer: string
  readonly epoch: number
  readonly highWater: number
}

/**
 * Where a scope must still end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Expected {
  readonly scope: EventScope
  readonly cursor: Cursor.Cursor
}

/**
 * What a run must remember to be resumed: JSON text of the recorder's own, and the last ordinal it gave. `labels` are
 * the app's, to find the run by; they replace those that it had, and stay as they are when they are left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunState {
  readonly runId: string
  readonly ordinal: number
  readonly state: string
  readonly labels?: Labels
}

/**
 * Names and values, given by the app, by which runs are found.
 *
 * @category models
 * @since 0.1.0
 */
export type Labels = Readonly<Record<string, string>>

/**
 * Which facts of a scope a reader wants: those of one of the kinds, and of one of the visibilities.
 *
 * @category models
 * @since 0.1.0
 */
export interface Filter {
  readonly kinds?: ReadonlyArray<CanonicalEvent.Kind>
  readonly visibility?: ReadonlyArray<CanonicalEvent.Visibility>
}

/**
 * What to read. A cursor stands between two facts: without `reverse` a page has those that follow it, in order; with
 * it, those that precede it, the last first. Without a cursor it begins at the start, or at the end.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadOptions {
  readonly scope: Cursor.ReadScope
  readonly after?: Cursor.Cursor | undefined
  readonly limit?: number | undefined
  readonly reverse?: boolean | undefined
  readonly filter?: Filter | undefined
}

/**
 * A page of facts.
 *
 * **Details**
 *
 * `next` is where the next page begins, also when this one has no facts; it can be kept and used later. `hasMore` says
 * whether there is something to look at now. `scannedThrough` is the sequence (the position, for the whole ledger) that
 * `next` stands after: what a page with a filter does not have up to there was left out by the filter, and is no hole.
 * `floor` is the last sequence that was pruned from the scope, 0 if none was: sequences are dense above it.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventPage {
  readonly facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>
  readonly next: Cursor.Cursor
  readonly hasMore: boolean
  readonly scannedThrough: number
  readonly floor: number
}

/**
 * What to follow, and from where: the start (the default), now, or a cursor. A follower that was told that it is caught
 * up and then falls more than `maxBehind` facts behind, 10,000 by default, fails with `FollowerLagged`, counted in
 * sequences, for the whole ledger in positions, which may have holes; a bound below the
 * size of a batch would fail one that is not slow.
 *
 * @category models
 * @since 0.1.0
 */
export interface FollowOptions {
  readonly scope: Cursor.ReadScope
  readonly from?: "start" | "now" | Cursor.Cursor
  readonly filter?: Filter | undefined
  readonly maxBehind?: number | undefined
}

/**
 * What a follower gets.
 *
 * **Details**
 *
 * - `Fact`: the next fact, and the cursor after it.
 * - `CaughtUp`: once, when everything that was there has been given; what comes later is new.
 * - `Scanned`: that facts after the last one given were left out, by a filter or because they were pruned.
 *
 * @category models
 * @since 0.1.0
 */
export type Followed =
  | { readonly _tag: "Fact"; readonly fact: CanonicalEvent.CanonicalEvent; readonly cursor: Cursor.Cursor }
  | { readonly _tag: "CaughtUp"; readonly cursor: Cursor.Cursor; readonly scannedThrough: number }
  | { readonly _tag: "Scanned"; readonly cursor: Cursor.Cursor; readonly scannedThrough: number }

/**
 * A thread of the ledger: how many facts it has, and the last sequence that was pruned from it, 0 if none was.
 *
 * @category models
 * @since 0.1.0
 */
export interface ThreadEntry {
  readonly threadId: string
  readonly facts: number
  readonly floor: number
}

/**
 * What the ledger knows of a run without reading it. `threadId` is the thread of its first fact that is in one. `startedAt` is when the
 * first of its facts occurred, `updatedAt` when the last was recorded, in milliseconds since the epoch; both are absent
 * when all of them were pruned. `ordinal` is that of its state, `floor` the last sequence that was pruned, 0 if none was.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunEntry {
  readonly runId: string
  readonly threadId?: string
  readonly status: Lifecycle.RunStatus
  readonly doneReason?: string
  readonly startedAt?: number
  readonly updatedAt?: number
  readonly facts: number
  readonly ordinal?: number
  readonly floor: number
  readonly labels?: Labels
}

/**
 * Which runs a reader wants: those with this status, and with all of these labels.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunFilter {
  readonly status?: Lifecycle.RunStatus | undefined
  readonly labels?: Labels | undefined
}

/**
 * A run with its state, if one was committed.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunRecord extends RunEntry {
  readonly state?: string
}

/**
 * A part of another ledger. The facts must come in the order of positions, and go on after what was restored before;
 * threads, runs and writers after all facts. A run that has gone on since, or was pruned or erased, stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Part {
  readonly facts?: ReadonlyArray<CanonicalEvent.CanonicalEvent>
  readonly threads?: ReadonlyArray<Pick<ThreadEntry, "threadId" | "floor">>
  readonly runs?: ReadonlyArray<RunRecord>
  readonly writers?: ReadonlyArray<Writer>
  readonly floor?: number
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
   * event whose id is in the ledger already is skipped if it says the same, so a batch can be sent again when its fate
   * is not known; an `IdempotencyConflict` if it does not. After success the batch is durable.
   */
  readonly append: (
    batch: ReadonlyArray<StagedEvent.StagedEvent>,
    options?: AppendOptions
  ) => Effect.Effect<void, AppendError>

  /**
   * Claims a writer's name for as long as the scope lives, and no longer than its process does: until then, everybody
   * else who claims it is told `WriterHeld`. What was claimed before is fenced off from now on. The high-water mark is that
   * of the last append under this name, 0 for a new one.
   */
  readonly claimWriter: (writer: string) => Effect.Effect<Writer, WriterHeld | ValidationError | ReadError, Scope.Scope>

  /**
   * Reads a page. At most `limit` facts, 1,000 by default and 10,000 at most; 0 asks only whether there are more. A
   * cursor of another scope, or one after which facts were pruned, is `CursorExpired`; without one, reading begins with
   * what was kept.
   */
  readonly read: (options: ReadOptions) => Effect.Effect<EventPage, CursorExpired | ReadError>

  /**
   * The facts of a scope as they are committed, after those that are there already: none left out, none twice, with one
   * `CaughtUp` between. It reads when it is pulled and buffers nothing. It does not end.
   */
  readonly follow: (options: FollowOptions) => Stream.Stream<Followed, CursorExpired | FollowerLagged | ReadError>

  /** The number of facts in a scope. */
  readonly count: (scope: Cursor.ReadScope) => Effect.Effect<number, ReadError>

  /** The fact with this id. */
  readonly get: (eventId: string) => Effect.Effect<CanonicalEvent.CanonicalEvent, NotFound | ReadError>

  /** A run and its state. */
  readonly run: (runId: string) => Effect.Effect<RunRecord, NotFound | ReadError>

  /** The runs, in the order in which they first appeared: those with this status and all of these labels. */
  readonly runs: (options?: RunFilter) => Stream.Stream<RunEntry, ReadError>

  /** The threads, in the order in which they first appeared. */
  readonly threads: Stream.Stream<ThreadEntry, ReadError>

  /** The writers, in the order in which they were first claimed. */
  readonly writers: Stream.Stream<Writer, ReadError>

  /**
   * Deletes the facts that were recorded before a time, in milliseconds since the epoch, as far as no earlier commit is
   * younger, and gives their space back; with `threadId`, those of that thread, and those of its runs that are in no
   * thread. Runs that are not done keep theirs. Nothing is renumbered. The result is how many were deleted.
   */
  readonly prune: (options: {
    readonly before: number
    readonly threadId?: string
  }) => Effect.Effect<number, ValidationError | ReadError>

  /**
   * Takes away the payloads of a thread's facts, and of the facts of its runs that are in no thread, with the states and
   * done reasons of these runs, so that no byte of them is left. The facts stay where they are, marked as `erased`. The result is how many were erased.
   */
  readonly erase: (options: { readonly threadId: string }) => Effect.Effect<number, ReadError>

  /**
   * Takes in a part of another ledger with its ids, sequences, positions and times. Facts that do not go on after what
   * is there are refused; those with the same ids are skipped. A writer's epoch and high-water mark never go back.
   */
  readonly restore: (part: Part) => Effect.Effect<void, ValidationError | ReadError>
}

/**
 * The event store in force.
 *
 * @category services
 * @since 0.1.0
 */
export class EventStore extends Context.Service<EventStore, EventStoreShape>()("@runledger/core/EventStore") {}

const invalid = (what: string): ValidationError => new ValidationError({ message: `validation error: ${what}` })

const name = (scope: EventScope): string =>
  scope._tag === "Thread" ? `thread ${JSON.stringify(scope.threadId)}` : `run ${JSON.stringify(scope.runId)}`

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
 * @category for stores
 * @since 0.1.0
 */
export const statusAfter = (
  event: Pick<StagedEvent.StagedEvent, "kind" | "payload">
): { readonly status: Lifecycle.RunStatus; readonly doneReason: string | undefined } | undefined => {
  switch (event.kind) {
    case "RunStarted":
    case "RunResumed":
      return { status: "running", doneReason: undefined }
    case "RunSuspended":
      return { status: "waiting", doneReason: undefined }
    case "RunInterrupted":
      return { status: "done", doneReason: "interrupted" }
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

const isJson = (text: string): boolean => {
  if (!text.isWellFormed()) {
    return false
  }
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const notJson = (what: string): SerializationError =>
  new SerializationError({ message: `${what} is no JSON text, or has a lone surrogate; make it with JSON.stringify` })

/**
 * What is wrong with the events of a batch, if anything: one that no store can keep, a payload that is no JSON text and
 * could not be read again.
 *
 * @category for stores
 * @since 0.1.0
 */
export const check = (
  batch: ReadonlyArray<StagedEvent.StagedEvent>
): ValidationError | SerializationError | undefined => {
  const storable = StagedEvent.checkStorable(batch)
  if (Result.isFailure(storable)) {
    return storable.failure
  }
  for (const { kind, payload } of batch) {
    if (!isJson(payload)) {
      return notJson(`the payload of ${kind}`)
    }
  }
  return undefined
}

/**
 * What is wrong with the options of an append, if anything: an expected cursor of a scope that no event is in or that is
 * not one of that scope, a mark, a state or a label that no store can keep.
 *
 * @category for stores
 * @since 0.1.0
 */
export const checkOptions = (
  batch: ReadonlyArray<StagedEvent.StagedEvent>,
  { expected = [], runs = [], writers = [] }: AppendOptions
): ValidationError | SerializationError | undefined => {
  for (const { cursor, scope } of expected) {
    const isIn = (event: StagedEvent.StagedEvent): boolean =>
      scope._tag === "Thread" ? event.threadId === scope.threadId : event.runId === scope.runId
    if (!batch.some(isIn)) {
      return invalid(`a cursor is expected of ${name(scope)}, but no event of the batch is in it`)
    }
    if (Result.isFailure(Cursor.sequence(scope, cursor))) {
      return invalid(`the expected cursor ${cursor} is not one of ${name(scope)}`)
    }
  }
  for (const writer of writers) {
    const problem = checkMark(writer)
    if (problem !== undefined) {
      return problem
    }
  }
  for (const { labels, ordinal, runId, state } of runs) {
    if (!areStorable(labels)) {
      return badLabel(runId)
    }
    if (!isCount(ordinal)) {
      return invalid(`the ordinal of the state of run ${JSON.stringify(runId)} must be an integer, and not negative`)
    }
    if (!isJson(state)) {
      return notJson(`the state of run ${JSON.stringify(runId)}`)
    }
  }
  return undefined
}

const areStorable = (labels: Labels = {}): boolean => Object.entries(labels).flat().every(StagedEvent.isStorable)

const badLabel = (runId: string): ValidationError =>
  invalid(`a label of run ${JSON.stringify(runId)} holds a NUL or a lone surrogate, which no store can keep`)

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

const checkMark = ({ epoch, highWater, writer }: Writer): ValidationError | undefined =>
  checkWriter(writer) ??
  (isCount(epoch) && isCount(highWater)
    ? undefined
    : invalid(`epoch and high-water mark of writer ${JSON.stringify(writer)} must be integers, and not negative`))

/** The largest sequence or position that a cursor can name, and then some. */
const placeLimit = 1e15

const isPlace = (value: number | undefined): boolean =>
  value !== undefined && isCount(value) && value > 0 && value < placeLimit

const isPlaced = (fact: CanonicalEvent.CanonicalEvent): boolean =>
  isPlace(fact.position) &&
  isCount(fact.recordedAt) &&
  (fact.threadId === undefined ? fact.threadSequence === undefined : isPlace(fact.threadSequence)) &&
  (fact.runId === undefined ? fact.runSequence === undefined : isPlace(fact.runSequence))

/**
 * What is wrong with a part of another ledger, if anything: a fact, an id or a number that no store can keep.
 *
 * @category for stores
 * @since 0.1.0
 */
export const checkPart = (part: Part): ValidationError | undefined => {
  const { facts = [], floor = 0, runs = [], threads = [], writers = [] } = part
  const ids = new Set<string>()
  for (const fact of facts) {
    const storable = StagedEvent.checkStorable([{ ...fact, payload: "" }])
    if (Result.isFailure(storable)) {
      return storable.failure
    }
    if (!isPlaced(fact)) {
      return invalid(`the place or the time of fact ${fact.eventId} is none`)
    }
    if (ids.has(fact.eventId)) {
      return invalid(`fact ${fact.eventId} is there twice`)
    }
    ids.add(fact.eventId)
  }
  for (const id of [...runs.map(({ runId }) => runId), ...threads.map(({ threadId }) => threadId)]) {
    if (!StagedEvent.isStorable(id)) {
      return invalid(`the id ${JSON.stringify(id)} holds a NUL or a lone surrogate, which no store can keep`)
    }
  }
  for (const { labels, runId, ordinal = 0, state = "null", status } of runs) {
    if (!areStorable(labels)) {
      return badLabel(runId)
    }
    if (!(isCount(ordinal) && isJson(state) && Lifecycle.RunStatus.literals.includes(status))) {
      return invalid(`the status, the state or the ordinal of run ${JSON.stringify(runId)} is none`)
    }
  }
  if (![floor, ...runs.map(({ floor }) => floor), ...threads.map(({ floor }) => floor)].every(isCount)) {
    return invalid("a floor must be an integer, and not negative")
  }
  for (const writer of writers) {
    const problem = checkMark(writer)
    if (problem !== undefined) {
      return problem
    }
  }
  return undefined
}

/**
 * What is wrong with the name of a writer, if anything: it is blank, or no store can keep it.
 *
 * @category for stores
 * @since 0.1.0
 */
export const checkWriter = (writer: string): ValidationError | undefined =>
  writer.trim() === "" || !StagedEvent.isStorable(writer)
    ? invalid(`${JSON.stringify(writer)} cannot be the name of a writer`)
    : undefined

/**
 * What is wrong with the time of a prune, if anything: it is no number.
 *
 * @category for stores
 * @since 0.1.0
 */
export const checkBefore = (before: number): ValidationError | undefined =>
  Number.isFinite(before) ? undefined : invalid(`facts cannot be pruned before ${before}, which is no time`)

/**
 * The error for the state of a run that is not in the ledger.
 *
 * @category for stores
 * @since 0.1.0
 */
export const stateOfNoRun = (runId: string): ValidationError =>
  invalid(`run ${JSON.stringify(runId)} has no fact, so it can have no state`)

/**
 * The error for a restored fact that does not go on after what is there.
 *
 * @category for stores
 * @since 0.1.0
 */
export const doesNotGoOn = (fact: Pick<CanonicalEvent.CanonicalEvent, "position">): ValidationError =>
  invalid(
    `the fact at position ${fact.position} does not go on after what this ledger holds; restore into a new ledger, or one that was restored from the same`
  )

/**
 * Whether a staged event says what a fact says, in whatever order of keys. An erased fact is not compared.
 *
 * @category for stores
 * @since 0.1.0
 */
export const says = (event: StagedEvent.StagedEvent, fact: CanonicalEvent.CanonicalEvent): boolean =>
  fact.erased === true || StagedEvent.digest(event) === CanonicalEvent.digestFact(fact)

/**
 * Whether a staged event says what another with the same id says.
 *
 * @category for stores
 * @since 0.1.0
 */
export const repeats = (event: StagedEvent.StagedEvent, other: StagedEvent.StagedEvent): boolean =>
  StagedEvent.digest(event) === StagedEvent.digest(other)

/**
 * The error for an event whose id is that of another.
 *
 * @category for stores
 * @since 0.1.0
 */
export const idempotencyConflict = (eventId: string): IdempotencyConflict =>
  new IdempotencyConflict({
    message: `event ${eventId} is in the ledger already and says something else; give each event an id of its own`,
    eventId
  })

/**
 * The error for a scope that does not end where it was expected to.
 *
 * @category for stores
 * @since 0.1.0
 */
export const expectedCursorConflict = ({ cursor, scope }: Expected, actual: Cursor.Cursor): ExpectedCursorConflict =>
  new ExpectedCursorConflict({
    message: `${name(scope)} ends at ${actual}, not at ${cursor}: somebody else has appended; read what is new and decide again`,
    actual
  })

/**
 * The error for a writer whose name was claimed again; `current` is the epoch of the latest claim, if there is any.
 *
 * @category for stores
 * @since 0.1.0
 */
export const fenced = ({ epoch, writer }: Writer, current: number | undefined): Fenced =>
  new Fenced({
    message: `writer ${JSON.stringify(writer)} has epoch ${epoch}, but ${current === undefined ? "was never claimed" : `epoch ${current} is in force`}: somebody else writes under this name; stop, or claim it again`,
    writer
  })

/**
 * The error for a writer's name that is claimed, by somebody who lives.
 *
 * @category for stores
 * @since 0.1.0
 */
export const writerHeld = (writer: string): WriterHeld =>
  new WriterHeld({
    message: `the name of writer ${JSON.stringify(writer)} is taken, by a process that is alive; stop that one, or take another name`,
    writer
  })

/**
 * Whether a run is one of those that a reader wants.
 *
 * @category for stores
 * @since 0.1.0
 */
export const isWanted =
  ({ labels = {}, status }: RunFilter) =>
  (run: RunEntry): boolean =>
    (status === undefined || run.status === status) &&
    Object.entries(labels).every(([name, value]) => run.labels?.[name] === value)

/**
 * How many facts a page may have: what was asked for, as far as it is a number from 0 to 10,000.
 *
 * @category for stores
 * @since 0.1.0
 */
export const pageLimit = (limit = 1000): number => Math.min(Math.max(Math.trunc(limit) || 0, 0), 10_000)

/**
 * The error for an event id that is not in the ledger.
 *
 * @category for stores
 * @since 0.1.0
 */
export const noSuchFact = (eventId: string): NotFound =>
  new NotFound({ message: `there is no fact ${eventId} in this ledger` })

/**
 * The error for a run that is not in the ledger.
 *
 * @category for stores
 * @since 0.1.0
 */
export const noSuchRun = (runId: string): NotFound =>
  new NotFound({ message: `there is no run ${JSON.stringify(runId)} in this ledger` })
