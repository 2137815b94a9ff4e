/**
 * The `runledger` command.
 */
// The package as a whole would load HTTP clients and clusters too, for a third of a short command's time.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Layer, Logger } from "effect"
import { CliConfig, CliOutput, Command, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import * as Copy from "./Copy.ts"
import * as Decide from "./Decide.ts"
import * as Export from "./Export.ts"
import * as Failure from "./Failure.ts"
import * as Follow from "./Follow.ts"
import * as Format from "./Format.ts"
import * as Output from "./Output.ts"
import * as Pending from "./Pending.ts"
import * as Record from "./Record.ts"
import * as Recover from "./Recover.ts"
import * as Retention from "./Retention.ts"
import * as Runs from "./Runs.ts"
import * as Show from "./Show.ts"
import * as Verify from "./Verify.ts"

const runledger = Command.make("runledger").pipe(
  Command.withDescription("A ledger of what AI agents did: record it, read it, verify it"),
  Command.withExamples([
    { command: "runledger record run.jsonl", description: "Record agent events into ./runledger.db" },
    { command: "runledger runs", description: "See which runs it holds" },
    { command: "runledger show --run run-1", description: "See what happened in one" }
  ]),
  Command.withSubcommands([
    Record.command,
    Runs.command,
    Show.command,
    Follow.command,
    Export.command,
    Verify.command,
    Recover.command,
    Pending.command,
    Decide.command,
    Copy.command,
    Retention.prune,
    Retention.erase
  ])
)

/** Wrong calls are answered with a line each; help is for those who ask for it. */
const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Output.notice(
          [
            ...event.errors.map((error) => `runledger: ${Format.withoutUrls(Format.sentence(error.message))}`),
            `see: ${event.commandPath.join(" ")} --help`
          ].join("\n")
        )
      : CliOutput.defaultPresenter.present(event)
})

let signalled = 130
process.once("SIGTERM", () => {
  signalled = 143
})

const say = (message: string): void =>
  void process.stderr.write(`runledger: ${Format.inline(Format.withoutUrls(message), 1000)}\n`)

/** The status to exit with, after its one line was said. */
const finish = (cause: Cause.Cause<unknown>): number => {
  const error = Failure.ofLastCommit() ?? Cause.squash(cause)
  if (Cause.hasInterruptsOnly(cause) && !(error instanceof Failure.Failure)) {
    return signalled
  }
  if (error instanceof Output.OutputClosed) {
    return 0
  }
  if (error instanceof Failure.Failure) {
    say(error.message)
    return error.status
  }
  if (typeof error === "object" && error !== null && "_tag" in error && error._tag === "ShowHelp") {
    return Failure.status.usage
  }
  say(error instanceof Error ? error.message : String(error))
  return Failure.status.ledger
}

Command.run(runledger, { version: packageJson.version }).pipe(
  Effect.provide(
    Layer.mergeAll(
      NodeServices.layer,
      presenter,
      Logger.layer([]),
      CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })
    )
  ),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : finish(exit.cause))
  })
)
