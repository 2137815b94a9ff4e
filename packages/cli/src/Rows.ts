/**
 * What each fact of a run says on a timeline, and what of it later facts need to know.
 */
import { AgentEvent, CanonicalEvent, type Lifecycle, type Tool } from "@runledger/core"
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
  readonly label: "says" | "thinks" | "output"
  /** The call that puts it out. */
  readonly call: { readonly id: string; readonly name: string } | undefined
  readonly at: number
  text: string
}

/** A tool call that has not come to its end; `since` is when it last started, became ready or was suspended. */
interface OpenCall {
  readonly name: string
  readonly since: number
}

/** What the facts of a run so far left behind. */
export interface Run {
  readonly startedAt: number
  active: boolean
  steps: number
  paragraph: Paragraph | undefined
  lastSaid: string
  readonly calls: Map<string, OpenCall>
  readonly tokens: { input: number; output: number; total: number }
}

/** A run of which nothing was seen yet; it may have begun before the first fact that is seen. */
export const newRun = (startedAt: number): Run => ({
  startedAt,
  active: true,
  steps: 0,
  paragraph: undefined,
  lastSaid: "",
  calls: new Map(),
  tokens: { input: 0, output: 0, total: 0 }
})

const isEvent = Schema.is(AgentEvent.AgentEvent)
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
    case "says":
      return [{ label, tint: "bold", text: all, at }]
    case "thinks":
      return [{ label, tint: "magenta", text: all, textTint: "dim", at }]
    case "output": {
      const left = all.length - outputLines
      const tail = all.slice(-outputLines).map((row) => `│ ${inline(row.replaceAll("\t", "  "), 200)}`.trimEnd())
      const head = call === undefined ? "" : join(inline(call.name), Format.short(call.id))
      const more = left > 0 ? [`│ … ${Format.count(left)} more lines`] : []
      return [{ label, tint: "dim", text: [head, ...more, ...tail], textTint: "dim", at }]
    }
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
  if (paragraph === undefined) {
    return []
  }
  if (paragraph.label === "says") {
    run.lastSaid = paragraph.text
  }
  return folded(paragraph)
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

const finished = (event: typeof AgentEvent.RunFinish.Type, run: Run, at: number): ReadonlyArray<Row> => {
  const [tint, reason] = ending(event.termination)
  const { input, output, total } = run.tokens
  const response = AgentEvent.responseText(event)
  return [
    ...(response.trim() === "" || response === run.lastSaid
      ? []
      : [{ label: "answer", tint: "bold", text: Format.lines(response) } as const]),
    {
      rule: join(
        `run ${inline(event.runId)} ${reason}`,
        `took ${Format.duration(at - run.startedAt)}`,
        total === 0
          ? undefined
          : `${Format.count(total)} tokens (${Format.count(input)} in, ${Format.count(output)} out)`
      ),
      tint
    }
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

const done = (event: typeof AgentEvent.ToolCallDone.Type, kind: string, run: Run, at: number): Row => {
  const { id, result } = event
  const call = run.calls.get(id)
  const after = call && Format.duration(at - call.since)
  run.calls.delete(id)
  if (event.outcome === "suspended") {
    const suspended = { name: result.toolName, since: at }
    run.calls.set(id, suspended)
    if (result.suspension !== undefined) {
      run.calls.set(result.suspension.suspension.id, suspended)
    }
    return line("suspended", "yellow", inline(result.toolName), waitsFor(result), after, Format.short(id))
  }
  return line(...outcome(kind, event), inline(result.toolName), detail(result), after, Format.short(id))
}

/** A decision may be addressed to the call or to its suspension. */
const resumed = (event: typeof AgentEvent.ToolCallResumed.Type, run: Run, at: number): Row => {
  const call = run.calls.get(event.targetId)
  for (const [id, open] of run.calls) {
    if (open === call) {
      run.calls.delete(id)
    }
  }
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

const inference = ({ durationMs, model, usage }: typeof AgentEvent.InferenceComplete.Type, run: Run): Row => {
  const input = usage?.promptTokens ?? 0
  const output = usage?.completionTokens ?? 0
  run.tokens.input += input
  run.tokens.output += output
  run.tokens.total += usage?.totalTokens ?? input + output
  return line(
    "model",
    "blue",
    inline(model),
    tokens("in", usage?.promptTokens, "cached", usage?.cacheReadTokens),
    tokens("out", usage?.completionTokens, "thinking", usage?.thinkingTokens),
    Format.duration(durationMs)
  )
}

/** Events that do not end a paragraph. */
const goesOn = new Set<AgentEvent.AgentEvent["_tag"]>([
  "TextDelta",
  "ReasoningDelta",
  "ToolCallStreamDelta",
  "ToolCallDelta"
])

/** The rows of an event, after it left its trace in the run. */
const eventRows = (event: AgentEvent.AgentEvent, kind: string, run: Run, at: number): ReadonlyArray<Row> => {
  switch (event._tag) {
    case "RunStart":
      run.active = true
      return [opened(event, kind === "RunResumed", at)]
    case "RunFinish":
      run.active = false
      return finished(event, run, at)
    case "StepStart":
      run.steps += 1
      return [{ ...line(`step ${run.steps}`, "cyan", inline(event.messageId)), opens: true, textTint: "dim" }]
    case "ReasoningEncryptedValue":
      return [aside("thinks", `(${Format.count(event.encryptedValue.length)} characters of encrypted reasoning)`)]
    case "ToolCallStart":
      run.calls.set(event.id, { name: event.name, since: at })
      return []
    case "ToolCallReady":
      run.calls.set(event.id, { name: event.name, since: at })
      return [line("tool", "cyan", `${inline(event.name)} ${json(event.arguments)}`, Format.short(event.id))]
    case "ToolCallDone":
      return [kind === "ToolPermissionRequested" ? permission(event) : done(event, kind, run, at)]
    case "ToolCallResumed":
      return [resumed(event, run, at)]
    case "ToolCallCancel": {
      run.calls.delete(event.id)
      return [line("cancelled", "yellow", inline(event.name), inline(event.reason), Format.short(event.id))]
    }
    case "StreamReset":
      return [line("reset", "yellow", "the turn starts over, what it said so far is void", inline(event.reason))]
    case "InferenceComplete":
      return [inference(event, run)]
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
    case "ToolCallDelta":
    case "StepEnd":
      return []
  }
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
 * The rows that a fact brings: the paragraph that it ends, if it does, and its own. A fact of an unknown kind or of a
 * newer version, or with a payload that its kind does not have, is shown as it is.
 */
export const rows = (fact: CanonicalEvent.CanonicalEvent, run: Run): ReadonlyArray<Row> => {
  const { kind, occurredAt: at, payload } = fact
  if (fact.erased === true) {
    return [...closed(run), aside("erased", inline(kind))]
  }
  const known =
    CanonicalEvent.isKnownKind(kind) &&
    CanonicalEvent.isKind(kind)(fact) &&
    Result.isSuccess(CanonicalEvent.decodePayload(fact))
  if (known && isEvent(payload)) {
    const ended = goesOn.has(payload._tag) ? [] : closed(run)
    return [...ended, ...eventRows(payload, kind, run, at)]
  }
  const row = known ? compactionRow(fact) : undefined
  return [...closed(run), row ?? line("fact", "dim", inline(kind), json(payload))]
}
