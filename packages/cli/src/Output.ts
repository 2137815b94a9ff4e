/**
 * Where results and notices go: standard output and standard error.
 */
import { Effect, Schema } from "effect"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"

/** Whoever read standard output has gone, as `head` does when it has enough. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {}) {}

let failure: OutputClosed | Failure.Failure | undefined

const fail = (error: NodeJS.ErrnoException): OutputClosed | Failure.Failure =>
  (failure ??=
    error.code === "EPIPE"
      ? new OutputClosed()
      : new Failure.Failure({ status: Failure.status.ledger, message: `cannot write the output: ${error.message}` }))

process.stdout.on("error", fail)

// Who does not read the notices does not stop the command: what it records matters more.
process.stderr.on("error", () => undefined)

/** Writes a text to standard output, and waits while its reader is slower. */
const write = (text: string): Effect.Effect<void, OutputClosed | Failure.Failure> =>
  Effect.callback((resume) => {
    if (failure !== undefined) {
      resume(Effect.fail(failure))
    } else if (text === "") {
      resume(Effect.void)
    } else {
      process.stdout.write(text, (error) => resume(error ? Effect.fail(fail(error)) : Effect.void))
    }
  })

/** Writes lines to standard output. */
export const lines = (texts: ReadonlyArray<string>): Effect.Effect<void, OutputClosed | Failure.Failure> =>
  write(texts.map((text) => `${text}\n`).join(""))

const progressMillis = 500
let progressAt = 0

/** Shows on a terminal how far long work has come, now and then, in place of what was shown before. */
export const progress = (text: () => string): Effect.Effect<void> =>
  Effect.sync(() => {
    const now = Date.now()
    if (process.stderr.isTTY && now - progressAt >= progressMillis) {
      progressAt = now
      process.stderr.write(`\r\u001b[K${text()}`)
    }
  })

/** Takes away what {@link progress} left. */
export const progressEnds = Effect.sync(() => {
  if (progressAt > 0) {
    process.stderr.write("\r\u001b[K")
  }
})

/** Shows on a terminal that work of which nothing is heard goes on, and for how long it has. */
export const progressDuring = <A, E, R>(what: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const began = Date.now()
    const show = progress(() => `${what}, ${Format.duration(Date.now() - began)}`)
    const shows = Effect.forever(Effect.andThen(show, Effect.sleep(progressMillis)))
    return Effect.ensuring(Effect.raceFirst(work, shows), progressEnds)
  })

/** Writes a line to standard error. */
export const notice = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stderr.write(`${text}\n`))
