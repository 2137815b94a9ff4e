/**
 * The stages of a recorded run, one after the other: pure, one event at a time.
 */
import { Result } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { CanonicalEventDraft, KnownKind, NormalizedEvent } from "../CanonicalEvent.ts"
import { type DurabilityMode, shouldPersist } from "../Durability.ts"
import type { Room } from "../EventStager.ts"
import type { ForeignRun, ValidationError } from "../LedgerError.ts"
import type { Message } from "../Message.ts"
import type { Redactor } from "../Redaction.ts"
import * as Assemble from "./assemble.ts"
import * as Calls from "./calls.ts"
import * as Coalesce from "./coalesce.ts"
import * as Gap from "./gap.ts"
import { reopen } from "./reopen.ts"
import { initial as initialNormalizer, normalized, type RunFrame, type RunState, transition } from "./transition.ts"

/** What a run remembers between events. */
export interface Progress {
  readonly normalizer: RunState
  readonly assembly: Assemble.Assembly
  readonly coalescing: Coalesce.Coalescing
  readonly gaps: Gap.Gaps
  readonly calls: Calls.OpenCalls
}

export const initial = (frame: RunFrame): Progress => ({
  normalizer: initialNormalizer(frame.context, false),
  assembly: Assemble.initial,
  coalescing: Coalesce.initial,
  gaps: [],
  calls: []
})

/** Whether something waits for a later event, or for time to pass. */
export const isWaiting = ({ coalescing, gaps }: Progress): boolean => coalescing.rows.length > 0 || gaps.length > 0

const none: ReadonlyArray<Entry> = []

/** What does not change while a run is recorded. `exact` takes every stage off but the normalizer's transition. */
export interface Rules {
  readonly frame: RunFrame
  readonly durability: DurabilityMode
  readonly redactor: Redactor | undefined
  readonly exact: boolean
}

/** A fact in the making. A companion was caused by the fact before it that is none. */
export interface Entry {
  readonly normalized: NormalizedEvent
  readonly occurredAt: number
  readonly ordinal?: number | undefined
  readonly lastOrdinal?: number | undefined
  /** How many events it stands for, when they are several. */
  readonly events?: number
  readonly companion?: boolean
}

/** What an event became. */
export interface Advanced {
  readonly progress: Progress
  readonly entries: ReadonlyArray<Entry>
  /** Why the event is not recorded. */
  readonly problem?: ValidationError | ForeignRun
  /** The event is only counted, for there is no room. */
  readonly isShed?: boolean
}

const isObserved = ({ fidelity }: NormalizedEvent): boolean => fidelity === "observed_runtime_event"

/** A fact that the recorder itself brings. */
export const ownFact = <K extends KnownKind>(
  { context, scopes }: RunFrame,
  fidelity: NormalizedEvent["fidelity"],
  kind: K,
  payload: CanonicalEventDraft<K>["payload"]
): NormalizedEvent => normalized(context, fidelity, kind, scopes, payload)

const messageEntries = (
  frame: RunFrame,
  message: Message | undefined,
  occurredAt: number,
  ordinal: number
): ReadonlyArray<Entry> =>
  message === undefined
    ? none
    : [
        {
          normalized: ownFact(frame, "committed_runtime_event", "MessageCommitted", message),
          occurredAt,
          ordinal
        }
      ]

const joinedEntries = (joined: ReadonlyArray<Coalesce.Joined>): ReadonlyArray<Entry> =>
  joined.map(({ events, from, normalized, occurredAt, to }) => ({
    normalized,
    events,
    occurredAt,
    ordinal: from.ordinal,
    lastOrdinal: to.ordinal
  }))

const gapEntries = (frame: RunFrame, gaps: Gap.Gaps, occurredAt: number): ReadonlyArray<Entry> =>
  gaps.map((gap) => ({
    normalized: ownFact(frame, "control_event", "CaptureGap", gap),
    occurredAt,
    ordinal: gap.firstOrdinal,
    lastOrdinal: gap.lastOrdinal
  }))

