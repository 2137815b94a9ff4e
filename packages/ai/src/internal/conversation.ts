/**
 * What was said in a thread, as its facts tell it.
 */
import { type CanonicalEvent, type Cursor, EventStore, type Message, RunView } from "@runledger/core"
import { Effect, HashMap, Option, type Schema } from "effect"

/** The runs of a thread in the order in which they began, and how far its facts were read. */
export interface Conversation {
  readonly runs: ReadonlyArray<string>
  readonly views: HashMap.HashMap<string, RunView.RunView>
  /** Calls whose id was used again later, by run, message and id: providers may count them anew in each response. */
  readonly earlier: HashMap.HashMap<string, RunView.ToolCall>
  readonly cursor: Cursor.Cursor | undefined
}

export const empty: Conversation = { runs: [], views: HashMap.empty(), earlier: HashMap.empty(), cursor: undefined }

/** The kinds that a conversation is made of; a message is not put together again from its deltas. */
const kinds = [
  "RunStarted",
  "RunResumed",
  "RunFinished",
  "RunSuspended",
  "RunCancelled",
  "RunErrored",
  "RunTerminated",
  "RunInterrupted",
  "MessageCommitted",
  "ToolCallReady",
  "ToolCallExecuting",
  "ToolCallDone",
  "ToolCallSuspended",
  "ToolCallRejected",
  "ToolCallTimedOut",
  "ToolCallCancelled",
  "ToolCallResumed",
  "ToolPermissionRequested",
  "ToolPermissionResolved"
] as const satisfies ReadonlyArray<CanonicalEvent.KnownKind>

const keyOf = (runId: string, { ordinal = 0 }: RunView.RunMessage, callId: string): string =>
  JSON.stringify([runId, ordinal, callId])

/** The call that ended under the id of one that is made, with the last message that has it. */
const endedBefore = (view: RunView.RunView, fact: CanonicalEvent.CanonicalEvent) => {
  const id = fact.kind === "ToolCallReady" ? String(Object(fact.payload).id) : undefined
  const call = id === undefined ? undefined : RunView.call(view, id)
  if (call === undefined || RunView.isOpen(call)) {
    return undefined
  }
  const message = view.messages.findLast(({ parts }) =>
    parts.some((part) => part._tag === "ToolCall" && part.id === id)
  )
  return message === undefined ? undefined : { call, message }
}

const push = (conversation: Conversation, fact: CanonicalEvent.CanonicalEvent): Conversation => {
  const { runId } = fact
  if (runId === undefined) {
    return conversation
  }
  const known = HashMap.get(conversation.views, runId)
  const view = Option.getOrElse(known, () => RunView.empty(runId))
  const ended = endedBefore(view, fact)
  return {
    ...conversation,
    earlier:
      ended === undefined
        ? conversation.earlier
        : HashMap.set(conversation.earlier, keyOf(runId, ended.message, ended.call.id), ended.call),
    runs: Option.isNone(known) ? [...conversation.runs, runId] : conversation.runs,
    views: HashMap.set(conversation.views, runId, RunView.push(view, fact))
  }
}

/** Reads on to the end of the thread. */
export const read = Effect.fnUntraced(function* (threadId: string, from: Conversation) {
  const store = yield* EventStore.EventStore
  const scope = { _tag: "Thread", threadId } as const
  let conversation = from
  for (let isMore = true; isMore; ) {
    const page = yield* store.read({
      scope,
      filter: { kinds },
      ...(conversation.cursor === undefined ? {} : { after: conversation.cursor })
    })
    for (const fact of page.facts) {
      conversation = push(conversation, fact)
    }
    conversation = { ...conversation, cursor: page.next }
    isMore = page.hasMore
  }
  return conversation
})

export const viewOf = ({ views }: Conversation, runId: string): RunView.RunView =>
  Option.getOrElse(HashMap.get(views, runId), () => RunView.empty(runId))

/** A message, with the calls that it makes. */
export interface Turn {
  readonly runId: string
  readonly message: RunView.RunMessage
  readonly calls: ReadonlyArray<RunView.ToolCall>
}

/** How a source is kept among the parts of a message, and what a library has for parts of a provider's own. */
export const sourceType = "application/vnd.runledger.source+json"
export const customType = "application/vnd.runledger.custom+json"

/** Why a response ended, where that was not because the model had said everything. */
export const finishType = "application/vnd.runledger.finish+json"

/** Whether a part is one of ours, which a model is not told of. */
export const isOurs = ({ mediaType }: Extract<Message.Part, { readonly _tag: "Data" }>): boolean =>
  mediaType.startsWith("application/vnd.runledger.")

