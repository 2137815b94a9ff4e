/**
 * The actor of a run: its private state, and its steps, one after the other. It has no fiber.
 */
import { Cause, Deferred, type Duration, Effect, Exit, type Fiber, HashSet, Result, Schema, Stream } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import { type Kind, type NormalizedEvent, validate } from "../CanonicalEvent.ts"
import * as Cursor from "../Cursor.ts"
import { Durability, type DurabilityMode } from "../Durability.ts"
import type { After, EventStagerShape, Lane } from "../EventStager.ts"
import type { Expected, Writer } from "../EventStore.ts"
import { ForeignRun, type StagingFailed, ValidationError } from "../LedgerError.ts"
import type { TerminationReason } from "../Lifecycle.ts"
import { type Envelope, LiveSink, type LiveSinkShape } from "../LiveSink.ts"
import { Redaction, type Redactor } from "../Redaction.ts"
import type { RunOptions, RunShape } from "../Run.ts"
import * as StagedEvent from "../StagedEvent.ts"
import * as Assemble from "./assemble.ts"
import * as Calls from "./calls.ts"
import { type AboutRun, Children, type Parent, type Said } from "./children.ts"
import * as Coalesce from "./coalesce.ts"
import * as Emitter from "./emitter.ts"
import * as Gap from "./gap.ts"
import { identify, type Limits } from "./identify.ts"
import type { OpenInput } from "./input.ts"
import { ofRecovery } from "./interrupted.ts"
import { type NotRecorded, notRecorded, OnNotRecorded } from "./notRecorded.ts"
import { redact } from "./redact.ts"
import * as RunState from "./runState.ts"
import * as Stages from "./stages.ts"
import { frame } from "./transition.ts"

/** What the actors of a recorder share. */
export interface Shared extends Emitter.Environment {
  readonly stager: EventStagerShape
  readonly owner: Writer
  readonly exact: boolean
  readonly maxEventBytes: number
  /** Asks to be called to `release`, when the time has come: the actor holds something back. */
  readonly wait: (actor: Actor) => void
  /** How long a run that ends waits for the ledger. */
  readonly closeTimeout: Duration.Input
  /** Opens a run that is recorded by way of another, and says what came of it, also when it is interrupted. */
  readonly openChild: (
    env: Environment,
    options: RunOptions,
    opened: (exit: Exit.Exit<Actor, unknown>) => void
  ) => Effect.Effect<void>
  /** Nobody has the run open any more. */
  readonly closed: (actor: Actor) => void
  /** Counts an event that is not recorded. */
  readonly shed: () => void
}

/** What a run is recorded with. A run keeps it as long as it is open, so it holds no more than it must. */
export interface Environment {
  readonly live: LiveSinkShape
  readonly durability: DurabilityMode
  readonly redactor: Redactor | undefined
  readonly onNotRecorded: (error: NotRecorded) => Effect.Effect<void>
}

export const environment: Effect.Effect<Environment> = Effect.gen(function* () {
  return {
    live: yield* LiveSink,
    durability: yield* Durability,
    redactor: yield* Redaction,
    onNotRecorded: yield* OnNotRecorded
  }
})

/** What the ledger knows of a run: its saved state, its last ordinal, and the end of its scope. */
export interface Known {
  readonly isNew: boolean
  readonly saved: RunState.Saved | undefined
  readonly ordinal: number
  readonly expected: Expected
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

  /** Whether the run has not ended. */
  readonly isActive: () => boolean

  /** Records an event of this run that was delivered as one of its parent. */
  readonly recordForParent: (said: Said) => void
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

/**
 * A run. There may be thousands, most of them idle, so what it can do is on the prototype; what its user may pass on as a
 * function is made when it is asked for.
 */
class RunActor implements Actor, Parent {
  readonly threadId: string
  readonly runId: string
  readonly emit: RunShape["emit"]
  private readonly env: Environment
  private readonly shared: Shared
  private readonly options: RunOptions
  private readonly saved: RunState.Saved | undefined
  private readonly isNew: boolean
  private readonly rules: Stages.Rules
  private readonly lane: Lane
  private readonly emitter: Emitter.Emitter
  private readonly failure = Deferred.makeUnsafe<never, StagingFailed>()
  /** Up to this position, the ledger has what the events of the input became. */
  private readonly replayed: number
  private readonly children: Children
  private progress: Stages.Progress
  private last: Assemble.Place
  private savedOrdinal: number
  /** The last state that was saved, and what it was made of: most facts change none of it. */
  private lastState: { readonly parts: ReadonlyArray<unknown>; readonly text: string } | undefined
  /** The position of the first event of which a gap that is not staged tells. */
  private gapFrom: number | undefined
  private isReplaying: boolean
  private isInLedger: boolean
  private hasBegun = false
  /** Facts that were put before anything was said: they come after the start. */
  private early: ReadonlyArray<Stages.Entry> = []
  private isOwned = true
  private shed = 0
  private wasShed = false
  /** It is recorded by way of its parent. */
  private readonly isChild: boolean

