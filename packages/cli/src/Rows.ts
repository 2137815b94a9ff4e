/**
 * What each fact of a run says on a timeline, and what of it later facts need to know.
 */
import { AgentEvent, CanonicalEvent, type Lifecycle, type Message, RunView, type Tool } from "@runledger/core"
import { Result, Schema } from "effect"
import * as Format from "./Format.ts"

/** How a piece of text stands out. */
export type Tint = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan"

/** A rule across the timeline, or a label with lines of text beside it. All texts are safe for a terminal. */
export type Row = (
  | { readonly rule: string }
  | {
      readonly label: string
      readonly text: ReadonlyArray<string>
      readonly textTint?: Tint
      /** When it began, if that was before its fact. */
      readonly at?: number
    }
) & {
  readonly tint: Tint
  /** Something begins here, and is set apart from what came before. */
  readonly opens?: boolean
}

/** Pieces of one text that arrive fact by fact, held until something else comes. */
interface Paragraph {
  readonly label: "says" | "thinks" | "output" | "user" | "system" | "tool"
  /** The call that puts it out. */
  readonly call: { readonly id: string; readonly name: string } | undefined
  readonly at: number
  text: string
}

/** What the facts of a run so far left behind. */
export interface Run {
  view: RunView.RunView
  paragraph: Paragraph | undefined
}

/** A run of which nothing was seen yet; facts of a thread alone are in a run without an id. */
export const newRun = (runId = ""): Run => ({ view: RunView.empty(runId), paragraph: undefined })

/** Whether more is to come; a run may have begun before the first fact that is seen. */
export const isActive = ({ view }: Run): boolean => view.status === "created" || view.status === "running"

const isEvent = Schema.is(AgentEvent.AgentEvent)
const isRemnant = Schema.is(CanonicalEvent.Remnant)
const { inline, join, json } = Format

const line = (label: string, tint: Tint, ...parts: ReadonlyArray<string | undefined>): Row => ({
  label,
  tint,
  text: [join(...parts)]
})

const aside = (label: string, ...parts: ReadonlyArray<string | undefined>): Row => ({
  ...line(label, "dim", ...parts),
  textTint: "dim"
})

/** A tool's output can be long, and the end of it says most. */
const outputLines = 10

const folded = ({ at, call, label, text }: Paragraph): ReadonlyArray<Row> => {
  if (text.trim() === "") {
    return []
  }
  const all = Format.lines(text.replace(/^[\r\n]+/, "").trimEnd())
  switch (label) {
    case "thinks":
      return [{ label, tint: "magenta", text: all, textTint: "dim", at }]
    case "output": {
      const left = all.length - outputLines
      const tail = all.slice(-outputLines).map((row) => `│ ${inline(row.replaceAll("\t", "  "), 200)}`.trimEnd())
      const head = call === undefined ? "" : join(inline(call.name), Format.short(call.id))
      const more = left > 0 ? [`│ … ${Format.count(left)} more lines`] : []
      return [{ label, tint: "dim", text: [head, ...more, ...tail], textTint: "dim", at }]
    }
    default:
      return [{ label, tint: "bold", text: all, at }]
  }
}

/** Adds a piece to the paragraph that it belongs to; a paragraph that it ends is given back. */
const piece = (
  run: Run,
  at: number,
  label: Paragraph["label"],
  text: string,
  call?: Paragraph["call"]
): ReadonlyArray<Row> => {
  if (run.paragraph?.label === label && run.paragraph.call?.id === call?.id) {
    run.paragraph.text += text
    return []
  }
  const ended = closed(run)
  run.paragraph = { label, call, at, text }
  return ended
}

/** The paragraph that was held, if any. */
export const closed = (run: Run): ReadonlyArray<Row> => {
  const { paragraph } = run
  run.paragraph = undefined
  return paragraph === undefined ? [] : folded(paragraph)
}

