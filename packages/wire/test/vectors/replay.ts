/**
 * Replays golden vectors of the seed; FORMAT.md beside this file says what a line holds.
 */
import {
  CanonicalEvent,
  Durability,
  EventSink,
  EventStager,
  Json,
  LiveSink,
  MemoryStager,
  Normalizer,
  type RunContext,
  type StagedEvent
} from "@runledger/core"
import { Awaken } from "@runledger/wire"
import { Effect, Layer, Result } from "effect"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"

interface ErrorExpectation {
  readonly class: string
  readonly message: string
}

interface DraftExpectation {
  readonly fidelity: string
  readonly draft?: unknown
  readonly scope_ids?: { readonly thread_id?: string; readonly run_id?: string }
  readonly digest?: string
  readonly draft_text?: string
  readonly kind?: string
  readonly payload?: unknown
}

interface EventExpectation {
  readonly deserialize_error?: ErrorExpectation
  readonly error?: ErrorExpectation
  readonly out?: ReadonlyArray<DraftExpectation>
  readonly staged?: ReadonlyArray<number>
  readonly drafts_sha256?: string
}

export interface Vector {
  readonly name: string
  readonly topic?: string
  readonly context: unknown
  readonly context_unchecked?: boolean
  readonly resumed: boolean
  readonly mode: Durability.DurabilityMode
  readonly compact?: boolean
  readonly events?: ReadonlyArray<unknown>
  readonly events_text?: ReadonlyArray<string>
  readonly expect: { readonly context_error?: ErrorExpectation; readonly events?: ReadonlyArray<EventExpectation> }
}

/** The vectors of a file, plain or gzipped JSON Lines. */
export const read = (path: string): ReadonlyArray<Vector> => {
  const bytes = readFileSync(path)
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
}

type Problem = string | undefined

const differ = (what: string, expected: unknown, actual: unknown): Problem => {
  const [left, right] = [expected, actual].map((value) => (typeof value === "string" ? value : Json.canonical(value)))
  return left === right ? undefined : `${what}: expected ${left}, got ${right}`
}

const compareDraft = (
  input: unknown,
  expected: DraftExpectation,
  { draft, fidelity }: CanonicalEvent.NormalizedEvent
): Problem => {
  const wire = Awaken.encodeDraft(draft)
  const { runId: run_id, threadId: thread_id } = CanonicalEvent.scopeIds(draft.scopes)
  return (
    differ("fidelity", expected.fidelity, fidelity) ??
    (expected.draft === undefined
      ? (differ("kind", expected.kind, draft.kind) ??
        differ("payload", expected.payload === "=event" ? input : expected.payload, wire["payload"]))
      : (differ("scope ids", expected.scope_ids, JSON.parse(JSON.stringify({ thread_id, run_id }))) ??
        differ("digest", expected.digest, Awaken.digestText(draft)) ??
        (expected.draft_text === undefined
          ? differ("draft", expected.draft, wire)
          : differ("draft text", expected.draft_text, Awaken.draftText(draft)))))
  )
}

const compareDrafts = (
  input: unknown,
  expected: EventExpectation,
  drafts: ReadonlyArray<CanonicalEvent.NormalizedEvent>
): Problem => {
  const out = expected.out ?? []
  const hash = createHash("sha256")
    .update(drafts.map(({ draft }) => `${Awaken.draftText(draft)}\n`).join(""))
    .digest("hex")
    .slice(0, 32)
  return (
    differ("number of drafts", out.length, drafts.length) ??
    drafts.map((draft, index) => compareDraft(input, out[index] ?? { fidelity: "" }, draft)).find(Boolean) ??
    (expected.drafts_sha256 === undefined ? undefined : differ("hash of drafts", expected.drafts_sha256, hash))
  )
}

/** A sink whose live events and staged units can be looked at. */
const makeSink = (context: RunContext.RunContext, vector: Vector) => {
  const live: Array<unknown> = []
  const units: Array<StagedEvent.StagedUnit> = []
  // The seed has ids that no store can keep, so this stager keeps them all.
  const stager = Layer.effect(
    EventStager.EventStager,
    Effect.map(EventStager.EventStager, ({ lane }) => ({
      lane: (options) => ({ ...lane(options), stage: (unit) => Result.succeed(void units.push(unit)) })
    }))
  ).pipe(Layer.provide(MemoryStager.layer))
  const sink = EventSink.make.pipe(
    Effect.provideService(LiveSink.LiveSink, { deliver: ({ event }) => void live.push(event) }),
    Effect.provide(stager),
    Effect.provideService(EventSink.OnNotRecorded, () => Effect.void),
    Effect.provideService(Durability.Durability, vector.mode),
    Effect.provide(Layer.effect(Normalizer.Normalizer, Normalizer.make(context, { resumed: vector.resumed }))),
    Effect.runSync
  )
  return { sink, live, units }
}

/** The first thing in which this implementation does not do as the vector says, if there is one. */
export const replay = (vector: Vector): Problem => {
  const context: Result.Result<RunContext.RunContext, { readonly message: string }> = vector.context_unchecked
    ? Awaken.decodeRunContextUnchecked(vector.context)
    : Awaken.decodeRunContext(vector.context)
  if (Result.isFailure(context) || vector.expect.context_error !== undefined) {
    return differ(
      "context",
      vector.expect.context_error?.message ?? "none",
      Result.isFailure(context) ? context.failure.message : "none"
    )
  }
  const normalizer = Effect.runSync(Normalizer.make(context.success, { resumed: vector.resumed }))
  const { live, sink, units } = makeSink(context.success, vector)
  const inputs = vector.events_text ?? vector.events ?? []
  for (const [index, input] of inputs.entries()) {
    const expected = vector.expect.events?.[index] ?? {}
    const decoded = vector.events_text ? Awaken.parseAgentEvent(String(input)) : Awaken.decodeAgentEvent(input)
    if (Result.isFailure(decoded) || expected.deserialize_error !== undefined) {
      const problem = differ(
        "reading",
        expected.deserialize_error?.class ?? "an event",
        Result.isFailure(decoded) ? decoded.failure.reason : "an event"
      )
      if (problem !== undefined) {
        return `event ${index}, ${problem}`
      }
      continue
    }
    live.length = 0
    const before = units.length
    Effect.runSync(sink.emit(decoded.success))
    const drafts = normalizer.normalizeMany(decoded.success)
    const kept =
      Result.isSuccess(drafts) && expected.error === undefined
        ? (expected.staged ?? []).map((place) => drafts.success[place]?.draft)
        : []
    const problem =
      (live.length === 1 && live[0] === decoded.success ? undefined : "the live event was not forwarded as it was") ??
      (Result.isFailure(drafts) || expected.error !== undefined
        ? differ("error", expected.error?.message ?? "none", Result.isFailure(drafts) ? drafts.failure.message : "none")
        : compareDrafts(input, expected, drafts.success)) ??
      differ(
        "staged",
        kept.map((draft) => [draft?.kind, JSON.stringify(draft?.payload)]),
        units
          .slice(before)
          .flat()
          .map(({ kind, payload }) => [kind, payload])
      )
    if (problem !== undefined) {
      return `event ${index}, ${problem}`
    }
  }
  return undefined
}
