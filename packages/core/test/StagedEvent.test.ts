import { assert, describe, it } from "@effect/vitest"
import { type CanonicalEvent, StagedEvent } from "@runledger/core"
import { Result } from "effect"

const normalized = (draft: Partial<CanonicalEvent.CanonicalEventDraft>): CanonicalEvent.NormalizedEvent => ({
  fidelity: "domain_event",
  draft: {
    scopes: [{ _tag: "Thread", threadId: "t" }],
    kind: "Custom",
    payload: { a: 1 },
    origin: "native",
    visibility: "public",
    schemaVersion: 1,
    ...draft
  }
})

const make = (...drafts: ReadonlyArray<Partial<CanonicalEvent.CanonicalEventDraft>>) =>
  StagedEvent.make(drafts.map(normalized), { ordinal: 7, occurredAt: 5 })

describe("StagedEvent.checkStorable", () => {
  it("refuses numbers that are no integers", () => {
    for (const draft of [{ schemaVersion: 1.5 }, { schemaVersion: Number.NaN }]) {
      assert.isTrue(Result.isFailure(StagedEvent.checkStorable(Result.getOrThrow(make(draft)))))
    }
    const fractional = Result.getOrThrow(StagedEvent.make([normalized({})], { occurredAt: 0.5 }))
    assert.isTrue(Result.isFailure(StagedEvent.checkStorable(fractional)))
    assert.isTrue(Result.isSuccess(StagedEvent.checkStorable(Result.getOrThrow(make({})))))
  })
})

describe("StagedEvent.make", () => {
  it("keeps what the draft says, and leaves out what it does not", () => {
    const [least, most] = Result.getOrThrow(
      make({}, { scopes: [{ _tag: "Run", runId: "r" }], correlationId: "trace", causationId: "cause", payload: "x" })
    )
    assert.deepStrictEqual(least, {
      eventId: least?.eventId ?? "",
      kind: "Custom",
      fidelity: "domain_event",
      visibility: "public",
      threadId: "t",
      ordinal: 7,
      payload: '{"a":1}',
      origin: "native",
      schemaVersion: 1,
      occurredAt: 5
    })
    assert.deepInclude(most, { runId: "r", correlationId: "trace", causationId: "cause", payload: '"x"' })
    assert.notProperty(most, "threadId")
  })

  it("gives each fact an id of its own, a UUIDv7 in lower case", () => {
    const unit = Result.getOrThrow(make(...Array.from({ length: 100 }, () => ({}))))
    assert.strictEqual(new Set(unit.map(({ eventId }) => eventId)).size, 100)
    for (const { eventId } of unit) {
      assert.match(eventId, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }
  })

  it("refuses what is nested deeper than can be read back", () => {
    const nested = (levels: number): unknown => JSON.parse("[".repeat(levels) + "]".repeat(levels))
    assert.isTrue(Result.isSuccess(make({ payload: nested(127) })))
    const error = Result.getOrThrow(Result.flip(make({ payload: nested(128) })))
    assert.strictEqual(error.message, "the payload of Custom is nested deeper than 127 levels")
  })

  it("refuses what has no JSON text", () => {
    for (const payload of [undefined, 1n, () => 1]) {
      const error = Result.getOrThrow(Result.flip(make({ payload })))
      assert.match(error.message, /^the payload of Custom is no JSON/)
    }
  })
})
