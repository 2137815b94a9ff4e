/**
 * `runledger prune` and `runledger erase`: old facts deleted, payloads taken away, and their space given back.
 */
import { EventStore, type LedgerError } from "@runledger/core"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

const dateForm = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/

/** The milliseconds since the epoch that an ISO date or date-time names; without an offset, in UTC. */
const parseDate = (text: string): Option.Option<number> => {
  const [whole, date, offset] = dateForm.exec(text) ?? []
  const ms = Date.parse(whole === date || offset !== undefined ? text : `${text}Z`)
  // The engine takes 30 February for 2 March.
  return date !== undefined && Number.isFinite(ms) && Format.day(Date.parse(date)) === date
    ? Option.some(ms)
    : Option.none()
}

/** Changes a ledger, and says what was done to how many facts, and what that did to its size. */
const change = (
  ledger: string,
  doing: string,
  work: Effect.Effect<
    { readonly facts: number; readonly done: string },
    Failure.Failure | LedgerError.ReadError,
    EventStore.EventStore
  >
) =>
  Effect.gen(function* () {
    const before = Ledger.size(ledger)
    const { done, facts } = yield* Output.progressDuring(
      doing,
      Effect.catchTags(work, {
        IntegrityError: (error) => Effect.fail(Failure.ledger(error)),
        UnavailableError: (error) => Effect.fail(Failure.ledger(error))
      })
    )
    const after = Ledger.size(ledger)
    const sizes =
      before === undefined || after === undefined ? "" : `; ${Format.bytes(before)} before, ${Format.bytes(after)} now`
    yield* Output.lines([`${Format.counted(facts, "fact")} ${done} ${Ledger.name(ledger)}${sizes}`])
  }).pipe(Effect.provide(Ledger.forChanging(ledger)))

const pruneFlags = {
  ledger: Ledger.flag,
  before: Flag.String("before").pipe(
    Flag.filterMap(parseDate, () => "an ISO date or date-time, like 2026-01-31 or 2026-01-31T12:00:00Z"),
    Flag.withMetavar("DATE"),
    Flag.withDescription("Delete what was recorded before this date, or date and time, in UTC unless it has an offset")
  ),
  thread: Flags.text("thread").pipe(Flag.withDescription("Only facts of this thread, and of its runs"), Flag.optional)
}

export const prune = Command.make("prune", pruneFlags, ({ before, ledger, thread }) =>
  Effect.gen(function* () {
    // It can mean nothing that the present does not, and is most likely a slip that would delete everything.
    if (before > Date.now()) {
      return yield* Failure.usage("--before is in the future; give the present or an earlier time")
    }
    const work = Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      const facts = yield* Effect.catchTag(
        store.prune({ before, ...(Option.isSome(thread) ? { threadId: thread.value } : {}) }),
        "ValidationError",
        ({ message }) => Effect.fail(Failure.usage(message))
      )
      return { facts, done: "pruned from" }
    })
    yield* change(ledger, "pruning", work)
  })
).pipe(
  Command.withDescription(
    "Delete facts that were recorded before a date, and give their space back; runs that are not done keep theirs"
  ),
  Command.withShortDescription("Delete old facts"),
  Command.withExamples([
    { command: "runledger prune --before 2026-01-01", description: "What is older than this year" },
    {
      command: "runledger prune --before 2026-06-30T18:00:00+02:00 --thread fix-login-test",
      description: "Only of one thread"
    }
  ])
)

const eraseFlags = {
  ledger: Ledger.flag,
  thread: Flags.text("thread").pipe(Flag.withDescription("The thread whose payloads are taken away, with its runs"))
}

export const erase = Command.make("erase", eraseFlags, ({ ledger, thread: threadId }) => {
  const work = Effect.gen(function* () {
    const store = yield* EventStore.EventStore
    const { floor, hasMore } = yield* Effect.mapError(
      store.read({ scope: { _tag: "Thread", threadId }, limit: 0 }),
      Failure.ledger
    )
    if (!hasMore && floor === 0) {
      return yield* new Failure.Failure({
        status: Failure.status.found,
        message: `${Ledger.name(ledger)} holds no facts of thread ${Format.inline(threadId)}`
      })
    }
    return { facts: yield* store.erase({ threadId }), done: `of thread ${Format.inline(threadId)} erased in` }
  })
  return change(ledger, "erasing", work)
}).pipe(
  Command.withDescription(
    "Take away what the facts of a thread say, so that no byte of it is left; that they were there stays, marked as erased"
  ),
  Command.withShortDescription("Take away what the facts of a thread say"),
  Command.withExamples([{ command: "runledger erase --thread fix-login-test", description: "All runs of the thread" }])
)
