/**
 * What the facts of a run come to: where it stands, what was said, its tool calls, who is waited for, what it cost.
 *
 * A view is a value that is folded from facts, one at a time, as they are read or followed.
 *
 * @since 0.1.0
 */
import type { Schema } from "effect"
import type { CanonicalEvent, payloads } from "./CanonicalEvent.ts"
import * as Fold from "./internal/fold.ts"
import * as Said from "./internal/said.ts"
import * as ToolCalls from "./internal/toolCalls.ts"
import type * as Lifecycle from "./Lifecycle.ts"
import type * as Message from "./Message.ts"
import type { TokenUsage } from "./TokenUsage.ts"
import type { ToolResult } from "./Tool.ts"

/**
 * A message that has come to its end, with the ordinal and the time of the fact that said so.
 *
 * **Details**
 *
 * It is the one of a `MessageCommitted`; in a ledger without those, what its deltas were put together to, which in a
 * compacted one is no more than its calls. `lost` says that its payload was too large or withheld: its parts are what
 * is known without it. A message that was erased is none.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunMessage extends Message.Message {
  readonly ordinal: number | undefined
  readonly occurredAt: number
  readonly lost?: true
}

/**
 * Where a tool call stands, as far as its run knows.
 *
 * **Details**
 *
 * - `streaming`: its arguments arrive. `ready`: they are complete.
 * - `executing`: a process is about to run it, or it has put something out.
 * - `suspended`: it waits for a decision. `resumed`: it got one, which is its result or lets it run.
 * - `succeeded`, `failed`, `rejected`, `timed_out`, `cancelled`: it ended so.
 * - `unknown`: the run ended or was interrupted while it was executing, or how it ended cannot be read; it may have had
 *   its effect.
 *
 * @category models
 * @since 0.1.0
 */
export type ToolCallState =
  | "streaming"
  | "ready"
  | "executing"
  | "suspended"
  | "resumed"
  | "succeeded"
  | "failed"
  | "rejected"
  | "timed_out"
  | "cancelled"
  | "unknown"

/**
 * A tool call.
 *
 * **Details**
 *
 * `arguments` are there when they are complete. `result` is the last that the tool gave, also that with which it was
 * suspended; `decision` is what it was resumed with; `reason` tells why it was cancelled. `output` is what it put out
 * while it ran. `approval` is what somebody decided on it since it was suspended, or its outcome became unknown; a run of
 * the tool uses it up. `startedAt` is when it appeared and `since` when it came where it stands, in milliseconds since the
 * epoch; one that is known to run by its output alone may have run since it was ready. `suspensionId` is the other id
 * that a decision may be addressed to.
 *
 * @category models
 * @since 0.1.0
 */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly state: ToolCallState
  readonly arguments: Schema.Json | undefined
  readonly result: ToolResult | undefined
  readonly suspensionId: string | undefined
  readonly decision: Schema.Json | undefined
  readonly approval: { readonly approved: boolean; readonly reason: string } | undefined
  readonly reason: string | undefined
  readonly output: string
  readonly startedAt: number
  readonly since: number
}

/**
 * A permission that nobody has decided on. `requestedAt` is milliseconds since the epoch. Of a request that was too
 * large to be kept, the question is missing; it can be answered by its call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Permission {
  readonly callId: string
  readonly suspensionId: string | undefined
  readonly toolName: string
  readonly action: string
  readonly message: string
  readonly parameters: Schema.Json
  readonly requestedAt: number
}

/**
 * A compaction of the thread's context that went on while the run was running. `reason` tells why it failed or was
 * skipped; `occurredAt` is when it came to its state, in milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Compaction {
  readonly state: "started" | "completed" | "failed" | "skipped" | "cancelled"
  readonly taskId: string | undefined
  readonly boundaryMessageId: string | undefined
  readonly preTokens: number | undefined
  readonly postTokens: number | undefined
  readonly reason: string | undefined
  readonly occurredAt: number
}

/**
 * An error that the run recorded; its message is missing where the payload was not kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunError {
  readonly message: string | undefined
  readonly code: string | undefined
  readonly occurredAt: number
}

/**
 * Events of the run that are not in the ledger, see the payload of `CaptureGap`.
 *
 * @category models
 * @since 0.1.0
 */
export type Gap = (typeof payloads)["CaptureGap"]["Type"] & { readonly occurredAt: number }

