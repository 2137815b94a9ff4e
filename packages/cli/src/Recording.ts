/**
 * Takes lines of events and records each in the run that it belongs to.
 */
import { type AgentEvent, EventSink, LedgerError, Recorder, type Run, RunContext } from "@runledger/core"
import { Awaken, type DecodeError, Native } from "@runledger/wire"
import { Clock, Effect, Result, Scope } from "effect"
import type { Line } from "./Lines.ts"

/** How the events of the input are written. */
export const formats = ["native", "awaken"] as const

type Parse = (text: string) => Result.Result<AgentEvent.AgentEvent, DecodeError.DecodeError>

const parsers: { readonly [Format in (typeof formats)[number]]: Parse } = {
  native: Native.parseAgentEvent,
  awaken: Awaken.parseAgentEvent
}

export interface Options {
  readonly format: (typeof formats)[number]
  readonly origin: string
  /** The run that takes every line; without it, each run start opens the run that it names. */
  readonly run: RunContext.RunContext | undefined
}

/** A line with its place among all lines. */
export interface Placed extends Line {
  readonly position: number
}

export interface Recording {
  /** Takes a line; what is wrong with it, or undefined when it is recorded, blank, or dropped by policy. */
  readonly take: (line: Placed) => Effect.Effect<string | undefined, Recorder.OpenError>

  /** Remembers what a line that is recorded already says about those that follow it. */
  readonly skip: (line: Placed) => void

  /** Ends the runs, and waits until everything is committed. */
  readonly end: Effect.Effect<void, LedgerError.StagingFailed>
}

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

/** A process that was killed may hold a name or a run for a moment longer: its server has to notice that it is gone. */
const freeMillis = 5000
const retryMillis = 100

/** Opens what somebody may hold, and waits for them to let it go, but not for long. */
export const whenFree = Effect.fnUntraced(function* <A, E extends { readonly _tag: string }, R>(
  opening: Effect.Effect<A, E, R>
) {
  const until = (yield* Clock.currentTimeMillis) + freeMillis
  while (true) {
    const opened = yield* Effect.result(opening)
    const isHeld = Result.isFailure(opened) && ["WriterHeld", "RunHeld"].includes(opened.failure._tag)
    if (!isHeld || (yield* Clock.currentTimeMillis) >= until) {
      return yield* Effect.fromResult(opened)
    }
    // Who interrupts the command does not wait.
    yield* Effect.interruptible(Effect.sleep(retryMillis))
  }
})

/** Records lines into the runs that they belong to. These are open until the scope closes. */
export const make = Effect.fnUntraced(function* (
  options: Options,
  input: Run.Input
): Effect.fn.Return<Recording, never, Recorder.Recorder | Scope.Scope> {
  const recorder = yield* Recorder.Recorder
  const scope = yield* Effect.scope
  const parse = parsers[options.format]
  const runs = new Map<string, Run.RunShape>()
  /** The run that the next line belongs to, if one was started. */
  let current: RunContext.RunContext | undefined = options.run
  let problem: string | undefined

  const open = (context: RunContext.RunContext) =>
    Effect.gen(function* () {
      const key = JSON.stringify([context.threadId, context.runId])
      const known = runs.get(key)
      if (known !== undefined) {
        return known
      }
      const run = yield* whenFree(recorder.open({ ...context, input })).pipe(
        Scope.provide(scope),
        Effect.provideService(EventSink.OnNotRecorded, ({ cause }) =>
          Effect.sync(() => {
            problem = cause instanceof Error ? cause.message : String(cause)
          })
        )
      )
      runs.set(key, run)
      return run
    })

  /** Turns to the run that an event starts; what is wrong with that run, if anything. */
  const turn = (event: AgentEvent.AgentEvent): string | undefined => {
    if (options.run !== undefined || event._tag !== "RunStart") {
      return undefined
    }
    const { runId, threadId } = event
    const context = RunContext.make({ threadId, runId, origin: options.origin })
    current = Result.isSuccess(context) ? context.success : undefined
    return Result.isSuccess(context) ? undefined : context.failure.message
  }

  /** What follows a start that is refused would otherwise be recorded in the run before it. */
  const refuse = (text: string, problem: string): string => {
    current = isStartLike(text) ? options.run : current
    return problem
  }

  return {
    take: ({ isUtf8, position, text }) =>
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
        const refused = turn(event.success)
        if (current === undefined) {
          return refused ?? "no run has been started by a line before it"
        }
        const opened = yield* Effect.result(open(current))
        if (Result.isFailure(opened)) {
          if (opened.failure._tag !== "ValidationError") {
            return yield* Effect.fail(opened.failure)
          }
          current = options.run
          return opened.failure.message
        }
        problem = undefined
        yield* opened.success.emit(event.success, position)
        return problem
      }),
    skip: ({ isUtf8, text }) => {
      if (isStartLike(text)) {
        const event = isUtf8 ? parse(text) : undefined
        if (event !== undefined && Result.isSuccess(event)) {
          turn(event.success)
        } else {
          current = options.run
        }
      }
    },
    // All at once: each would wait for the same store.
    end: Effect.suspend(() =>
      Effect.forEach(runs.values(), (run) => Effect.result(run.close), { concurrency: "unbounded" })
    ).pipe(
      Effect.flatMap((ended) => {
        const failures = ended.filter(Result.isFailure).map(({ failure }) => failure)
        const events = failures.reduce((sum, failure) => sum + failure.events, 0)
        const [first] = failures
        return first === undefined ? Effect.void : Effect.fail(LedgerError.stagingFailed(events, first.cause))
      })
    )
  }
})
