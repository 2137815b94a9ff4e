/**
 * The actor of a run: its private state, and its steps, one after the other. It has no fiber.
 */
import { Cause, Deferred, Effect, Exit, HashSet, Result, Schema, Stream } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import { type Kind, type NormalizedEvent, validate } from "../CanonicalEvent.ts"
import * as Cursor from "../Cursor.ts"
import { Durability, type DurabilityMode } from "../Durability.ts"
import { reporter } from "../EventSink.ts"
import type { EventStagerShape } from "../EventStager.ts"
import type { Expected, Writer } from "../EventStore.ts"
import { ForeignRun, type StagingFailed, ValidationError } from "../LedgerError.ts"
import type { TerminationReason } from "../Lifecycle.ts"
import type { Envelope } from "../LiveSink.ts"
import * as Metrics from "../Metrics.ts"
import { Redaction, type Redactor } from "../Redaction.ts"
import type { RunOptions, RunShape } from "../Run.ts"
import * as StagedEvent from "../StagedEvent.ts"
import { assemble, type Place } from "./assemble.ts"
import * as Calls from "./calls.ts"
import * as Coalesce from "./coalesce.ts"
import * as Emitter from "./emitter.ts"
import * as Gap from "./gap.ts"
import { identify } from "./identify.ts"
import type { OpenInput } from "./input.ts"
import { recovery } from "./interrupted.ts"
import * as RunState from "./runState.ts"
import * as Stages from "./stages.ts"
import { isBlank } from "./text.ts"
import { frame } from "./transition.ts"

/** What the actors of a recorder share. */
export interface Shared {
  readonly stager: EventStagerShape
  readonly owner: Writer
  readonly exact: boolean
  readonly maxEventBytes: number
  /** Asks to be called to `release`, when the time has come: the actor holds something back. */
  readonly wait: (actor: Actor) => void
}

/** What a run is recorded with. */
export interface Environment extends Emitter.Environment {
  readonly durability: DurabilityMode
  readonly redactor: Redactor | undefined
  readonly report: (envelope: Envelope, cause: unknown) => void
  readonly shed: () => void
}

export const environment: Effect.Effect<Environment> = Effect.gen(function* () {
  const services = yield* Effect.context<never>()
  return {
    ...(yield* Emitter.environment),
    durability: yield* Durability,
    redactor: yield* Redaction,
    report: yield* reporter,
    shed: () => Metrics.shed.updateUnsafe(1, services)
  }
})

/** What the ledger knows of a run: its saved state, its last ordinal, the end of its scope, and its children that are open. */
export interface Known {
  readonly isNew: boolean
  readonly saved: RunState.Saved | undefined
  readonly ordinal: number
  readonly expected: Expected
  readonly children: ReadonlyArray<Actor>
}

export interface Actor extends RunShape {
  /** Since when something waits for time to pass; undefined when nothing does. */
  readonly waitingSince: () => number | undefined

  /** Lets go what waited. */
  readonly release: () => void

  /** Ends the run as the program that records it ended. */
  readonly end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void, StagingFailed>

  /** Fails when the run cannot be recorded any more. */
  readonly failed: Effect.Effect<never, StagingFailed>

  /** Records an event of this run that was delivered as one of its parent. */
  readonly recordForParent: (event: AgentEvent, occurredAt: number) => void
}

const checkFact = (draft: NormalizedEvent["draft"]): ReturnType<typeof validate> =>
  StagedEvent.isStorable(draft.kind)
    ? validate(draft)
    : Result.fail(
        new ValidationError({
          message: `validation error: the kind ${JSON.stringify(draft.kind)} holds a NUL or a lone surrogate, which no store can keep`
        })
      )

const terminationOf = (exit: Exit.Exit<unknown, unknown>): TerminationReason => {
  if (Exit.isSuccess(exit)) {
    return { _tag: "NaturalEnd" }
  }
  if (Cause.hasInterruptsOnly(exit.cause)) {
    return { _tag: "Cancelled" }
  }
  const error = Cause.squash(exit.cause)
  return { _tag: "Error", message: error instanceof Error ? error.message : String(error) }
}

