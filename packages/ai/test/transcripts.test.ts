import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { runFolder } from "./transcripts/run.ts"

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

/** What does not match, of each file. */
const wrong = Effect.fnUntraced(function* (dir: string) {
  const outcomes = yield* runFolder(dir)
  assert.isNotEmpty(outcomes)
  return outcomes.filter(({ problems }) => problems.length > 0)
})

// The models have made-up names, about which the SDK would warn.
Reflect.set(globalThis, "AI_SDK_LOG_WARNINGS", false)

describe("provider streams that are read by the AI SDK and recorded", () => {
  it.effect("of our own show what the SDK says of them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* wrong(path("transcripts/own")), [])
    })
  )

  it("of real providers show what the SDK says of them", async (context) => {
    const shared = path("../../../../shared/transcripts")
    if (!existsSync(shared)) {
      return context.skip("../shared/transcripts is not beside this checkout, so no recorded streams can be read")
    }
    assert.deepStrictEqual(await Effect.runPromise(wrong(shared)), [])
  })

  it.effect("that cannot be read are failures", () =>
    Effect.gen(function* () {
      const dir = mkdtempSync(join(tmpdir(), "runledger-transcripts-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(dir, { recursive: true })))
      mkdirSync(join(dir, "nobody"))
      mkdirSync(join(dir, "google/folder"), { recursive: true })
      writeFileSync(join(dir, "google/bytes.jsonl"), new Uint8Array([0xff, 0xfe, 0x00]))
      writeFileSync(join(dir, "google/empty.jsonl"), "\n")
      const outcomes = yield* runFolder(dir)
      assert.deepStrictEqual(
        outcomes.map(({ name }) => name),
        ["google/bytes.jsonl", "google/empty.jsonl", "google/folder", "nobody"]
      )
      const problems = outcomes.flatMap(({ problems }) => problems)
      assert.include(problems[0], "it cannot be read: ")
      assert.strictEqual(problems[1], "it cannot be read: it holds no events")
      assert.strictEqual(problems[2], "it cannot be read: it is no file")
      assert.include(problems[3], "no provider is called that")
    })
  )
})
