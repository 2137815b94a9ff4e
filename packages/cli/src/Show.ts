/**
 * `runledger show`: a run or a thread as a timeline.
 */
import { Effect, Stream } from "effect"
import { Command } from "effect/cli"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"
import * as Scope from "./Scope.ts"
import * as Timeline from "./Timeline.ts"

const flags = { ledger: Ledger.flag, run: Scope.run, thread: Scope.thread }

export const command = Command.make("show", flags, (options) =>
  Effect.flatMap(Scope.of(options), (scope) =>
    Effect.gen(function* () {
      const timeline = Timeline.make({ color: process.stdout.isTTY && !process.env["NO_COLOR"] })
      let facts = 0
      yield* Stream.runForEachArray(Ledger.facts(scope), (page) => {
        facts += page.length
        return Output.lines(page.flatMap(timeline.push))
      })
      if (facts === 0) {
        return yield* Scope.nothing(scope, options.ledger)
      }
      yield* Output.lines(timeline.end())
    }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
  )
).pipe(
  Command.withDescription("Show what happened in a run or a thread"),
  Command.withExamples([
    { command: "runledger show --run run-1", description: "One run" },
    { command: "runledger show --thread fix-login-test | less", description: "All runs of a thread" }
  ])
)
