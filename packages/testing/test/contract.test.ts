import { assert, describe, it } from "@effect/vitest"
import { Conformance } from "@runledger/testing"
import { existsSync, readFileSync } from "node:fs"

const file = new URL("../../../docs/store-contract.md", import.meta.url)
const contract = readFileSync(file, "utf8").replaceAll(/\s+/g, " ")
const links = Array.from(contract.matchAll(/\[`([\w.-]+)`\]\(([^)]+)\)/g), ([, id = "", path = ""]) => ({ id, path }))

describe("docs/store-contract.md", () => {
  it("names every check, in the order of the suite, and no other", () => {
    const ids = Conformance.checks.map(({ id }) => id)
    assert.deepStrictEqual(
      links.map(({ id }) => id),
      ids
    )
    assert.strictEqual(new Set(ids).size, ids.length)
  })

  it("says of each check what it checks", () => {
    for (const { id, must } of Conformance.checks) {
      assert.include(contract, `${must} [\`${id}\`]`)
    }
  })

  it("links each to the file that it is in", () => {
    for (const { id, path } of links) {
      const source = new URL(path, file)
      assert.isTrue(existsSync(source) && readFileSync(source, "utf8").includes(`"${id}"`), id)
    }
  })
})
