/**
 * Where results and notices go: standard output and standard error.
 */
import { Effect, Schema } from "effect"

/** Whoever read standard output has gone, as `head` does when it has enough. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {}) {}

let closed = false

process.stdout.on("error", () => {
  closed = true
})

/** Writes a text to standard output, and waits while its reader is slower. */
export const write = (text: string): Effect.Effect<void, OutputClosed> =>
  Effect.callback((resume) => {
    const done = (): void => resume(closed ? Effect.fail(new OutputClosed()) : Effect.void)
    if (closed || text === "") {
      done()
    } else {
      process.stdout.write(text, (error) => resume(error ? Effect.fail(new OutputClosed()) : Effect.void))
    }
  })

/** Writes lines to standard output. */
export const lines = (texts: ReadonlyArray<string>): Effect.Effect<void, OutputClosed> =>
  write(texts.map((text) => `${text}\n`).join(""))

/** Writes a line to standard error. */
export const notice = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stderr.write(`${text}\n`))
