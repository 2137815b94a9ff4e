/**
 * `runledger copy`: a ledger into another, which may be of another kind.
 */
import { Cursor, type EventStore } from "@runledger/core"
import { Effect, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { setFlagsFromString } from "node:v8"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

type Store = EventStore.EventStoreShape

const flags = {
  from: Ledger.named("from").pipe(Flag.withDescription("The ledger to copy, which is not changed: a path or a URL")),
  to: Ledger.named("to").pipe(
    Flag.withDescription("The ledger to copy into: a new one, or one that an earlier copy of the same made")
  )
}

/** The last fact of a ledger. */
const lastOf = (store: Store) =>
  Effect.mapBoth(store.read({ scope: Cursor.ledger, reverse: true, limit: 1 }), {
    onFailure: Failure.ledger,
    onSuccess: ({ facts: [last] }) => last
  })

/** Fails unless the last fact of the target stands at the same place in the source. */
const checkBeginning = Effect.fnUntraced(function* (
  source: Store,
  target: Store,
  options: { from: string; to: string }
) {
  const last = yield* lastOf(target)
  if (last === undefined) {
    return
  }
  const { eventId, position, runSequence, threadSequence } = last
  const isThere = yield* source.get(eventId).pipe(
    Effect.map(
      (fact) => fact.position === position && fact.runSequence === runSequence && fact.threadSequence === threadSequence
    ),
    Effect.catchTag("NotFound", () => Effect.succeed(false)),
    Effect.mapError(Failure.ledger)
  )
  if (!isThere) {
    const isPruned = position <= (yield* Ledger.floor(source, Cursor.ledger))
    return yield* Failure.ledger({
      message: `${Ledger.name(options.to)} cannot be told to be a beginning of ${Ledger.name(options.from)}: its last fact, ${eventId} at position ${position}, is not there${isPruned ? " or was pruned" : ""}; copy into a new ledger`
    })
  }
})

/** How many threads, runs or writers are restored at once: the state of a run can be long. */
const partEntries = 100

const inParts = <A, E extends { readonly message: string }, E2 extends { readonly message: string }>(
  entries: Stream.Stream<A, E>,
  restore: (part: ReadonlyArray<A>) => Effect.Effect<void, E2>
) => Effect.mapError(Stream.runForEach(Stream.grouped(entries, partEntries), restore), Failure.ledger)

/**
 * Gives threads and runs the order in which they first appeared. The facts alone do not tell it: of some, all were
 * pruned, and what was recorded side by side may be committed in another order.
 */
const layOut = Effect.fnUntraced(function* (source: Store, target: Store) {
  yield* inParts(source.threads, (threads) =>
    target.restore({ threads: threads.map(({ threadId }) => ({ threadId, floor: 0 })) })
  )
  yield* inParts(source.runs(), (runs) =>
    target.restore({
      runs: runs.map(({ runId, threadId }) => ({
        runId,
        ...(threadId === undefined ? {} : { threadId }),
        status: "created",
        facts: 0,
        floor: 0
      }))
    })
  )
})

/** Copies what the source has after the last fact of the target; the result is how many facts these were. */
const copyFacts = Effect.fnUntraced(function* (source: Store, target: Store, progress: (copied: number) => string) {
  const last = yield* lastOf(target)
  const cursorAt = Cursor.within(Cursor.ledger, yield* Ledger.floor(source, Cursor.ledger))
  let copied = 0
  yield* Stream.runForEachArray(Ledger.facts(source, Cursor.ledger, last && cursorAt(last.position)), (facts) =>
    target.restore({ facts }).pipe(
      Effect.mapError(Failure.ledger),
      Effect.tap(() => {
        copied += facts.length
        return Output.progress(() => progress(copied))
      })
    )
  )
  return copied
})

/** Copies what is known of threads, runs and writers beside their facts, and how far the ledger was pruned. */
const copyEntries = Effect.fnUntraced(function* (source: Store, target: Store) {
  const count = { threads: 0, runs: 0, writers: 0 }
  yield* inParts(source.threads, (threads) => {
    count.threads += threads.length
    return target.restore({ threads })
  })
  yield* inParts(source.runs(), (runs) => {
    count.runs += runs.length
    return Effect.flatMap(
      // Only a run with an ordinal can have a state.
      Effect.forEach(runs, (run) => (run.ordinal === undefined ? Effect.succeed(run) : source.run(run.runId))),
      (runs) =>
        Effect.andThen(
          target.restore({ runs }),
          Output.progress(() => `${Format.counted(count.runs, "run")}`)
        )
    )
  })
  yield* inParts(source.writers, (writers) => {
    count.writers += writers.length
    return target.restore({ writers })
  })
  yield* Effect.mapError(
    Effect.flatMap(Ledger.floor(source, Cursor.ledger), (floor) => target.restore({ floor })),
    Failure.ledger
  )
  return count
})

export const command = Command.make("copy", flags, (options) =>
  Effect.gen(function* () {
    if (Ledger.isSame(options.from, options.to)) {
      return yield* Failure.usage("--from and --to are the same ledger")
    }
    // A copy keeps little and drops much: left alone, V8 lets hundreds of megabytes of that gather before it looks.
    setFlagsFromString("--semi-space-growth-factor=1 --heap-growing-percent=50")
    const source = yield* Ledger.store(Ledger.forReading(options.from))
    const target = yield* Ledger.store(Ledger.forCopying(options.to))
    yield* checkBeginning(source, target, options)
    const before = yield* Effect.mapError(target.count(Cursor.ledger), Failure.ledger)
    const total = yield* Effect.mapError(source.count(Cursor.ledger), Failure.ledger)
    if (before === 0) {
      yield* layOut(source, target)
    }
    const copied = yield* copyFacts(
      source,
      target,
      (copied) => `${Format.count(before + copied)} of ${Format.count(total)} facts`
    )
    const { runs, threads, writers } = yield* copyEntries(source, target)
    // What was recorded meanwhile is in what was copied of its run, and so has to be in the facts.
    const late = yield* copyFacts(source, target, (copied) => Format.counted(copied, "more fact"))
    yield* Output.progressEnds
    yield* Output.lines([
      `${Format.counted(copied + late, "fact")} copied to ${Ledger.name(options.to)}, which has ${Format.count(before + copied + late)} now, with ${Format.counted(threads, "thread")}, ${Format.counted(runs, "run")} and ${Format.counted(writers, "writer")}`
    ])
    if (late > 0) {
      yield* Output.notice(
        "facts were recorded while the runs were copied, and the state of a run may be older than its facts; before the copy is recorded into, stop the recorders and copy again"
      )
    }
  }).pipe(Effect.ensuring(Output.progressEnds), Effect.scoped)
).pipe(
  Command.withDescription(
    `Copy a ledger into another: everything, with its ids, sequences, positions and times

  Stopped in the middle, it goes on where it was when it is called again. Called again later, it adds what has been
  recorded since. What is pruned or erased in the one after it was copied stays in the other: prune and erase there too.`
  ),
  Command.withShortDescription("Copy a ledger into another, SQLite or Postgres"),
  Command.withExamples([
    {
      command: "runledger copy --from runledger.db --to postgres://me:secret@db.example/ledger",
      description: "Move to a server"
    },
    {
      command: "runledger copy --from runledger.db --to backup.db",
      description: "Keep a copy, and bring it up to date"
    }
  ])
)
