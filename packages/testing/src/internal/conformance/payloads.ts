import { CanonicalEvent, Json } from "@runledger/core"
import { Schema } from "effect"
import { make } from "../../Check.ts"
import { event, eventId, expect, expectThat, following, ledger, readAll, run, thread } from "./support.ts"

const texts = {
  scalars: ["null", "true", "0", "-1.5e-7", "123456789012345680000", "9007199254740991", '""'],
  unicode: ['"日本語 🎉 e\u0301 \u00e9 \u2028\u2029 \ufeff"', '"\\u0000 \\ud800 \\udc00x \\ud83c\\udf89"'],
  "white space": [' { "a" : [ 1 , 2 ] ,\n"b":\t{} } '],
  "order of keys": ['{"b":1,"a":2,"10":3,"9":4,"":5}'],
  "special keys": ['{"__proto__":{"x":1},"constructor":null,"toString":[],"hasOwnProperty":0}'],
  "keys with escapes": ['{"\\\\":1,"a\\\\":{"\\n\\"":2},"\\u0000":3,"\\ud800":4}', '[{"k\\\\":1},{"\\t":2}]'],
  nesting: [`${"[".repeat(120)}1${"]".repeat(120)}`, `${'{"a":'.repeat(120)}1${"}".repeat(120)}`],
  size: [JSON.stringify("🦜".repeat(300_000))]
}

const isFact = Schema.is(CanonicalEvent.CanonicalEvent)

const ordinals = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>) =>
  facts.map(({ lastOrdinal, ordinal }) => [ordinal, lastOrdinal].filter((one) => one !== undefined))

export const payloads = [
  make(
    "append.payload-kept",
    "A payload MUST come back as its text was, for any JSON: numbers, key order, escapes, lone surrogates in escapes, `__proto__`.",
    function* (open) {
      const store = yield* open
      const all = Object.entries(texts).flatMap(([what, texts]) => texts.map((payload) => ({ what, payload })))
      for (const [n, { payload }] of all.entries()) {
        yield* store.append([event(n, { payload })])
      }
      const facts = yield* readAll(store, ledger)
      for (const [n, { payload, what }] of all.entries()) {
        const kept = facts[n]?.payload
        yield* expect(`a payload (${what})`, kept, Json.parse(payload))
        yield* expect(`the text of a payload (${what})`, JSON.stringify(kept), JSON.stringify(Json.parse(payload)))
      }
    }
  ),
  make(
    "append.members-kept",
    "Every member of an event MUST be kept as it is, and one that it does not have MUST be absent.",
    function* (open) {
      const store = yield* open
      const full = event(1, {
        ordinal: Number.MAX_SAFE_INTEGER,
        lastOrdinal: Number.MAX_SAFE_INTEGER,
        correlationId: "correlation-1",
        causationId: "causation-1",
        fidelity: "control_event",
        visibility: "sensitive",
        schemaVersion: 7,
        occurredAt: 0
      })
      const bare = event(2, { threadId: undefined, fidelity: "observed_runtime_event", visibility: "audit" })
      yield* store.append([full, bare])
      const facts = yield* readAll(store, run)
      const place = facts.map(({ position, recordedAt }) => ({ position, recordedAt }))
      yield* expect("the facts", facts, [
        { ...full, payload: { n: 1 }, threadSequence: 1, runSequence: 1, ...place[0] },
        { ...bare, payload: { n: 2 }, runSequence: 2, ...place[1] }
      ])
      yield* expectThat(`the facts do not fit their schema: ${JSON.stringify(facts)}`, facts.every(isFact))
    }
  ),
  make(
    "append.last-ordinal",
    "A fact that stands for several events MUST have the ordinals of the first and of the last of them, however it is read; any other has no last ordinal.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1, { ordinal: 3, lastOrdinal: 7 }), event(2, { ordinal: 8 })])
      yield* store.append([event(3, { lastOrdinal: 0, ordinal: 0 }), event(4)])
      const expected = [[3, 7], [8], [0, 0], []]
      for (const scope of [thread, run, ledger]) {
        yield* expect(`the ordinals in ${scope._tag}`, ordinals(yield* readAll(store, scope)), expected)
        const follower = yield* following(store, { scope })
        yield* expect(`following ${scope._tag}`, ordinals(yield* follower.untilCaughtUp), expected)
      }
      yield* expect("the ordinals of a fact, got by its id", ordinals([yield* store.get(eventId(1))]), [[3, 7]])
    }
  ),
  make(
    "append.unknown-kinds",
    "Facts of kinds and of schema versions that nobody knows, and known kinds with any payload, MUST be kept raw.",
    function* (open) {
      const store = yield* open
      yield* store.append([
        event(1, { kind: "com.example/thing ✓", schemaVersion: Number.MAX_SAFE_INTEGER, payload: "[1]" }),
        event(2, { kind: "RunStarted", schemaVersion: 99, payload: '{"unheard":"of"}' }),
        event(3, { kind: "RunFinished", payload: '{"truncated":{"bytes":9,"sha256":"0"}}' })
      ])
      const facts = yield* readAll(store, thread)
      yield* expect(
        "[kind, schema version, payload] of each fact",
        facts.map(({ kind, payload, schemaVersion }) => [kind, schemaVersion, payload]),
        [
          ["com.example/thing ✓", Number.MAX_SAFE_INTEGER, [1]],
          ["RunStarted", 99, { unheard: "of" }],
          ["RunFinished", 1, { truncated: { bytes: 9, sha256: "0" } }]
        ]
      )
    }
  )
]
