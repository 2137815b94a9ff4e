/**
 * Decisions of people on tool calls, across processes: what waits for one is read from the ledger, and each is a fact.
 *
 * Who decides need not be the process that records the run, and that one need not live: it finds the decision when it
 * goes on with the run, as the `approval` of the call in its `RunView`.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Result, Schedule, type Schema, Stream } from "effect"
import { randomUUID } from "node:crypto"
import { type CanonicalEvent, isKind, type KnownKind, type NormalizedEvent } from "./CanonicalEvent.ts"
import type * as Cursor from "./Cursor.ts"
import { EventStore, type EventStoreShape, type RunEntry } from "./EventStore.ts"
import { redactText } from "./internal/redact.ts"
import { frame, normalized } from "./internal/transition.ts"
import {
  AlreadyDecided,
  AmbiguousCall,
  type CursorExpired,
  type ExpectedCursorConflict,
  NotFound,
  type ReadError,
  UnavailableError,
  ValidationError
} from "./LedgerError.ts"
import { Redaction, type Redactor } from "./Redaction.ts"
import * as RunView from "./RunView.ts"
import * as StagedEvent from "./StagedEvent.ts"

/**
 * A tool call that waits for somebody to decide.
 *
 * **Details**
 *
 * - `waits_for_permission`: it asks whether it may run. `requestedAt` is when it asked, `message` its question, and
 *   `suspensionId` the other id that a decision may be addressed to.
 * - `outcome_unknown`: it was executing when its process died, at `requestedAt`, and may have had its effect. Approved, it
 *   may run again; rejected, it counts as failed.
 *
 * `arguments` are there when they are in the ledger; `requestedAt` is milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pending {
  readonly callId: string
  readonly runId: string
  readonly threadId: string | undefined
  readonly tool: string
  readonly arguments: Schema.Json | undefined
  readonly requestedAt: number
  readonly state: "waits_for_permission" | "outcome_unknown"
  readonly suspensionId?: string
  readonly message?: string
}

/**
 * What is decided: about the call with this id, or the one that was suspended under it. `runId` says which one is meant
 * when more than one run has a call with this id; it also spares looking for the run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decide {
  readonly callId: string
  readonly approved: boolean
  readonly reason?: string | undefined
  readonly runId?: string | undefined
}

/**
 * A decision as it is in the ledger, and what it is about. `decidedAt` is milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decision extends Pending {
  readonly approved: boolean
  readonly reason: string
  readonly decisionId: string
  readonly decidedAt: number
}

/**
 * What deciding can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type DecideError = NotFound | AlreadyDecided | AmbiguousCall | ValidationError | ReadError

/** What decides where calls stand. What models and people say at length is left out. */
const kinds: ReadonlyArray<KnownKind> = [
  "RunStarted",
  "RunResumed",
  "RunFinished",
  "RunSuspended",
  "RunCancelled",
  "RunErrored",
  "RunTerminated",
  "RunInterrupted",
  "StepStarted",
  "StepEnded",
  "StreamReset",
  "InferenceComplete",
  "ToolCallStarted",
  "ToolCallReady",
  "ToolCallExecuting",
  // A call that puts something out is executing, whether or not anything else says so.
  "ToolCallStreamDeltaObserved",
  "ToolCallDone",
  "ToolCallSuspended",
  "ToolCallRejected",
  "ToolCallTimedOut",
  "ToolCallResumed",
  "ToolCallCancelled",
  "ToolPermissionRequested",
  "ToolPermissionResolved"
]

/** A run as far as it was read; `next` is where reading goes on, `decided` the last decision on each call. */
interface Seen {
  readonly view: RunView.RunView
  readonly decided: ReadonlyMap<string, { readonly approved: boolean; readonly at: number }>
  readonly next: Cursor.Cursor | undefined
}

const unseen = (runId: string): Seen => ({ view: RunView.empty(runId), decided: new Map(), next: undefined })

const callIdOf = (view: RunView.RunView, id: string): string | undefined =>
  RunView.call(view, id)?.id ??
  view.permissions.find(({ callId, suspensionId }) => callId === id || suspensionId === id)?.callId

