/**
 * The tests that docs/guarantees.md names are there.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { path } from "./process.ts"

describe("docs/guarantees.md", () => {
  it("names tests that exist", () => {
    const text = readFileSync(path("../../../docs/guarantees.md"), "utf8")
    const named = Array.from(text.matchAll(/`([a-z]+\/test\/[^`]+)`/g), ([, name]) => name ?? "")
    assert.isAbove(named.length, 10)
    for (const name of named) {
      assert.isTrue(existsSync(path(`../../${name}`)), name)
    }
  })
})
