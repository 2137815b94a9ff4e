/**
 * The stager that commits the facts of all runs together, batch by batch.
 *
 * @since 0.1.0
 */
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Metric,
  Option,
  Result,
  Schedule,
  type Scheduler
} from "effect"
import {
  type After,
  type Beside,
  EventStager,
  type Health,
  type Lane,
  type LaneOptions,
  type Room
} from "./EventStager.ts"
import { EventStore } from "./EventStore.ts"
import { type AppendBatch, batchOf, isIn, sizeOf, type Staged } from "./internal/batch.ts"
import { quarantine } from "./internal/quarantine.ts"
import * as Patience from "./internal/patience.ts"
import {
  type AppendError,
  stagingFailed,
  type StagingFailed,
  UnavailableError,
  type ValidationError
} from "./LedgerError.ts"
import * as Metrics from "./Metrics.ts"
import { checkStorable, type StagedUnit } from "./StagedEvent.ts"

/**
 * How a group stager behaves when it cannot keep up.
 *
 * **Details**
 *
 * - `capacity`: how much may be staged and not committed, 16,384 facts and 16 MiB by default. Beyond it, emitters wait
 *   until a quarter of it is left.
 * - `whenFull`: `backpressure`, the default, or `shedObserved`: observed events are left out instead, and counted in a
 *   `CaptureGap`; only who emits a fact waits.
 * - `onStoreFailure`: what to do when the store has not taken a batch for ten seconds, however often it was sent.
 *   `detach`, the default: nobody waits any more; as much as the capacity allows is kept until the store is back, the rest
 *   is counted in a `CaptureGap` that follows it. `failRun`: the runs whose facts were in the batch fail.
 * - `closeTimeout`: how long closing a run or the stager waits for the store, 30 seconds by default.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly capacity?: { readonly events?: number; readonly bytes?: number }
  readonly whenFull?: "backpressure" | "shedObserved"
  readonly onStoreFailure?: "detach" | "failRun"
  readonly closeTimeout?: Duration.Input
}

/**
 * The most units and bytes that one commit takes: some milliseconds of the event loop. Below it, a batch grows with what
 * gathered during the last commit.
 */
const batchUnits = 4096
const batchBytes = 2 ** 20

/** After so many facts who emits on without end lets others have a turn: the commit of these is one of them. */
const turnFacts = 512

/** How long a unit waits for others to share its commit, unless somebody waits for it. */
const linger = 10

/** How often a store that is away is asked whether it is back. */
const returns = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")]).pipe(
  Schedule.jittered
)

const closedTooSoon = new Error("the store did not answer before the ledger was closed")

const stagedTooLate = new Error("the ledger was closed before")

/** What the lanes of a stager share with it. */
interface Group {
  readonly closeTimeout: Duration.Input
  readonly push: (lane: GroupLane, unit: StagedUnit, beside: Beside) => void
  readonly hold: (bytes: number) => void
  readonly room: () => Room
  readonly credit: () => Effect.Effect<void> | undefined
  readonly hurry: () => void
  readonly isAway: () => boolean
  readonly isClosed: () => boolean
}

/** A run's lane; `units` are counted for those who wait for a commit. There may be thousands, so it has no closures. */
class GroupLane implements Lane {
  isOpen = false
  staged = 0
  committed = 0
  lost = 0
  units = 0
  settled = 0
  ordinal = 0
  failure: StagingFailed | undefined
  waiting: ReadonlyArray<Waiting> = []
  readonly options: LaneOptions
  private readonly group: Group
  private held = 0

  constructor(group: Group, options: LaneOptions) {
    this.group = group
    this.options = options
  }

  stage(unit: StagedUnit, beside: Beside = {}): Result.Result<void, ValidationError> {
    const storable = checkStorable(unit)
    if (Result.isSuccess(storable)) {
      if (this.failure !== undefined || this.group.isClosed()) {
        this.staged += unit.length
        this.lost += unit.length
        this.fail(stagedTooLate)
      } else {
        this.group.push(this, unit, beside)
      }
    }
    return storable
  }