const push = ({ decided, view, ...seen }: Seen, fact: CanonicalEvent): Seen => {
  const after = RunView.push(view, fact)
  if (!isKind("ToolPermissionResolved")(fact)) {
    return { ...seen, decided, view: after }
  }
  const { approved, id } = fact.payload
  return {
    ...seen,
    decided: new Map(decided).set(callIdOf(view, id) ?? id, { approved, at: fact.occurredAt }),
    view: after
  }
}

/** Whether a run can go on, so that a decision can be of use. */
const canGoOn = ({ doneReason, status }: RunEntry | RunView.RunView): boolean =>
  status !== "done" || doneReason === "interrupted"

/** What waits for a decision in a run, the oldest first. */
const waiting = ({ view }: Seen): ReadonlyArray<Pending> => {
  if (!canGoOn(view)) {
    return []
  }
  const { permissions, runId, threadId } = view
  const asked = permissions.map(({ callId, message, requestedAt, suspensionId, toolName }): Pending => {
    const call = RunView.call(view, callId)
    return {
      callId,
      runId,
      threadId,
      tool: toolName || (call?.name ?? ""),
      arguments: call?.arguments,
      ...(call?.state === "unknown"
        ? { requestedAt: call.since, state: "outcome_unknown" }
        : { requestedAt, state: "waits_for_permission" }),
      ...(suspensionId === undefined ? {} : { suspensionId }),
      ...(message === "" ? {} : { message })
    }
  })
  const unknown = RunView.calls(view)
    .filter(({ id, state }) => state === "unknown" && !permissions.some(({ callId }) => callId === id))
    .map(
      (call): Pending => ({
        callId: call.id,
        runId,
        threadId,
        tool: call.name,
        arguments: call.arguments,
        requestedAt: call.since,
        state: "outcome_unknown"
      })
    )
  return [...asked, ...unknown]
    .filter(({ callId }) => RunView.call(view, callId)?.approval === undefined)
    .toSorted((a, b) => a.requestedAt - b.requestedAt)
}

/** Reads a run to its end, on from where it was read to; from its start, when what came next was pruned. */
const see = (store: EventStoreShape, from: Seen): Effect.Effect<Seen, ReadError> => {
  const runId = from.view.runId
  return Effect.gen(function* (): Effect.fn.Return<Seen, ReadError | CursorExpired> {
    let seen = from
    for (;;) {
      const { facts, hasMore, next } = yield* store.read({
        scope: { _tag: "Run", runId },
        after: seen.next,
        filter: { kinds }
      })
      seen = { ...facts.reduce(push, seen), next }
      if (!hasMore) {
        return seen
      }
    }
  }).pipe(Effect.catchTag("CursorExpired", () => see(store, unseen(runId))))
}

/**
 * The tool calls that wait for somebody to decide, run by run in the order in which the runs first appeared, the oldest
 * first within each.
 *
 * **Details**
 *
 * Calls of runs that can go on: those that are not done, and those that were interrupted. A run that ended otherwise waits
 * for nothing. A call whose process died becomes pending when its run is interrupted, by the next recorder or by
 * `Recorder.recover`. This never writes.
 *
 * **Example** (Asking a person)
 *
 * ```ts
 * import { Approval } from "@runledger/core"
 * import { Effect, Stream } from "effect"
 *
 * export const ask = (question: (pending: Approval.Pending) => Effect.Effect<boolean>) =>
 *   Stream.runForEach(Approval.pending, (pending) =>
 *     Effect.flatMap(question(pending), (approved) =>
 *       Approval.decide({ callId: pending.callId, runId: pending.runId, approved })
 *     )
 *   )
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const pending: Stream.Stream<Pending, ReadError, EventStore> = Stream.unwrap(
  Effect.map(EventStore, (store) =>
    store.runs().pipe(
      Stream.filter(canGoOn),
      Stream.mapEffect(({ runId }) => Effect.map(see(store, unseen(runId)), waiting)),
      Stream.flattenIterable
    )
  )
)

const quoted = (text: string): string => JSON.stringify(text)

/** The runs of those that have a call with this id, as far as they were read. */
const having = (store: EventStoreShape, id: string, isWanted: (run: RunEntry) => boolean) =>
  store.runs().pipe(
    Stream.filter(isWanted),
    Stream.filterMapEffect(({ runId }) =>
      Effect.map(see(store, unseen(runId)), (seen) => (hasCall(seen, id) ? Result.succeed(seen) : Result.failVoid))
    ),
    Stream.runCollect
  )

