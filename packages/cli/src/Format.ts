/**
 * How values are shown to a person: safe for a terminal, short, in human units.
 */
import type { Schema } from "effect"

const escaped = (char: string): string => {
  const code = (char.codePointAt(0) ?? 0).toString(16)
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`
}

/**
 * A text whose control characters, all of C0 and C1 but newline and tab, are written out: `\x1b`. So are the characters
 * that reorder or break lines, for with them a text can pass for another.
 */
const safe = (text: string): string => text.replace(/[^\P{Cc}\n\t]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, escaped)

/** The text of at most `limit` UTF-16 code units; a cut shows as an ellipsis, and never falls inside a character. */
const cut = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, "")}…`

/** A text on one line, of at most `limit` UTF-16 code units, with newlines and tabs written out too. */
export const inline = (text: string, limit = 300): string =>
  cut(safe(cut(text, limit)).replaceAll("\n", "\\n").replaceAll("\t", "\\t"), limit)

/** A text of several lines as one sentence on one line. */
export const sentence = (text: string, limit?: number): string => inline(text.replace(/\s+/g, " "), limit)

/** The lines of a text, safe for a terminal. */
export const lines = (text: string): ReadonlyArray<string> => text.split(/\r?\n/).map(safe)

/** JSON on one line; long texts inside are cut first, so that the other members stay in sight. */
export const json = (value: Schema.Json, limit = 160): string =>
  inline(
    JSON.stringify(value, (_, member: unknown) => (typeof member === "string" ? cut(member, 80) : member)),
    limit
  )

/** An id to tell things apart by; of a long one its end, for ids of one moment begin alike. */
export const short = (id: string): string => inline(id.length <= 12 ? id : `…${id.slice(-8)}`)

/** What there is of the parts, in one line. */
export const join = (...parts: ReadonlyArray<string | undefined>): string =>
  parts.filter((part) => part !== undefined && part !== "").join(" · ")

/** A whole number with thousands set apart. */
export const count = (value: number): string => value.toLocaleString("en-US")

/** `1 fact`, `2,000 facts`. */
export const counted = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? "" : "s"}`

/** A size, given in bytes: `4.1 kB`, `12.3 MB`. */
export const bytes = (value: number): string => {
  const [size, unit] = value < 1e6 ? [value / 1e3, "kB"] : value < 1e9 ? [value / 1e6, "MB"] : [value / 1e9, "GB"]
  return `${size.toFixed(1)} ${unit}`
}

/** A duration, given in milliseconds: `340 ms`, `2.3 s`, `1 min 5 s`, `2 h 10 min`. */
export const duration = (ms: number): string => {
  if (ms < 1000) {
    return `${Math.max(0, Math.round(ms))} ms`
  }
  const tenths = Math.round(ms / 100)
  if (tenths < 600) {
    return `${tenths / 10} s`
  }
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  }
  const minutes = Math.round(seconds / 60)
  return `${count(Math.floor(minutes / 60))} h ${minutes % 60} min`
}

/** The time of day in UTC, `HH:MM:SS.mmm`, of milliseconds since the epoch. */
export const timeOfDay = (ms: number): string => new Date(ms % 86_400_000).toISOString().slice(11, 23)

/** The latest time that a Date can hold. */
const lastDate = 8.64e15

/** The day in UTC, `YYYY-MM-DD`, of milliseconds since the epoch. */
export const day = (ms: number): string => new Date(Math.min(ms, lastDate)).toISOString().replace(/T.*/, "")

/** A text without what follows the scheme of a Postgres URL: there is a password in it, and nothing says where it ends. */
export const withoutUrls = (text: string): string => text.replace(/(postgres(?:ql)?:\/\/).*/gis, "$1…")
