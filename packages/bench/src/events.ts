/**
 * The events that are measured with: a coding agent's run of twenty steps, mostly deltas of texts.
 */
import type { AgentEvent } from "@runledger/core"

/** Ids as most apps make them. */
export const ids = {
  threadId: "0190a6f2-5c1e-7b7a-9d3e-4f1c2b3a4d5e",
  runId: "0190a6f2-5c2f-7c11-8a52-6e0d9c8b7a6f"
}

const words = ["code", "about", "answer", "file", "while", "compaction", "for", "of", "reads", "é", "the", "test"]

const said = (index: number): string => `${words[index % words.length]} ${words[(index * 7) % words.length]} `

const callOf = (step: number, call: number): ReadonlyArray<AgentEvent.AgentEvent> => {
  const id = `call-${step}-${call}`
  const args = { path: `src/${said(step)}.ts`, from: step * 10, to: step * 10 + 40 }
  return [
    { _tag: "ToolCallStart", id, name: "read_file" },
    ...[0, 1, 2, 3, 4].map(
      (piece): AgentEvent.AgentEvent => ({
        _tag: "ToolCallDelta",
        id,
        argsDelta: JSON.stringify(args).slice(piece * 12, piece * 12 + 12)
      })
    ),
    { _tag: "ToolCallReady", id, name: "read_file", arguments: args },
    {
      _tag: "ToolCallDone",
      id,
      messageId: `msg-${step}`,
      result: { toolName: "read_file", status: "success", data: { content: said(step).repeat(20) }, metadata: {} },
      outcome: "succeeded"
    }
  ]
}

const step = (step: number, deltas: number): ReadonlyArray<AgentEvent.AgentEvent> => [
  { _tag: "StepStart", messageId: `msg-${step}` },
  ...Array.from({ length: deltas }, (_, index): AgentEvent.AgentEvent => ({ _tag: "TextDelta", delta: said(index) })),
  ...callOf(step, 0),
  ...callOf(step, 1),
  {
    _tag: "InferenceComplete",
    model: "model",
    usage: { promptTokens: 3000 + step, completionTokens: 200, totalTokens: 3200 + step },
    durationMs: 2000
  },
  { _tag: "StateSnapshot", snapshot: { revision: step, files: [said(step)] } },
  { _tag: "StepEnd" }
]

/** A run of twenty steps, each with so many deltas of a text: 4,402 events with 200. */
export const runOf = (deltas = 200): ReadonlyArray<AgentEvent.AgentEvent> => [
  { _tag: "RunStart", ...ids },
  ...Array.from({ length: 20 }, (_, index) => step(index, deltas)).flat(),
  { _tag: "RunFinish", ...ids, termination: { _tag: "NaturalEnd" } }
]
