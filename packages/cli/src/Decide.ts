/**
 * `runledger decide`: the decision on a tool call that waits for one.
 */
import { Approval, type LedgerError } from "@runledger/core"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

const settings = {
  ledger: Ledger.flag,
  call: Argument.String("call").pipe(
    Argument.filter(
      (id) => id.trim() !== "",
      () => "the id of a tool call, or of its suspension"
    ),
    Argument.withDescription("The id of the tool call, or that of its suspension")
  ),
  approve: Flag.Boolean("approve").pipe(
    Flag.withDescription("It may run; one whose outcome is unknown, once more"),
    Flag.withDefault(false)
  ),
  reject: Flag.Boolean("reject").pipe(
    Flag.withDescription("It may not run; one whose outcome is unknown counts as failed"),
    Flag.withDefault(false)
  ),
  reason: Flags.text("reason").pipe(Flag.withDescription("Why, for whoever asks later"), Flag.optional),
  run: Flags.text("run").pipe(
    Flag.withDescription("The run of the call, when more than one run has a call with this id"),
    Flag.optional
  )
}

const failure = (error: Approval.DecideError): Failure.Failure => {
  switch (error._tag) {
    case "NotFound":
      return new Failure.Failure({ status: Failure.status.found, message: error.message })
    case "AlreadyDecided":
      return new Failure.Failure({ status: Failure.status.decided, message: error.message })
    case "AmbiguousCall":
      return ambiguous(error)
    case "ValidationError":
      return Failure.usage(error.message)
    default:
      return Failure.ledger(error)
  }
}

const ambiguous = ({ callId, runIds }: LedgerError.AmbiguousCall): Failure.Failure => {
  const runs = runIds.map((runId) => Format.inline(runId, 60)).join(", ")
  return Failure.usage(
    `there is a tool call ${Format.inline(callId, 60)} in each of the runs ${runs}; name one of them with --run`
  )
}

const told = ({ approved, callId, reason, runId, state, tool }: Approval.Decision): string => {
  const what = `${Format.inline(tool)} · ${Format.inline(callId)} · of run ${Format.inline(runId)}`
  const then =
    state === "waits_for_permission"
      ? approved
        ? "it may run"
        : "it may not run"
      : approved
        ? "its outcome was unknown, it may run again"
        : "its outcome was unknown, it counts as failed"
  return Format.join(`${approved ? "approved" : "rejected"}: ${what}`, then, Format.inline(reason))
}

export const command = Command.make("decide", settings, ({ approve, call, ledger, reject, reason, run }) =>
  Effect.gen(function* () {
    if (approve === reject) {
      return yield* Failure.usage("name one of --approve and --reject")
    }
    const decision = yield* Approval.decide({
      callId: call,
      approved: approve,
      reason: Option.getOrUndefined(reason),
      runId: Option.getOrUndefined(run)
    }).pipe(Effect.mapError(failure), Effect.provide(Ledger.forChanging(ledger)))
    yield* Output.notice(told(decision))
  })
).pipe(
  Command.withDescription(
    "Decide on a tool call that waits: approve or reject it. Whoever goes on with its run finds the decision in the ledger; a second one is refused"
  ),
  Command.withShortDescription("Approve or reject a tool call that waits"),
  Command.withExamples([
    { command: "runledger decide call-9 --approve", description: "The call may run" },
    {
      command: 'runledger decide call-9 --reject --reason "not on a Friday" --run run-1',
      description: "The call of one run may not, and why"
    }
  ])
)
