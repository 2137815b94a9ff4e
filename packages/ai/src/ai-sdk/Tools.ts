/**
 * Tools that run only when the ledger knows that they are about to.
 */
import { CanonicalEvent, Run } from "@runledger/core"
import type { Tool, ToolExecutionOptions, ToolSet } from "ai"
import { Effect } from "effect"
import * as Told from "./Told.ts"

type Options = ToolExecutionOptions<unknown>

/** Gets leave to run a call, or fails. */
type Claim = (name: string, options: Options) => Promise<void>

/** Whether the call is one that the model made before this stream, and somebody has approved since. */
const isEarlier = ({ messages, toolCallId }: Options): boolean => {
  const last = messages.at(-1)
  const answered = new Set(
    last?.role === "tool"
      ? last.content.flatMap((part) => (part.type === "tool-approval-response" ? [part.approvalId] : []))
      : []
  )
  return messages.some(
    ({ content, role }) =>
      role === "assistant" &&
      typeof content !== "string" &&
      content.some(
        (part) =>
          part.type === "tool-approval-request" && part.toolCallId === toolCallId && answered.has(part.approvalId)
      )
  )
}

const claim = (run: Run.RunShape, name: string, options: Options) =>
  (isEarlier(options) ? Effect.void : Told.whenReady(run, options.toolCallId)).pipe(
    Effect.andThen(run.messageSoFar),
    Effect.andThen(
      run.fact("ToolCallExecuting", CanonicalEvent.payloads.ToolCallExecuting, { id: options.toolCallId, name })
    ),
    Effect.andThen(run.flush())
  )

/** What a tool puts out piece by piece is told by the function, before it is called. */
const isStreaming = (execute: object): boolean => Reflect.get(execute, Symbol.toStringTag) === "AsyncGeneratorFunction"

const isIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value

const last = async (outputs: AsyncIterable<unknown>): Promise<unknown> => {
  let last: unknown
  for await (const output of outputs) {
    last = output
  }
  return last
}

const claimed = (name: string, tool: Tool, claim: Claim): Tool => {
  const { execute } = tool
  if (execute === undefined) {
    return tool
  }
  const run = (input: unknown, options: Options): unknown => Reflect.apply(execute, tool, [input, options])
  const whole = async (input: unknown, options: Options): Promise<unknown> => {
    await claim(name, options)
    const output = await run(input, options)
    return isIterable(output) ? last(output) : output
  }
  async function* pieces(input: unknown, options: Options): AsyncGenerator<unknown> {
    await claim(name, options)
    yield* run(input, options) as AsyncIterable<unknown>
  }
  return { ...tool, execute: isStreaming(execute) ? pieces : whole } as Tool
}

/**
 * The same tools, each of which runs a call only after the ledger has it that the call is about to be run.
 *
 * **Details**
 *
 * Every call that runs is claimed first: `ToolCallExecuting` is committed before `execute` is entered. After a crash,
 * {@link Recorder.recover} names the calls that may have had their effect; no other call can have had one. A call whose
 * claim cannot be committed fails with the error of the ledger, and its `execute` is never entered.
 *
 * **Gotchas**
 *
 * A tool that puts out one result after the other must be an `async function*`. Of an iterable that another function
 * returns, only the last one counts.
 *
 * @category tools
 * @since 0.1.0
 */
export const tools = Effect.fnUntraced(function* <TOOLS extends ToolSet>(
  tools: TOOLS
): Effect.fn.Return<TOOLS, never, Run.Run> {
  const run = yield* Run.Run
  const runPromise = Effect.runPromiseWith(yield* Effect.context<never>())
  const claimOne: Claim = (name, options) =>
    runPromise(claim(run, name, options), options.abortSignal === undefined ? {} : { signal: options.abortSignal })
  return Object.fromEntries(
    Object.entries(tools).map(([name, tool]) => [name, claimed(name, tool as Tool, claimOne)])
  ) as TOOLS
})
