/**
 * Text rules that the vocabulary shares: what counts as blank, and SHA-256.
 */
import { createHash } from "node:crypto"

/**
 * Unicode White_Space, the set by which the seed trims. `String.prototype.trim` differs from it on two characters: it
 * keeps U+0085 and removes U+FEFF.
 */
const space = "[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"
const margins = new RegExp(`^${space}+|${space}+$`, "g")
const visible = new RegExp(`[^${space.slice(1)}`)

export const trim = (text: string): string => text.replace(margins, "")

export const isBlank = (text: string): boolean => !visible.test(text)

/** The lower-case hex SHA-256 of the UTF-8 bytes of `text`; synchronous, as the pure transition needs it. */
export const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex")
