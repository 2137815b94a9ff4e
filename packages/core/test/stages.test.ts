import { assert, describe, it } from "@effect/vitest"
import { type AgentEvent, CanonicalEvent, Json, LedgerError, Redaction, StagedEvent } from "@runledger/core"
import { Arbitraries } from "@runledger/testing"
import { Arbitrary, Redacted, Result, Schema, Struct } from "effect"
import * as Calls from "../src/internal/calls.ts"
import * as Coalesce from "../src/internal/coalesce.ts"
import * as Gap from "../src/internal/gap.ts"
import { identify, type Limits } from "../src/internal/identify.ts"
import { quarantine } from "../src/internal/quarantine.ts"
import { redact, redactText } from "../src/internal/redact.ts"
import { remnant } from "../src/internal/remnant.ts"
import * as RunState from "../src/internal/runState.ts"
import * as Stages from "../src/internal/stages.ts"
import { sha256 } from "../src/internal/text.ts"
import { frame, initial as initialNormalizer, transition } from "../src/internal/transition.ts"
import { unit } from "./support.ts"

const ids = { threadId: "t", runId: "r" }
const context = { ...ids, origin: "native", correlationId: "trace" }
const run = frame(context)
const text = (delta: string): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta })
const thought = (delta: string): AgentEvent.AgentEvent => ({ _tag: "ReasoningDelta", delta })
const piece = (id: string, argsDelta: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallDelta", id, argsDelta })
const output = (id: string, delta: string, name = "sh"): AgentEvent.AgentEvent => ({
  _tag: "ToolCallStreamDelta",
  id,
  name,
  delta
})
const stepEnd: AgentEvent.AgentEvent = { _tag: "StepEnd" }

const secrets = (...values: ReadonlyArray<string>) => Redaction.fromSecrets(values.map((value) => Redacted.make(value)))

interface Options {
  readonly redactor?: Redaction.Redactor
  readonly durability?: "compacted" | "full_fidelity"
  readonly room?: "all" | "facts" | "nothing"
}

/** Takes events through the stages, at milliseconds 1, 2, 3 …; the payloads, with the ordinals that they stand for. */
const play = (events: ReadonlyArray<AgentEvent.AgentEvent>, options: Options = {}) => {
  const { durability = "full_fidelity", redactor, room = "all" } = options
  const rules = { frame: run, durability, redactor, exact: false }
  const entries: Array<Stages.Entry> = []
  let progress = Stages.initial(run)
  for (const [index, event] of events.entries()) {
    const place = { ordinal: index + 1, position: undefined }
    const advanced = Stages.advance(progress, rules, event, place, index + 1, room)
    progress = advanced.progress
    entries.push(...advanced.entries)
  }
  const end = Stages.interrupt(progress, rules, events.length, events.length)
  return { before: entries, progress, entries: [...entries, ...end.entries] }
}

const rows = (entries: ReadonlyArray<Stages.Entry>) =>
  entries.map(({ lastOrdinal, normalized, ordinal }) => [ordinal, lastOrdinal ?? ordinal, normalized.draft.payload])

const observed = (entries: ReadonlyArray<Stages.Entry>) =>
  rows(entries.filter(({ normalized }) => normalized.fidelity === "observed_runtime_event"))

/** The text of each kind of delta of each call, put together. */
const spoken = (events: ReadonlyArray<unknown>): Record<string, string> => {
  const texts: Record<string, string> = {}
  for (const event of events as ReadonlyArray<AgentEvent.AgentEvent>) {
    if (Coalesce.isDelta(event)) {
      const key = Json.canonical([event._tag, "id" in event ? event.id : "", "name" in event ? event.name : ""])
      texts[key] = (texts[key] ?? "") + (event._tag === "ToolCallDelta" ? event.argsDelta : event.delta)
    }
  }
  return texts
}

describe("coalesce", () => {
  it("joins the deltas of a text up to the next other fact", () => {
    const { entries } = play([text("a"), text("b"), stepEnd, text("c")])
    assert.deepStrictEqual(observed(entries), [
      [1, 2, text("ab")],
      [3, 3, stepEnd],
      [4, 4, text("c")]
    ])
    assert.strictEqual(entries[0]?.occurredAt, 1)
  })

  it("never joins what is said with what is thought", () => {
    const { entries } = play([text("a"), thought("b"), text("c"), thought("d"), thought("e")])
    assert.deepStrictEqual(observed(entries), [
      [1, 1, text("a")],
      [2, 2, thought("b")],
      [3, 3, text("c")],
      [4, 5, thought("de")]
    ])
  })

  it("keeps calls side by side apart, each in one fact, in the order in which they began", () => {
    const { entries } = play([
      piece("1", "a"),
      piece("2", "b"),
      text("x"),
      piece("1", "c"),
      output("1", "o"),
      piece("2", "d")
    ])
    assert.deepStrictEqual(observed(entries), [
      [1, 4, piece("1", "ac")],
      [2, 6, piece("2", "bd")],
      [3, 3, text("x")],
      [5, 5, output("1", "o")]
    ])
  })

  it("takes outputs of tools with different names for different texts", () => {
    const { entries } = play([output("1", "a", "sh"), output("1", "b", "cat"), output("1", "c", "sh")])
    assert.deepStrictEqual(observed(entries), [
      [1, 3, output("1", "ac", "sh")],
      [2, 2, output("1", "b", "cat")]
    ])
  })

  it("goes on behind what is not kept", () => {
    const deltas = [text("a"), text("b")] as const
    const rules = { frame: run, durability: "compacted", redactor: undefined, exact: false } as const
    const { progress } = play(deltas)
    const advanced = Stages.advance(
      progress,
      rules,
      { _tag: "StateDelta", delta: [] },
      { ordinal: 3, position: 3 },
      3,
      "all"
    )
    assert.deepStrictEqual(advanced.entries, [])
    assert.deepStrictEqual(Stages.heldRows(advanced.progress), { ordinal: 1, position: undefined })
  })

  it("lets go at 8 KiB", () => {
    const part = "x".repeat(2048)
    const three = play([part, part, part].map(text))
    assert.deepStrictEqual(three.before, [])
    const four = play([part, part, part, part, "y"].map(text))
    assert.deepStrictEqual(observed(four.before), [[1, 4, text(part.repeat(4))]])
    assert.deepStrictEqual(Stages.heldRows(four.progress), { ordinal: 5, position: undefined })
    // All that is open counts.
    const calls = play([part, part, part, part].map((delta, index) => piece(String(index % 2), delta)))
    assert.deepStrictEqual(
      observed(calls.before).map(([from, to]) => [from, to]),
      [
        [1, 3],
        [2, 4]
      ]
    )
  })

  it("says since when something waits", () => {
    const { progress } = play([stepEnd, text("a"), text("b")])
    assert.strictEqual(Coalesce.since(progress.coalescing), 2)
    assert.isUndefined(Coalesce.since(play([text("a"), stepEnd]).progress.coalescing))
  })

  it.prop(
    "changes no text, no other fact, and no ordinal",
    [Arbitrary.array(Arbitraries.agentEvent, { maxLength: 40 })],
    ([events]) => {
      const { entries } = play(events)
      const payloads = entries.map(({ normalized }) => normalized.draft.payload)
      assert.deepStrictEqual(spoken(payloads), spoken(events))
      const others = observed(entries).filter(([, , payload]) => !Coalesce.isDelta(payload as AgentEvent.AgentEvent))
      const ordinals = new Set<unknown>()
      for (const { lastOrdinal, normalized, ordinal = 0 } of entries) {
        const { kind, payload } = normalized.draft
        if (kind !== "MessageCommitted" && kind !== "CaptureGap") {
          assert.include(events[ordinal - 1], {
            _tag: (payload as AgentEvent.AgentEvent)._tag ?? events[ordinal - 1]?._tag
          })
        }
        ordinals.add(ordinal)
        ordinals.add(lastOrdinal ?? ordinal)
      }
      for (const [ordinal, , payload] of others) {
        assert.strictEqual(payload, events[Number(ordinal) - 1])
      }
      // The first facts of events stand in the order of the events.
      const firsts = entries
        .filter(({ companion, normalized }) => companion !== true && normalized.draft.kind !== "MessageCommitted")
        .map(({ ordinal = 0 }) => ordinal)
      assert.deepStrictEqual(
        firsts,
        firsts.toSorted((a, b) => a - b)
      )
    },
    { arbitrary: { runs: 200 } }
  )
})

describe("release", () => {
  const secret = "sk-0123456789"
  const redactor = secrets(secret, "4567")

  const coalescing = (events: ReadonlyArray<AgentEvent.AgentEvent>) => play(events, { redactor }).progress.coalescing

  const release = (state: Coalesce.Coalescing) => {
    const [joined, rest] = Coalesce.release(state, redactor)
    return { joined, rest, tail: Coalesce.close(rest) }
  }

  const textOf = ({ normalized }: Coalesce.Joined) => {
    const payload = normalized.draft.payload as AgentEvent.AgentEvent
    return payload._tag === "ToolCallDelta" ? payload.argsDelta : payload._tag === "TextDelta" ? payload.delta : ""
  }

  it("without a redactor lets everything go", () => {
    const { progress } = play([text("a"), piece("1", "b")])
    const [joined, rest] = Coalesce.release(progress.coalescing, undefined)
    assert.strictEqual(joined.length, 2)
    assert.deepStrictEqual(rest, Coalesce.initial)
  })

  it("cuts no secret in two, wherever the text is cut into deltas", () => {
    const said = `before ${secret} between ${secret} after it there is more`
    let cuts = 0
    for (let first = 1; first < said.length; first++) {
      for (let second = first; second < said.length; second++) {
        const deltas = [said.slice(0, first), said.slice(first, second), said.slice(second)]
        const { joined, tail } = release(coalescing(deltas.map(text)))
        const [head, rest] = [joined.map(textOf).join(""), tail.map(textOf).join("")]
        assert.strictEqual(head + rest, said)
        assert.strictEqual(redactText(redactor, head) + redactText(redactor, rest), redactText(redactor, said))
        assert.notInclude(redactText(redactor, head) + redactText(redactor, rest), "0123456789")
        cuts += head === "" || rest === "" ? 0 : 1
      }
    }
    assert.isAbove(cuts, 100)
  })

  it("holds back what a secret may have begun with, and sees it as a whole later", () => {
    const deltas = [..."it is ", ...secret].map(text)
    for (let length = 1; length <= deltas.length; length++) {
      const { joined, rest } = release(coalescing(deltas.slice(0, length)))
      let open = rest
      for (const [index, event] of deltas.slice(length).entries()) {
        const [delta] = Result.getOrThrow(transition(initialNormalizer(context, false), run, event, "full_fidelity")[1])
        if (Coalesce.isDelta(event) && delta !== undefined) {
          open = Coalesce.add(open, event, delta, { ordinal: length + index + 1, position: undefined }, 1)
        }
      }
      const stored = [...joined, ...Coalesce.close(open)].map(textOf).map((part) => redactText(redactor, part))
      assert.strictEqual(stored.join(""), "it is <redacted>")
    }
  })

  it("of several texts lets go everything up to one event, and nothing behind it", () => {
    const long = "x".repeat(30)
    const events = Array.from({ length: 12 }, (_, index) => piece(String(index % 3), `${long}${index}`))
    const { joined, rest, tail } = release(coalescing(events))
    const cut = Math.max(...joined.map(({ to }) => to.ordinal))
    assert.isAbove(cut, 3)
    assert.isTrue(tail.every(({ from }) => from.ordinal > cut))
    assert.deepStrictEqual(Coalesce.from(rest), { ordinal: cut + 1, position: undefined })
    assert.deepStrictEqual(
      spoken(joined.map(({ normalized }) => normalized.draft.payload)),
      spoken(events.slice(0, cut))
    )
    assert.deepStrictEqual(spoken(tail.map(({ normalized }) => normalized.draft.payload)), spoken(events.slice(cut)))
  })

  it("lets nothing go while one text is shorter than a secret, and grows until then", () => {
    const state = coalescing([piece("1", "a"), ...Array.from({ length: 9 }, () => text("y".repeat(1000)))])
    const { joined, rest } = release(state)
    assert.deepStrictEqual(joined, [])
    assert.strictEqual(rest.size, 9001)
    assert.isFalse(Coalesce.isFull(rest))
  })

  it("holds on when the redactor throws", () => {
    const throwing: Redaction.Redactor = {
      redact: () => {
        throw new Error("boom")
      },
      longest: 1
    }
    const state = coalescing([text("abc"), text("def")])
    const [joined, rest] = Coalesce.release(state, throwing)
    assert.deepStrictEqual(joined, [])
    assert.strictEqual(rest.size, 6)
  })
})

describe("redact", () => {
  const redactor = secrets("abc", "abcdef", "", "$&")

  it("takes secrets out of all texts and keys, however deep, the longest first", () => {
    assert.deepStrictEqual(
      redact(redactor, { abcdef: [1, { x: ["an abc", "abcdefg", null, true] }], ok: { "$&": "abcabc" } }),
      {
        "<redacted>": [1, { x: ["an <redacted>", "<redacted>g", null, true] }],
        ok: { "<redacted>": "<redacted><redacted>" }
      }
    )
  })

  it("gives the very value when there is nothing to take out", () => {
    const value = Json.parse('{"a":[1,{"__proto__":"x"}],"b":-0}')
    assert.strictEqual(redact(redactor, value), value)
  })

  it("keeps a key that is no ordinary one", () => {
    const redacted = redact(redactor, Json.parse('{"__proto__":"abc"}')) as object
    assert.strictEqual(JSON.stringify(redacted), '{"__proto__":"<redacted>"}')
  })
})

describe("a gap", () => {
  it("counts events and their tags, and goes on while the reason is the same", () => {
    let gaps = Gap.add([], "overload", "TextDelta", 3)
    gaps = Gap.add(gaps, "overload", "TextDelta", 4)
    gaps = Gap.add(gaps, "overload", "__proto__", 6)
    gaps = Gap.add(gaps, "store_away", "StepEnd", 7)
    gaps = Gap.add(gaps, "refused", "StepEnd", 8, "why")
    gaps = Gap.add(gaps, "refused", "StepEnd", 9, "another why")
    assert.deepStrictEqual(
      gaps.map(({ events, firstOrdinal, lastOrdinal, message, reason }) => [
        reason,
        events,
        firstOrdinal,
        lastOrdinal,
        message
      ]),
      [
        ["overload", 3, 3, 6, undefined],
        ["store_away", 1, 7, 7, undefined],
        ["refused", 1, 8, 8, "why"],
        ["refused", 1, 9, 9, "another why"]
      ]
    )
    assert.deepStrictEqual(Object.entries(gaps[0]?.tags ?? {}), [
      ["TextDelta", 2],
      ["__proto__", 1]
    ])
    for (const gap of gaps) {
      assert.isTrue(Schema.is(CanonicalEvent.payloads.CaptureGap)(gap))
    }
  })

  it("stands where the events would, before what comes next", () => {
    const shed = play([text("a"), text("b"), { _tag: "StateDelta", delta: [] }], { room: "facts" })
    assert.deepStrictEqual(shed.before, [])
    assert.deepStrictEqual(rows(shed.entries)[0], [
      1,
      3,
      { reason: "overload", events: 3, tags: { TextDelta: 2, StateDelta: 1 }, firstOrdinal: 1, lastOrdinal: 3 }
    ])
    const rules = { frame: run, durability: "full_fidelity", redactor: undefined, exact: false } as const
    const next = Stages.advance(
      shed.progress,
      rules,
      { _tag: "Error", message: "" },
      { ordinal: 4, position: undefined },
      4,
      "facts"
    )
    assert.deepStrictEqual(
      next.entries.map(({ normalized }) => normalized.draft.kind),
      ["CaptureGap", "ErrorRecorded"]
    )
    assert.deepStrictEqual(next.progress.gaps, [])
  })

  it("is staged with what it stands behind or before: no fact is staged while a gap is not", () => {
    const rules = { frame: run, durability: "full_fidelity", redactor: undefined, exact: false } as const
    const shed = (before: ReadonlyArray<AgentEvent.AgentEvent>, event: AgentEvent.AgentEvent) => {
      const ordinal = before.length + 1
      const place = { ordinal, position: undefined }
      const { entries, isShed, progress } = Stages.advance(play(before).progress, rules, event, place, ordinal, "facts")
      assert.isTrue(isShed)
      return { pending: progress.gaps.length, kinds: entries.map(({ normalized }) => normalized.draft.kind) }
    }
    const delta: AgentEvent.AgentEvent = { _tag: "StateDelta", delta: [] }
    assert.deepStrictEqual(shed([text("a")], delta), { pending: 0, kinds: ["TextDeltaObserved", "CaptureGap"] })
    assert.deepStrictEqual(shed([text("a"), delta], stepEnd), { pending: 0, kinds: ["CaptureGap", "MessageCommitted"] })
    assert.deepStrictEqual(shed([delta], delta), { pending: 1, kinds: [] })
  })

  it("takes the place of facts when there is room for nothing, but not of the start and the end of a run", () => {
    const events: ReadonlyArray<AgentEvent.AgentEvent> = [
      { _tag: "RunStart", ...ids },
      { _tag: "Error", message: "" },
      { _tag: "RunFinish", ...ids, termination: { _tag: "NaturalEnd" } }
    ]
    const { entries } = play(events, { room: "nothing" })
    assert.deepStrictEqual(
      entries.map(({ normalized }) => normalized.draft.kind),
      ["RunStarted", "CaptureGap", "RunFinished"]
    )
  })
})

describe("identify", () => {
  const limits = { redactor: undefined, maxEventBytes: 1000 }

  const entry = (
    fact: Partial<CanonicalEvent.CanonicalEventDraft>,
    more: Partial<Stages.Entry & { fidelity: CanonicalEvent.Fidelity }> = {}
  ): Stages.Entry => ({
    normalized: {
      fidelity: more.fidelity ?? "committed_runtime_event",
      draft: {
        scopes: run.scopes,
        kind: "Custom",
        payload: {},
        origin: "native",
        visibility: "public",
        schemaVersion: 1,
        ...fact
      }
    },
    occurredAt: 5,
    ordinal: 7,
    ...more
  })

  const one = (
    fact: Partial<CanonicalEvent.CanonicalEventDraft>,
    more: Parameters<typeof entry>[1] & { readonly limits?: Limits } = {}
  ) => {
    const {
      unit: [event, ...others]
    } = identify([entry(fact, more)], more.limits ?? limits)
    assert.deepStrictEqual(others, [])
    return { ...event, payload: Json.parse(event?.payload ?? "null") }
  }

  it("gives each fact an identity, and companions what caused them", () => {
    const {
      unit: [first, second, third, fourth]
    } = identify(
      [
        entry({ kind: "A" }),
        entry({ kind: "B" }, { companion: true }),
        entry({ kind: "C" }, { companion: true }),
        entry({ kind: "D" }, { lastOrdinal: 9 })
      ],
      limits
    )
    assert.isTrue([first, second, third, fourth].every((event) => StagedEvent.isEventId(event?.eventId ?? "")))
    assert.deepStrictEqual(
      [first, second, third, fourth].map((event) => event?.causationId),
      [undefined, first?.eventId, first?.eventId, undefined]
    )
    assert.notProperty(first, "lastOrdinal")
    assert.include(fourth, { ordinal: 7, lastOrdinal: 9, occurredAt: 5, threadId: "t", runId: "r" })
  })

  it("measures bytes, and keeps what is not larger than allowed", () => {
    const exactly = { text: "x".repeat(1000 - '{"text":""}'.length) }
    assert.deepStrictEqual(one({ payload: exactly }).payload, exactly)
    const wide = { text: "é".repeat(500) }
    assert.property(one({ payload: wide }).payload, "truncated")
  })

  it("of a fact that is too large keeps ids, outcome, the number of bytes and the hash", () => {
    const payload = {
      _tag: "ToolCallDone",
      id: "call",
      messageId: "message",
      outcome: "failed",
      result: { toolName: "sh", status: "error", data: "x".repeat(2000), metadata: {} }
    }
    const said = JSON.stringify(payload)
    const left = one({ kind: "ToolCallDone", payload }).payload
    assert.deepStrictEqual(left, {
      _tag: "ToolCallDone",
      id: "call",
      messageId: "message",
      outcome: "failed",
      truncated: { bytes: said.length, sha256: sha256(said) }
    })
    assert.isTrue(CanonicalEvent.isRemnant(left))
  })

  it("keeps how a run ended, though not at length", () => {
    const result = "x".repeat(2000)
    const ends: ReadonlyArray<readonly [object, object]> = [
      [{ _tag: "NaturalEnd" }, { _tag: "NaturalEnd" }],
      [
        { _tag: "Error", message: "long" },
        { _tag: "Error", message: "" }
      ],
      [
        { _tag: "Blocked", reason: "long" },
        { _tag: "Blocked", reason: "" }
      ],
      [
        { _tag: "Stopped", code: "c", detail: "long" },
        { _tag: "Stopped", code: "c" }
      ],
      [
        { _tag: "Stopped", code: "c".repeat(300) },
        { _tag: "Stopped", code: "" }
      ]
    ]
    for (const [termination, left] of ends) {
      const payload = one({ kind: "RunErrored", payload: { _tag: "RunFinish", ...ids, result, termination } }).payload
      assert.deepInclude(payload, { ...ids, termination: left })
    }
  })

  it("puts a gap in the place of an observed event that is too large", () => {
    const event = one(
      {
        kind: "StateSnapshotObserved",
        payload: { _tag: "StateSnapshot", snapshot: "x".repeat(2000) },
        correlationId: "trace"
      },
      { fidelity: "observed_runtime_event", lastOrdinal: 8 }
    )
    assert.include(event, {
      kind: "CaptureGap",
      fidelity: "control_event",
      ordinal: 7,
      lastOrdinal: 8,
      correlationId: "trace"
    })
    assert.deepStrictEqual(event.payload, {
      reason: "too_large",
      events: 1,
      tags: { StateSnapshot: 1 },
      firstOrdinal: 7,
      lastOrdinal: 8
    })
  })

  it("withholds what is no JSON", () => {
    const cycle: Record<string, unknown> = { _tag: "ToolCallReady", id: "call", name: "sh" }
    cycle["arguments"] = cycle
    assert.deepStrictEqual(one({ payload: cycle }).payload, {
      _tag: "ToolCallReady",
      id: "call",
      name: "sh",
      withheld: "not_json"
    })
    const deep = Json.parse("[".repeat(200) + "]".repeat(200))
    for (const payload of [1n, undefined, () => 1, deep]) {
      assert.deepStrictEqual(one({ payload }).payload, { withheld: "not_json" })
    }
    assert.deepInclude(one({ payload: cycle }, { fidelity: "observed_runtime_event" }).payload, {
      reason: "refused",
      tags: { ToolCallReady: 1 }
    })
  })

  it("takes secrets out before it measures and hashes", () => {
    const redactor = secrets("x".repeat(2000))
    assert.deepStrictEqual(one({ payload: { a: "x".repeat(2000) } }, { limits: { ...limits, redactor } }).payload, {
      a: "<redacted>"
    })
    const long = { id: "sk-1", text: `sk-1${"y".repeat(2000)}` }
    const said = JSON.stringify(long).replaceAll("sk-1", "<redacted>")
    assert.deepStrictEqual(one({ payload: long }, { limits: { ...limits, redactor: secrets("sk-1") } }).payload, {
      id: "<redacted>",
      truncated: { bytes: said.length, sha256: sha256(said) }
    })
  })

  it("withholds what the redactor fails on, and never lets it through", () => {
    const broken: ReadonlyArray<Redaction.Redactor["redact"]> = [
      (text) => {
        if (text.includes("secret")) {
          throw new Error(text)
        }
        return text
      },
      (text) => (text.includes("secret") ? (undefined as never) : text),
      (text) => (text.includes("secret") ? (7 as never) : text)
    ]
    for (const redact of broken) {
      const redactor = { redact, longest: 10 }
      const fact = one({ payload: { id: "call", deep: [{ text: "a secret" }] } }, { limits: { ...limits, redactor } })
      assert.strictEqual(fact.kind, "Custom")
      assert.deepStrictEqual(fact.payload, { id: "call", withheld: "not_redacted" })
      const observed = one(
        { payload: text("a secret") },
        { fidelity: "observed_runtime_event", limits: { ...limits, redactor } }
      )
      assert.strictEqual(observed.kind, "CaptureGap")
      assert.notInclude(JSON.stringify([fact, observed]), "secret")
    }
  })

  it("lets no secret through in the ids that it keeps of what it withholds", () => {
    const redactor: Redaction.Redactor = {
      redact: (text) => {
        if (text.length > 10) {
          throw new Error("too long")
        }
        return text.replaceAll("secret", "")
      },
      longest: 10
    }
    const { payload } = one(
      { payload: { id: "secret", name: "more than ten secret", deep: "more than ten" } },
      { limits: { ...limits, redactor } }
    )
    assert.notInclude(JSON.stringify(payload), "secret")
  })
})

describe("a remnant", () => {
  const why = { withheld: "not_json" } as const

  it("has ids and outcome, and nothing that can be long", () => {
    const payload = {
      _tag: "X",
      id: "i".repeat(256),
      targetId: "t".repeat(257),
      parentRunId: "p",
      role: "user",
      name: 7,
      text: "no",
      arguments: {}
    }
    assert.deepStrictEqual(remnant(payload, why), {
      _tag: "X",
      id: payload.id,
      parentRunId: "p",
      role: "user",
      ...why
    } as never)
  })

  it("is there for whatever there is", () => {
    for (const payload of [null, undefined, "text", [1], { termination: 7 }, { termination: { _tag: undefined } }]) {
      assert.deepStrictEqual(remnant(payload, why), why)
    }
  })
})

describe("calls", () => {
  const ready = (id: string): AgentEvent.AgentEvent => ({ _tag: "ToolCallReady", id, name: "sh", arguments: {} })
  const done = (id: string): AgentEvent.AgentEvent => ({
    _tag: "ToolCallDone",
    id,
    messageId: "",
    outcome: "succeeded",
    result: { toolName: "sh", status: "success", data: null, metadata: {} }
  })
  const after = (...events: ReadonlyArray<AgentEvent.AgentEvent>) => events.reduce<Calls.OpenCalls>(Calls.after, [])
  const open = (id: string, executing = false) => ({ id, name: "sh", executing })

  it("are open from when they are ready until they are done, cancelled or resumed", () => {
    assert.deepStrictEqual(
      after(ready("1"), ready("2"), ready("3"), ready("4")),
      ["1", "2", "3", "4"].map((id) => open(id))
    )
    assert.deepStrictEqual(
      after(
        ready("1"),
        ready("2"),
        ready("3"),
        ready("4"),
        done("1"),
        { _tag: "ToolCallCancel", id: "2", name: "sh", reason: "" },
        { _tag: "ToolCallResumed", targetId: "4", result: null },
        done("5")
      ),
      [open("3")]
    )
  })

  it("are known once, executing when a process has begun them", () => {
    const calls = Calls.executing(after(ready("1"), ready("2")), "1", "sh")
    assert.deepStrictEqual(calls, [open("2"), open("1", true)])
    assert.deepStrictEqual(Calls.after(calls, ready("1")), [open("2"), open("1", true)])
    assert.deepStrictEqual(Calls.after(calls, done("1")), [open("2")])
  })
})

describe("the state of a run", () => {
  const least: Omit<RunState.Saved, "version"> = {
    started: true,
    ended: false,
    compaction: { reported: [], totalCompactions: 0 },
    step: 0,
    calls: [],
    inputs: [],
    children: []
  }

  it("comes back as it was", () => {
    const most = {
      ...least,
      owner: { writer: "recorder/1", epoch: 3 },
      compaction: { inFlight: { taskId: "a", boundaryMessageId: "b" }, reported: ["h1", "h2"], totalCompactions: 2 },
      step: 4,
      calls: [{ id: "c", name: "sh", executing: true }],
      fromOrdinal: 9,
      inputs: [
        { writer: "p", position: 12 },
        { writer: "q", position: 1 }
      ],
      children: ["child"]
    }
    for (const saved of [least, most]) {
      assert.deepStrictEqual(Result.getOrThrow(RunState.decode("r", RunState.encode(saved))), { version: 1, ...saved })
    }
    const { owner: _, ...free } = most
    assert.deepStrictEqual(Result.getOrThrow(RunState.decode("r", RunState.withoutOwner({ version: 1, ...most }))), {
      version: 1,
      ...free
    })
  })

  it("of another version, or damaged, is refused", () => {
    const states = [RunState.encode(least).replace('"version":1', '"version":2'), "{", "null", '{"version":1}']
    for (const state of states) {
      const error = Result.getOrThrow(Result.flip(RunState.decode("r", state)))
      assert.instanceOf(error, LedgerError.IntegrityError)
      assert.include(error.message, '"r"')
    }
  })

  it.prop(
    "gives a normalizer that goes on as the one that was saved would have",
    [Arbitraries.stream(ids), Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))],
    ([events, cut]) => {
      let straight = initialNormalizer(context, false)
      let resumed = straight
      for (const [index, event] of events.entries()) {
        if (index === cut) {
          const saved = { ...least, ...RunState.ofNormalizer(straight, context) }
          const decoded = Result.getOrThrow(RunState.decode("r", RunState.encode(saved)))
          resumed = RunState.normalizerState(decoded, context)
        }
        const [before, after] = [
          transition(straight, run, event, "compacted"),
          transition(resumed, run, event, "compacted")
        ]
        assert.deepStrictEqual(after[1], before[1])
        straight = before[0]
        resumed = after[0]
      }
    },
    { arbitrary: { runs: 100 } }
  )
})

describe("quarantine", () => {
  it("puts one gap for all facts of a unit in their scopes", () => {
    const bad = unit("bad", { size: 3 })
    const gap = quarantine(bad, new Error("why"))
    assert.strictEqual(gap?.length, 1)
    assert.include(gap?.[0], { kind: "CaptureGap", threadId: "t", runId: "r", ordinal: 1, fidelity: "control_event" })
    assert.deepInclude(Json.parse(gap?.[0]?.payload ?? ""), { reason: "refused", events: 3, message: "why" })
    const inRun = quarantine(
      bad.map((event) => Struct.omit(event, ["threadId"])),
      "why"
    )
    assert.notProperty(inRun?.[0], "threadId")
  })

  it("is none for a unit without facts, or a gap already", () => {
    assert.isUndefined(quarantine([], "why"))
    assert.isUndefined(quarantine(quarantine(unit("bad"), "why") ?? [], "why"))
  })
})
