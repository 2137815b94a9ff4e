/**
 * JSON text: written the one canonical way, and read without a change.
 *
 * @since 0.1.0
 */

const byCodePoint = (left: string, right: string): number => {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    if (left.charCodeAt(index) !== right.charCodeAt(index)) {
      return (left.codePointAt(index) ?? 0) - (right.codePointAt(index) ?? 0)
    }
  }
  return left.length - right.length
}

/**
 * The one text of a JSON value: no white space, the keys of every object sorted by code point (integer-like keys
 * included), strings and numbers as `JSON.stringify` writes them.
 *
 * @category rendering
 * @since 0.1.0
 */
export const canonical = (value: unknown): string => {
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(",")}]`
  }
  const members = Object.entries(value).toSorted(([left], [right]) => byCodePoint(left, right))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`
}

/** A key, or a string of an array, that has an escape. */
const escapedKey = /[{,]\s*"[^"\\]*\\/

/** Where the string that begins at `start` ends: after its closing quote. */
const endOfString = (text: string, start: number): number => {
  let at = start + 1
  while (text[at] !== '"') {
    at += text[at] === "\\" ? 2 : 1
  }
  return at + 1
}

/** Parses a valid text after it replaced each key that has an escape by one that has none; then puts them back. */
const parseEscapedKeys = (text: string): unknown => {
  const keys = new Map<string, string>()
  let mark = "key"
  while (text.includes(mark)) {
    mark += "_"
  }
  let plain = ""
  let end = 0
  for (let start = text.indexOf('"'); start !== -1; start = text.indexOf('"', end)) {
    plain += text.slice(end, start)
    end = endOfString(text, start)
    const string = text.slice(start, end)
    const name = `${mark}${keys.size}`
    const isKey = string.includes("\\") && /^\s*:/.test(text.slice(end))
    plain += isKey ? `"${name}"` : string
    if (isKey) {
      keys.set(name, JSON.parse(string))
    }
  }
  return JSON.parse(plain + text.slice(end), (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).map(([key, member]) => [keys.get(key) ?? key, member]))
      : value
  )
}

/**
 * Parses a JSON text as `JSON.parse` should.
 *
 * **Details**
 *
 * In V8, a key that has an escape may come out as another one, after an object with a key that ends in a backslash was
 * parsed anywhere in the process (nodejs/node#63785). Texts with escapes in keys therefore take another way; all others
 * are left to `JSON.parse`.
 *
 * **Gotchas**
 *
 * Throws the `SyntaxError` of `JSON.parse`.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): unknown => {
  const value: unknown = JSON.parse(text)
  return text.includes("\\") && escapedKey.test(text) ? parseEscapedKeys(text) : value
}
