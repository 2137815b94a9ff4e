/**
 * `runledger verify`: whether a ledger is whole.
 */
import { CanonicalEvent, Cursor, EventStore, type LedgerError, type Lifecycle } from "@runledger/core"
import { Effect, Result, Stream } from "effect"
import { Command } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

/** What the facts of a thread or a run have shown so far. */
interface Seen {
  sequence: number
  facts: number
  /** The last sequence that was pruned, as far as it was asked for: only a hole has to be explained. */
  floor: number
  /** Where a run stands by its facts, as far as they tell. */
  status: Lifecycle.RunStatus | undefined
}

const seenOf = (scopes: Map<string, Seen>, id: string): Seen => {
  const known = scopes.get(id)
  if (known !== undefined) {
    return known
  }
  const seen = { sequence: 0, facts: 0, floor: 0, status: undefined }
  scopes.set(id, seen)
  return seen
}

/** What was seen of a ledger so far, and the faults in a fact that comes next. */
const checker = (store: EventStore.EventStoreShape) => {
  const ids = new Set<string>()
  const threads = new Map<string, Seen>()
  const runs = new Map<string, Seen>()
  let position = 0

  /** Sequences are dense above the floor of their scope, and ascend below it. */
  const follows = Effect.fnUntraced(function* (
    name: string,
    scope: Cursor.ReadScope,
    seen: Seen,
    sequence: number | undefined
  ) {
    const expected = seen.sequence + 1
    seen.sequence = sequence ?? expected
    seen.facts += 1
    if (sequence === expected) {
      return undefined
    }
    if (sequence !== undefined && sequence > expected) {
      seen.floor = sequence > seen.floor + 1 ? yield* Ledger.floor(store, scope) : seen.floor
      if (sequence <= seen.floor + 1) {
        // What was pruned may have changed it.
        seen.status = undefined
        return undefined
      }
    }
    return `${name}: expected sequence ${expected}, found ${sequence ?? "none"}`
  })

  const check = Effect.fnUntraced(function* (fact: CanonicalEvent.CanonicalEvent) {
    const { eventId, kind, runId, threadId } = fact
    const faults: Array<string | undefined> = [
      fact.position > position ? undefined : `it comes after position ${position}`,
      ids.has(eventId) ? `event id ${eventId} is there twice` : undefined
    ]
    ids.add(eventId)
    position = fact.position
    if (threadId !== undefined) {
      const seen = seenOf(threads, threadId)
      faults.push(
        yield* follows(`thread ${Format.inline(threadId)}`, { _tag: "Thread", threadId }, seen, fact.threadSequence)
      )
    }
    if (runId !== undefined) {
      const seen = seenOf(runs, runId)
      faults.push(yield* follows(`run ${Format.inline(runId)}`, { _tag: "Run", runId }, seen, fact.runSequence))
      seen.status = EventStore.statusAfter({ kind, payload: "null" })?.status ?? seen.status
    }
    const payload = CanonicalEvent.decodePayload(fact)
    if (Result.isFailure(payload)) {
      faults.push(`the payload of ${Format.inline(kind)} is not one: ${Format.sentence(payload.failure.message)}`)
    }
    return faults.filter((fault) => fault !== undefined).map((fault) => `position ${fact.position}: ${fault}`)
  })

  /** What is wrong with the entry of a run, unless its last facts were pruned, or more have come since they were read. */
  const checkRun = ({ facts, floor, runId, status }: EventStore.RunEntry): ReadonlyArray<string> => {
    const seen = runs.get(runId)
    return seen?.status === undefined || seen.status === status || seen.sequence <= floor || seen.facts !== facts
      ? []
      : [`run ${Format.inline(runId)}: it is listed as ${status}, and ${seen.status} by its facts`]
  }

  return { check, checkRun }
}

const pageFacts = 1000

/** A page after a position, or why it cannot be read. */
const read = (
  store: EventStore.EventStoreShape,
  after: Cursor.Cursor,
  limit: number
): Effect.Effect<ReadonlyArray<CanonicalEvent.CanonicalEvent> | string, LedgerError.UnavailableError> =>
  store.read({ scope: Cursor.ledger, after, limit }).pipe(
    Effect.map(({ facts }) => facts),
    Effect.catchTags({
      CursorExpired: () => Effect.succeed([]),
      IntegrityError: ({ message }) => Effect.succeed(message)
    })
  )

/**
 * Reads all facts that were there at the start, says what is wrong with them, and counts both.
 *
 * A page that cannot be read is read fact by fact, so that a broken fact hides no other. Where a broken fact stands is
 * not known, only that it comes next: the way past it goes one position at a time, for as many as a page has.
 */
const verify = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const floor = Ledger.floor(store, Cursor.ledger)
  const pruned = yield* floor
  const total = yield* store.count(Cursor.ledger)
  const cursorAt = Cursor.within(Cursor.ledger, pruned)
  const { check, checkRun } = checker(store)
  const unreadable = new Set<string>()
  let faults = 0
  let facts = 0
  let position = 0
  let careful = 0
  let tries = 0

  const say = (found: ReadonlyArray<string>) => {
    faults += found.length
    return Output.lines(found)
  }

  while (facts + unreadable.size < total && tries < pageFacts) {
    const limit = careful > 0 ? 1 : Math.min(pageFacts, total - facts - unreadable.size)
    const page = yield* read(store, cursorAt(position), limit)
    if (typeof page !== "string") {
      const last = page.at(-1)
      if (last === undefined) {
        break
      }
      yield* say((yield* Effect.forEach(page, check)).flat())
      facts += page.length
      position = last.position
      yield* Output.progress(() => `${Format.count(facts)} of ${Format.count(total)} facts`)
      careful = Math.max(0, careful - 1)
      tries = 0
    } else if (limit > 1) {
      careful = limit
    } else {
      if (!unreadable.has(page)) {
        unreadable.add(page)
        tries = 0
        yield* say([Format.inline(page)])
      }
      tries += 1
      position += 1
    }
  }
  const missed = total - facts - unreadable.size
  if (missed > 0) {
    if ((yield* floor) > pruned) {
      return yield* Failure.ledger({ message: "facts were pruned while they were verified; verify again" })
    }
    yield* say([`${Format.counted(missed, "more fact")} could not be reached`])
  }
  yield* Stream.runForEachArray(store.runs(), (runs) => say(runs.flatMap(checkRun)))
  return { total, faults }
})

export const command = Command.make("verify", { ledger: Ledger.flag }, (options) =>
  Effect.gen(function* () {
    const { faults, total } = yield* Effect.catchTags(Effect.ensuring(verify, Output.progressEnds), {
      IntegrityError: (error) => Effect.fail(Failure.ledger(error)),
      UnavailableError: (error) => Effect.fail(Failure.ledger(error))
    })
    const subject = `${Format.counted(total, "fact")} in ${Ledger.name(options.ledger)}`
    if (faults > 0) {
      return yield* new Failure.Failure({
        status: Failure.status.found,
        message: `${subject}, ${Format.counted(faults, "fault")}`
      })
    }
    yield* Output.lines([`${subject}, no faults`])
  }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
).pipe(
  Command.withDescription("Check that sequences have no holes, ids are unique and payloads readable"),
  Command.withExamples([{ command: "runledger verify --ledger audit.db", description: "Status 0 when it is whole" }])
)
