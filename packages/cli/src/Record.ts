/**
 * `runledger record`: events from files or standard input into a ledger.
 */
import { Durability, EventStager, RunContext } from "@runledger/core"
import { Deferred, Effect, Fiber, FileSystem, Layer, Option, Result, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import { type Line, splitter } from "./Lines.ts"
import * as Output from "./Output.ts"
import * as Recording from "./Recording.ts"

const flags = {
  files: Argument.String("file").pipe(
    Argument.variadic(),
    Argument.withDescription("JSON Lines files of agent events; standard input without any")
  ),
  ledger: Ledger.flag,
  format: Flag.Literals("format", Recording.formats).pipe(
    Flag.withDescription("How the events are written: our own JSON, or that of awaken"),
    Flag.withDefault("native")
  ),
  durability: Flag.Literals("durability", Durability.DurabilityMode.literals).pipe(
    Flag.withDescription("What is kept; RUNLEDGER_DURABILITY or compacted without it"),
    Flag.optional
  ),
  origin: Flags.text("origin").pipe(
    Flag.withDescription("Where the events come from, a label kept with each fact; the format's name without it"),
    Flag.optional
  ),
  exact: Flag.Boolean("exact").pipe(
    Flag.withDescription("Record exactly what awaken would: one finish of a run, also when it was suspended between"),
    Flag.withDefault(false)
  ),
  ack: Flag.Boolean("ack").pipe(
    Flag.withDescription('Print {"acked":N} when what is kept of the first N lines is committed'),
    Flag.withDefault(false)
  ),
  thread: Flags.text("thread").pipe(
    Flag.withDescription("With --run: the thread that every line belongs to"),
    Flag.optional
  ),
  run: Flags.text("run").pipe(Flag.withDescription("With --thread: the run that every line belongs to"), Flag.optional)
}

/** The run that takes every line, if one is named. */
const runOf = (
  thread: Option.Option<string>,
  run: Option.Option<string>,
  origin: string
): Result.Result<RunContext.RunContext | undefined, Failure.Failure> => {
  if (Option.isNone(thread) && Option.isNone(run)) {
    return Result.succeed(undefined)
  }
  return Option.isNone(thread) || Option.isNone(run)
    ? Result.fail(Failure.usage("--thread and --run go together"))
    : Result.mapError(RunContext.make({ threadId: thread.value, runId: run.value, origin }), ({ message }) =>
        Failure.usage(message)
      )
}

interface Input {
  readonly name: string
  readonly bytes: Stream.Stream<Uint8Array, Failure.Failure>
}

const unreadable = (name: string) => (error: { readonly message: string }) =>
  Failure.usage(`cannot read ${Format.inline(name)}: ${error.message}`)

/** The inputs, each of which was seen to be there before the first is read. */
const inputsOf = Effect.fnUntraced(function* (files: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const stdio = yield* Stdio.Stdio
  if (files.length === 0) {
    if (process.stdin.isTTY) {
      yield* Output.notice("reading events from the terminal, a JSON object a line; end with Ctrl-D")
    }
    return [{ name: "", bytes: Stream.mapError(stdio.stdin, unreadable("standard input")) }]
  }
  return yield* Effect.forEach(files, (file) =>
    Effect.gen(function* () {
      const { type } = yield* fs.stat(file)
      if (type === "Directory") {
        return yield* Failure.usage(`cannot read ${Format.inline(file)}: it is a directory`)
      }
      return { name: `${Format.inline(file)} `, bytes: Stream.mapError(fs.stream(file), unreadable(file)) }
    }).pipe(
      Effect.catchTag("PlatformError", (error) =>
        Effect.fail(
          Failure.usage(
            error.reason._tag === "NotFound"
              ? `cannot read ${Format.inline(file)}: no such file`
              : `cannot read ${Format.inline(file)}: ${error.message}`
          )
        )
      )
    )
  )
})

/** The lines of an input as they become complete, some at a time. */
const linesOf = (input: Input): Stream.Stream<ReadonlyArray<Line>, Failure.Failure> =>
  Stream.suspend(() => {
    const lines = splitter()
    return Stream.concat(Stream.map(input.bytes, lines.push), Stream.sync(lines.end))
  })

const record = Effect.fnUntraced(function* (inputs: ReadonlyArray<Input>, take: Recording.Take, ack: boolean) {
  const stager = yield* EventStager.EventStager
  let lines = 0
  let refused = 0
  let acked = 0
  let committing: Fiber.Fiber<void, Failure.Failure> | undefined
  const failed = yield* Deferred.make<never, Failure.Failure>()

  const takeAll = (input: Input, batch: ReadonlyArray<Line>) =>
    Effect.forEach(
      batch,
      (line) =>
        Effect.flatMap(take(line), (problem) => {
          lines += 1
          if (problem === undefined) {
            return Effect.void
          }
          refused += 1
          return Output.notice(`${input.name}line ${line.number}: ${Format.inline(problem)}`)
        }),
      { discard: true }
    )

  const commit = (upTo: number): Effect.Effect<void, Failure.Failure> =>
    stager.flush.pipe(
      Effect.mapError(Failure.ledger),
      Effect.andThen(
        Effect.suspend(() => {
          if (!ack || upTo <= acked) {
            return Effect.void
          }
          acked = upTo
          return Effect.ignore(Output.lines([JSON.stringify({ acked })]))
        })
      )
    )

  yield* Effect.forEach(
    inputs,
    (input) =>
      Stream.runForEach(linesOf(input), (batch) =>
        Effect.gen(function* () {
          // What was read is recorded, also when the command is interrupted meanwhile.
          yield* Effect.uninterruptible(takeAll(input, batch))
          if (committing !== undefined) {
            yield* Fiber.join(committing)
          }
          committing = yield* Effect.forkChild(
            Effect.tapError(commit(lines), (failure) => Deferred.fail(failed, failure))
          )
          yield* Output.progress(() => `${Format.count(lines)} lines`)
        })
      ),
    { discard: true }
  ).pipe(
    // A producer that waits for an ack sends nothing more, so a failure must not wait for its next line.
    Effect.raceFirst(Deferred.await(failed)),
    Effect.onExit(() =>
      Effect.tapError(commit(lines), (failure) => Effect.sync(() => Failure.keepLastCommit(failure)))
    ),
    Effect.ensuring(Output.progressEnds)
  )
  return { lines, refused }
})

/** Counts the facts on their way to the ledger. */
const counting = (count: { facts: number }): Layer.Layer<EventStager.EventStager, never, EventStager.EventStager> =>
  Layer.effect(
    EventStager.EventStager,
    Effect.map(EventStager.EventStager, (stager) => ({
      ...stager,
      stage: (unit) => {
        const staged = stager.stage(unit)
        count.facts += Result.isSuccess(staged) ? unit.length : 0
        return staged
      }
    }))
  )

export const command = Command.make("record", flags, (options) =>
  Effect.gen(function* () {
    const origin = Option.getOrElse(options.origin, () => options.format)
    const run = yield* Effect.fromResult(runOf(options.thread, options.run, origin))
    const durability = yield* Option.match(options.durability, {
      onNone: () => Effect.mapError(Durability.config, () => Failure.usage(badDurability)),
      onSome: Effect.succeed
    })
    const inputs = yield* inputsOf(options.files)
    const take = Recording.make({ format: options.format, origin, exact: options.exact, run })
    const count = { facts: 0 }
    const { lines, refused } = yield* record(inputs, take, options.ack).pipe(
      Effect.provideService(Durability.Durability, durability),
      Effect.provide(
        counting(count).pipe(Layer.provide(EventStager.layer), Layer.provide(Ledger.forWriting(options.ledger)))
      )
    )
    yield* Output.notice(
      `${Format.counted(lines, "line")} read, ${Format.counted(count.facts, "fact")} kept (${durability}) in ${Ledger.name(options.ledger)}`
    )
    if (refused > 0) {
      return yield* new Failure.Failure({
        status: Failure.status.refused,
        message: `refused ${Format.count(refused)} of ${Format.counted(lines, "line")}${refused < lines ? "; the others are recorded" : ""}`
      })
    }
  })
).pipe(
  Command.withDescription("Record agent events, a JSON object a line, into a ledger"),
  Command.withExamples([
    { command: "runledger record run.jsonl", description: "Record a file into ./runledger.db" },
    {
      command: "my-agent | runledger record --ack --durability full_fidelity",
      description: "Record a live agent and tell it what is safe"
    },
    {
      command: "runledger record --format awaken --exact events.jsonl --ledger audit.db",
      description: "Record events of awaken as awaken would"
    }
  ])
)

const badDurability = `RUNLEDGER_DURABILITY must be one of ${Durability.DurabilityMode.literals.join(", ")}`
