/**
 * `runledger pending`: the tool calls that wait for somebody to decide.
 */
import { Approval } from "@runledger/core"
import { Effect, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"
import * as Table from "./Table.ts"

const flags = {
  ledger: Ledger.flag,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("A JSON object a line: ids and arguments in full, times in milliseconds since the epoch"),
    Flag.withDefault(false)
  )
}

const header = ["CALL", "RUN", "TOOL", "WAITS FOR", "SINCE (UTC)", "ARGUMENTS"]

/** What a call waits for, in words. */
export const states: { readonly [State in Approval.Pending["state"]]: string } = {
  waits_for_permission: "a permission",
  outcome_unknown: "a word on its outcome"
}

const row = ({
  arguments: given,
  callId,
  requestedAt,
  runId,
  state,
  tool
}: Approval.Pending): ReadonlyArray<string> => [
  Format.inline(callId, 60),
  Format.inline(runId, 60),
  Format.inline(tool, 40),
  states[state],
  `${Format.day(requestedAt)} ${Format.timeOfDay(requestedAt)}`,
  given === undefined ? "" : Format.json(given, 80)
]

/** All members are there, so that a program need not ask. */
const json = (pending: Approval.Pending): string => {
  const { arguments: given = null, callId, requestedAt, runId, state, threadId = null, tool } = pending
  return JSON.stringify({ callId, runId, threadId, tool, arguments: given, requestedAt, state })
}

export const command = Command.make("pending", flags, (options) =>
  Effect.gen(function* () {
    const all = yield* Effect.mapError(Stream.runCollect(Approval.pending), Failure.ledger)
    if (all.length === 0) {
      return yield* Output.notice(`${Ledger.name(options.ledger)} holds no tool calls that wait for a decision`)
    }
    yield* Output.lines(options.json ? all.map(json) : Table.lines(header, all.map(row)))
  }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
).pipe(
  Command.withDescription(
    "List the tool calls that wait for somebody to decide: those that ask for a permission, and those that were executing when their process died"
  ),
  Command.withShortDescription("List the tool calls that wait for a decision"),
  Command.withExamples([
    { command: "runledger pending", description: "A table" },
    { command: "runledger pending --json", description: "For programs" }
  ])
)
