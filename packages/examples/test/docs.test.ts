import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const folder = join(root, "packages/examples/.docs")

/** Runs what the code blocks of a page export as `main`, and gives what that comes to; others are only loaded. */
const runAll = async (page: string): Promise<ReadonlyArray<unknown>> => {
  const blocks = Array.from(
    readFileSync(join(root, page), "utf8").matchAll(/^```ts\n(.*?)^```/gms),
    ([, code = ""]) => code
  )
  mkdirSync(folder, { recursive: true })
  const results: Array<unknown> = []
  for (const [index, code] of blocks.entries()) {
    const file = join(folder, `${page.replaceAll(/\W/g, "_")}_${index}.ts`)
    writeFileSync(file, code)
    const { main } = (await import(file)) as { readonly main?: Effect.Effect<unknown> }
    results.push(main === undefined ? "nothing to run" : await Effect.runPromise(main))
  }
  rmSync(folder, { recursive: true })
  return results
}

describe("the code in the docs runs", () => {
  it("effect-ai.md", async () => {
    assert.deepStrictEqual(await runAll("docs/effect-ai.md"), [undefined, ["Suspended", "Finished"]])
  })

  it("ai-sdk.md", async () => {
    assert.deepStrictEqual(await runAll("docs/ai-sdk.md"), [undefined, "nothing to run", "nothing to run"])
  })
})