const opened = (event: typeof AgentEvent.RunStart.Type, resumed: boolean, at: number): Row => {
  const parent = event.parentRunId ?? event.identity?.parentRunId
  return {
    rule: join(
      `run ${inline(event.runId)}${resumed ? " resumed" : ""}`,
      `thread ${inline(event.threadId)}`,
      event.identity === undefined ? undefined : `agent ${inline(event.identity.agentId)}`,
      parent === undefined ? undefined : `parent ${inline(parent)}`,
      `${Format.day(at)} ${Format.timeOfDay(at)} UTC`
    ),
    tint: "bold",
    opens: true
  }
}

const ending = (reason: Lifecycle.TerminationReason): readonly [Tint, string] => {
  switch (reason._tag) {
    case "NaturalEnd":
      return ["green", "finished"]
    case "BehaviorRequested":
      return ["green", "finished at the request of a behavior"]
    case "Suspended":
      return ["yellow", "suspended, waits for a decision"]
    case "Cancelled":
      return ["yellow", "cancelled"]
    case "Stopped":
      return ["yellow", join(`stopped: ${inline(reason.code)}`, inline(reason.detail ?? ""))]
    case "Blocked":
      return ["yellow", `blocked: ${inline(reason.reason)}`]
    case "Error":
      return ["red", `failed: ${inline(reason.message)}`]
  }
}

/** The rule at which a run ends. */
const closing = (runId: string, reason: string, tint: Tint, { view }: Run, at: number): Row => {
  const { completionTokens, promptTokens, totalTokens } = view.tokens
  return {
    rule: join(
      `run ${inline(runId)} ${reason}`,
      `took ${Format.duration(at - (view.startedAt ?? at))}`,
      totalTokens === 0
        ? undefined
        : `${Format.count(totalTokens)} tokens (${Format.count(promptTokens)} in, ${Format.count(completionTokens)} out)`
    ),
    tint
  }
}

const finished = (event: typeof AgentEvent.RunFinish.Type, run: Run, at: number): ReadonlyArray<Row> => {
  const [tint, reason] = ending(event.termination)
  const response = AgentEvent.responseText(event)
  const said = run.view.messages.findLast(({ role }) => role === "assistant")?.parts.findLast(isText)
  return [
    ...(response.trim() === "" || response === said?.text
      ? []
      : [{ label: "answer", tint: "bold", text: Format.lines(response) } as const]),
    closing(event.runId, reason, tint, run, at)
  ]
}

const outcome = (kind: string, { outcome }: typeof AgentEvent.ToolCallDone.Type): readonly [string, Tint] => {
  switch (kind) {
    case "ToolCallRejected":
      return ["rejected", "yellow"]
    case "ToolCallTimedOut":
      return ["timed out", "red"]
    default:
      return outcome === "failed" ? ["failed", "red"] : ["ok", "green"]
  }
}

const permission = ({ result }: typeof AgentEvent.ToolCallDone.Type): Row => {
  const { action = "", id = "", message = "" } = result.suspension?.suspension ?? {}
  return line(
    "permission",
    "yellow",
    `${inline(result.toolName)} asks for ${inline(action)}`,
    inline(message),
    `answer to ${inline(id)}`
  )
}

const detail = ({ data, message }: Tool.ToolResult): string =>
  message === undefined ? (data === null ? "" : json(data)) : inline(message)

/** The question of a call that asks for permission is told by the fact that follows. */
const waitsFor = (result: Tool.ToolResult): string => {
  const ticket = result.suspension
  return ticket?.resumeMode === "replay_tool_call" && ticket.suspension.id.trim() !== ""
    ? "waits for a permission"
    : join(inline(ticket?.suspension.action ?? ""), detail(result))
}

const done = (event: typeof AgentEvent.ToolCallDone.Type, kind: string, before: RunView.RunView, at: number): Row => {
  const { id, result } = event
  const call = RunView.call(before, id)
  const after = call !== undefined && RunView.isOpen(call) ? Format.duration(at - call.since) : undefined
  return event.outcome === "suspended"
    ? line("suspended", "yellow", inline(result.toolName), waitsFor(result), after, Format.short(id))
    : line(...outcome(kind, event), inline(result.toolName), detail(result), after, Format.short(id))
}

