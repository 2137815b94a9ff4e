/**
 * What the facts of a run say of its tool calls, and of the permissions that these wait for.
 */
import { HashMap, HashSet, Option } from "effect"
import type { CanonicalEvent } from "../CanonicalEvent.ts"
import type { Permission, ToolCall, ToolCallState } from "../RunView.ts"
import type { Fold } from "./fold.ts"
import { nameOf, payloadOf, text } from "./kept.ts"
import { assembled } from "./said.ts"

const over: ReadonlySet<ToolCallState> = new Set([
  "succeeded",
  "failed",
  "rejected",
  "timed_out",
  "cancelled",
  "unknown"
])

export const isOpen = ({ state }: ToolCall): boolean => !over.has(state)

const withId = ({ calls }: Fold, id: string) => Option.getOrUndefined(HashMap.get(calls, id))

/** The call with this id, or the one that was suspended under it. */
export const find = (fold: Fold, id: string): ToolCall | undefined =>
  (
    withId(fold, id) ??
    withId(
      fold,
      Option.getOrElse(HashMap.get(fold.suspended, id), () => id)
    )
  )?.call

/** The calls in the order in which they appeared. */
export const all = (fold: Fold): ReadonlyArray<ToolCall> =>
  fold.order.toArray().flatMap((id, place) => {
    const known = withId(fold, id)
    return known?.place === place ? [known.call] : []
  })

/** Changes a call, which is there from now on. */
const withCall = (
  fold: Fold,
  { kind, occurredAt }: CanonicalEvent,
  id: string | undefined,
  change: Partial<ToolCall>
): Fold => {
  if (id === undefined) {
    return fold
  }
  const known = withId(fold, id)
  const begins = kind === "ToolCallStarted" || kind === "ToolCallReady"
  const before: ToolCall =
    known !== undefined && (isOpen(known.call) || !begins)
      ? known.call
      : {
          id,
          name: "",
          state: "streaming",
          arguments: undefined,
          result: undefined,
          suspensionId: undefined,
          decision: undefined,
          approval: undefined,
          reason: undefined,
          output: "",
          startedAt: occurredAt,
          since: occurredAt
        }
  const call = {
    ...before,
    ...change,
    name: change.name || before.name,
    since: change.since ?? (change.state === undefined ? before.since : occurredAt)
  }
  return {
    ...fold,
    order: known === undefined ? fold.order.append(id) : fold.order,
    calls: HashMap.set(fold.calls, id, { place: known?.place ?? fold.order.length, call }),
    executing: call.state === "executing" ? HashSet.add(fold.executing, id) : HashSet.remove(fold.executing, id)
  }
}

/** Takes away the permissions that an answer to a call, or to one of its suspensions, decides. */
const answered = (fold: Fold, id: string | undefined, suspensionId?: string): Fold => {
  if (id === undefined) {
    return fold
  }
  const permissions = fold.permissions.filter((permission) =>
    suspensionId === undefined || permission.suspensionId === undefined
      ? permission.callId !== id && permission.suspensionId !== id
      : permission.suspensionId !== suspensionId
  )
  return permissions.length === fold.permissions.length ? fold : { ...fold, permissions }
}

export const begun = (fold: Fold, fact: CanonicalEvent): Fold =>
  withCall(fold, fact, text(fact.payload, "id"), { name: nameOf(fact), state: "executing", approval: undefined })

const doneState = ({ kind, payload }: CanonicalEvent): ToolCallState => {
  switch (kind) {
    case "ToolCallSuspended":
      return "suspended"
    case "ToolCallRejected":
      return "rejected"
    case "ToolCallTimedOut":
      return "timed_out"
    default: {
      const outcome = text(payload, "outcome")
      return outcome === "succeeded" || outcome === "failed" ? outcome : "unknown"
    }
  }
}

export const done = (
  fold: Fold,
  fact: CanonicalEvent,
  kind: "ToolCallDone" | "ToolCallSuspended" | "ToolCallRejected" | "ToolCallTimedOut"
): Fold => {
  const id = text(fact.payload, "id")
  const result = payloadOf(kind, fact)?.result
  const suspensionId = kind === "ToolCallSuspended" ? result?.suspension?.suspension.id : undefined
  const after = withCall(answered(fold, id), fact, id, {
    state: doneState(fact),
    approval: undefined,
    ...(result === undefined ? {} : { name: result.toolName, result }),
    ...(suspensionId === undefined ? {} : { suspensionId })
  })
  return id === undefined || suspensionId === undefined
    ? after
    : { ...after, suspended: HashMap.set(after.suspended, suspensionId, id) }
}