  hold(bytes: number): void {
    const held = this.failure === undefined ? bytes : 0
    this.group.hold(held - this.held)
    this.held = held
  }

  room(): Room {
    return this.group.room()
  }

  credit(): Effect.Effect<void> | undefined {
    return this.group.credit()
  }

  flush(upTo = Number.POSITIVE_INFINITY): Effect.Effect<void, StagingFailed> {
    return Effect.suspend(() => {
      if (this.failure !== undefined) {
        return Effect.fail(this.failure)
      }
      if (this.settled === this.units || this.ordinal >= upTo) {
        return Effect.void
      }
      const waiting = { units: this.units, ordinal: upTo, done: Deferred.makeUnsafe<void, StagingFailed>() }
      this.waiting = [...this.waiting, waiting]
      this.group.hurry()
      return Effect.onInterrupt(Deferred.await(waiting.done), () =>
        Effect.sync(() => {
          this.waiting = this.waiting.filter((other) => other !== waiting)
        })
      )
    })
  }

  get close(): Effect.Effect<void, StagingFailed> {
    return Effect.timeoutOrElse(this.flush(), {
      duration: this.group.closeTimeout,
      orElse: () => {
        // What is not sent yet must not follow when everybody takes it for lost.
        this.fail(closedTooSoon)
        return this.flush()
      }
    })
  }

  fail(cause: unknown): void {
    if (this.failure !== undefined) {
      return
    }
    const failure = stagingFailed(this.staged - this.committed, cause)
    this.failure = failure
    for (const { done } of this.waiting) {
      Deferred.doneUnsafe(done, Exit.fail(failure))
    }
    this.waiting = []
    this.options.onFailure?.(failure)
  }

  /** Tells those who waited for what is settled now. */
  wake(): void {
    if (this.failure !== undefined && this.settled === this.units) {
      this.options.onGivenUp?.()
    }
    const isOver = ({ ordinal, units }: Waiting) => this.settled >= units || this.ordinal >= ordinal
    const over = this.failure === undefined ? this.waiting.filter(isOver) : []
    if (over.length > 0) {
      this.waiting = this.waiting.filter((waiting) => !isOver(waiting))
      for (const { done } of over) {
        Deferred.doneUnsafe(done, Exit.void)
      }
    }
  }

  health(): Health {
    const { committed, failure, lost, staged } = this
    return { staged, committed, lost, isAway: this.group.isAway(), failure }
  }
}

/** Somebody who waits for a number of units, or for an ordinal. */
interface Waiting {
  readonly units: number
  readonly ordinal: number
  readonly done: Deferred.Deferred<void, StagingFailed>
}

interface Item extends Staged<GroupLane> {
  readonly bytes: number
  readonly at: number
}

/** Whether the store itself is what is wrong, and not what it was sent. */
const isOfStore = ({ _tag }: AppendError): boolean => _tag === "UnavailableError" || _tag === "IntegrityError"

/** What is sent to the store, and sent again unchanged if need be. */
type Batch = AppendBatch<Item>

/** The parts of a batch, lane by lane; those that carry marks last, for these hold when everything before is saved. */
const byLane = (items: ReadonlyArray<Item>): ReadonlyArray<ReadonlyArray<Item>> => {
  const lanes = new Map<GroupLane, Array<Item>>()
  const latest = new Map<string, number>()
  for (const item of items) {
    const known = lanes.get(item.lane)
    known === undefined ? lanes.set(item.lane, [item]) : known.push(item)
    if (item.beside.after !== undefined) {
      latest.set(item.beside.after.runId, item.beside.after.ordinal)
    }
  }
  const isLatest = ({ ordinal, runId }: After): boolean => ordinal >= (latest.get(runId) ?? 0)
  return Array.from(lanes.values(), (lane) =>
    lane.map((item): Item => {
      const { others } = item.beside
      return others === undefined
        ? item
        : { ...item, beside: { ...item.beside, others: new Map([...others].filter(([, after]) => isLatest(after))) } }
    })
  ).toSorted((a, b) => marks(a) - marks(b))
}

