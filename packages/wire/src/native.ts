/**
 * Native JSON text: our own form, as it comes from outside.
 *
 * @since 0.1.0
 */
import { AgentEvent } from "@runledger/core"
import { Result } from "effect"
import { type DecodeError, taggedDecoder } from "./DecodeError.ts"
import * as JsonText from "./JsonText.ts"

const decodeValue = taggedDecoder("_tag", new Set(Object.keys(AgentEvent.AgentEvent.cases)), AgentEvent.AgentEvent)

/**
 * Reads a native agent event from a JSON text; see {@link JsonText.parse} for what is refused. Unknown keys are left
 * out, defaults filled in.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseAgentEvent = (text: string): Result.Result<AgentEvent.AgentEvent, DecodeError> =>
  Result.flatMap(JsonText.parse(text), decodeValue)
