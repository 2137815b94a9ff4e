import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const folder = join(root, "packages/cli/.examples")

/** The examples of a file: fenced blocks of ts in Markdown, or in the docstrings of a source. */
const examplesIn = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(join(root, file), "utf8")
  const markdown = file.endsWith(".md") ? text : text.replace(/^ *\* ?/gm, "")
  return Array.from(markdown.matchAll(/^```ts\n(.*?)^```/gms), ([, code = ""]) => code)
}

describe("the examples in docs and docstrings", () => {
  it("compile", () => {
    const files = globSync(["README.md", "docs/**/*.md", "packages/*/README.md", "packages/*/src/**/*.ts"], {
      cwd: root
    })
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    const examples: Array<string> = []
    for (const file of files) {
      for (const [index, code] of examplesIn(file).entries()) {
        const name = `${file.replaceAll(/[^\w.]/g, "_")}_${index}.ts`
        examples.push(name)
        writeFileSync(join(folder, name), code)
      }
    }
    assert.isAtLeast(examples.length, 8)
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../../../tsconfig.base.json",
        compilerOptions: { composite: false, noEmit: true, noUnusedLocals: false },
        files: examples
      })
    )
    const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], {
      encoding: "utf8"
    })
    assert.strictEqual(tsc.stdout + tsc.stderr, "")
    assert.strictEqual(tsc.status, 0)
  })
})
