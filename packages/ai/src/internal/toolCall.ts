/**
 * The events of tool calls, as both libraries have them.
 */
import { type AgentEvent, Tool } from "@runledger/core"
import type { Schema } from "effect"

/** A call of the model, with its arguments as JSON. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: Schema.Json
}

type Metadata = { readonly [key: string]: Schema.Json }

const done = (id: string, result: Tool.ToolResult, metadata: Metadata): AgentEvent.AgentEvent => ({
  _tag: "ToolCallDone",
  id,
  messageId: "",
  result: { ...result, metadata: { ...result.metadata, ...metadata } },
  outcome: Tool.outcomeOf(result.status)
})

/** The tool did its work; `data` is its result, encoded. */
export const succeeded = (
  { id, name }: Pick<ToolCall, "id" | "name">,
  data: Schema.Json,
  metadata: Metadata = {}
): AgentEvent.AgentEvent => done(id, Tool.success(name, data), metadata)

/** The tool failed; `data` is what it failed with, encoded. */
export const failed = (
  { id, name }: Pick<ToolCall, "id" | "name">,
  data: Schema.Json,
  message: string,
  metadata: Metadata = {}
): AgentEvent.AgentEvent => done(id, { ...Tool.error(name, message), data }, metadata)

/** Somebody did not allow it. */
export const rejected = (
  call: Pick<ToolCall, "id" | "name">,
  data: Schema.Json,
  reason: string
): AgentEvent.AgentEvent => failed(call, data, reason, { rejected: true })

/** The call waits for a permission, which is asked for under `approvalId`. */
export const suspended = (call: ToolCall, approvalId: string, metadata: Metadata = {}): AgentEvent.AgentEvent =>
  done(
    call.id,
    Tool.suspended(call.name, `${call.name} needs an approval`, {
      suspension: {
        id: approvalId,
        action: `tool:${call.name}`,
        message: `May ${call.name} run?`,
        parameters: call.arguments
      },
      pending: { id: call.id, name: call.name, arguments: call.arguments },
      resumeMode: "replay_tool_call"
    }),
    metadata
  )