/** A decision may be addressed to the call or to its suspension. */
const resumed = (event: typeof AgentEvent.ToolCallResumed.Type, before: RunView.RunView, at: number): Row => {
  const call = RunView.call(before, event.targetId)
  return line(
    "resumed",
    "green",
    call === undefined ? undefined : inline(call.name),
    json(event.result),
    call === undefined ? undefined : `waited ${Format.duration(at - call.since)}`,
    Format.short(event.targetId)
  )
}

/** `3,184 in (2,560 cached)`, as far as it was reported. */
const tokens = (what: string, all: number | undefined, which: string, some: number | undefined): string => {
  const part = some === undefined ? "" : `${Format.count(some)} ${which}`
  return all === undefined ? part : `${Format.count(all)} ${what}${part === "" ? "" : ` (${part})`}`
}

const inference = ({ durationMs, model, usage }: typeof AgentEvent.InferenceComplete.Type): Row =>
  line(
    "model",
    "blue",
    inline(model),
    tokens("in", usage?.promptTokens, "cached", usage?.cacheReadTokens),
    tokens("out", usage?.completionTokens, "thinking", usage?.thinkingTokens),
    Format.duration(durationMs)
  )

const encrypted = (value: string): Row =>
  aside("thinks", `(${Format.count(value.length)} characters of encrypted reasoning)`)

/** Events that do not end a paragraph. */
const goesOn = new Set<AgentEvent.AgentEvent["_tag"]>([
  "TextDelta",
  "ReasoningDelta",
  "ToolCallStreamDelta",
  "ToolCallDelta"
])

/** The rows of an event, after it left its trace in the run, which was as `before` before. */
const eventRows = (
  event: AgentEvent.AgentEvent,
  kind: string,
  run: Run,
  before: RunView.RunView,
  at: number
): ReadonlyArray<Row> => {
  switch (event._tag) {
    case "RunStart":
      return [opened(event, kind === "RunResumed", at)]
    case "RunFinish":
      return finished(event, run, at)
    case "StepStart":
      return [{ ...line(`step ${run.view.steps}`, "cyan", inline(event.messageId)), opens: true, textTint: "dim" }]
    case "ReasoningEncryptedValue":
      return [encrypted(event.encryptedValue)]
    case "ToolCallReady":
      return [line("tool", "cyan", `${inline(event.name)} ${json(event.arguments)}`, Format.short(event.id))]
    case "ToolCallDone":
      return [kind === "ToolPermissionRequested" ? permission(event) : done(event, kind, before, at)]
    case "ToolCallResumed":
      return [resumed(event, before, at)]
    case "ToolCallCancel":
      return [line("cancelled", "yellow", inline(event.name), inline(event.reason), Format.short(event.id))]
    case "StreamReset":
      return [line("reset", "yellow", "the turn starts over, what it said so far is void", inline(event.reason))]
    case "InferenceComplete":
      return [inference(event)]
    case "MessagesSnapshot":
      return [aside("messages", `${Format.count(event.messages.length)} in the conversation`)]
    case "ActivitySnapshot":
      return [aside("activity", inline(event.activityType), json(event.content, 80))]
    case "ActivityDelta":
      return [aside("activity", inline(event.activityType), json(event.patch, 80))]
    case "StateSnapshot":
      return [aside("state", json(event.snapshot, 80))]
    case "StateDelta":
      return [aside("state", json(event.delta, 80))]
    case "Error":
      return [line("error", "red", inline(event.message), inline(event.code ?? ""))]
    case "TextDelta":
      return piece(run, at, "says", event.delta)
    case "ReasoningDelta":
      return piece(run, at, "thinks", event.delta)
    case "ToolCallStreamDelta":
      return piece(run, at, "output", event.delta, event)
    case "ToolCallStart":
    case "ToolCallDelta":
    case "StepEnd":
      return []
  }
}