  constructor(env: Environment, shared: Shared, options: RunOptions, known: Known, isChild: boolean) {
    const { correlationId, origin = "native", runId, threadId } = options
    const context = { threadId, runId, origin, ...(correlationId === undefined ? {} : { correlationId }) }
    const { saved } = known
    this.threadId = threadId
    this.runId = runId
    this.env = env
    this.shared = shared
    this.options = options
    this.saved = saved
    this.isNew = known.isNew
    this.isChild = isChild
    this.children = new Children(this, saved?.children ?? [])
    this.rules = { frame: frame(context), durability: env.durability, redactor: env.redactor, exact: shared.exact }
    const { input } = this
    this.lane = (options.stager ?? shared.stager).lane({
      writers: input?.writer === undefined ? [shared.owner] : [shared.owner, { ...input.writer, highWater: 0 }],
      expected: known.expected,
      onFailure: (failure) => {
        input?.fail(failure)
        Deferred.doneUnsafe(this.failure, Exit.fail(failure))
      },
      onGivenUp: () => {
        if (this.emitter.isClosed) {
          shared.closed(this)
        }
      }
    })
    const initial = Stages.initial(this.rules.frame)
    this.progress =
      saved === undefined || shared.exact
        ? initial
        : {
            ...initial,
            normalizer: RunState.normalizerState(saved, context),
            assembly: { step: saved.step, open: undefined },
            calls: saved.calls
          }
    this.replayed = saved?.inputs.find(({ writer }) => writer === input?.writer?.writer)?.position ?? 0
    this.isReplaying = this.replayed > 0
    this.last = { ordinal: known.ordinal, position: this.replayed }
    this.savedOrdinal = known.ordinal
    this.isInLedger = !known.isNew
    this.emitter = new Emitter.Emitter(env.live, shared, this, known.ordinal)
    this.emit = (event, position) =>
      Effect.suspend(() => Emitter.both(this.step(event, position), this.credit()) ?? Effect.void)
  }

  private get input(): OpenInput | undefined {
    return this.options.input as OpenInput | undefined
  }

  private get isOff(): boolean {
    return this.env.durability === "disabled"
  }

  private get limits(): Limits {
    return this.shared.exact
      ? { redactor: undefined, maxEventBytes: Number.POSITIVE_INFINITY }
      : { redactor: this.env.redactor, maxEventBytes: this.shared.maxEventBytes }
  }

  /** The last event that is staged with all before it. */
  private through(): Assemble.Place {
    const held = Stages.heldRows(this.progress)
    return held === undefined
      ? this.last
      : { ordinal: held.ordinal - 1, position: held.position === undefined ? undefined : held.position - 1 }
  }

  private after(): After {
    const { isOwned, progress, runId } = this
    const { ordinal, position } = this.through()
    const { labels } = this.options
    // The text is made later, of what is so now.
    const children = this.children.active
    const state = () => this.stateAfter(progress, position, isOwned, children)
    return labels === undefined ? { runId, ordinal, state } : { runId, ordinal, state, labels }
  }

  private stateAfter(
    { assembly, calls, normalizer }: Stages.Progress,
    position: number | undefined,
    isOwned: boolean,
    children: ReadonlyArray<string>
  ): string {
    const { lastState } = this
    const fromOrdinal = assembly.open?.from.ordinal
    const parts = [normalizer, assembly.step, calls, fromOrdinal, position, isOwned, children]
    if (lastState?.parts.every((part, index) => part === parts[index]) === true) {
      return lastState.text
    }
    const { env, input, rules, shared } = this
    const { inputs = [] } = this.saved ?? {}
    const text = RunState.encode({
      ...(isOwned ? { owner: { writer: shared.owner.writer, epoch: shared.owner.epoch } } : {}),
      ...RunState.ofNormalizer(normalizer, rules.frame.context),
      step: assembly.step,
      calls: withoutSecrets(calls, env.redactor),
      ...(fromOrdinal === undefined ? {} : { fromOrdinal }),
      inputs:
        input?.writer === undefined || position === undefined
          ? inputs
          : [
              ...inputs.filter(({ writer }) => writer !== input.writer?.writer),
              { writer: input.writer.writer, position }
            ],
      children
    })
    this.lastState = { parts, text }
    return text
  }

