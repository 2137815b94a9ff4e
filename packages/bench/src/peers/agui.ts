/**
 * Deltas of texts that become fewer, by the recorder as they pass, and by AG-UI's client once all are there.
 */
import { Durability, EventStager, MemoryEventStore, MemoryStager, type AgentEvent } from "@runledger/core"
import { Effect } from "effect"
import { ids } from "../events.ts"
import { recorderInto } from "../recording.ts"
import { microsEach, Missing, type Size } from "../Row.ts"

const deltasOfText = 1000

const deltas = Array.from({ length: deltasOfText }, (_, index) => `word ${index} `)

const textsOf = (size: Size): ReadonlyArray<string> => Array.from({ length: size.of(100) }, (_, text) => `msg-${text}`)

const events = (texts: ReadonlyArray<string>): ReadonlyArray<AgentEvent.AgentEvent> =>
  texts.flatMap(
    (messageId): ReadonlyArray<AgentEvent.AgentEvent> => [
      { _tag: "StepStart", messageId },
      ...deltas.map((delta) => ({ _tag: "TextDelta" as const, delta })),
      { _tag: "StepEnd" }
    ]
  )

interface AgUiEvent {
  readonly type: string
  readonly messageId: string
  readonly role?: "assistant"
  readonly delta?: string
}

const agUiEvents = (texts: ReadonlyArray<string>): ReadonlyArray<AgUiEvent> =>
  texts.flatMap(
    (messageId): ReadonlyArray<AgUiEvent> => [
      { type: "TEXT_MESSAGE_START", messageId, role: "assistant" },
      ...deltas.map((delta) => ({ type: "TEXT_MESSAGE_CONTENT", messageId, delta })),
      { type: "TEXT_MESSAGE_END", messageId }
    ]
  )

type Compact = (events: ReadonlyArray<AgUiEvent>) => ReadonlyArray<AgUiEvent>

/** An optional dependency: its name is no literal, so that types are checked without it. */
const client: string = "@ag-ui/client"

const compactEvents = Effect.tryPromise({
  try: async () => (await import(client)).compactEvents as Compact,
  catch: (cause) => cause as NodeJS.ErrnoException
}).pipe(
  Effect.catchIf(
    ({ code }) => code === "ERR_MODULE_NOT_FOUND",
    () => Effect.fail(new Missing({ message: `${client} is not installed: npm ci --include=optional` }))
  )
)

/** Records all events, until they are committed; gives what was staged, and what each delta cost. */
const record = (all: ReadonlyArray<AgentEvent.AgentEvent>, count: number) =>
  Effect.gen(function* () {
    const staging = MemoryStager.make()
    const stager = yield* Effect.provide(EventStager.EventStager, staging.layer)
    const recorder = yield* recorderInto(MemoryEventStore.layer)
    const run = yield* recorder.open({ ...ids, stager })
    const cost = yield* microsEach(count, Effect.andThen(run.emitAll(all), run.close))
    return { cost, facts: staging.units.flat() }
  }).pipe(Effect.provideService(Durability.Durability, "full_fidelity"), Effect.scoped)

/** Measures both, having seen that the same text comes out. */
export const prepare = (size: Size) =>
  Effect.gen(function* () {
    const compact = yield* compactEvents
    const texts = textsOf(size)
    const count = texts.length * deltasOfText
    const [mine, others] = [events(texts), agUiEvents(texts)]
    const { facts } = yield* record(mine, count)
    const rows = facts.filter(({ kind }) => kind === "TextDeltaObserved")
    const text = rows.map(({ payload }) => JSON.parse(payload).delta).join("")
    const theirText = compact(others)
      .map(({ delta = "" }) => delta)
      .join("")
    if (text !== theirText || rows.length >= count) {
      return yield* Effect.die("the texts are not the same, or nothing was put together")
    }
    return {
      ours: Effect.map(record(mine, count), ({ cost }) => cost),
      theirs: microsEach(
        count,
        Effect.sync(() => compact(others))
      )
    }
  })