const isText = (part: Message.Part): part is Extract<Message.Part, { readonly _tag: "Text" }> => part._tag === "Text"

/** What was said and thought, to compare. */
const spoken = (parts: ReadonlyArray<Message.Part> = []): string =>
  parts.map((part) => (part._tag === "Text" || part._tag === "Reasoning" ? `${part._tag} ${part.text}\n` : "")).join("")

/** A message that was not told by its pieces; its calls have rows of their own. */
const message = (
  { partial, parts, role }: Message.Message,
  before: RunView.RunView,
  at: number
): ReadonlyArray<Row> => {
  if (role === "assistant" && spoken(parts) === spoken(RunView.current(before)?.parts)) {
    return []
  }
  const label = role === "assistant" ? "says" : role
  const rows = parts.flatMap((part): ReadonlyArray<Row> => {
    switch (part._tag) {
      case "Text":
        return folded({ label, call: undefined, at, text: part.text })
      case "Reasoning":
        return [
          ...folded({ label: "thinks", call: undefined, at, text: part.text }),
          ...(part.encrypted === undefined ? [] : [encrypted(part.encrypted)])
        ]
      case "ToolCall":
        return []
      case "Data":
        return [aside(label, inline(part.mediaType), json(part.data, 80))]
    }
  })
  return partial ? [...rows, aside(label, "(it breaks off here)")] : rows
}

const resolved = (
  { approved, id, reason = "" }: (typeof CanonicalEvent.payloads)["ToolPermissionResolved"]["Type"],
  before: RunView.RunView,
  at: number
): Row => {
  const asked = before.permissions.find(({ callId }) => callId === id)
  return line(
    "decision",
    approved ? "green" : "red",
    inline(asked?.toolName ?? ""),
    approved ? "approved" : "denied",
    inline(reason),
    asked === undefined ? undefined : `waited ${Format.duration(at - asked.requestedAt)}`,
    Format.short(id)
  )
}

const gap = ({ events, message = "", reason, tags }: (typeof CanonicalEvent.payloads)["CaptureGap"]["Type"]): Row => {
  const missing = `${Format.counted(events, "event")} ${events === 1 ? "is" : "are"} missing (${reason.replaceAll("_", " ")})`
  const each = Object.entries(tags).map(([tag, count]) => `${inline(tag)} x${Format.count(count)}`)
  return line("gap", "red", `${missing}: ${each.join(", ")}`, inline(message))
}

/** The rows of a fact that is no event. */
const ownRows = (
  fact: CanonicalEvent.CanonicalEvent,
  run: Run,
  before: RunView.RunView
): ReadonlyArray<Row> | undefined => {
  const at = fact.occurredAt
  if (CanonicalEvent.isKind("MessageCommitted")(fact)) {
    return message(fact.payload, before, at)
  }
  if (CanonicalEvent.isKind("ToolCallExecuting")(fact)) {
    return [aside("executing", inline(fact.payload.name), Format.short(fact.payload.id))]
  }
  if (CanonicalEvent.isKind("ToolPermissionResolved")(fact)) {
    return [resolved(fact.payload, before, at)]
  }
  if (CanonicalEvent.isKind("RunInterrupted")(fact)) {
    const { openCalls, runId } = fact.payload
    const calls = openCalls.map(({ executing, id, name }) =>
      line("open", "yellow", inline(name), executing ? "outcome unknown" : "not done", Format.short(id))
    )
    return [...calls, closing(runId, "interrupted", "red", run, at)]
  }
  if (CanonicalEvent.isKind("CaptureGap")(fact)) {
    return [gap(fact.payload)]
  }
  const row = compactionRow(fact)
  return row && [row]
}

