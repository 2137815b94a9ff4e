import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { read, replay } from "./vectors/replay.ts"

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const data = path("vectors/data")
const shared = path("../../../../shared/vectors")
const files = readdirSync(data).filter((name) => !name.startsWith("edge"))

const failures = (file: string) =>
  read(file)
    .map((vector) => ({ topic: vector.topic, name: vector.name, problem: replay(vector) }))
    .filter(({ problem }) => problem !== undefined)

describe("golden vectors of the seed", () => {
  it.each(files)("%s", (file) => {
    assert.deepStrictEqual(failures(join(data, file)), [])
  })

  it("are 1,627 without the edge family", () => {
    assert.strictEqual(
      files.map((file) => read(join(data, file)).length).reduce((sum, length) => sum + length, 0),
      1627
    )
  })

  it("are those beside the checkout", (context) => {
    if (!existsSync(shared)) {
      return context.skip("../shared/vectors is not beside this checkout, so the copies cannot be compared with it")
    }
    for (const file of readdirSync(data)) {
      const original = join(shared, file.replace(/\.gz$/, ""))
      assert.deepStrictEqual(read(join(data, file)), read(original), file)
    }
  })
})

/** The topics of the edge family, and whether docs/seed-conformance.md says that they differ: `| topic | differs | …`. */
const decided = (): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(path("../../../docs/seed-conformance.md"), "utf8")
      .split("\n")
      .map((line) => /^\| ([^|]+?) +\| (same|differs) +\|/.exec(line))
      .filter((match) => match !== null)
      .map(([, topic = "", decision = ""]) => [topic, decision])
  )

describe("the edge family", () => {
  const edge = join(data, "edge.jsonl.gz")

  it("has every topic decided in the docs", () => {
    const topics = new Set(read(edge).map(({ topic }) => topic))
    assert.deepStrictEqual([...decided().keys()].toSorted(), [...topics].toSorted())
  })

  it("differs from the seed where the docs say so, and nowhere else", () => {
    const differing = new Set(failures(edge).map(({ topic = "" }) => topic))
    const expected = [...decided()].filter(([, decision]) => decision === "differs").map(([topic]) => topic)
    assert.deepStrictEqual([...differing].toSorted(), expected.toSorted())
  })
})