/** Why the response ended that said a message; undefined when the model had said everything. */
export const finishReason = ({ message }: Turn): string | undefined => {
  const finish = message.parts.find((part) => part._tag === "Data" && part.mediaType === finishType)
  const reason = finish?._tag === "Data" ? Object(finish.data).reason : undefined
  return typeof reason === "string" ? reason : undefined
}

/** What we say of a part ourselves, beside what its provider says. */
export const ourWords = ({ metadata }: Message.Part): { readonly [name: string]: unknown } =>
  Object(Object(metadata).runledger)

/** What the provider says of a part, or of a result. */
export const providersWords = (metadata: unknown): { readonly [provider: string]: Schema.JsonObject } => {
  const { runledger: _, ...words } = Object(metadata)
  return words
}

/** Whether a provider ran the tool itself. */
export const isProviderExecuted = (part: Extract<Message.Part, { readonly _tag: "ToolCall" }>): boolean =>
  ourWords(part)["providerExecuted"] === true

/** The calls of a message that our tools are to answer. */
export const ownCalls = ({ calls, message }: Turn): ReadonlyArray<RunView.ToolCall> => {
  const theirs = new Set(
    message.parts.flatMap((part) => (part._tag === "ToolCall" && isProviderExecuted(part) ? [part.id] : []))
  )
  return calls.filter(({ id }) => !theirs.has(id))
}

/** Whether a call has come so far that it may have had an effect, or that somebody was asked. */
const hasBegun = ({ state }: RunView.ToolCall): boolean =>
  state !== "streaming" && state !== "ready" && state !== "cancelled"

/**
 * What counts of a message: of one that its model did not finish, the calls that have begun, with the texts around them. Else
 * it is kept as text, unless its run goes on: then the model says it again.
 */
const partsOf = (
  { parts, partial }: RunView.RunMessage,
  calls: ReadonlyArray<RunView.ToolCall>,
  isSaidAgain: boolean
): ReadonlyArray<Message.Part> => {
  if (partial !== true) {
    return parts
  }
  const begun = new Set(calls.filter(hasBegun).map(({ id }) => id))
  return isSaidAgain && begun.size === 0
    ? []
    : parts.filter(
        (part) =>
          part._tag === "Text" ||
          (part._tag === "ToolCall" && begun.has(part.id)) ||
          // A thought without what the provider said of it is refused; one with it is asked for beside its calls.
          (part._tag === "Reasoning" && begun.size > 0 && part.metadata !== undefined)
      )
}

/** What is told of a message that the ledger could not keep as it was. */
const lost: ReadonlyArray<Message.Part> = [{ _tag: "Text", text: "[This message was too large to be kept.]" }]

const turnsOf = (view: RunView.RunView, earlier: Conversation["earlier"], goesOn: boolean): ReadonlyArray<Turn> =>
  view.messages.flatMap((message, index) => {
    const all = message.parts.flatMap((part) => {
      if (part._tag !== "ToolCall") {
        return []
      }
      const known = HashMap.get(earlier, keyOf(view.runId, message, part.id))
      const call = Option.getOrElse(known, () => RunView.call(view, part.id))
      return call === undefined ? [] : [call]
    })
    const kept = partsOf(message, all, goesOn || index < view.messages.length - 1)
    const parts = kept.length === 0 && message.lost === true ? lost : kept
    const ids = new Set(parts.flatMap((part) => (part._tag === "ToolCall" ? [part.id] : [])))
    const calls = all.filter(({ id }) => ids.has(id))
    return parts.length === 0 ? [] : [{ runId: view.runId, message: { ...message, parts }, calls }]
  })

/**
 * What was said, in order. With `runId`, up to this run, which goes on: what its model had not finished is left out, and
 * runs that began later are none of its conversation. Runs that others started in the same thread have their own.
 */
export const turns = (conversation: Conversation, runId?: string): ReadonlyArray<Turn> => {
  const { earlier, runs } = conversation
  const upTo = runId === undefined ? -1 : runs.indexOf(runId)
  return (upTo === -1 ? runs : runs.slice(0, upTo + 1)).flatMap((id) => {
    const view = viewOf(conversation, id)
    return id === runId || view.parentRunId === undefined ? turnsOf(view, earlier, id === runId) : []
  })
}

/** Whether a call came to an end that its model can be told of. */
export const isDone = ({ state }: RunView.ToolCall): boolean =>
  state === "succeeded" || state === "failed" || state === "rejected" || state === "timed_out"

/** What the model is told of a result that the ledger could not keep. */
export const tooLarge = "The result was too large to be kept."

/** What the model is told of a call that has no result, and will have none. */
export const unanswered = ({ state }: RunView.ToolCall): string => {
  switch (state) {
    case "executing":
    case "unknown":
      return "The call was interrupted while it was running: whether it had its effect is not known."
    case "suspended":
      return "The call was never approved, and did not run."
    default:
      return "The call did not run."
  }
}