/** What was not kept, and why. */
const lost = (payload: CanonicalEvent.Remnant): string =>
  "truncated" in payload
    ? `too large: ${Format.counted(payload.truncated.bytes, "byte")}`
    : `withheld: ${payload.withheld === "not_json" ? "it has no JSON text" : "it could not be redacted"}`

/** What is left of a fact: what the call came to that it is about, if it is about one. */
const remnant = (kind: string, payload: CanonicalEvent.Remnant, { view }: Run): Row => {
  const id: unknown = Reflect.get(payload, "id")
  const call = typeof id === "string" ? RunView.call(view, id) : undefined
  return line(
    "fact",
    "yellow",
    inline(kind),
    call && join(inline(call.name), call.state.replaceAll("_", " ")),
    lost(payload),
    call && Format.short(call.id)
  )
}

const about = (taskId: string | undefined, boundary: string | undefined): string =>
  join(
    taskId === undefined ? undefined : inline(taskId),
    boundary === undefined || boundary === "" ? undefined : `up to ${inline(boundary)}`
  )

const shrunk = (before: number, after: number): string => `${Format.count(before)} -> ${Format.count(after)} tokens`

const compactionRow = (fact: CanonicalEvent.CanonicalEvent): Row | undefined => {
  const row = (tint: Tint, ...parts: ReadonlyArray<string | undefined>) => line("compaction", tint, ...parts)
  if (CanonicalEvent.isKind("ContextCompactionStarted")(fact)) {
    return row("blue", "started", about(fact.payload.taskId, fact.payload.boundaryMessageId))
  }
  if (CanonicalEvent.isKind("ContextCompactionCompleted")(fact)) {
    const { boundaryMessageId, postTokens, preTokens, taskId } = fact.payload
    return row("blue", "completed", shrunk(preTokens, postTokens), about(taskId, boundaryMessageId))
  }
  if (CanonicalEvent.isKind("ContextCompactionFailed")(fact)) {
    const { boundaryMessageId, error, taskId } = fact.payload
    return row("red", "failed", inline(error), about(taskId, boundaryMessageId))
  }
  if (CanonicalEvent.isKind("ContextCompactionSkipped")(fact)) {
    const { boundaryMessageId, postTokens, preTokens, reason, taskId } = fact.payload
    const saved = preTokens === undefined || postTokens === undefined ? undefined : shrunk(preTokens, postTokens)
    return row("yellow", "skipped", inline(reason), saved, about(taskId, boundaryMessageId))
  }
  if (CanonicalEvent.isKind("ContextCompactionCancelled")(fact)) {
    return row("yellow", "cancelled", about(fact.payload.taskId, fact.payload.boundaryMessageId))
  }
  return undefined
}

/**
 * The rows that a fact brings: the paragraph that it ends, if it does, and its own. Of a fact whose payload was not
 * kept, what is left is shown. A fact of an unknown kind or of a newer version, or with a payload that its kind does
 * not have, is shown as it is.
 */
export const rows = (fact: CanonicalEvent.CanonicalEvent, run: Run): ReadonlyArray<Row> => {
  const { kind, occurredAt: at, payload } = fact
  const before = run.view
  run.view = RunView.push(before, fact)
  if (fact.erased === true) {
    return [...closed(run), aside("erased", inline(kind))]
  }
  if (isRemnant(payload)) {
    return [
      ...closed(run),
      ...(isEvent(payload) ? eventRows(payload, kind, run, before, at) : []),
      remnant(kind, payload, run)
    ]
  }
  const known =
    CanonicalEvent.isKnownKind(kind) &&
    CanonicalEvent.isKind(kind)(fact) &&
    Result.isSuccess(CanonicalEvent.decodePayload(fact))
  if (known && isEvent(payload)) {
    const ended = goesOn.has(payload._tag) ? [] : closed(run)
    return [...ended, ...eventRows(payload, kind, run, before, at)]
  }
  const own = known ? ownRows(fact, run, before) : undefined
  return [...closed(run), ...(own ?? [line("fact", "dim", inline(kind), json(payload))])]
}