const hasCall = ({ decided, view }: Seen, id: string): boolean => decided.has(id) || callIdOf(view, id) !== undefined

/**
 * The run of a call. One that can go on comes before those that cannot; but of two that can, also when the call waits in
 * one of them alone: somebody may just have decided in the other, who was meant.
 */
const find = Effect.fnUntraced(function* (
  store: EventStoreShape,
  id: string,
  runId: string | undefined
): Effect.fn.Return<Seen, NotFound | AmbiguousCall | ReadError> {
  if (runId !== undefined) {
    const seen = yield* see(store, unseen(runId))
    return hasCall(seen, id)
      ? seen
      : yield* new NotFound({ message: `there is no tool call ${quoted(id)} in run ${quoted(runId)} of this ledger` })
  }
  const [seen, ...others] = yield* having(store, id, canGoOn)
  if (seen !== undefined && others.length > 0) {
    const runIds = [seen, ...others].map(({ view }) => view.runId)
    return yield* new AmbiguousCall({
      message: `there is a tool call ${quoted(id)} in each of the runs ${runIds.map(quoted).join(", ")}; say which run is meant`,
      callId: id,
      runIds
    })
  }
  const [over] = seen === undefined ? yield* having(store, id, (run) => !canGoOn(run)) : [seen]
  return over ?? (yield* new NotFound({ message: `there is no tool call ${quoted(id)} in this ledger` }))
})

const words: { readonly [State in RunView.ToolCallState]: string } = {
  streaming: "its arguments are not complete",
  ready: "nobody was asked",
  executing: "it is executing, as far as the ledger knows",
  suspended: "it is suspended, but asks for no permission",
  resumed: "it was resumed",
  succeeded: "it has succeeded",
  failed: "it has failed",
  rejected: "it was rejected",
  timed_out: "it has timed out",
  cancelled: "it was cancelled",
  unknown: "its outcome is unknown"
}

const isTime = (ms: number): boolean => ms <= 8.64e15

/** Why a call waits for nobody. */
const alreadyDecided = ({ decided, view }: Seen, id: string): AlreadyDecided => {
  const callId = callIdOf(view, id) ?? id
  const decision = decided.get(callId)
  const call = RunView.call(view, callId)
  const { doneReason, runId, status } = view
  const why = [
    decision === undefined
      ? undefined
      : `it was ${decision.approved ? "approved" : "rejected"}${isTime(decision.at) ? ` at ${new Date(decision.at).toISOString()}` : ""}`,
    // What was decided on and has not gone on since says no more.
    call === undefined || call.approval !== undefined ? undefined : words[call.state],
    status === "done" && doneReason !== "interrupted"
      ? `its run has ended${doneReason === undefined ? "" : ` (${doneReason})`}`
      : undefined
  ].filter((part) => part !== undefined)
  return new AlreadyDecided({
    message: `tool call ${quoted(callId)} of run ${quoted(runId)} waits for no decision: ${why.join(", ")}`,
    callId,
    runId,
    ...(decision === undefined ? {} : { approved: decision.approved, decidedAt: decision.at })
  })
}

/** What waits under an id. That of a suspension which is over is not that of the next. */
const waitingAs = (seen: Seen, id: string): Pending | undefined =>
  waiting(seen).find(({ callId, suspensionId }) => callId === id || suspensionId === id)

const withoutSecrets = (redactor: Redactor | undefined, reason: string): Result.Result<string, ValidationError> =>
  redactor === undefined
    ? Result.succeed(reason)
    : Result.try({
        try: () => redactText(redactor, reason),
        catch: () =>
          new ValidationError({
            message: "validation error: the reason could not be redacted; correct the redactor, or give no reason"
          })
      })