/** How many of the first items one commit takes, one at least. */
const unitsOfBatch = (items: ReadonlyArray<Item>): number => {
  let bytes = 0
  const most = items.findIndex((item, index) => {
    bytes += item.bytes
    return index === batchUnits || (index > 0 && bytes > batchBytes)
  })
  return most === -1 ? items.length : most
}

const marks = (items: ReadonlyArray<Item>): number => items.filter(({ beside }) => beside.mark !== undefined).length

/**
 * Commits what all runs stage, in the order in which they stage it, from one fiber, which sleeps while nothing is staged.
 *
 * **Details**
 *
 * A unit waits up to 10 ms for others to share its commit, or until somebody flushes; what gathers during a commit goes
 * with the next. A batch whose commit failed for a passing reason, or whose answer was lost, is sent again as it was. One
 * that the store refuses is split by run, and then until the unit that it refuses is found; a `CaptureGap` takes its
 * place, and the others are committed. Each commit is a span, `runledger.commit`; see `Metrics` for what is measured.
 *
 * Closing the scope commits everything staged, unless the store is away.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<EventStager, never, EventStore> =>
  Layer.effect(EventStager, make(options))

/**
 * A latch that lets others go on after the step that opens it, and not within it: nothing may come between an event and its
 * facts.
 */
const makeGate = (dispatcher: Scheduler.SchedulerDispatcher, isOpen: boolean) => {
  const latch = Latch.makeUnsafe(isOpen)
  let shouldOpen = isOpen
  let isScheduled = false
  const open = (): void => {
    isScheduled = false
    if (shouldOpen) {
      latch.openUnsafe()
    }
  }
  return {
    await: latch.await,
    open: (): void => {
      if (!shouldOpen && !isScheduled) {
        isScheduled = true
        dispatcher.scheduleTask(open, 0)
      }
      shouldOpen = true
    },
    close: (): void => {
      shouldOpen = false
      latch.closeUnsafe()
    }
  }
}

