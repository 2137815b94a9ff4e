/**
 * The providers whose recorded streams can be read: how each frames its events, and the package that reads them.
 */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createGoogle } from "@ai-sdk/google"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import type { LanguageModel } from "ai"

export interface Provider {
  /** The events, an object's text each, as the provider sends them. */
  readonly frame: (events: ReadonlyArray<string>) => string
  readonly model: (baseURL: string) => LanguageModel
}

const apiKey = "none"

const unnamed = (event: string): string => `data: ${event}\n\n`

const typeOf = (event: string): unknown => {
  try {
    return Reflect.get(Object(JSON.parse(event)), "type")
  } catch {
    return undefined
  }
}

/** An event with its type in front, if it has one. */
const named = (event: string): string => {
  const type = typeOf(event)
  return typeof type === "string" ? `event: ${type}\n${unnamed(event)}` : unnamed(event)
}

export const providers: ReadonlyMap<string, Provider> = new Map<string, Provider>([
  [
    "anthropic",
    {
      frame: (events) => events.map(named).join(""),
      model: (baseURL) => createAnthropic({ apiKey, baseURL })("claude-test")
    }
  ],
  [
    "google",
    {
      frame: (events) => events.map((event) => `data: ${event}\r\n\r\n`).join(""),
      model: (baseURL) => createGoogle({ apiKey, baseURL })("gemini-test")
    }
  ],
  [
    "openai-chat",
    {
      frame: (events) => `${events.map(unnamed).join("")}data: [DONE]\n\n`,
      model: (baseURL) =>
        createOpenAICompatible({ name: "test", apiKey, baseURL, includeUsage: true }).chatModel("gpt-test")
    }
  ],
  [
    "openai-responses",
    {
      frame: (events) => events.map(named).join(""),
      model: (baseURL) => createOpenAI({ apiKey, baseURL }).responses("gpt-5")
    }
  ]
])
