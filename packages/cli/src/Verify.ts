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
      fact.position > position ? undefined : `position ${fact.position} does not follow ${position}`,
      ids.has(fact.eventId) ? `event id ${fact.eventId} is there twice` : undefined,
      fact.threadId === undefined ? undefined : dense(`thread ${Format.inline(fact.threadId)}`, fact.threadSequence),
      fact.runId === undefined ? undefined : dense(`run ${Format.inline(fact.runId)}`, fact.runSequence),
      Result.match(CanonicalEvent.decodePayload(fact.kind, fact.payload), {
        onFailure: ({ message }) => `the payload of ${Format.inline(fact.kind)} is not one: ${Format.inline(message)}`,
        onSuccess: () => undefined
      })
    ]
    ids.add(fact.eventId)
    position = fact.position
    return faults.filter((fault) => fault !== undefined).map((fault) => `position ${fact.position}: ${fault}`)
  }
}

/** The facts of a page, and the faults of those that cannot be read. */
interface Page {
  readonly facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>
  readonly unreadable: ReadonlyArray<string>
}

/** A page after a position. One that cannot be read is read fact by fact, so that a broken fact hides no other. */
const read = (
  position: number,
  limit: number
): Effect.Effect<Page, LedgerError.CursorExpired | LedgerError.UnavailableError, EventStore.EventStore> =>
  Effect.flatMap(EventStore.EventStore, (store) =>
    store.read({ scope: Cursor.ledger, after: Cursor.make(Cursor.ledger, position), limit }).pipe(
      Effect.map(({ facts }) => ({ facts, unreadable: [] })),
      Effect.catchTag("IntegrityError", ({ message }) =>
        limit === 1
          ? Effect.succeed({ facts: [], unreadable: [message] })
          : Effect.map(
              Effect.forEach(
                Array.from({ length: limit }, (_, index) => position + index),
                (after) => read(after, 1)
              ),
              (pages) => ({
                facts: pages.flatMap(({ facts }) => facts),
                unreadable: [...new Set(pages.flatMap(({ unreadable }) => unreadable))]
              })
            )
      )
    )
  )

const pageFacts = 1000

/** Reads all facts, says what is wrong with them, and counts both. */
const verify = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  const total = yield* store.count(Cursor.ledger)
  const check = checker()
  let faults = 0
  for (let position = 0; position < total; position += pageFacts) {
    const { facts, unreadable } = yield* read(position, Math.min(pageFacts, total - position))
    const found = [...unreadable.map((message) => Format.inline(message)), ...facts.flatMap(check)]
    faults += found.length
    yield* Output.lines(found)
  }
  return { total, faults }
})

export const command = Command.make("verify", { ledger: Ledger.flag }, (options) =>
  Effect.gen(function* () {
    const { faults, total } = yield* Effect.catchTags(verify, {
      CursorExpired: (error) => Effect.fail(Failure.ledger(error)),
      IntegrityError: (error) => Effect.fail(Failure.ledger(error)),
      UnavailableError: (error) => Effect.fail(Failure.ledger(error))
    })
    const subject = `${Format.count(total)} facts in ${Format.inline(options.ledger)}`
    if (faults > 0) {
      return yield* new Failure.Failure({
        status: Failure.status.found,
        message: `${subject}, ${Format.count(faults)} faults`
      })
    }
    yield* Output.lines([`${subject}, no faults`])
  }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
).pipe(
  Command.withDescription("Check that sequences are dense, ids unique and payloads readable"),
  Command.withExamples([{ command: "runledger verify --ledger audit.db", description: "Status 0 when it is whole" }])
)
