/**
 * How a command ends when it does not end well.
 */
import { Schema } from "effect"

/** The exit statuses; 130 and 143 are those of SIGINT and SIGTERM. */
export const status = {
  /** `verify` found faults, nothing matched, or a cursor no longer holds. */
  found: 1,
  /** Some lines of the input were refused; the others are recorded. */
  refused: 2,
  /** The ledger cannot be opened, read or written, or the output cannot be. */
  ledger: 3,
  /** The tool call waits for no decision: somebody was faster, or it has ended. */
  decided: 4,
  /** The command was called wrongly. */
  usage: 64
} as const

/** Ends the command with a status; `message` is the one line that goes to stderr, none where all is said. */
export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  status: Schema.Number,
  message: Schema.String
}) {}

/** What is wrong with the ledger, as the end of a command. */
export const ledger = (error: { readonly message: string }): Failure =>
  new Failure({ status: status.ledger, message: error.message })

/** What is wrong with the call, as the end of a command. */
export const usage = (message: string): Failure => new Failure({ status: status.usage, message })

let lastCommit: Failure | undefined

/** Keeps the failure of the last commit for the exit status: an interrupted fiber drops the errors of its finalizers. */
export const keepLastCommit = (failure: Failure): void => {
  lastCommit = failure
}

/** The failure of the last commit, if it failed. */
export const ofLastCommit = (): Failure | undefined => lastCommit
