/**
 * How an event is emitted: one synchronous step, and then, maybe, a wait.
 */
import { Array as Arr, Clock, Effect, type Fiber, Schema } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { Envelope, LiveSinkShape } from "../LiveSink.ts"

export class SinkClosed extends Schema.TaggedError<SinkClosed>()("SinkClosed", { message: Schema.String }) {}

/** What the emitters of a program share. */
export interface Environment {
  /** The time, in whole milliseconds: the clock of a test may stand between two. */
  readonly now: () => number
  /** Starts what must not be swallowed by an interrupt right after the step. What it fails with is logged. */
  readonly start: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

export const environment: Effect.Effect<Environment> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  return {
    now: () => Math.floor(clock.currentTimeMillisUnsafe()),
    start: (effect) => fork(Effect.ignoreCause(effect, { log: true }))
  }
})

/** Who records what is emitted. */
export interface Records {
  /** Records an event, synchronously; it must not throw. `position` is its place in the input of a producer. */
  record(envelope: Envelope, position: number | undefined): void
}

/** Emits an event, synchronously; what remains to be waited for, if anything. */
export type Step = (event: AgentEvent, position?: number) => Effect.Effect<void> | undefined

type Wait = () => Effect.Effect<void> | undefined

/** Numbers the events of one run, which go on after `ordinal`, delivers them, and has them recorded. */
export class Emitter {
  isClosed = false
  ordinal: number
  private readonly live: LiveSinkShape
  private readonly env: Environment
  private readonly records: Records
  private isStepping = false
  /** What the audience emits in turn, while an event is delivered to it: it comes after that, live as in the ledger. */
  private inTurn: Array<{ readonly event: AgentEvent; readonly position: number | undefined }> | undefined

  constructor(live: LiveSinkShape, env: Environment, records: Records, ordinal = 0) {
    this.live = live
    this.env = env
    this.records = records
    this.ordinal = ordinal
  }

  private deliver(envelope: Envelope): Effect.Effect<void> | undefined {
    try {
      const delivering = this.live.deliver(envelope)
      return delivering === undefined ? undefined : Effect.ignoreCause(delivering as Effect.Effect<void>, { log: true })
    } catch (cause) {
      this.env.start(Effect.logError(`the live sink failed on event ${envelope.ordinal}`, cause))
      return undefined
    }
  }

  private stepOne(event: AgentEvent, position: number | undefined): Effect.Effect<void> | undefined {
    this.ordinal += 1
    const envelope = { ordinal: this.ordinal, occurredAt: this.env.now(), event }
    const delivering = this.deliver(envelope)
    this.records.record(envelope, position)
    return delivering
  }

  step(event: AgentEvent, position?: number): Effect.Effect<void> | undefined {
    if (this.isClosed) {
      return refuse(event._tag)
    }
    if (this.isStepping) {
      this.inTurn ??= []
      this.inTurn.push({ event, position })
      return undefined
    }
    this.isStepping = true
    try {
      let waiting = this.stepOne(event, position)
      while (this.inTurn !== undefined) {
        const events = this.inTurn
        this.inTurn = undefined
        for (const next of events) {
          waiting = both(waiting, this.stepOne(next.event, next.position))
        }
      }
      return waiting
    } finally {
      this.isStepping = false
      this.inTurn = undefined
    }
  }

  /** From now on, an emit is a defect. What is returned closes the live sink. */
  close(): Effect.Effect<void> {
    const first = !this.isClosed
    this.isClosed = true
    return first ? (this.live.close ?? Effect.void) : Effect.void
  }
}

/** What it is to emit into a run that was closed. */
export const refuse = (what: string): Effect.Effect<never> =>
  Effect.die(new SinkClosed({ message: `a ${what} was emitted after its run was closed` }))

/** Waits for both, if there is anything to wait for. */
export const both = (
  first: Effect.Effect<void> | undefined,
  second: Effect.Effect<void> | undefined
): Effect.Effect<void> | undefined =>
  first === undefined ? second : second === undefined ? first : Effect.andThen(first, second)

export const emit =
  (step: Step, wait: Wait) =>
  (event: AgentEvent, position?: number): Effect.Effect<void> =>
    Effect.suspend(() => both(step(event, position), wait()) ?? Effect.void)

/** How many events of one `emitAll` share a step; more would hold up the event loop. */
const stepEvents = 256

export const emitAll = (step: Step, wait: Wait) => {
  const stepAll = (events: ReadonlyArray<AgentEvent>): Effect.Effect<void> => {
    let waiting: Effect.Effect<void> | undefined
    for (const event of events) {
      waiting = both(waiting, step(event))
    }
    return both(waiting, wait()) ?? Effect.void
  }
  return (events: ReadonlyArray<AgentEvent>): Effect.Effect<void> =>
    events.length <= stepEvents
      ? Effect.suspend(() => stepAll(events))
      : Effect.forEach(
          Arr.chunksOf(events, stepEvents),
          (chunk) =>
            Effect.andThen(
              Effect.suspend(() => stepAll(chunk)),
              Effect.yieldNow
            ),
          { discard: true }
        )
}
