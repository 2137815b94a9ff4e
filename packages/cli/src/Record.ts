/**
 * `runledger record`: events from files or standard input into a ledger.
 */
import { Durability, type EventStore, type LedgerError, Metrics, Recorder, RunContext } from "@runledger/core"
import { Effect, FileSystem, Layer, Metric, Option, Result, Stdio, Stream } from "effect"
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
  writer: Flags.text("writer").pipe(
    Flag.withDescription(
      'The name of the producer of the lines. Print {"acked":N} first, skip the N lines that it had recorded before, and go on with --ack'
    ),
    Flag.optional
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

/** Prints acks, each once and in their order. */
const makePrint = (acked: number) => {
  let printed = acked
  return (acked: number): Effect.Effect<void> =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        if (acked <= printed) {
          return Effect.void
        }
        printed = acked
        return Effect.ignore(Output.lines([JSON.stringify({ acked })]))
      })
    )
}

/** What was not saved. Of what only followed it, there is nothing to say. */
const stagingFailed = ({ cause, events, message }: LedgerError.StagingFailed): Failure.Failure =>
  Failure.ledger(events === 0 && cause instanceof Error ? cause : { message })

interface RecordOptions extends Recording.Options {
  readonly writer: string | undefined
  readonly ack: boolean
}

const record = Effect.fnUntraced(function* (inputs: ReadonlyArray<Input>, options: RecordOptions) {
  const recorder = yield* Recorder.Recorder
  const input = yield* Recording.whenFree(
    recorder.input(options.writer === undefined ? {} : { writer: options.writer })
  ).pipe(Effect.mapError(Failure.ledger))
  const recording = yield* Recording.make(options, input)
  const print = options.ack ? makePrint(input.acked) : () => Effect.void
  if (options.writer !== undefined) {
    yield* Effect.ignore(Output.lines([JSON.stringify({ acked: input.acked })]))
  }
  let lines = 0
  /** How many lines the producer need not send again, as far as the ledger has them. */
  let handed = 0
  let refused = 0

  const takeAll = (source: Input, batch: ReadonlyArray<Line>) =>
    Effect.forEach(
      batch,
      (line) =>
        Effect.gen(function* () {
          lines += 1
          const placed = { ...line, position: lines }
          if (lines <= input.acked) {
            return recording.skip(placed)
          }
          const problem = yield* Effect.mapError(recording.take(placed), Failure.ledger)
          // A producer that died within a line sends it as a whole when it sends everything again.
          handed = problem !== undefined && line.isCut ? lines - 1 : lines
          if (problem !== undefined) {
            refused += 1
            yield* Output.notice(`${source.name}line ${line.number}: ${Format.inline(problem)}`)
          }
        }),
      { discard: true }
    ).pipe(Effect.andThen(Effect.suspend(() => input.advance(handed))))

  yield* Effect.forEach(
    inputs,
    (source) =>
      Stream.runForEach(linesOf(source), (batch) =>
        Effect.gen(function* () {
          // What was read is recorded, also when the command is interrupted meanwhile.
          yield* Effect.uninterruptible(takeAll(source, batch))
          yield* Output.progress(() => `${Format.count(lines)} lines`)
        })
      ),
    { discard: true }
  ).pipe(
    // A producer that waits for an ack sends nothing more, so a failure must not wait for its next line.
    Effect.raceFirst(Effect.mapError(Stream.runForEach(input.acks, print), stagingFailed)),
    Effect.onExit(() =>
      recording.end.pipe(
        Effect.andThen(Effect.flatMap(input.flush, print)),
        Effect.mapError(stagingFailed),
        Effect.tapError((failure) => Effect.sync(() => Failure.keepLastCommit(failure)))
      )
    ),
    Effect.ensuring(Output.progressEnds)
  )
  return { lines, skipped: Math.min(lines, input.acked), refused }
})

/** A store that does not answer ends the command, which says so. */
const recorder = (exact: boolean): Layer.Layer<Recorder.Recorder, Failure.Failure, EventStore.EventStore> =>
  Layer.catch(Recorder.layer({ exact, onStoreFailure: "failRun" }), (error) =>
    Layer.effect(Recorder.Recorder, Effect.fail(Failure.ledger(error)))
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
    const writer = Option.getOrUndefined(options.writer)
    const { lines, refused, skipped } = yield* record(inputs, {
      format: options.format,
      origin,
      run,
      writer,
      ack: options.ack || writer !== undefined
    }).pipe(
      Effect.scoped,
      Effect.provideService(Durability.Durability, durability),
      Effect.provide(recorder(options.exact).pipe(Layer.provide(Ledger.forWriting(options.ledger))))
    )
    const { count: facts } = yield* Metric.value(Metrics.committed)
    yield* Output.notice(
      `${Format.counted(lines, "line")} read, ${skipped > 0 ? `${Format.count(skipped)} of them recorded before, ` : ""}${Format.counted(facts, "fact")} kept (${durability}) in ${Ledger.name(options.ledger)}`
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
