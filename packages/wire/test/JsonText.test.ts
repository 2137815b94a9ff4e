import { assert, describe, it } from "@effect/vitest"
import { Json } from "@runledger/core"
import { JsonText } from "@runledger/wire"
import { Arbitrary, Result, Schema } from "effect"

const reason = (text: string, wellFormed = false): string =>
  Result.match(JsonText.parse(text, { wellFormed }), {
    onFailure: (error) => error.reason,
    onSuccess: () => "parsed"
  })

const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)

describe("JsonText.parse", () => {
  it.prop(
    "reads what JSON.stringify wrote",
    [Arbitrary.schema(Schema.Json)],
    ([value]) => {
      assert.deepStrictEqual(JsonText.parse(JSON.stringify(value)), Result.succeed(Json.parse(JSON.stringify(value))))
    },
    { arbitrary: { runs: 200 } }
  )

  it("tells a text that ends too early from one that is wrong", () => {
    for (const text of ["", " ", "{", '{"a":1', '{"a":"b', "[1,", "tru", '{"a"', '{"a":1 ']) {
      assert.strictEqual(reason(text), "eof", text)
    }
    for (const text of ["{]", "{,}", "01", "{} x", "nope", '"a\tb"', "\ufeff{}"]) {
      assert.strictEqual(reason(text), "syntax", text)
    }
  })

  it("refuses numbers that would not be written back as they were read", () => {
    for (const text of ["9007199254740993", "-9223372036854775808", "18446744073709551616", "1e400", "-1e309"]) {
      assert.strictEqual(reason(`{"a":[${text}]}`), "syntax", text)
    }
    for (const text of ["9007199254740992", "1234567890.1234567890123", "1e-400", "1e308", '"9007199254740993"']) {
      assert.strictEqual(reason(`{"a":[${text}]}`), "parsed", text)
    }
  })

  it("nests 127 levels and no more", () => {
    assert.strictEqual(reason(nested(127)), "parsed")
    assert.strictEqual(reason(nested(128)), "syntax")
    assert.strictEqual(reason(nested(100_000)), "syntax")
    assert.strictEqual(reason(`[${Array.from({ length: 200 }, () => "[]").join(",")}]`), "parsed")
    assert.strictEqual(reason(JSON.stringify("[".repeat(200))), "parsed")
  })

  it("keeps lone surrogates, or refuses them", () => {
    for (const text of ['"\\ud83d"', '{"\\udc00":1}', '["a\\uD83Dz"]']) {
      assert.strictEqual(reason(text), "parsed", text)
      assert.strictEqual(reason(text, true), "syntax", text)
    }
    assert.strictEqual(reason('"\\ud83d\\ude00"', true), "parsed")
  })

  it("keeps keys that are names of prototype members", () => {
    const text = '{"__proto__":{"a":1},"constructor":2,"n":12345678901234567}'.replace("12345678901234567", "1")
    assert.strictEqual(JSON.stringify(Result.getOrThrow(JsonText.parse(text))), text)
  })
})