/**
 * A run that this one started. `callId` is the tool call that it works for, if it says so.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChildRun {
  readonly runId: string
  readonly threadId: string | undefined
  readonly callId: string | undefined
  readonly status: Lifecycle.RunStatus
  readonly doneReason: string | undefined
  readonly startedAt: number
}

/**
 * What a run came to, as far as its facts were seen. It is immutable. Ask {@link calls} and {@link current} for its
 * tool calls and for what the model is saying.
 *
 * **Details**
 *
 * - `status` and `doneReason` are those of the store's index, `created` when nothing was seen. `termination` and
 *   `result` are those of the last finish, until the run goes on.
 * - `startedAt`, `updatedAt`: when the first and the last fact occurred, in milliseconds since the epoch.
 * - `facts` counts the facts of the run that were seen; `lastSequence` is the run sequence of the last one,
 *   `lastOrdinal` the last ordinal that they stand for.
 * - `steps`: how many steps the run has begun; in a compacted ledger, those with a message.
 * - `permissions`: those that nobody has decided on, in the order of requests. They stay when the run waits, is
 *   interrupted or ends: whether an answer still helps is for `status` to say.
 * - `tokens`: sums over `inferences`, which took `modelMs` milliseconds. An inference without a total counts as its
 *   prompt and completion.
 * - `compactions` are told in the thread's scope, `children` in a scope that has their facts; a view that is fed the
 *   run's own facts alone has none.
 * - `messages`, `compactions`, `errors`, `gaps` and `children` are put together when they are first read.
 * - `fold` is what {@link push} goes on from, and may change.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunView {
  readonly runId: string
  readonly threadId: string | undefined
  readonly parentRunId: string | undefined
  readonly status: Lifecycle.RunStatus
  readonly doneReason: string | undefined
  readonly termination: Lifecycle.TerminationReason | undefined
  readonly result: Schema.Json | undefined
  readonly startedAt: number | undefined
  readonly updatedAt: number | undefined
  readonly facts: number
  readonly lastSequence: number | undefined
  readonly lastOrdinal: number | undefined
  readonly steps: number
  readonly messages: ReadonlyArray<RunMessage>
  readonly permissions: ReadonlyArray<Permission>
  readonly tokens: Required<TokenUsage>
  readonly inferences: number
  readonly modelMs: number
  readonly compactions: ReadonlyArray<Compaction>
  readonly errors: ReadonlyArray<RunError>
  readonly gaps: ReadonlyArray<Gap>
  readonly children: ReadonlyArray<ChildRun>
  readonly fold: Fold.Fold
}

const lazily = (list: Fold.Listed): PropertyDescriptor & ThisType<RunView> => ({
  enumerable: true,
  get() {
    return this.fold[list].toArray()
  }
})

/** An array takes as long as the run: who folds one fact after another does not have those made that nobody reads. */
const lists = {
  messages: lazily("messages"),
  compactions: lazily("compactions"),
  errors: lazily("errors"),
  gaps: lazily("gaps"),
  children: lazily("children")
} satisfies { readonly [K in Fold.Listed]: unknown }

const show = (fold: Fold.Fold): RunView =>
  Object.defineProperties<Omit<RunView, Fold.Listed>>(
    {
      runId: fold.runId,
      threadId: fold.threadId,
      parentRunId: fold.parentRunId,
      status: fold.status,
      doneReason: fold.doneReason,
      termination: fold.termination,
      result: fold.result,
      startedAt: fold.startedAt,
      updatedAt: fold.updatedAt,
      facts: fold.facts,
      lastSequence: fold.lastSequence,
      lastOrdinal: fold.lastOrdinal,
      steps: fold.steps,
      permissions: fold.permissions,
      tokens: fold.tokens,
      inferences: fold.inferences,
      modelMs: fold.modelMs,
      fold
    },
    lists
  ) as RunView

/**
 * The view of a run of which nothing was seen yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty = (runId: string): RunView => show(Fold.initial(runId))

/**
 * The view of a run after these facts, in the order of a scope.
 *
 * **Example** (What a run came to)
 *
 * ```ts
 * import { EventStore, RunView } from "@runledger/core"
 * import { Effect } from "effect"
 *
 * export const summary = Effect.fnUntraced(function* (runId: string) {
 *   const store = yield* EventStore.EventStore
 *   const { facts } = yield* store.read({ scope: { _tag: "Run", runId } })
 *   const view = RunView.fromFacts(runId, facts)
 *   return {
 *     status: view.status,
 *     tokens: view.tokens.totalTokens,
 *     open: RunView.calls(view).filter(RunView.isOpen),
 *     asks: view.permissions.map(({ message }) => message)
 *   }
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFacts = (runId: string, facts: Iterable<CanonicalEvent>): RunView => {
  let fold = Fold.initial(runId)
  for (const fact of facts) {
    fold = Fold.next(fold, fact)
  }
  return show(fold)
}

/**
 * The tool calls, in the order in which they first appeared.
 *
 * @category getters
 * @since 0.1.0
 */
export const calls = ({ fold }: RunView): ReadonlyArray<ToolCall> => ToolCalls.all(fold)

/**
 * The call with this id, or the one that was suspended under it.
 *
 * @category getters
 * @since 0.1.0
 */
export const call = ({ fold }: RunView, id: string): ToolCall | undefined => ToolCalls.find(fold, id)

/**
 * Whether a call has not come to its end.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isOpen = (call: ToolCall): boolean => ToolCalls.isOpen(call)

/**
 * What the model is saying right now, as far as the ledger has it: that of full fidelity has its deltas, a compacted
 * one only the calls that are ready. When the message is committed, it is among the `messages` instead.
 *
 * @category getters
 * @since 0.1.0
 */
export const current = ({ fold }: RunView): Message.Message | undefined => Said.current(fold)

/**
 * The view after one more fact, which is the next in the order of its scope. The view before stays as it is. Facts of
 * other runs change nothing, unless they tell of a child, or of a compaction while the run is running. A fact whose
 * payload was erased, was too large, or is of a newer version still counts for what its kind and its ids say. It never
 * throws.
 *
 * @category folding
 * @since 0.1.0
 */
export const push = (view: RunView, fact: CanonicalEvent): RunView => {
  const fold = Fold.next(view.fold, fact)
  return fold === view.fold ? view : show(fold)
}
