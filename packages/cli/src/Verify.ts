/**
 * `runledger verify`: whether a ledger is whole.
 */
import { CanonicalEvent, Cursor, EventStore, type LedgerError } from "@runledger/core"
import { Effect, Result } from "effect"
import { Command } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Format from "./Format.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"

/** What was seen of a ledger so far, and the faults in a fact that comes next. */
const checker = () => {
  const ids = new Set<string>()
  const sequences = new Map<string, number>()
  let position = 0

  const dense = (scope: string, sequence: number | undefined): string | undefined => {
    const expected = (sequences.get(scope) ?? 0) + 1
    sequences.set(scope, sequence ?? expected)
    return sequence === expected ? undefined : `${scope}: expected sequence ${expected}, found ${sequence ?? "none"}`
  }

  return (fact: CanonicalEvent.CanonicalEvent): ReadonlyArray<string> => {
    const faults = [
      fact.position === position + 1 ? undefined : `expected position ${position + 1}`,
      ids.has(fact.eventId) ? `event id ${fact.eventId} is there twice` : undefined,
      fact.threadId === undefined ? undefined : dense(`thread ${Format.inline(fact.threadId)}`, fact.threadSequence),
      fact.runId === undefined ? undefined : dense(`run ${Format.inline(fact.runId)}`, fact.runSequence),
      Result.match(CanonicalEvent.decodePayload(fact.kind, fact.payload), {
        onFailure: ({ message }) =>
          `the payload of ${Format.inline(fact.kind)} is not one: ${Format.sentence(message)}`,
        onSuccess: () => undefined
      })
    ]
    ids.add(fact.eventId)
    position = fact.position
    return faults.filter((fault) => fault !== undefined).map((fault) => `position ${fact.position}: ${fault}`)
  }
}

const pageFacts = 1000

/** A page after a position, or why it cannot be read. */
const read = (
  position: number,
  limit: number
): Effect.Effect<
  ReadonlyArray<CanonicalEvent.CanonicalEvent> | string,
  LedgerError.UnavailableError,
  EventStore.EventStore
> =>
  Effect.flatMap(EventStore.EventStore, (store) =>
    store.read({ scope: Cursor.ledger, after: Cursor.make(Cursor.ledger, position), limit }).pipe(
      Effect.map(({ facts }) => facts),
      Effect.catchTags({
        CursorExpired: () => Effect.succeed([]),
        IntegrityError: ({ message }) => Effect.succeed(message)
      })
    )
  )

/**
 * Reads all facts that were there at the start, says what is wrong with them, and counts both.
 *
 * A page that cannot be read is read fact by fact, so that a broken fact hides no other. Where a broken fact stands is
 * not known, only that it comes next: the way past it goes one position at a time, for as many as a page has.
 */
const verify = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const total = yield* store.count(Cursor.ledger)
  const check = checker()
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
    const page = yield* read(position, limit)
    if (typeof page !== "string") {
      const last = page.at(-1)
      if (last === undefined) {
        break
      }
      yield* say(page.flatMap(check))
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
    yield* say([`${Format.counted(missed, "more fact")} could not be reached`])
  }
  return { total, faults }
})

export const command = Command.make("verify", { ledger: Ledger.flag }, (options) =>
  Effect.gen(function* () {
    const { faults, total } = yield* Effect.catchTags(Effect.ensuring(verify, Output.progressEnds), {
      IntegrityError: (error) => Effect.fail(Failure.ledger(error)),
      UnavailableError: (error) => Effect.fail(Failure.ledger(error))
    })
    const subject = `${Format.counted(total, "fact")} in ${Format.inline(options.ledger)}`
    if (faults > 0) {
      return yield* new Failure.Failure({
        status: Failure.status.found,
        message: `${subject}, ${Format.counted(faults, "fault")}`
      })
    }
    yield* Output.lines([`${subject}, no faults`])
  }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
).pipe(
  Command.withDescription("Check that sequences are dense, ids unique and payloads readable"),
  Command.withExamples([{ command: "runledger verify --ledger audit.db", description: "Status 0 when it is whole" }])
)