export const asked = (fold: Fold, fact: CanonicalEvent): Fold => {
  const callId = text(fact.payload, "id")
  if (callId === undefined) {
    return fold
  }
  const result = payloadOf("ToolPermissionRequested", fact)?.result
  const suspension = result?.suspension?.suspension
  const permission: Permission = {
    callId,
    suspensionId: suspension?.id,
    toolName: result?.toolName ?? find(fold, callId)?.name ?? "",
    action: suspension?.action ?? "",
    message: suspension?.message ?? "",
    parameters: suspension?.parameters ?? null,
    requestedAt: fact.occurredAt
  }
  return { ...fold, permissions: [...answered(fold, callId).permissions, permission] }
}

export const decided = (fold: Fold, fact: CanonicalEvent): Fold => {
  const id = text(fact.payload, "id")
  const { approved, reason, suspensionId } = payloadOf("ToolPermissionResolved", fact) ?? {}
  const after = answered(fold, id, suspensionId ?? text(fact.payload, "suspensionId"))
  const known = id === undefined ? undefined : find(fold, id)
  return known === undefined || approved === undefined
    ? after
    : withCall(after, fact, known.id, { approval: { approved, reason: reason ?? "" } })
}

export const resumed = (fold: Fold, fact: CanonicalEvent): Fold => {
  const target = text(fact.payload, "targetId")
  const id = target === undefined ? undefined : find(fold, target)?.id
  return withCall(answered(fold, target), fact, id, {
    state: "resumed",
    decision: payloadOf("ToolCallResumed", fact)?.result
  })
}

export const put = (fold: Fold, fact: CanonicalEvent): Fold => {
  const { delta = "", id = text(fact.payload, "id") } = payloadOf("ToolCallStreamDeltaObserved", fact) ?? {}
  const before = id === undefined ? undefined : withId(fold, id)?.call
  return withCall(fold, fact, id, {
    name: nameOf(fact),
    output: `${before?.output ?? ""}${delta}`,
    // Only a call that runs puts something out, and it may have run since it could.
    ...(before === undefined || ["streaming", "ready", "resumed"].includes(before.state)
      ? { state: "executing", since: before?.since ?? fact.occurredAt }
      : {})
  })
}

/** The model makes a call, or takes it back. */
export const made = (
  fold: Fold,
  fact: CanonicalEvent,
  kind: "ToolCallStarted" | "ToolCallReady" | "ToolCallCancelled"
): Fold => {
  const id = text(fact.payload, "id")
  const name = nameOf(fact)
  if (id === undefined) {
    return fold
  }
  switch (kind) {
    case "ToolCallStarted":
      return withCall(assembled(fold, fact, { _tag: "ToolCallStart", id, name }), fact, id, {
        name,
        state: "streaming"
      })
    case "ToolCallReady":
      return withCall(assembled(fold, fact, { _tag: "ToolCallReady", id, name, arguments: null }), fact, id, {
        name,
        // Who reads a stream late may hear of a call when its tool runs already.
        ...(find(fold, id)?.state === "executing" ? {} : { state: "ready" }),
        arguments: payloadOf(kind, fact)?.arguments
      })
    case "ToolCallCancelled": {
      const event = { _tag: "ToolCallCancel", id, name, reason: "" } as const
      return withCall(assembled(answered(fold, id), fact, event), fact, id, {
        name,
        state: "cancelled",
        reason: payloadOf(kind, fact)?.reason
      })
    }
  }
}

/** A new attempt of a turn voids its calls that had not got ready. */
export const reset = (fold: Fold, fact: CanonicalEvent): Fold => {
  const parts = fold.assembly.open?.parts ?? []
  const started = parts.flatMap((part) => (part._tag === "ToolCall" ? [part.id] : []))
  const voided = started.filter((id) => find(fold, id)?.state === "streaming")
  return {
    ...assembled(fold, fact, { _tag: "StreamReset", reason: "" }),
    calls: HashMap.removeMany(fold.calls, voided)
  }
}

/** Nobody will say how the calls end that are executing. */
export const abandoned = (
  fold: Fold,
  fact: CanonicalEvent,
  named: Iterable<{ readonly id: string; readonly name: string }>
): Fold =>
  [...Array.from(fold.executing, (id) => ({ id, name: "" })), ...named].reduce(
    (after, { id, name }) => withCall(after, fact, id, { name, state: "unknown", approval: undefined }),
    fold
  )
