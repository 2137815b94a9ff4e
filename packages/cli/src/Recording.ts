/**
 * Takes lines of events and records each in the run that it belongs to.
 */
import { type AgentEvent, EventSink, type EventStager, Normalizer, RunContext } from "@runledger/core"
import { Awaken, type DecodeError, Native } from "@runledger/wire"
import { Effect, Result } from "effect"
import type { Line } from "./Lines.ts"

/** How the events of the input are written. */
export const formats = ["native", "awaken"] as const

type Parse = (text: string) => Result.Result<AgentEvent.AgentEvent, DecodeError.DecodeError>

const parsers: { readonly [Format in (typeof formats)[number]]: Parse } = {
  native: Native.parseAgentEvent,
  awaken: Awaken.parseAgentEvent
}

interface Options {
  readonly format: (typeof formats)[number]
  readonly origin: string
  readonly exact: boolean
  /** The run that takes every line; without it, each run start opens the run that it names. */
  readonly run: RunContext.RunContext | undefined
}

/** Takes a line; what is wrong with it, or undefined when it is recorded, blank, or dropped by policy. */
export type Take = (line: Line) => Effect.Effect<string | undefined, never, EventStager.EventStager>

const starts: ReadonlyArray<string> = ["RunStart", "run_start"]

/** Whether a line that cannot be read may have been meant as the start of a run: by its tag, as far as that is there. */
const isStartLike = (text: string): boolean => {
  const tag = /^\s*\{\s*"(?:_tag|event_type)"\s*:\s*"([^"]*)("?)/.exec(text)
  if (tag !== null) {
    const [, name = "", closed] = tag
    return closed ? starts.includes(name) : starts.some((start) => start.startsWith(name))
  }
  return /"(?:_tag|event_type)"\s*:\s*"(?:RunStart|run_start)"/.test(text)
}

export const make = (options: Options): Take => {
  const parse = parsers[options.format]
  const sinks = new Map<string, EventSink.EventSinkShape>()
  let current: EventSink.EventSinkShape | undefined
  let problem: string | undefined

  const open = (context: RunContext.RunContext) =>
    Effect.gen(function* () {
      const key = JSON.stringify([context.threadId, context.runId])
      const known = sinks.get(key)
      if (known !== undefined) {
        return known
      }
      const sink = yield* EventSink.make.pipe(
        Effect.provideServiceEffect(Normalizer.Normalizer, Normalizer.make(context, { reopen: !options.exact })),
        Effect.provideService(EventSink.OnNotRecorded, ({ cause }) =>
          Effect.sync(() => {
            problem = cause instanceof Error ? cause.message : String(cause)
          })
        )
      )
      sinks.set(key, sink)
      return sink
    })

  /** The sink of the run that an event starts or belongs to. */
  const route = (event: AgentEvent.AgentEvent) =>
    Effect.gen(function* () {
      if (options.run !== undefined) {
        return yield* open(options.run)
      }
      if (event._tag === "RunStart") {
        current = undefined
        const { runId, threadId } = event
        const context = RunContext.make({ threadId, runId, origin: options.origin })
        if (Result.isFailure(context)) {
          return context.failure.message
        }
        current = yield* open(context.success)
      }
      return current ?? "no run has been started by a line before it"
    })

  /** What follows a start that is refused would otherwise be recorded in the run before it. */
  const refuse = (text: string, problem: string): string => {
    current = isStartLike(text) ? undefined : current
    return problem
  }

  return ({ isUtf8, text }) =>
    Effect.gen(function* () {
      if (!isUtf8) {
        return refuse(text, "the line is not UTF-8")
      }
      if (text.trim() === "") {
        return undefined
      }
      const event = parse(text)
      if (Result.isFailure(event)) {
        return refuse(text, event.failure.message)
      }
      const sink = yield* route(event.success)
      if (typeof sink === "string") {
        return sink
      }
      problem = undefined
      yield* sink.emit(event.success)
      if (problem !== undefined && event.success._tag === "RunStart") {
        current = undefined
      }
      return problem
    })
}
