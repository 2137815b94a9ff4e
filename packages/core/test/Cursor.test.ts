import { assert, describe, it } from "@effect/vitest"
import { Cursor } from "@runledger/core"
import { Result, Schema } from "effect"

const scopes: ReadonlyArray<Cursor.ReadScope> = [
  { _tag: "Thread", threadId: "x" },
  { _tag: "Run", runId: "x" },
  { _tag: "Thread", threadId: "y" },
  Cursor.ledger
]
const [thread = Cursor.ledger] = scopes
const bounds = { floor: 0, last: 10 }

describe("a cursor", () => {
  it.prop("holds in its own scope alone", { sequence: Schema.Int }, ({ sequence: n }) => {
    const sequence = Math.abs(n)
    for (const made of scopes) {
      for (const used of scopes) {
        assert.strictEqual(
          Result.getOrElse(Cursor.sequence(used, Cursor.make(made, sequence)), () => undefined),
          made === used ? sequence : undefined
        )
      }
    }
  })

  it("is refused beyond the end of its scope, and when it is nonsense", () => {
    assert.deepStrictEqual(Cursor.resolve(thread, Cursor.make(thread, 10), bounds), Result.succeed(10))
    for (const cursor of [
      Cursor.make(thread, 11),
      ...["", "1", "l", "l.", "l.x", "l.-1"].map((c) => Cursor.Cursor.make(c))
    ]) {
      assert.isTrue(Result.isFailure(Cursor.resolve(thread, cursor, bounds)), cursor)
    }
  })

  it("is refused when facts after it were pruned, unless it was made for what was kept", () => {
    const pruned = { floor: 5, last: 10 }
    assert.isTrue(Result.isFailure(Cursor.resolve(thread, Cursor.make(thread, 4), pruned)))
    assert.deepStrictEqual(Cursor.resolve(thread, Cursor.make(thread, 5), pruned), Result.succeed(5))
    const kept = Cursor.within(thread, 5)(4)
    assert.deepStrictEqual(Cursor.resolve(thread, kept, pruned), Result.succeed(4))
    assert.isTrue(Result.isFailure(Cursor.resolve(thread, kept, { floor: 6, last: 10 })))
  })
})
