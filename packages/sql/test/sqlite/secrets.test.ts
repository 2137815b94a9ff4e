/**
 * What a redactor takes out is in no byte of the ledger's files, however it was cut into pieces.
 */
import { assert, describe, it } from "@effect/vitest"
import { Durability, EventStore, Recorder, Redaction, type Run } from "@runledger/core"
import { layerInThread } from "@runledger/sql/sqlite"
import { Effect, Layer, Redacted } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { newPath, readAll } from "./support.ts"

// In JSON text, half of it is escaped.
const secret = 'sk-"live"\n0123456789é🔑'

const result = (data: string) => ({
  toolName: "env",
  status: "success" as const,
  data: { [data]: [data] },
  message: data,
  metadata: { seen: data }
})

/** Says the secret in two pieces in every way there is, with `between` after each first piece. */
const say = Effect.fnUntraced(function* (run: Run.RunShape, at: number, between: Effect.Effect<unknown>) {
  const [head, tail] = [secret.slice(0, at), secret.slice(at)]
  const pieces = (make: (delta: string) => Parameters<Run.RunShape["emit"]>[0]) =>
    Effect.gen(function* () {
      yield* run.emit(make(`before ${head}`))
      yield* between
      yield* run.emit(make(`${tail} after`))
    })
  const id = `call-${at}`
  yield* pieces((delta) => ({ _tag: "TextDelta", delta }))
  yield* pieces((delta) => ({ _tag: "ReasoningDelta", delta }))
  yield* run.emit({ _tag: "ToolCallStart", id, name: "env" })
  yield* pieces((argsDelta) => ({ _tag: "ToolCallDelta", id, argsDelta }))
  yield* run.emit({ _tag: "ToolCallReady", id, name: "env", arguments: { [secret]: `say ${secret}` } })
  yield* pieces((delta) => ({ _tag: "ToolCallStreamDelta", id, name: "env", delta }))
  yield* run.emit({ _tag: "ToolCallDone", id, messageId: "m", outcome: "succeeded", result: result(secret) })
  yield* run.emit({ _tag: "StateSnapshot", snapshot: { deep: [{ secret }] } })
  yield* run.emit({ _tag: "Error", message: `no access with ${secret}` })
})

/** The bytes of all files of a ledger. */
const bytesOf = (path: string): Buffer =>
  Buffer.concat(
    readdirSync(dirname(path), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
  )

/** As it is, and as JSON text has it. */
const forms = [secret, JSON.stringify(secret).slice(1, -1)]

const record = (redactor: Redaction.Redactor | undefined, durability: Durability.DurabilityMode) =>
  Effect.gen(function* () {
    const path = yield* newPath
    const facts = yield* Effect.gen(function* () {
      const recorder = yield* Recorder.Recorder
      for (const flushed of [false, true]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const run = yield* recorder.open({ threadId: "t", runId: `run-${flushed}` })
            yield* run.message({ role: "user", parts: [{ _tag: "Text", text: `my key is ${secret}` }] })
            for (let at = 1; at < secret.length; at += 1) {
              yield* say(run, at, flushed ? Effect.orDie(run.flush()) : Effect.void)
            }
          })
        )
      }
      const store = yield* EventStore.EventStore
      const facts = yield* readAll(store, { _tag: "Thread", threadId: "t" })
      return facts.map(({ kind, payload, runId }) => ({ kind, runId, payload: Object(payload) }))
    }).pipe(
      Effect.provide(Recorder.layer().pipe(Layer.provideMerge(layerInThread({ path })))),
      Effect.provideService(Redaction.Redaction, redactor),
      Effect.provideService(Durability.Durability, durability)
    )
    return { bytes: bytesOf(path), facts }
  }).pipe(Effect.scoped)

describe("a secret", () => {
  const redactor = Redaction.fromSecrets([Redacted.make(secret)])

  for (const durability of ["compacted", "full_fidelity"] as const) {
    it.live(`in ${durability} is in no byte of the ledger, wherever it was cut`, () =>
      Effect.gen(function* () {
        const { bytes, facts } = yield* record(redactor, durability)
        for (const form of forms) {
          assert.isFalse(bytes.includes(form))
        }
        const told = facts.filter(({ payload }) => JSON.stringify(payload).includes("<redacted>")).length
        assert.isAbove(told, 2 * secret.length)
        // Nor does it show when the pieces of a text are put together again.
        const texts = new Map<string, string>()
        for (const { kind, payload, runId } of facts) {
          const key = [runId, kind, payload.id].join()
          texts.set(key, `${texts.get(key) ?? ""}${payload.delta ?? payload.argsDelta ?? ""}`)
        }
        assert.isFalse([...texts.values()].some((text) => text.includes(secret)))
      })
    )
  }

  it.live("is found by this test where nothing is redacted", () =>
    Effect.gen(function* () {
      const { bytes } = yield* record(undefined, "full_fidelity")
      assert.isTrue(bytes.includes(forms[1] ?? ""))
    })
  )
})