/** Everything that waited for a later event, before what comes now. */
const settle = ({ coalescing, gaps }: Progress, frame: RunFrame, occurredAt: number): ReadonlyArray<Entry> => [
  ...joinedEntries(Coalesce.close(coalescing)),
  ...gapEntries(frame, gaps, occurredAt)
]

const settled = { coalescing: Coalesce.initial, gaps: [] }

/** Leaves an event out, and says so in its place. */
export const leaveOut = (
  progress: Progress,
  { frame }: Rules,
  reason: Gap.Gap["reason"],
  event: AgentEvent,
  place: Assemble.Place,
  occurredAt: number,
  problem?: ValidationError | ForeignRun
): Advanced => {
  const entries = joinedEntries(Coalesce.close(progress.coalescing))
  const gaps = Gap.add(progress.gaps, reason, event._tag, place.ordinal, problem?.message)
  const next = { ...progress, coalescing: Coalesce.initial, gaps }
  // Those that come in numbers are counted until there is room again; but no fact is staged while a gap is not.
  return problem === undefined && entries.length === 0
    ? { progress: next, entries, isShed: true }
    : {
        progress: { ...next, gaps: [] },
        entries: [...entries, ...gapEntries(frame, gaps, occurredAt)],
        ...(problem === undefined ? { isShed: true } : { problem })
      }
}

const exactly = (progress: Progress, rules: Rules, event: AgentEvent, place: Assemble.Place, occurredAt: number) => {
  const [normalizer, drafts] = transition(progress.normalizer, rules.frame, event, rules.durability)
  const next = { ...progress, normalizer }
  return Result.isFailure(drafts)
    ? { progress: next, entries: [], problem: drafts.failure }
    : {
        progress: next,
        entries: drafts.success
          .filter(({ fidelity }) => shouldPersist(rules.durability, fidelity))
          .map((normalized) => ({ normalized, occurredAt, ordinal: place.ordinal }))
      }
}

/**
 * What waits to be joined, when a delta brings nothing but more of it, or nothing that is kept: most events are such. What
 * else could become of one was found out with the first of its row.
 */
const goOn = (
  { coalescing, gaps }: Progress,
  durability: DurabilityMode,
  delta: Coalesce.Delta,
  place: Assemble.Place,
  occurredAt: number,
  room: Room
): Coalesce.Coalescing | undefined => {
  if (!shouldPersist(durability, "observed_runtime_event")) {
    return coalescing
  }
  return room === "all" && gaps.length === 0 ? Coalesce.goOn(coalescing, delta, place, occurredAt) : undefined
}

