/**
 * The stage that knows which tool calls are under way, so that a run which is interrupted can name them.
 */
import type { AgentEvent } from "../AgentEvent.ts"

/** A call that is ready to run; `executing` says that a process has begun to. */
export interface OpenCall {
  readonly id: string
  readonly name: string
  readonly executing: boolean
}

export type OpenCalls = ReadonlyArray<OpenCall>

const without = (calls: OpenCalls, id: string): OpenCalls =>
  calls.some((call) => call.id === id) ? calls.filter((call) => call.id !== id) : calls

const isExecuting = (calls: OpenCalls, id: string): boolean => calls.some((call) => call.id === id && call.executing)

export const after = (calls: OpenCalls, event: AgentEvent): OpenCalls => {
  switch (event._tag) {
    case "ToolCallReady":
      // Who reads a stream late may hear of a call when its tool runs already.
      return ready(calls, event.id, event.name, isExecuting(calls, event.id))
    case "ToolCallDone":
    case "ToolCallCancel":
      return without(calls, event.id)
    case "ToolCallResumed":
      return without(calls, event.targetId)
    default:
      return calls
  }
}

/** Nobody has checked the event; what is no text cannot be saved, and names nothing. */
const ready = (calls: OpenCalls, id: unknown, name: unknown, executing: boolean): OpenCalls =>
  typeof id === "string" && typeof name === "string" ? [...without(calls, id), { id, name, executing }] : calls

/** A process has begun to run this call. */
export const executing = (calls: OpenCalls, id: unknown, name: unknown): OpenCalls => ready(calls, id, name, true)