const make = Effect.fnUntraced(function* (options: Options) {
  const { closeTimeout = Patience.closeTimeout, onStoreFailure = "detach", whenFull = "backpressure" } = options
  const { bytes: maxBytes = 16 * 2 ** 20, events: maxEvents = 16_384 } = options.capacity ?? {}
  const store = yield* EventStore
  const clock = yield* Clock.Clock
  const services = yield* Effect.context<never>()

  let buffer: Array<Item> = []
  /** What is staged and neither committed nor given up; `held` is what runs hold back. */
  const load = { units: 0, events: 0, bytes: 0, held: 0 }
  /** What was staged since an emitter last let others have a turn. */
  let inTurn = 0
  let isFull = false
  let isAway = false
  let isClosing = false
  let isClosed = false
  /** What is being committed. */
  let sent: ReadonlyArray<Item> = []
  const { currentDispatcher } = yield* Effect.withFiberSucceed((fiber) => fiber)
  const wake = makeGate(currentDispatcher, false)
  const hurry = makeGate(currentDispatcher, false)
  const gate = makeGate(currentDispatcher, true)

  /** Whether so much is used up; what is only held back is not freed by waiting for commits. */
  const uses = (part: number): boolean =>
    load.units > 0 && (load.events > maxEvents * part || load.bytes + load.held > maxBytes * part)

  const weigh = (): void => {
    isFull = !isAway && uses(isFull ? 0.25 : 1)
    isFull ? gate.close() : gate.open()
  }

  const count = <Input>(metric: Metric.Metric<Input, unknown>, input: Input): void =>
    metric.updateUnsafe(input, services)

  const settle = (items: ReadonlyArray<Item>, saved: boolean): void => {
    for (const { beside, bytes, lane, unit } of items) {
      load.units -= 1
      load.events -= unit.length
      load.bytes -= bytes
      lane.settled += 1
      lane[saved ? "committed" : "lost"] += unit.length
      lane.ordinal = beside.after?.ordinal ?? lane.ordinal
      if (saved) {
        beside.onCommit?.()
      }
      lane.isOpen ||= saved && (lane.options.expected === undefined || isIn(unit, lane.options.expected))
    }
    // Whoever waited goes on within this step, and must find that there is room.
    weigh()
    for (const lane of new Set(items.map(({ lane }) => lane))) {
      lane.wake()
    }
  }

  const lose = (items: ReadonlyArray<Item>, cause: unknown): void => {
    for (const lane of new Set(items.map(({ lane }) => lane))) {
      lane.fail(cause)
    }
    settle(items, false)
    count(Metrics.shed, items.flatMap(({ unit }) => unit).length)
  }

  const succeed = ({ events, items }: Batch): void => {
    settle(items, true)
    const oldest = items.reduce((oldest, { at }) => Math.min(oldest, at), Number.POSITIVE_INFINITY)
    count(Metrics.committed, events.length)
    count(Metrics.lag, Duration.millis(Math.max(clock.currentTimeMillisUnsafe() - oldest, 0)))
  }

  const append = ({ events, items, options }: Batch) =>
    Effect.suspend(() =>
      events.length === 0 && options.runs.length === 0 && marks(items) === 0
        ? Effect.void
        : store.append(events, options)
    ).pipe(
      Patience.answered,
      Effect.catchCause((cause) => {
        if (Cause.hasFails(cause)) {
          return Effect.failCause(cause)
        }
        const defect = Cause.squash(cause)
        const what = defect instanceof Error ? defect.message : String(defect)
        return Effect.fail(new UnavailableError({ message: `the store broke: ${what}`, cause: defect }))
      })
    )

  /** The store has not taken a batch for long. */
  const leave = Effect.fnUntraced(function* (batch: Batch, cause: unknown) {
    if (onStoreFailure === "failRun") {
      return lose(batch.items, cause)
    }
    isAway = true
    weigh()
    yield* Effect.logError(
      `the ledger is away, runs go on without it: ${cause instanceof Error ? cause.message : cause}`
    )
    const exit = yield* append(batch).pipe(Effect.retry({ schedule: returns, while: isOfStore }), Effect.exit)
    isAway = false
    yield* conclude(batch, exit)
  })

  /** A batch that the store refuses: only what it refuses is given up. */
  const refuse = Effect.fnUntraced(function* (batch: Batch, cause: AppendError) {
    const [first, ...others] = batch.items
    const parts = byLane(batch.items)
    if (parts.length > 1) {
      yield* Effect.forEach(parts, deliver, { discard: true })
    } else if (cause._tag === "Fenced" || cause._tag === "ExpectedCursorConflict") {
      lose(batch.items, cause)
    } else if (others.length > 0) {
      const middle = Math.ceil(batch.items.length / 2)
      yield* deliver(batch.items.slice(0, middle))
      yield* deliver(batch.items.slice(middle))
    } else if (first !== undefined) {
      const gap = quarantine(first.unit, cause)
      if (gap === undefined) {
        return lose(batch.items, cause)
      }
      const delta = sizeOf(gap) - first.bytes
      load.bytes += delta
      load.events += gap.length - first.unit.length
      first.lane.staged += gap.length - first.unit.length
      count(Metrics.shed, first.unit.length)
      yield* deliver([{ ...first, unit: gap, bytes: first.bytes + delta }])
    }
  })

  const conclude = (batch: Batch, exit: Exit.Exit<void, AppendError>): Effect.Effect<void> => {
    if (Exit.isSuccess(exit)) {
      return Effect.sync(() => succeed(batch))
    }
    const error = Cause.findErrorOption(exit.cause)
    if (Option.isNone(error)) {
      return Effect.interrupt
    }
    switch (error.value._tag) {
      case "UnavailableError":
      case "IntegrityError":
        return leave(batch, error.value)
      default:
        return refuse(batch, error.value)
    }
  }

  const deliver = (items: ReadonlyArray<Item>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const live = items.filter(({ lane }) => lane.failure === undefined)
      if (live.length < items.length) {
        settle(
          items.filter(({ lane }) => lane.failure !== undefined),
          false
        )
      }
      if (live.length === 0) {
        return Effect.void
      }
      const batch = batchOf(live)
      return append(batch).pipe(
        Effect.retry({ schedule: Patience.retries, while: (error) => error._tag === "UnavailableError" }),
        Effect.exit,
        Effect.flatMap((exit) => conclude(batch, exit))
      )
    })

  const commit = (items: ReadonlyArray<Item>): Effect.Effect<void> => {
    const events = items.reduce((events, { unit }) => events + unit.length, 0)
    const from = clock.currentTimeMillisUnsafe()
    count(Metrics.staged, events)
    count(Metrics.depth, load.events)
    return deliver(items).pipe(
      Effect.andThen(
        Effect.sync(() => {
          count(Metrics.commitTime, Duration.millis(Math.max(clock.currentTimeMillisUnsafe() - from, 0)))
          count(Metrics.depth, load.events)
        })
      ),
      Effect.withSpan("runledger.commit", { attributes: { events, units: items.length } })
    )
  }

  const drain = Effect.gen(function* () {
    while (true) {
      const [first] = buffer
      if (first === undefined) {
        if (isClosing) {
          return
        }
        wake.close()
        hurry.close()
        yield* wake.await
        continue
      }
      const wait = first.at + linger - clock.currentTimeMillisUnsafe()
      if (wait > 0 && buffer.length < batchUnits && !isClosing) {
        yield* Effect.raceFirst(Effect.sleep(wait), hurry.await)
      }
      const items = buffer.slice(0, unitsOfBatch(buffer))
      buffer = buffer.slice(items.length)
      if (!isFull && !buffer.some(({ lane }) => lane.waiting.length > 0)) {
        hurry.close()
      }
      sent = items
      yield* commit(items)
      sent = []
    }
  })

  /** Who waits for something that nobody commits any more is told. */
  const giveUp = Effect.sync(() => {
    isClosed = true
    gate.open()
    for (const lane of new Set([...sent, ...buffer].map(({ lane }) => lane))) {
      if (lane.settled < lane.units) {
        lane.fail(closedTooSoon)
        lane.lost = lane.staged - lane.committed
      }
    }
  })

  const fiber = yield* Effect.forkScoped(drain)
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosing = true
      wake.open()
      hurry.open()
      return Effect.timeoutOrElse(Fiber.await(fiber), {
        duration: closeTimeout,
        orElse: () => Effect.logError(stagingFailed(load.events, closedTooSoon))
      }).pipe(Effect.andThen(giveUp))
    })
  )

  const push = (lane: GroupLane, unit: StagedUnit, beside: Beside): void => {
    const bytes = sizeOf(unit)
    const at = clock.currentTimeMillisUnsafe()
    const last = buffer.at(-1)
    if (unit.length === 0 && last?.lane === lane && last.unit.length === 0) {
      // Only the last of several marks says anything.
      const others = new Map([...(last.beside.others ?? []), ...(beside.others ?? [])])
      buffer[buffer.length - 1] = { ...last, beside: { ...last.beside, ...beside, others } }
      return
    }
    lane.units += 1
    lane.staged += unit.length
    load.units += 1
    load.events += unit.length
    load.bytes += bytes
    inTurn += unit.length
    buffer.push({ lane, unit, bytes, beside, at })
    wake.open()
    if (buffer.length >= batchUnits) {
      hurry.open()
    }
    weigh()
  }

  const group: Group = {
    closeTimeout,
    push,
    hold: (bytes) => {
      if (bytes !== 0) {
        load.held += bytes
        weigh()
      }
    },
    room: () => (isAway && uses(1) ? "nothing" : isFull && whenFull === "shedObserved" ? "facts" : "all"),
    credit: () => {
      if (isFull && !isClosed) {
        hurry.open()
        return gate.await
      }
      if (inTurn < turnFacts) {
        return undefined
      }
      inTurn = 0
      return Effect.yieldNow
    },
    hurry: hurry.open,
    isAway: () => isAway,
    isClosed: () => isClosed
  }

  return EventStager.of({ lane: (options = {}) => new GroupLane(group, options) })
})
