/**
 * Generators of agent events, for property tests: single events of every shape, runs of them in any order, and streams
 * in the order in which an agent loop emits them.
 *
 * All values are plain JSON that a store can keep: they are equal to what their JSON text gives back, and hold no lone
 * surrogates. Texts and keys are hostile otherwise: empty, blank, NUL, astral, `__proto__`, integer-like.
 *
 * @since 0.1.0
 */
import { AgentEvent, Tool } from "@runledger/core"
import { Arbitrary, Schema } from "effect"
import { oneOf, storable } from "./internal/generate.ts"
import * as Script from "./internal/script.ts"

/**
 * The thread and the run that generated events belong to.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunIds {
  readonly threadId: string
  readonly runId: string
}

/** One id in twelve is blank, for that is refused in some places and means nothing in others. */
const id = Arbitrary.schema(
  Schema.Literals([
    "id-1",
    "id-2",
    "id-3",
    "id-4",
    "0",
    "42",
    "a/b?c=d&e",
    "naïve id",
    "🦜名前",
    "__proto__",
    "\u202ea",
    " "
  ])
)

/** A value with some of its fields generated otherwise than its schema would have it. */
const vary = <A extends object, F extends { readonly [K in keyof F]: Arbitrary.Arbitrary<unknown> }>(
  schema: Schema.Schema<A>,
  fields: F
) =>
  Arbitrary.map(Arbitrary.all([Arbitrary.schema(schema), Arbitrary.all(fields)]), ([value, varied]) => ({
    ...value,
    ...varied
  }))

const json = Arbitrary.schema(Schema.Json)

/** Empty, with a key that decides the kind of the fact, with one that only looks like it, or anything. */
const metadata = oneOf<Tool.ToolResult["metadata"]>(
  Arbitrary.Constant({}),
  Arbitrary.Constant({ rejected: null }),
  Arbitrary.Constant({ timed_out: true }),
  Arbitrary.map(json, (value) => ({ timed_out: value, rejected_by: value })),
  Arbitrary.schema(Schema.Record(Schema.String, Schema.Json))
)

const runIds = { threadId: id, runId: id }

/** All events but `RunStart` and `RunFinish`. */
const inner = [
  Arbitrary.schema(AgentEvent.TextDelta),
  Arbitrary.schema(AgentEvent.ReasoningDelta),
  Arbitrary.schema(AgentEvent.ReasoningEncryptedValue),
  vary(AgentEvent.ToolCallStart, { id }),
  vary(AgentEvent.ToolCallDelta, { id }),
  vary(AgentEvent.ToolCallReady, { id }),
  vary(AgentEvent.ToolCallDone, { id, messageId: id, result: vary(Tool.ToolResult, { metadata }) }),
  vary(AgentEvent.ToolCallStreamDelta, { id }),
  vary(AgentEvent.ToolCallResumed, { targetId: id }),
  vary(AgentEvent.ToolCallCancel, { id }),
  Arbitrary.schema(AgentEvent.StreamReset),
  Arbitrary.schema(AgentEvent.MessagesSnapshot),
  vary(AgentEvent.ActivitySnapshot, { messageId: id }),
  vary(AgentEvent.ActivityDelta, { messageId: id }),
  vary(AgentEvent.StepStart, { messageId: id }),
  Arbitrary.schema(AgentEvent.StepEnd),
  Arbitrary.schema(AgentEvent.InferenceComplete),
  Arbitrary.schema(AgentEvent.StateSnapshot),
  Arbitrary.schema(AgentEvent.StateDelta),
  Arbitrary.schema(AgentEvent.Error)
] as const satisfies ReadonlyArray<Arbitrary.Arbitrary<AgentEvent.AgentEvent>>

const innerEvent = oneOf<AgentEvent.AgentEvent>(...inner)

/**
 * Any of the 22 events, each as likely, with every field over all that it may hold. Events do not fit together.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const agentEvent: Arbitrary.Arbitrary<AgentEvent.AgentEvent> = oneOf<AgentEvent.AgentEvent>(
  ...inner,
  vary(AgentEvent.RunStart, runIds),
  vary(AgentEvent.RunFinish, runIds)
).pipe(Arbitrary.map(storable))

/**
 * The events of one run in any order: its start, up to eight others that need not fit together, its finish.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const run = (ids: RunIds): Arbitrary.Arbitrary<ReadonlyArray<AgentEvent.AgentEvent>> =>
  Arbitrary.all([
    Arbitrary.schema(AgentEvent.RunStart),
    Arbitrary.array(innerEvent, { maxLength: 8 }),
    Arbitrary.schema(AgentEvent.RunFinish)
  ]).pipe(
    Arbitrary.map(([start, events, finish]) => storable([{ ...start, ...ids }, ...events, { ...finish, ...ids }]))
  )

const script = Arbitrary.schema(Script.Script)

/**
 * The events of one run as an agent loop emits them.
 *
 * **Details**
 *
 * Up to four steps. In each, the model reasons, speaks and calls up to three tools at a time, whose arguments arrive
 * interleaved; an attempt may break off and be made again; calls succeed, fail, are rejected, time out, are cancelled, or
 * suspend the run, which is then resumed by a second `RunStart` or left waiting. State snapshots show a random walk of
 * the context compaction. The stream ends with a `RunFinish` of any reason.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const stream = (ids: RunIds): Arbitrary.Arbitrary<ReadonlyArray<AgentEvent.AgentEvent>> =>
  Arbitrary.map(script, (script) => storable(Script.play(script, ids)))
