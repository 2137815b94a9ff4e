/**
 * Deltas of texts that become fewer, by the recorder's stage as they pass, and by AG-UI's client once all are there.
 */
import type { AgentEvent, CanonicalEvent } from "@runledger/core"
import { Effect } from "effect"
import * as Coalesce from "../../../core/src/internal/coalesce.ts"
import { ids } from "../events.ts"
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

const draft: CanonicalEvent.NormalizedEvent = {
  fidelity: "observed_runtime_event",
  draft: {
    scopes: [
      { _tag: "Thread", threadId: ids.threadId },
      { _tag: "Run", runId: ids.runId }
    ],
    kind: "TextDeltaObserved",
    payload: { _tag: "TextDelta", delta: "" },
    origin: "native",
    visibility: "public",
    schemaVersion: 1
  }
}

/** What the recorder's stage makes of the deltas: a delta goes on with its row until something else is said. */
const join = (all: ReadonlyArray<AgentEvent.AgentEvent>): ReadonlyArray<Coalesce.Joined> => {
  const joined: Array<Coalesce.Joined> = []
  let state = Coalesce.initial
  let ordinal = 0
  for (const event of all) {
    ordinal += 1
    const place = { ordinal, position: undefined }
    if (!Coalesce.isDelta(event)) {
      joined.push(...Coalesce.close(state))
      state = Coalesce.initial
      continue
    }
    const longer = Coalesce.goOn(state, event, place, ordinal) ?? Coalesce.add(state, event, draft, place, ordinal)
    const [released, rest] = Coalesce.isFull(longer) ? Coalesce.release(longer, undefined) : [[], longer]
    joined.push(...released)
    state = rest
  }
  return joined
}

/** Measures both, having seen that the same text comes out. */
export const prepare = (size: Size) =>
  Effect.gen(function* () {
    const compact = yield* compactEvents
    const texts = textsOf(size)
    const count = texts.length * deltasOfText
    const [mine, others] = [events(texts), agUiEvents(texts)]
    const rows = join(mine)
    const text = rows.map(({ normalized }) => Object(normalized.draft.payload).delta).join("")
    const theirText = compact(others)
      .map(({ delta = "" }) => delta)
      .join("")
    if (text !== theirText || rows.length >= count) {
      return yield* Effect.die("the texts are not the same, or nothing was put together")
    }
    return {
      ours: microsEach(
        count,
        Effect.sync(() => join(mine))
      ),
      theirs: microsEach(
        count,
        Effect.sync(() => compact(others))
      )
    }
  })