  private stage(entries: ReadonlyArray<Stages.Entry>): void {
    this.lane.hold(Stages.heldSize(this.progress))
    if (entries.length > 0) {
      const after = this.after()
      const { problems, unit } = identify(entries, this.limits)
      this.children.inOrder(() => Result.getOrThrow(this.lane.stage(unit, { after })))
      for (const { error, ordinal, tag } of problems) {
        this.leftOut(tag, ordinal, error)
      }
      this.savedOrdinal = after.ordinal
      this.isInLedger ||= entries.some(({ normalized }) => normalized.draft.scopes.some(({ _tag }) => _tag === "Run"))
    }
    if (Stages.isWaiting(this.progress)) {
      this.shared.wait(this)
    }
  }

  /** Says how far the input has come. The ordinals of events that left no fact are saved with the ack that covers them. */
  private tell(): void {
    const { input, last, progress } = this
    if (progress.gaps.length === 0) {
      this.gapFrom = undefined
    }
    if (input === undefined || last.position === undefined) {
      return
    }
    const from = Stages.heldFrom(progress)?.position
    if (this.children.isOpening) {
      const waiting = this.children.from ?? last.position
      input.taken(this.runId, last.position, Math.min(from ?? waiting, waiting), "as before")
      return
    }
    if (progress.gaps.length > 0) {
      // What is only counted is sent again after a crash, as long as its gap is not staged.
      this.gapFrom ??= last.position
      input.taken(this.runId, last.position, Math.min(from ?? this.gapFrom, this.gapFrom), "as before")
      return
    }
    const isUnsaved = this.isInLedger && input.writer !== undefined && this.through().ordinal > this.savedOrdinal
    input.taken(this.runId, last.position, from, isUnsaved ? this.after() : undefined)
  }

  private take({ entries, progress }: Stages.Advanced): void {
    this.progress = progress
    this.stage(entries)
  }

  private put(fact: NormalizedEvent): void {
    this.take(Stages.insert(this.progress, this.rules, fact, this.shared.now()))
  }

  private isForeign(event: AgentEvent): event is AboutRun {
    return (
      !this.shared.exact &&
      (event._tag === "RunStart" || event._tag === "RunFinish") &&
      (event.runId !== this.runId || event.threadId !== this.threadId)
    )
  }

  /** Has a child record what is said of it; false when the event is about none. */
  private recordForChild(event: AboutRun, occurredAt: number): boolean {
    // What the child says to the input must not be all that this run has to say of the event.
    if (this.last.position !== undefined) {
      this.input?.holdFrom(this.runId, this.last.position)
    }
    return this.children.record({ event, occurredAt, place: this.last })
  }

  private recordForeign(event: AboutRun, occurredAt: number): Stages.Advanced {
    return this.recordForChild(event, occurredAt)
      ? { progress: this.progress, entries: [] }
      : this.leaveOut(
          { event, occurredAt, place: this.last },
          "which is not its parent; open that run and emit it there"
        )
  }

  private leaveOut({ event, occurredAt, place }: Said, why: string): Stages.Advanced {
    const problem = new ForeignRun({
      message: `a ${event._tag} of run ${JSON.stringify(event.runId)} in thread ${JSON.stringify(event.threadId)} was emitted into run ${JSON.stringify(this.runId)} in thread ${JSON.stringify(this.threadId)}, ${why}`,
      runId: event.runId
    })
    return Stages.leaveOut(this.progress, this.rules, "refused", event, place, occurredAt, problem)
  }

  openChild(threadId: string, runId: string, opened: (exit: Exit.Exit<Actor, unknown>) => void): Fiber.Fiber<void> {
    const { labels: _, ...inherited } = this.options
    return this.shared.start(this.shared.openChild(this.env, { ...inherited, threadId, runId }, opened))
  }

  refuse(said: Said, cause: unknown): void {
    const advanced = this.leaveOut(
      said,
      `but cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`
    )
    this.take(advanced)
    this.leftOut(said.event._tag, said.place.ordinal, advanced.problem)
  }

  caughtUp(): void {
    this.tell()
  }