/** How long a run that ends waits for its audience to take the finish. */
const farewell = "5 seconds"

export const make = (env: Environment, shared: Shared, options: RunOptions, known: Known): Actor => {
  const { correlationId, labels, origin = "native", runId, threadId } = options
  const context = { threadId, runId, origin, ...(correlationId === undefined ? {} : { correlationId }) }
  const input = options.input as OpenInput | undefined
  const { durability, redactor } = env
  const rules: Stages.Rules = { frame: frame(context), durability, redactor, exact: shared.exact }
  const limits = { redactor, maxEventBytes: shared.maxEventBytes }
  const isOff = durability === "disabled"
  const failed = Deferred.makeUnsafe<never, StagingFailed>()
  const children = new Map(known.children.map((child) => [child.runId, child]))
  const { saved } = known

  const lane = (options.stager ?? shared.stager).lane({
    writers: input?.writer === undefined ? [shared.owner] : [shared.owner, { ...input.writer, highWater: 0 }],
    expected: known.expected,
    onFailure: (failure) => {
      input?.fail(failure)
      Deferred.doneUnsafe(failed, Exit.fail(failure))
    }
  })

  let progress: Stages.Progress =
    saved === undefined
      ? Stages.initial(rules.frame)
      : {
          ...Stages.initial(rules.frame),
          normalizer: RunState.normalizerState(saved, context),
          assembly: { step: saved.step, open: undefined },
          calls: saved.calls
        }
  /** Up to this position, the ledger has what the events of the input became. */
  const replayed = saved?.input !== undefined && saved.input.writer === input?.writer?.writer ? saved.input.position : 0
  let isReplaying = replayed > 0
  let last: Place = { ordinal: known.ordinal, position: replayed }
  let savedOrdinal = known.ordinal
  let isInLedger = !known.isNew
  let hasBegun = false
  let isOwned = true
  let shed = 0
  let wasShed = false
  let isChild = false
  /** The position of the first event of which a gap that is not staged tells. */
  let gapFrom: number | undefined

  /** The last event that is staged with all before it. */
  const through = (): Place => {
    const held = Stages.heldRows(progress)
    return held === undefined
      ? last
      : { ordinal: held.ordinal - 1, position: held.position === undefined ? undefined : held.position - 1 }
  }

  const after = () => {
    const { assembly, calls, normalizer } = progress
    const { ordinal, position } = through()
    // The text is made later, of what is so now.
    const [hasOwner, open] = [isOwned, children.size === 0 ? [] : [...children.keys()]]
    const state = () =>
      RunState.encode({
        ...(hasOwner ? { owner: { writer: shared.owner.writer, epoch: shared.owner.epoch } } : {}),
        ...RunState.ofNormalizer(normalizer, context),
        step: assembly.step,
        calls,
        ...(assembly.open === undefined ? {} : { fromOrdinal: assembly.open.from.ordinal }),
        ...(input?.writer === undefined || position === undefined
          ? {}
          : { input: { writer: input.writer.writer, position } }),
        children: open
      })
    return { runId, ordinal, state, ...(labels === undefined ? {} : { labels }) }
  }

  const stage = (entries: ReadonlyArray<Stages.Entry>): void => {
    lane.hold(Stages.heldSize(progress))
    if (entries.length > 0) {
      const saved = after()
      Result.getOrThrow(lane.stage(identify(entries, limits), { after: saved }))
      savedOrdinal = saved.ordinal
      isInLedger ||= entries.some(({ normalized }) => normalized.draft.scopes.some(({ _tag }) => _tag === "Run"))
    }
    if (Stages.heldRows(progress) !== undefined || progress.gaps.length > 0) {
      shared.wait(actor)
    }
  }

  /** Says how far the input has come. The ordinals of events that left no fact are saved with the ack that covers them. */
  const tell = (): void => {
    if (progress.gaps.length === 0) {
      gapFrom = undefined
    } else if (input !== undefined && last.position !== undefined) {
      // What is only counted is sent again after a crash, as long as its gap is not staged.
      gapFrom ??= last.position
      input.taken(actor, last.position, Math.min(Stages.heldFrom(progress)?.position ?? gapFrom, gapFrom), "as before")
      return
    }
    if (input !== undefined && last.position !== undefined) {
      const isUnsaved = isInLedger && input.writer !== undefined && through().ordinal > savedOrdinal
      input.taken(actor, last.position, Stages.heldFrom(progress)?.position, isUnsaved ? after() : undefined)
    }
  }

  const take = ({ entries, progress: next }: Stages.Advanced): void => {
    progress = next
    stage(entries)
  }

  const put = (fact: NormalizedEvent, occurredAt: number): void =>
    take(Stages.insert(progress, rules, fact, occurredAt))

  const now = (): number => Math.floor(env.clock.currentTimeMillisUnsafe())

  const putRecovery = (kind: "RunResumed" | "RunInterrupted", payload: object): void => {
    const { draft, fidelity } = Stages.ownFact(rules.frame, "domain_event", kind, payload as never)
    put({ fidelity, draft: { ...draft, origin: recovery } }, now())
  }

  /** The run that an event is about, when it is not this one; undefined when nobody here knows it. */
  const childOf = (event: AgentEvent & { readonly runId: string; readonly threadId: string }): Actor | undefined => {
    const parent = event._tag === "RunStart" ? (event.parentRunId ?? event.identity?.parentRunId) : undefined
    const isValid = [event.threadId, event.runId].every((id) => StagedEvent.isStorable(id) && !isBlank(id))
    if (parent === runId && isValid && event.runId !== runId && !children.has(event.runId)) {
      const { input: _, labels: __, ...inherited } = options
      children.set(
        event.runId,
        make(env, shared, { ...inherited, threadId: event.threadId, runId: event.runId }, newRun(event.runId))
      )
    }
    return children.get(event.runId)
  }

  const isForeign = (event: AgentEvent): event is AgentEvent & { readonly runId: string; readonly threadId: string } =>
    !shared.exact &&
    (event._tag === "RunStart" || event._tag === "RunFinish") &&
    (event.runId !== runId || event.threadId !== threadId)

  const recordForeign = (
    { event, occurredAt }: Envelope,
    about: { readonly runId: string; readonly threadId: string },
    child: Actor | undefined
  ): Stages.Advanced => {
    if (child === undefined) {
      const problem = new ForeignRun({
        message: `a ${event._tag} of run ${JSON.stringify(about.runId)} in thread ${JSON.stringify(about.threadId)} was emitted into run ${JSON.stringify(runId)} in thread ${JSON.stringify(threadId)}, which is not its parent, or has ids that cannot be kept; open that run and emit it there`,
        runId: about.runId
      })
      return Stages.leaveOut(progress, rules, "refused", event, last, occurredAt, problem)
    }
    child.recordForParent(event, occurredAt)
    return { progress, entries: [] }
  }

  const countShed = (): void => {
    shed += 1
    env.shed()
  }

  const leftOut = (envelope: Envelope, cause: unknown): void => {
    countShed()
    env.report(envelope, cause)
  }

  /** Takes an event through the stages; what becomes of it is for `take`. */
  const advance = (envelope: Envelope): Stages.Advanced => {
    const { event, occurredAt } = envelope
    const room = lane.room()
    const advanced = isForeign(event)
      ? recordForeign(envelope, event, childOf(event))
      : Stages.advance(progress, rules, event, last, occurredAt, room)
    wasShed = room === "facts" && advanced.entries.length === 0
    if (advanced.problem !== undefined) {
      leftOut(envelope, advanced.problem)
    } else if (advanced.isShed === true) {
      countShed()
    }
    return advanced
  }

  /**
   * Counts what failed in a way that nobody foresaw: the event, when it did not get through the stages, so that what waited
   * is not lost with it; else the facts that could not be staged.
   */
  const countFailed = (
    before: Stages.Progress,
    advanced: Stages.Advanced | undefined,
    envelope: Envelope,
    defect: unknown
  ): void => {
    const message = defect instanceof Error ? defect.message : String(defect)
    const lost =
      advanced === undefined
        ? [{ tag: envelope.event._tag, ordinal: envelope.ordinal }]
        : advanced.entries.map(({ normalized, ordinal = envelope.ordinal }) => ({
            tag: normalized.draft.kind,
            ordinal
          }))
    const gaps = lost
      .filter(({ tag }) => tag !== "CaptureGap")
      .reduce((gaps, { ordinal, tag }) => Gap.add(gaps, "refused", tag, ordinal, message), before.gaps)
    progress = { ...(advanced?.progress ?? before), gaps: shared.exact ? [] : gaps }
    shared.wait(actor)
    leftOut(envelope, defect)
  }

  const record = (envelope: Envelope, position: number | undefined): void => {
    last = { ordinal: envelope.ordinal, position }
    const before = progress
    let advanced: Stages.Advanced | undefined
    try {
      if (!isOff) {
        advanced = advance(envelope)
        take(advanced)
      }
    } catch (defect) {
      countFailed(before, advanced, envelope, defect)
    }
    tell()
  }

  const emitter = Emitter.make(env, record, known.ordinal)

  /** What the ledger has of an open message, it has not kept: its pieces are put together again. */
  const replay = (event: AgentEvent, position: number): void => {
    last = { ordinal: known.ordinal, position }
    const [assembly] = assemble(progress.assembly, event, last)
    progress = { ...progress, assembly }
    lane.hold(Stages.heldSize(progress))
    tell()
  }

  const endReplay = (): void => {
    isReplaying = false
    const { open } = progress.assembly
    progress = {
      ...progress,
      assembly: {
        step: saved?.step ?? 0,
        open:
          open === undefined || saved?.fromOrdinal === undefined
            ? undefined
            : { ...open, from: { ...open.from, ordinal: saved.fromOrdinal } }
      }
    }
  }

  /** A run starts, or goes on, with the first that is said of it, whether that says so or not. */
  const begin = (first: AgentEvent | undefined, position: number | undefined): Effect.Effect<void> | undefined => {
    if (isReplaying) {
      endReplay()
    }
    if (hasBegun || emitter.isClosed()) {
      return undefined
    }
    hasBegun = true
    if (shared.exact || (first?._tag === "RunStart" && first.runId === runId)) {
      return undefined
    }
    const start = { _tag: "RunStart", threadId, runId } as const
    if (known.isNew) {
      // The first event itself is not recorded with it.
      return emitter.step(start, position === undefined ? undefined : position - 1)
    }
    if (!isOff) {
      progress = { ...progress, normalizer: { ...progress.normalizer, terminal: HashSet.empty() } }
      putRecovery("RunResumed", start)
    }
    return undefined
  }

  const step: Emitter.Step = (event, at) => {
    const position = at ?? input?.next()
    if (isReplaying && position !== undefined && position <= replayed && !emitter.isClosed()) {
      replay(event, position)
      return undefined
    }
    const starting = begin(event, position)
    return Emitter.both(starting, emitter.step(event, position))
  }

  const credit = (): Effect.Effect<void> | undefined => (wasShed ? undefined : lane.credit())

  const putFact = (fact: NormalizedEvent): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (emitter.isClosed()) {
        return Emitter.refuse(fact.draft.kind)
      }
      const starting = begin(undefined, undefined)
      if (!isOff) {
        put(fact, now())
      }
      return Emitter.both(starting, lane.credit()) ?? Effect.void
    })

  const recordForParent = (event: AgentEvent, occurredAt: number): void => {
    isChild = true
    hasBegun = true
    record({ event, occurredAt, ordinal: last.ordinal + 1 }, undefined)
  }

  const isActive = (): boolean => hasBegun && !HashSet.has(progress.normalizer.terminal, runId)

  const interrupt = (): void => {
    const { assembly } = progress
    take(Stages.interrupt(progress, rules, now(), last.ordinal))
    // What is open is sent again by who sends what was not acked.
    progress = { ...progress, assembly }
    putRecovery("RunInterrupted", { threadId, runId, openCalls: progress.calls })
  }

  const finish = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined => {
    if (isOff || shared.exact) {
      return undefined
    }
    if (input !== undefined) {
      if (isActive()) {
        interrupt()
      }
      return undefined
    }
    const starting = begin(undefined, undefined)
    const event = { _tag: "RunFinish", threadId, runId, termination: terminationOf(exit) } as const
    let finishing: Effect.Effect<void> | undefined
    if (isActive() && isChild) {
      recordForParent(event, now())
    } else if (isActive()) {
      finishing = emitter.step(event)
    }
    take(Stages.interrupt(progress, rules, now(), last.ordinal))
    return Emitter.both(starting, finishing)
  }

  const end = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, StagingFailed> =>
    Effect.suspend(() => {
      if (emitter.isClosed()) {
        return lane.close
      }
      const finishing = finish(exit)
      const closing = isChild ? Effect.void : emitter.close()
      const ending = Array.from(children.values(), (child) => child.end(exit))
      isOwned = false
      if (!isOff && hasBegun) {
        lane.stage([], { after: after() })
      }
      lane.hold(0)
      // One that cannot be saved keeps no other from being saved, and an audience that hangs keeps none.
      return Effect.forEach([...ending, lane.close], Effect.exit, { concurrency: "unbounded" }).pipe(
        Effect.flatMap((exits) => Exit.asVoidAll(exits)),
        Effect.ensuring(
          finishing === undefined ? Effect.void : Effect.timeoutOption(Effect.interruptible(finishing), farewell)
        ),
        Effect.ensuring(closing)
      )
    })

  const emitAll = Emitter.emitAll(step, credit)

  const actor: Actor = {
    threadId,
    runId,
    emit: Emitter.emit(step, credit),
    emitAll,
    tap: (stream) => Stream.mapArrayEffect(stream, (events) => Effect.as(emitAll(events), events)),
    message: (message) => putFact(Stages.ownFact(rules.frame, "committed_runtime_event", "MessageCommitted", message)),
    fact: (kind, schema, value) => {
      const encoded = Effect.map(Schema.encodeEffect(schema)(value), (payload) =>
        Stages.ownFact(rules.frame, "domain_event", kind as Kind as "CaptureGap", payload as never)
      )
      return Effect.flatMap(encoded, (fact) =>
        Effect.fromResult(Result.andThen(checkFact(fact.draft), StagedEvent.textOf)).pipe(
          Effect.andThen(
            Effect.suspend(() => {
              const { id, name } = Object(fact.draft.payload)
              if (kind === "ToolCallExecuting") {
                progress = { ...progress, calls: Calls.executing(progress.calls, id, name) }
              }
              return putFact(fact)
            })
          )
        )
      )
    },
    flush: (upTo) =>
      Effect.suspend(() => {
        actor.release()
        return lane.flush(upTo)
      }),
    status: Effect.sync(() => ({
      ...lane.health(),
      ordinal: emitter.ordinal(),
      shed,
      isClosed: emitter.isClosed()
    })),
    close: Effect.suspend(() => end(Exit.void)),
    waitingSince: () => Coalesce.since(progress.coalescing) ?? (progress.gaps.length > 0 ? 0 : undefined),
    release: () => {
      if (progress.gaps.length === 0 || lane.room() === "all") {
        take(Stages.release(progress, rules, now()))
        tell()
      }
    },
    end,
    failed: Deferred.await(failed),
    recordForParent
  }
  return actor
}

/** What is known of a run that is not in the ledger. */
export const newRun = (runId: string): Known => {
  const scope = { _tag: "Run", runId } as const
  return { isNew: true, saved: undefined, ordinal: 0, expected: { scope, cursor: Cursor.start(scope) }, children: [] }
}
