/**
 * The part of a ledger that a command reads.
 */
import { Cursor } from "@runledger/core"
import { Effect, Option } from "effect"
import { Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"

export const run = Flags.text("run").pipe(Flag.withDescription("The facts of this run"), Flag.optional)

export const thread = Flags.text("thread").pipe(
  Flag.withDescription("The facts of this thread, all its runs"),
  Flag.optional
)

/** The one scope that the flags name. */
export const of = (options: {
  readonly run: Option.Option<string>
  readonly thread: Option.Option<string>
  readonly all?: boolean
}): Effect.Effect<Cursor.ReadScope, Failure.Failure> => {
  const named: ReadonlyArray<Cursor.ReadScope> = [
    ...Option.toArray(Option.map(options.run, (runId) => ({ _tag: "Run" as const, runId }))),
    ...Option.toArray(Option.map(options.thread, (threadId) => ({ _tag: "Thread" as const, threadId }))),
    ...(options.all ? [Cursor.ledger] : [])
  ]
  const [scope] = named
  return scope !== undefined && named.length === 1
    ? Effect.succeed(scope)
    : Effect.fail(
        new Failure.Failure({
          status: Failure.status.usage,
          message: `name one of --run and --thread${options.all === undefined ? "" : ", or --all"}`
        })
      )
}

/** The end of a command that found nothing in its scope. */
export const nothing = (scope: Cursor.ReadScope, ledger: string): Failure.Failure =>
  new Failure.Failure({
    status: Failure.status.found,
    message:
      scope._tag === "Ledger"
        ? `${Format.inline(ledger)} holds no facts`
        : `${Format.inline(ledger)} holds no facts of ${scope._tag === "Run" ? `run ${Format.inline(scope.runId)}` : `thread ${Format.inline(scope.threadId)}`}`
  })