  private countShed(): void {
    this.shed += 1
    this.shared.shed()
  }

  private leftOut(tag: string, ordinal: number, cause: unknown): void {
    this.countShed()
    this.shared.start(notRecorded(this.env.onNotRecorded, tag, ordinal, cause))
  }

  /** Takes an event through the stages; what becomes of it is for `take`. */
  private advance(envelope: Envelope): Stages.Advanced {
    const { event, occurredAt } = envelope
    const room = this.lane.room()
    const advanced = this.isForeign(event)
      ? this.recordForeign(event, occurredAt)
      : Stages.advance(this.progress, this.rules, event, this.last, occurredAt, room)
    this.wasShed = room === "facts" && advanced.entries.length === 0
    if (advanced.problem !== undefined) {
      this.leftOut(event._tag, envelope.ordinal, advanced.problem)
    } else if (advanced.isShed === true) {
      this.countShed()
    }
    return advanced
  }

  /**
   * Counts what failed in a way that nobody foresaw: the event, when it did not get through the stages, so that what waited
   * is not lost with it; else the facts that could not be staged.
   */
  private countFailed(
    before: Stages.Progress,
    advanced: Stages.Advanced | undefined,
    envelope: Envelope,
    defect: unknown
  ): void {
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
    const { normalizer } = before
    this.progress = { ...(advanced?.progress ?? before), normalizer, gaps: this.shared.exact ? [] : gaps }
    this.shared.wait(this)
    this.leftOut(envelope.event._tag, envelope.ordinal, defect)
  }

  record(envelope: Envelope, position: number | undefined): void {
    // Nobody asks how far it came.
    if (this.isOff && this.input === undefined) {
      return
    }
    this.last = { ordinal: envelope.ordinal, position }
    const before = this.progress
    let advanced: Stages.Advanced | undefined
    try {
      if (!this.isOff) {
        advanced = this.advance(envelope)
        this.take(advanced)
      }
    } catch (defect) {
      this.countFailed(before, advanced, envelope, defect)
    }
    this.tell()
  }

  /** What the ledger has of an open message, it has not kept: its pieces are put together again. */
  private replay(event: AgentEvent, position: number): void {
    this.last = { ordinal: this.last.ordinal, position }
    if (this.isForeign(event)) {
      // The ledger of a child tells how far that one has come.
      this.recordForChild(event, this.shared.now())
    } else {
      const [assembly] = Assemble.assemble(this.progress.assembly, event, this.last)
      this.progress = { ...this.progress, assembly }
      this.lane.hold(Stages.heldSize(this.progress))
    }
    this.tell()
  }

  private endReplay(): void {
    this.isReplaying = false
    const { open } = this.progress.assembly
    const { fromOrdinal, step = 0 } = this.saved ?? {}
    this.progress = {
      ...this.progress,
      assembly: {
        step,
        open:
          open === undefined || fromOrdinal === undefined
            ? undefined
            : { ...open, from: { ...open.from, ordinal: fromOrdinal } }
      }
    }
  }

  /** A run starts, or goes on, with the first that is said of it, whether that says so or not. */
  private begin(first: AgentEvent | undefined, position: number | undefined): Effect.Effect<void> | undefined {
    if (this.isReplaying) {
      this.endReplay()
    }
    if (this.hasBegun || this.emitter.isClosed) {
      return undefined
    }
    this.hasBegun = true
    const isStart = first?._tag === "RunStart" && !this.isForeign(first)
    // What a producer says of a run after its finish was so before, too.
    const isAfterwards = this.input?.writer !== undefined && this.saved?.ended === true
    if (this.shared.exact || isStart || isAfterwards || (this.isChild && this.isNew)) {
      return undefined
    }
    const start = { _tag: "RunStart", threadId: this.threadId, runId: this.runId } as const
    let starting: Effect.Effect<void> | undefined
    if (this.isNew) {
      // The first event itself is not recorded with it.
      starting = this.emitter.step(start, position === undefined ? undefined : position - 1)
    } else if (!this.isOff) {
      this.progress = { ...this.progress, normalizer: { ...this.progress.normalizer, terminal: none } }
      this.put(ofRecovery(this.rules.frame, "RunResumed", start))
    }
    this.putEarly()
    return starting
  }

  private putEarly(): void {
    const { early } = this
    this.early = []
    for (const { normalized, occurredAt } of early) {
      this.take(Stages.insert(this.progress, this.rules, normalized, occurredAt))
    }
  }

