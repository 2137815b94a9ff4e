/**
 * The conversation of a thread as a prompt, from what the ledger has of it.
 *
 * @since 0.1.0
 */
import type { EventStore, LedgerError } from "@runledger/core"
import { Effect } from "effect"
import type { Prompt } from "effect/ai"
import * as Thread from "../internal/conversation.ts"
import { fromTurns } from "./prompt.ts"

/**
 * What was said in a thread, by the user, the model and the tools, as a prompt with which the chat goes on: parts in
 * order, with what providers said of them. System messages are not in it, for they are the app's.
 *
 * **Details**
 *
 * A call that has no result, because its process died or nobody approved it, gets one that says so. What a model had not
 * finished to say when it was interrupted is there as text, if nothing followed it in its run.
 *
 * **Example** (A chat that goes on where it was)
 *
 * ```ts
 * import { Conversation } from "@runledger/ai/effect"
 * import { Effect } from "effect"
 * import { LanguageModel, Prompt } from "effect/ai"
 *
 * export const next = (threadId: string, question: string) =>
 *   Effect.gen(function* () {
 *     const before = yield* Conversation.prompt(threadId)
 *     return yield* LanguageModel.generateText({ prompt: Prompt.concat(before, question) })
 *   })
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const prompt = (
  threadId: string
): Effect.Effect<Prompt.Prompt, LedgerError.ReadError | LedgerError.CursorExpired, EventStore.EventStore> =>
  Effect.map(Thread.read(threadId, Thread.empty), (conversation) => fromTurns(Thread.turns(conversation)))
