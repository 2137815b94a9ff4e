/**
 * Tokens that an inference used.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Int32 } from "./internal/numbers.ts"

/**
 * Token counts as the provider reports them, each a 32-bit integer, each absent when it was not reported.
 *
 * @category models
 * @since 0.1.0
 */
export const TokenUsage = Schema.Struct({
  promptTokens: Schema.optionalKey(Int32),
  completionTokens: Schema.optionalKey(Int32),
  totalTokens: Schema.optionalKey(Int32),
  cacheReadTokens: Schema.optionalKey(Int32),
  cacheCreationTokens: Schema.optionalKey(Int32),
  thinkingTokens: Schema.optionalKey(Int32)
})

/**
 * @category models
 * @since 0.1.0
 */
export type TokenUsage = typeof TokenUsage.Type
