/**
 * The stage that lets a run that ended go on.
 *
 * In the seed, the finish that follows a suspension and a resumption in one sink is swallowed, since the run counts as
 * finished already.
 */
import { HashSet } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { RunState } from "./transition.ts"

/** The start of a run that ended reopens it, so that its next finish is a fact. */
export const reopen = (state: RunState, event: AgentEvent): RunState =>
  event._tag === "RunStart" && HashSet.has(state.terminal, event.runId)
    ? { ...state, terminal: HashSet.remove(state.terminal, event.runId) }
    : state