const factOf = (decision: Decision): NormalizedEvent => {
  const { approved, callId, decisionId, reason, runId, suspensionId = "", threadId } = decision
  const { context, scopes } = frame({ threadId: threadId ?? "", runId, origin: "approval" })
  return normalized(
    context,
    "domain_event",
    "ToolPermissionResolved",
    threadId === undefined ? scopes.slice(1) : scopes,
    {
      id: callId,
      suspensionId,
      approved,
      decisionId,
      reason
    }
  )
}

/** A run may be recorded meanwhile, in many small commits. */
const whileOthersAppend = Schedule.spaced("5 millis").pipe(Schedule.jittered, Schedule.upTo({ duration: "10 seconds" }))

/** One whose answer was lost is sent again as it was, which the store recognises. */
const passing = Schedule.exponential("50 millis").pipe(Schedule.upTo({ times: 4 }))

/**
 * Appends a decision to its run, if that still ends where it was read to. No state of the run goes with it: that is the
 * matter of whoever has the run open.
 */
const append = (
  store: EventStoreShape,
  decision: Decision,
  end: Cursor.Cursor
): Effect.Effect<void, ExpectedCursorConflict | ReadError> => {
  const fact = factOf(decision)
  const event = StagedEvent.fromText(fact, JSON.stringify(fact.draft.payload), { occurredAt: decision.decidedAt })
  return store.append([event], { expected: [{ scope: { _tag: "Run", runId: decision.runId }, cursor: end }] }).pipe(
    Effect.retry({ schedule: passing, while: ({ _tag }) => _tag === "UnavailableError" }),
    Effect.catchTags({
      Fenced: Effect.die,
      IdempotencyConflict: Effect.die,
      SerializationError: Effect.die,
      ValidationError: Effect.die
    })
  )
}

/**
 * Decides on a tool call that waits, with one fact: a `ToolPermissionResolved` with the origin `approval`, which this
 * gives back. Of two who decide at the same time, in whatever processes, one does; the other is told `AlreadyDecided`.
 *
 * **Details**
 *
 * The run may be recorded meanwhile, by a process that knows nothing of this. It is up to that one, or to the one that
 * resumes the run, to see the decision and to act on it. `Redaction` applies to the reason.
 *
 * - `NotFound`: no run has such a call. `AmbiguousCall`: more than one has; give the `runId`.
 * - `AlreadyDecided`: the call waits for nobody, because somebody decided, it has ended, or its run has.
 *
 * **Gotchas**
 *
 * A recorder that has opened a run in order to go on with it, and has not committed anything yet, finds its first commit
 * refused after a decision, with an `ExpectedCursorConflict`: it opens the run again.
 *
 * **Example** (Letting a call run)
 *
 * ```ts
 * import { Approval } from "@runledger/core"
 * import { Effect } from "effect"
 *
 * export const allow = (callId: string) =>
 *   Approval.decide({ callId, approved: true, reason: "a test database" }).pipe(
 *     Effect.catchTag("AlreadyDecided", ({ message }) => Effect.log(message))
 *   )
 * ```
 *
 * @category deciding
 * @since 0.1.0
 */
export const decide = Effect.fnUntraced(function* (
  options: Decide
): Effect.fn.Return<Decision, DecideError, EventStore> {
  const { approved, callId: id } = options
  const store = yield* EventStore
  const reason = yield* Effect.fromResult(withoutSecrets(yield* Redaction, options.reason ?? ""))
  const decisionId = randomUUID()
  let seen = yield* find(store, id, options.runId)
  const { runId } = seen.view
  const attempt = Effect.gen(function* () {
    seen = yield* see(store, seen)
    const pending = waitingAs(seen, id)
    if (pending === undefined || seen.next === undefined) {
      return yield* alreadyDecided(seen, id)
    }
    const decision = { ...pending, approved, reason, decisionId, decidedAt: yield* Clock.currentTimeMillis }
    yield* append(store, decision, seen.next)
    return decision
  })
  return yield* attempt.pipe(
    Effect.retry({ schedule: whileOthersAppend, while: ({ _tag }) => _tag === "ExpectedCursorConflict" }),
    Effect.catchTag("ExpectedCursorConflict", () =>
      Effect.fail(
        new UnavailableError({
          message: `run ${quoted(runId)} is being written to all the time, so nothing could be decided; try again`
        })
      )
    )
  )
})