/** Takes an event through the stages. */
export const advance = (
  progress: Progress,
  rules: Rules,
  event: AgentEvent,
  place: Assemble.Place,
  occurredAt: number,
  room: Room
): Advanced => {
  const { durability, exact, frame, redactor } = rules
  if (exact) {
    return exactly(progress, rules, event, place, occurredAt)
  }
  if (Coalesce.isDelta(event)) {
    const coalescing = goOn(progress, durability, event, place, occurredAt, room)
    if (coalescing !== undefined) {
      const [assembly] = Assemble.assemble(progress.assembly, event, place)
      return { progress: { ...progress, assembly, coalescing }, entries: none }
    }
  }
  const [normalizer, drafts] = transition(reopen(progress.normalizer, event), frame, event, durability)
  const [assembly, message] = Assemble.assemble(progress.assembly, event, place)
  const next = { ...progress, normalizer, assembly, calls: Calls.after(progress.calls, event) }
  if (Result.isFailure(drafts)) {
    return leaveOut(next, rules, "refused", event, place, occurredAt, drafts.failure)
  }
  const kept =
    durability === "full_fidelity"
      ? drafts.success
      : drafts.success.filter(({ fidelity }) => shouldPersist(durability, fidelity))
  const said = messageEntries(frame, message, occurredAt, place.ordinal)
  if (kept.length === 0 && said.length === 0) {
    return { progress: next, entries: none }
  }
  // How a run starts and ends is always kept: there is little of it, and without it the run would never end.
  if (room === "nothing" && event._tag !== "RunStart" && event._tag !== "RunFinish") {
    const gaps = said.reduce(
      (gaps) => Gap.add(gaps, "store_away", "MessageCommitted", message?.fromOrdinal ?? place.ordinal),
      next.gaps
    )
    return leaveOut({ ...next, gaps }, rules, "store_away", event, place, occurredAt)
  }
  if (room === "facts" && kept.length > 0 && kept.every(isObserved)) {
    const left = leaveOut(next, rules, "overload", event, place, occurredAt)
    return said.length === 0
      ? left
      : {
          progress: { ...left.progress, ...settled },
          entries: [...left.entries, ...settle(left.progress, frame, occurredAt), ...said],
          isShed: true
        }
  }
  const [delta] = kept
  if (delta !== undefined && Coalesce.isDelta(event)) {
    const [before, open] =
      next.gaps.length === 0 && Coalesce.fits(next.coalescing, event)
        ? [[], next.coalescing]
        : [settle(next, frame, occurredAt), Coalesce.initial]
    const longer = Coalesce.add(open, event, delta, place, occurredAt)
    const [released, coalescing] = Coalesce.isFull(longer) ? Coalesce.release(longer, redactor) : [[], longer]
    return {
      progress: { ...next, gaps: [], coalescing },
      entries: [...before, ...joinedEntries(released)]
    }
  }
  const facts = kept.map(
    (normalized, index): Entry => ({ normalized, occurredAt, ordinal: place.ordinal, companion: index > 0 })
  )
  if (isWaiting(next)) {
    const waiting = settle(next, frame, occurredAt)
    return { progress: { ...next, ...settled }, entries: [...waiting, ...said, ...facts] }
  }
  return { progress: next, entries: said.length === 0 ? facts : [...said, ...facts] }
}

/** Lets go what only waits for time to pass. */
export const release = (progress: Progress, rules: Rules, occurredAt: number): Advanced => {
  const [released, coalescing] = Coalesce.release(progress.coalescing, rules.redactor)
  const gaps = coalescing.rows.length === 0 ? gapEntries(rules.frame, progress.gaps, occurredAt) : []
  return {
    progress: { ...progress, coalescing, gaps: coalescing.rows.length === 0 ? [] : progress.gaps },
    entries: [...joinedEntries(released), ...gaps]
  }
}

/** Puts a fact that no event brought after everything that came before it. */
export const insert = (
  progress: Progress,
  rules: Rules,
  normalized: NormalizedEvent,
  occurredAt: number
): Advanced => ({
  progress: { ...progress, ...settled },
  entries: [...settle(progress, rules.frame, occurredAt), { normalized, occurredAt }]
})

/** Lets everything go: what was said of a message whose end did not come is said in part. */
export const interrupt = (progress: Progress, rules: Rules, occurredAt: number, ordinal: number): Advanced => ({
  progress: { ...progress, ...settled, assembly: { ...progress.assembly, open: undefined } },
  entries: [
    ...settle(progress, rules.frame, occurredAt),
    ...messageEntries(rules.frame, Assemble.message(progress.assembly, true), occurredAt, ordinal)
  ]
})

/** The first delta that waits to be joined by others. */
export const heldRows = ({ coalescing }: Progress): Assemble.Place | undefined => Coalesce.from(coalescing)

/** How many characters wait for a later event. */
export const heldSize = ({ assembly, coalescing }: Progress): number => (assembly.open?.size ?? 0) + coalescing.size

/**
 * The place of the first event that is not yet recorded in full, if there is one: it, and all after it, must be sent again
 * after a crash.
 */
export const heldFrom = (progress: Progress): Assemble.Place | undefined => {
  const rows = heldRows(progress)
  const open = progress.assembly.open?.from
  return rows === undefined || (open !== undefined && open.ordinal < rows.ordinal) ? open : rows
}