  private isReplay(position: number | undefined): position is number {
    return this.isReplaying && position !== undefined && position <= this.replayed
  }

  private step(event: AgentEvent, at?: number): Effect.Effect<void> | undefined {
    const position = at ?? this.input?.next()
    if (this.isReplay(position) && !this.emitter.isClosed) {
      this.replay(event, position)
      return undefined
    }
    const starting = this.begin(event, position)
    const stepping = this.emitter.step(event, position)
    if (this.early.length > 0) {
      this.putEarly()
    }
    return Emitter.both(starting, stepping)
  }

  private credit(): Effect.Effect<void> | undefined {
    return this.children.credit() ?? (this.wasShed ? undefined : this.lane.credit())
  }

  get emitAll(): RunShape["emitAll"] {
    return Emitter.emitAll(
      (event) => this.step(event),
      () => this.credit()
    )
  }

  get tap(): RunShape["tap"] {
    const { emitAll } = this
    return (stream) => Stream.mapArrayEffect(stream, (events) => Effect.as(emitAll(events), events))
  }

  private putFact(fact: NormalizedEvent): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.emitter.isClosed) {
        return Emitter.refuse(fact.draft.kind)
      }
      if (this.isOff) {
        return Effect.void
      }
      if (this.hasBegun && !this.isReplaying) {
        this.put(fact)
      } else {
        this.early = [...this.early, { normalized: fact, occurredAt: this.shared.now() }]
      }
      return this.credit() ?? Effect.void
    })
  }

  get message(): RunShape["message"] {
    return (message) =>
      this.putFact(Stages.ownFact(this.rules.frame, "committed_runtime_event", "MessageCommitted", message))
  }

  get messageSoFar(): RunShape["messageSoFar"] {
    return Effect.suspend(() => {
      const said = Assemble.message(this.progress.assembly, true)
      return said === undefined || this.isReplaying ? Effect.void : this.message(said)
    })
  }

  get part(): RunShape["part"] {
    return (part) =>
      Effect.suspend(() => {
        if (this.emitter.isClosed) {
          return Emitter.refuse(part._tag)
        }
        if (this.isOff || this.shared.exact) {
          return Effect.void
        }
        const starting = this.isReplaying ? undefined : this.begin(undefined, undefined)
        const { ordinal, position } = this.last
        const next = { ordinal: ordinal + 1, position: position === undefined ? undefined : position + 1 }
        this.progress = { ...this.progress, assembly: Assemble.add(this.progress.assembly, part, next) }
        this.lane.hold(Stages.heldSize(this.progress))
        return Emitter.both(starting, this.credit()) ?? Effect.void
      })
  }

  get fact(): RunShape["fact"] {
    return (kind, schema, value) => {
      const encoded = Effect.map(Schema.encodeEffect(schema)(value), (payload) =>
        Stages.ownFact(this.rules.frame, "domain_event", kind as Kind as "CaptureGap", payload as never)
      )
      return Effect.flatMap(encoded, (fact) =>
        Effect.fromResult(Result.andThen(checkFact(fact.draft), StagedEvent.textOf)).pipe(
          Effect.andThen(
            Effect.suspend(() => {
              const { id, name } = Object(fact.draft.payload)
              if (kind === "ToolCallExecuting") {
                this.progress = { ...this.progress, calls: Calls.executing(this.progress.calls, id, name) }
              }
              return this.putFact(fact)
            })
          )
        )
      )
    }
  }

  get flush(): RunShape["flush"] {
    return (upTo) =>
      Effect.suspend(() => {
        const starting = this.early.length > 0 ? this.begin(undefined, undefined) : undefined
        const flushing = Effect.suspend(() => {
          this.release()
          return Effect.all([this.lane.flush(upTo), ...this.children.flush()], { discard: true })
        })
        return Effect.andThen(Effect.andThen(starting ?? Effect.void, this.children.opened()), flushing)
      })
  }

  get status(): RunShape["status"] {
    return Effect.sync(() => ({
      ...this.lane.health(),
      ordinal: this.emitter.ordinal,
      shed: this.shed,
      isClosed: this.emitter.isClosed
    }))
  }

  get close(): RunShape["close"] {
    return Effect.suspend(() => this.end(Exit.void))
  }

  waitingSince(): number | undefined {
    return Coalesce.since(this.progress.coalescing) ?? (this.progress.gaps.length > 0 ? 0 : undefined)
  }

  release(): void {
    if (this.progress.gaps.length === 0 || this.lane.room() === "all") {
      this.take(Stages.release(this.progress, this.rules, this.shared.now()))
      this.tell()
    }
  }

  recordForParent({ event, occurredAt, place: { position } }: Said): void {
    if (this.isReplay(position)) {
      this.replay(event, position)
      return
    }
    this.begin(event, position)
    this.record({ event, occurredAt, ordinal: this.last.ordinal + 1 }, position)
  }

  isActive(): boolean {
    return (this.hasBegun || this.isChild) && !HashSet.has(this.progress.normalizer.terminal, this.runId)
  }

  /** Stops where the input stops, in one unit. What is open is sent again by who sends what was not acked. */
  private interrupt(): void {
    const { last, progress, rules, runId, threadId } = this
    const stopped = Stages.interrupt(progress, rules, this.shared.now(), last.ordinal)
    const normalized = ofRecovery(rules.frame, "RunInterrupted", { threadId, runId, openCalls: progress.calls })
    this.take({
      progress: { ...stopped.progress, assembly: progress.assembly },
      entries: this.isActive() ? [...stopped.entries, { normalized, occurredAt: this.shared.now() }] : stopped.entries
    })
  }

  private finish(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    const { runId, threadId } = this
    // A child of which nothing was said since its parent went on stays as it was.
    if (this.isOff || this.shared.exact || (this.isChild && !this.hasBegun)) {
      return undefined
    }
    if (this.input !== undefined) {
      if (this.hasBegun) {
        this.interrupt()
      }
      return undefined
    }
    const starting = this.begin(undefined, undefined)
    const event = { _tag: "RunFinish", threadId, runId, termination: terminationOf(exit) } as const
    let finishing: Effect.Effect<void> | undefined
    if (this.isActive() && this.isChild) {
      this.recordForParent({ event, place: this.last, occurredAt: this.shared.now() })
    } else if (this.isActive()) {
      finishing = this.emitter.step(event)
    }
    this.take(Stages.interrupt(this.progress, this.rules, this.shared.now(), this.last.ordinal))
    return Emitter.both(starting, finishing)
  }

  /** What was sent and not answered may still be committed: nobody may go on with the run before that is over. */
  private get settled(): Effect.Effect<void> {
    return Effect.sync(() => {
      const { committed, lost, staged } = this.lane.health()
      if (committed + lost >= staged) {
        this.shared.closed(this)
      }
    })
  }

  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, StagingFailed> {
    return Effect.suspend(() => {
      if (this.emitter.isClosed) {
        return Effect.ensuring(this.lane.close, this.settled)
      }
      const finishing = this.finish(exit)
      const closing = this.isChild ? Effect.void : this.emitter.close()
      this.isOwned = false
      if (!this.isOff && this.hasBegun) {
        this.children.inOrder(() => this.lane.stage([], { after: this.after() }))
      }
      this.lane.hold(0)
      // One that cannot be saved keeps no other from being saved, and an audience that hangs keeps none.
      return this.children.openedWithin(this.shared.closeTimeout).pipe(
        Effect.andThen(
          Effect.suspend(() =>
            Effect.forEach([...this.children.end(exit), this.lane.close], Effect.exit, { concurrency: "unbounded" })
          )
        ),
        Effect.flatMap((exits) => Exit.asVoidAll(exits)),
        Effect.ensuring(
          finishing === undefined ? Effect.void : Effect.timeoutOption(Effect.interruptible(finishing), farewell)
        ),
        Effect.ensuring(closing),
        Effect.ensuring(this.settled)
      )
    })
  }

  get failed(): Effect.Effect<never, StagingFailed> {
    return Deferred.await(this.failure)
  }
}

const none = HashSet.empty<string>()

/** The calls as they may be saved; none, where that cannot be told. */
const withoutSecrets = (calls: Calls.OpenCalls, redactor: Redactor | undefined): Calls.OpenCalls => {
  try {
    return redactor === undefined ? calls : (redact(redactor, calls) as Calls.OpenCalls)
  } catch {
    return []
  }
}

export const make = (env: Environment, shared: Shared, options: RunOptions, known: Known, isChild = false): Actor =>
  new RunActor(env, shared, options, known, isChild)

/** What is known of a run that is not in the ledger. */
export const newRun = (runId: string): Known => {
  const scope = { _tag: "Run", runId } as const
  return { isNew: true, saved: undefined, ordinal: 0, expected: { scope, cursor: Cursor.start(scope) } }
}
