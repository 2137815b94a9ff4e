/**
 * How an event is emitted: one synchronous step, and then, maybe, a wait.
 */
import { Array as Arr, Clock, Effect, Schema } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import { type Envelope, LiveSink, type LiveSinkShape } from "../LiveSink.ts"

export class SinkClosed extends Schema.TaggedError<SinkClosed>()("SinkClosed", { message: Schema.String }) {}

/** What an emitter needs of the services in force. */
export interface Environment {
  readonly live: LiveSinkShape
  readonly clock: Clock.Clock
  /** Starts what must not be swallowed by an interrupt right after the step. */
  readonly start: (effect: Effect.Effect<void>) => void
}

export const environment: Effect.Effect<Environment> = Effect.gen(function* () {
  const live = yield* LiveSink
  const clock = yield* Clock.Clock
  const start = Effect.runForkWith(yield* Effect.context<never>())
  return { live, clock, start }
})

/** Records an event, synchronously; it must not throw. `position` is its place in the input of a producer. */
type RecordEvent = (envelope: Envelope, position: number | undefined) => void

/** Emits an event, synchronously; what remains to be waited for, if anything. */
export type Step = (event: AgentEvent, position?: number) => Effect.Effect<void> | undefined

type Wait = () => Effect.Effect<void> | undefined

/** Makes the step of one run, whose events go on after `ordinal`. */
export const make = ({ clock, live, start }: Environment, record: RecordEvent, ordinal = 0) => {
  let isClosed = false

  const deliver = (envelope: Envelope): Effect.Effect<void> | undefined => {
    try {
      const delivering = live.deliver(envelope)
      return delivering === undefined ? undefined : Effect.ignoreCause(delivering as Effect.Effect<void>, { log: true })
    } catch (cause) {
      start(Effect.logError(`the live sink failed on event ${envelope.ordinal}`, cause))
      return undefined
    }
  }

  const stepOne: Step = (event, position) => {
    ordinal += 1
    // The clock of a test may stand between two milliseconds.
    const envelope = { ordinal, occurredAt: Math.floor(clock.currentTimeMillisUnsafe()), event }
    const delivering = deliver(envelope)
    record(envelope, position)
    return delivering
  }

  /** What the audience emits in turn, while an event is delivered to it, comes after that event, live as in the ledger. */
  const inTurn: Array<{ readonly event: AgentEvent; readonly position: number | undefined }> = []
  let isStepping = false

  const step: Step = (event, position) => {
    if (isClosed) {
      return refuse(event._tag)
    }
    if (isStepping) {
      inTurn.push({ event, position })
      return undefined
    }
    isStepping = true
    try {
      let waiting = stepOne(event, position)
      for (let next = inTurn.shift(); next !== undefined; next = inTurn.shift()) {
        waiting = both(waiting, stepOne(next.event, next.position))
      }
      return waiting
    } finally {
      isStepping = false
    }
  }

  return {
    step,
    ordinal: () => ordinal,
    isClosed: () => isClosed,
    /** From now on, an emit is a defect. What is returned closes the live sink. */
    close: (): Effect.Effect<void> => {
      const first = !isClosed
      isClosed = true
      return first ? (live.close ?? Effect.void) : Effect.void
    }
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
