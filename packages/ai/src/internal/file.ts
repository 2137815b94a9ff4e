/**
 * The content of files as JSON, and back.
 */
import type { Schema } from "effect"

/** Bytes as base64, an address as what it is, and a text as it comes. */
export const keep = (data: string | Uint8Array | URL): Schema.Json =>
  data instanceof URL ? { url: data.href } : typeof data === "string" ? data : Buffer.from(data).toString("base64")

export const restore = (data: unknown): string | URL => {
  const url = Object(data).url
  return typeof url === "string" ? new URL(url) : String(data)
}
