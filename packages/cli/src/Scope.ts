/**
 * The part of a ledger that a command reads.
 */
import { Cursor, EventStore } from "@runledger/core"
import { Effect, Option, Stream } from "effect"
import { Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"
import type { Timeline } from "./Timeline.ts"

export const run = Flags.text("run").pipe(Flag.withDescription("The facts of this run"), Flag.optional)

export const thread = Flags.text("thread").pipe(
  Flag.withDescription("The facts of this thread, all its runs"),
  Flag.optional
)

export const all = Flag.Boolean("all").pipe(
  Flag.withDescription("All facts of the ledger, in the order of commits"),
  Flag.withDefault(false)
)

interface Named {
  readonly run: Option.Option<string>
  readonly thread: Option.Option<string>
  readonly all?: boolean
}

/** The one scope that the flags name. */
export const of = (options: Named): Effect.Effect<Cursor.ReadScope, Failure.Failure> => {
  const named: ReadonlyArray<Cursor.ReadScope> = [
    ...Option.toArray(Option.map(options.run, (runId) => ({ _tag: "Run" as const, runId }))),
    ...Option.toArray(Option.map(options.thread, (threadId) => ({ _tag: "Thread" as const, threadId }))),
    ...(options.all ? [Cursor.ledger] : [])
  ]
  const [scope] = named
  return scope !== undefined && named.length === 1
    ? Effect.succeed(scope)
    : Effect.fail(Failure.usage(`name one of --run and --thread${options.all === undefined ? "" : ", or --all"}`))
}

/** The end of a command that found nothing in its scope. */
const nothing = (scope: Cursor.ReadScope, ledger: string): Failure.Failure =>
  new Failure.Failure({
    status: Failure.status.found,
    message:
      scope._tag === "Ledger"
        ? `${Ledger.name(ledger)} holds no facts`
        : `${Ledger.name(ledger)} holds no facts of ${scope._tag === "Run" ? `run ${Format.inline(scope.runId)}` : `thread ${Format.inline(scope.threadId)}`}`
  })

/** Prints the facts of the scope that the flags name, each as `push` has it, and at last what `end` gives. */
export const print = (options: Named & { readonly ledger: string }, { end, push }: Timeline) =>
  Effect.flatMap(of(options), (scope) =>
    Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      let facts = 0
      yield* Stream.runForEachArray(Ledger.facts(store, scope), (page) => {
        facts += page.length
        return Output.lines(page.flatMap(push))
      })
      if (facts === 0) {
        return yield* nothing(scope, options.ledger)
      }
      yield* Output.lines(end())
    }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
  )
