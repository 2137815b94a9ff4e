import { assert, describe, it } from "@effect/vitest"
import { CanonicalEvent } from "@runledger/core"
import { Arbitrary, Result, Schema } from "effect"

const thread: CanonicalEvent.EventScope = { _tag: "Thread", threadId: "t" }
const run: CanonicalEvent.EventScope = { _tag: "Run", runId: "r" }

const draft: CanonicalEvent.CanonicalEventDraft = {
  scopes: [thread, run],
  kind: "Custom",
  payload: { a: 1, b: [{ c: 2, d: null }] },
  origin: "native",
  visibility: "public",
  schemaVersion: 1
}

const message = (change: Partial<CanonicalEvent.CanonicalEventDraft>): string =>
  Result.match(CanonicalEvent.validate({ ...draft, ...change }), {
    onFailure: (error) => error.message,
    onSuccess: () => "valid"
  })

describe("validate", () => {
  it("refuses what the seed refuses, in its words", () => {
    assert.strictEqual(message({}), "valid")
    assert.strictEqual(message({ scopes: [] }), "validation error: at least one event scope is required")
    assert.strictEqual(
      message({ scopes: [{ _tag: "Thread", threadId: "\u0085 " }] }),
      "validation error: thread_id is required"
    )
    assert.strictEqual(message({ scopes: [{ _tag: "Run", runId: "" }] }), "validation error: run_id is required")
    assert.strictEqual(message({ scopes: [run, run] }), "validation error: duplicate event scope: run:r")
    assert.strictEqual(
      message({ scopes: [thread, { _tag: "Thread", threadId: "u" }] }),
      "validation error: duplicate event scope family: thread"
    )
    assert.strictEqual(message({ origin: " " }), "validation error: origin is required")
    assert.strictEqual(message({ kind: "" }), "validation error: event_kind is required")
    assert.strictEqual(message({ schemaVersion: 0 }), "validation error: schema_version must be greater than 0")
  })

  it("does not take a zero-width character for white space", () => {
    assert.strictEqual(message({ origin: "\ufeff" }), "valid")
  })
})

/** The same JSON value with the keys of every object the other way round. */
const reversed = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) {
    return value
  }
  return Array.isArray(value)
    ? value.map(reversed)
    : Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, member]) => [key, reversed(member)])
      )
}

describe("digest", () => {
  it.prop(
    "depends neither on the order of keys nor on that of scopes",
    [Arbitrary.schema(Schema.Json)],
    ([payload]) => {
      assert.strictEqual(
        CanonicalEvent.digest({ ...draft, payload }),
        CanonicalEvent.digest({ ...draft, payload: reversed(payload), scopes: [run, thread] })
      )
    },
    { arbitrary: { runs: 200 } }
  )

  it("is the same for another origin and schema version", () => {
    assert.strictEqual(
      CanonicalEvent.digest({ ...draft, origin: "server", schemaVersion: 2 }),
      CanonicalEvent.digest(draft)
    )
  })

  it("is another for another scope, kind, payload, visibility, causation or correlation", () => {
    const changes: ReadonlyArray<Partial<CanonicalEvent.CanonicalEventDraft>> = [
      {},
      { scopes: [thread] },
      { scopes: [run] },
      { scopes: [{ _tag: "Thread", threadId: "u" }, run] },
      { kind: "Other" },
      { payload: { a: 2 } },
      { payload: null },
      { visibility: "audit" },
      { causationId: "x" },
      { correlationId: "x" }
    ]
    const digests = changes.map((change) => CanonicalEvent.digest({ ...draft, ...change }))
    assert.strictEqual(new Set(digests).size, changes.length)
  })

  it("stays what it was in this version of its rule", () => {
    assert.strictEqual(
      CanonicalEvent.digest(draft),
      "1:5f9a04bf6e706460c8156f3cc64550a0f790fcf1fe3f819f262dd67f322725c8"
    )
  })
})

const fact: CanonicalEvent.CanonicalEvent = {
  eventId: "00000000-0000-7000-8000-000000000001",
  kind: "TextDeltaObserved",
  fidelity: "observed_runtime_event",
  visibility: "public",
  position: 1,
  payload: { _tag: "TextDelta", delta: "hi" },
  origin: "native",
  schemaVersion: 1,
  occurredAt: 1,
  recordedAt: 2
}

describe("payloads", () => {
  it("have the type of their kind", () => {
    if (!CanonicalEvent.isKind("TextDeltaObserved")(fact)) {
      return assert.fail("not of its kind")
    }
    const text: string = fact.payload.delta
    assert.strictEqual(text, "hi")
    assert.isFalse(CanonicalEvent.isKind("StepStarted")(fact))
  })

  it("of a newer schema, or erased, are not taken for those of their kind", () => {
    const isTextDelta = CanonicalEvent.isKind("TextDeltaObserved")
    assert.isFalse(isTextDelta({ ...fact, schemaVersion: 2 }))
    assert.isFalse(isTextDelta({ ...fact, payload: null, erased: true }))
  })

  it("are checked by kind, and what nothing is known of is let through", () => {
    const passes = (more: Partial<CanonicalEvent.CanonicalEvent>) =>
      Result.isSuccess(CanonicalEvent.decodePayload({ ...fact, ...more }))
    assert.isTrue(passes({}))
    assert.isFalse(passes({ payload: { _tag: "TextDelta" } }))
    assert.isTrue(passes({ payload: { _tag: "TextDelta" }, schemaVersion: 2 }))
    assert.isTrue(passes({ payload: null, erased: true }))
    assert.isTrue(passes({ kind: "Custom", payload: { any: "thing" } }))
    assert.isTrue(passes({ kind: "toString", payload: 1 }))
  })
})
