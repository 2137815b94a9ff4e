/**
 * JSON text, written the one canonical way.
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
