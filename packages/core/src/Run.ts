/**
 * A run that is being recorded.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Schema, type Stream } from "effect"
import type { AgentEvent } from "./AgentEvent.ts"
import type { Kind } from "./CanonicalEvent.ts"
import type { Labels } from "./EventStore.ts"
import type { EventStagerShape, Health } from "./EventStager.ts"
import type { SerializationError, StagingFailed, ValidationError } from "./LedgerError.ts"
import type { Message, Part } from "./Message.ts"

/**
 * Which run to record. A run that is in the ledger already goes on. `origin` says where its events come from, `native`
 * by default; `correlationId` links its facts to what asked for them; by `labels` it can be found.
 * With an `input`, its events come from a producer that may send them again. `stager` is another than the recorder's own.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  readonly threadId: string
  readonly runId: string
  readonly origin?: string
  readonly correlationId?: string
  readonly labels?: Labels
  readonly input?: Input
  readonly stager?: EventStagerShape
}

/**
 * What a producer sends, for any number of runs: events at positions 1, 2, 3 …, in a unit of its own, such as lines.
 *
 * **Details**
 *
 * A producer with a name, a writer, that sends everything after its last ack again, also to another process, records
 * nothing twice and loses nothing: `acked` is where it goes on. An ack never passes the first event of a message that has not come to its end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** The position up to which the ledger had everything when the input was opened; 0 without a writer. */
  readonly acked: number

  /**
   * Positions up to which everything is in the ledger, each larger than the one before. Ends when the input is closed, and
   * fails when nothing more can be acked.
   */
  readonly acks: Stream.Stream<number, StagingFailed>

  /** Says that everything up to a position was handed over, or is not worth recording. */
  readonly advance: (position: number) => Effect.Effect<void>

  /** Waits until everything that can be acked is; gives the last ack. */
  readonly flush: Effect.Effect<number, StagingFailed>
}

/**
 * Where a run stands. `ordinal` is that of its last event; `shed` counts the events that were not recorded.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunStatus extends Health {
  readonly ordinal: number
  readonly shed: number
  readonly isClosed: boolean
}

/**
 * The handle of a run.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunShape {
  readonly threadId: string
  readonly runId: string

  /**
   * Emits one event, in one synchronous step that nothing can interrupt or come between: number it, deliver it to the
   * live sink, take it through the stages, stage what is kept. Then it waits, interruptibly, while more is staged than the
   * stager can hold. `position` is that of the event in the input of the run, the next one without it; one that the ledger
   * has already is not delivered again.
   */
  readonly emit: (event: AgentEvent, position?: number) => Effect.Effect<void>

  /** Emits events in order, many to a step. */
  readonly emitAll: (events: ReadonlyArray<AgentEvent>) => Effect.Effect<void>

  /** Emits the events of a stream as they pass; they reach whoever runs it unaltered, in the same chunks. */
  readonly tap: <E, R>(stream: Stream.Stream<AgentEvent, E, R>) => Stream.Stream<AgentEvent, E, R>

  /** Records a message that no event brings: what the user said, a system prompt. */
  readonly message: (message: Message) => Effect.Effect<void>

  /**
   * Adds to the message that the model is saying what no event brings: a file, as `Data`; what the provider says of a part,
   * as its `metadata`. A `Text` or `Reasoning` goes on with the one that is being said, and ends it when it has metadata; a
   * `ToolCall` takes the place of the one with its id.
   */
  readonly part: (part: Part) => Effect.Effect<void>

  /**
   * Records what the model has said so far of its message, as a partial one: what follows must not be in the ledger without
   * it. The whole message takes its place.
   */
  readonly messageSoFar: Effect.Effect<void>

  /**
   * Records a fact of the app's own, a domain event. Its payload is the value, encoded by the schema; a kind of
   * Runledger's has the schema that is in `CanonicalEvent.payloads`.
   */
  readonly fact: <A, I extends Schema.Json, RE>(
    kind: Kind,
    schema: Schema.Codec<A, I, never, RE>,
    value: A
  ) => Effect.Effect<void, Schema.SchemaError | SerializationError | ValidationError, RE>

  /**
   * Waits until everything emitted is committed, or what was emitted up to an ordinal. What waits for a later event, of a message that is not
   * finished, is not waited for.
   */
  readonly flush: (upTo?: number) => Effect.Effect<void, StagingFailed>

  readonly status: Effect.Effect<RunStatus>

  /**
   * Ends the run, if it has not ended, and waits until everything is committed, but not longer than the close timeout. An
   * emit after it is a defect, `SinkClosed`.
   */
  readonly close: Effect.Effect<void, StagingFailed>
}

/**
 * The run that is being recorded.
 *
 * @category services
 * @since 0.1.0
 */
export class Run extends Context.Service<Run, RunShape>()("@runledger/core/Run") {}
