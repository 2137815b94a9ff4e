/**
 * JSON text: written the one canonical way, and read without a change.
 *
 * @since 0.1.0
 */
import { randomUUID } from "node:crypto"

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

/** Gives the keys of a value that stand for others their own names again, in place and without recursion. */
const rename = (root: unknown, names: ReadonlyMap<string, string>): void => {
  const rest: Array<unknown> = [root]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (typeof value !== "object" || value === null) {
      continue
    }
    const members = Object.entries(value)
    for (const [, member] of members) {
      rest.push(member)
    }
    if (!Array.isArray(value) && members.some(([key]) => names.has(key))) {
      for (const [key] of members) {
        Reflect.deleteProperty(value, key)
      }
      for (const [key, member] of members) {
        const descriptor = { value: member, writable: true, enumerable: true, configurable: true }
        Object.defineProperty(value, names.get(key) ?? key, descriptor)
      }
    }
  }
}

/** Parses a valid text after it replaced each key that has an escape by one that has none; then puts them back. */
const parseEscapedKeys = (text: string): unknown => {
  const standIns = new Map<string, string>()
  const mark = randomUUID()
  let plain = ""
  let end = 0
  for (let start = text.indexOf('"'); start !== -1; start = text.indexOf('"', end)) {
    plain += text.slice(end, start)
    end = endOfString(text, start)
    const string = text.slice(start, end)
    if (!string.includes("\\") || !/^\s*:/.test(text.slice(end))) {
      plain += string
      continue
    }
    const key: string = JSON.parse(string)
    const unescaped = JSON.stringify(key)
    if (unescaped.includes("\\") && !standIns.has(key)) {
      standIns.set(key, `${mark}${standIns.size}`)
    }
    plain += unescaped.includes("\\") ? `"${standIns.get(key)}"` : unescaped
  }
  const value: unknown = JSON.parse(plain + text.slice(end))
  rename(value, new Map(Array.from(standIns, ([key, standIn]) => [standIn, key])))
  return value
}

/** Nesting beyond this is refused where JSON comes in, as by the seed; the outermost value counts. */
const maxDepth = 127

/** Whether a text has more opening brackets than levels are allowed. */
const hasManyBrackets = (text: string): boolean => {
  let count = 0
  for (const bracket of ["[", "{"]) {
    for (let at = text.indexOf(bracket); at !== -1 && count <= maxDepth; at = text.indexOf(bracket, at + 1)) {
      count += 1
    }
  }
  return count > maxDepth
}

const isDeeper = (value: unknown, depth: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (depth === 0 || Object.values(value).some((member) => isDeeper(member, depth - 1)))

/**
 * Whether a value, given with its text, is nested deeper than 127 levels. Such values are refused where they come in,
 * for not every reader could read them back.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isTooDeep = (value: unknown, text: string): boolean =>
  text.length > 2 * maxDepth && hasManyBrackets(text) && isDeeper(value, maxDepth)

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
