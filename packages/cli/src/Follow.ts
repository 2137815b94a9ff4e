/**
 * `runledger follow`: facts as they are committed, as JSON Lines.
 */
import { Cursor, EventStore } from "@runledger/core"
import { Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Ledger from "./Ledger.ts"
import * as Output from "./Output.ts"
import * as Scope from "./Scope.ts"

const flags = {
  ledger: Ledger.flag,
  run: Scope.run,
  thread: Scope.thread,
  all: Scope.all,
  after: Flags.text("after").pipe(
    Flag.withMetavar("CURSOR"),
    Flag.withDescription("Begin after this cursor, one that was printed for the same scope"),
    Flag.optional
  ),
  fromStart: Flag.Boolean("from-start").pipe(
    Flag.withDescription("Begin with the first fact; without this and --after, with the next one that is committed"),
    Flag.withDefault(false)
  )
}

const lines = (followed: EventStore.Followed): ReadonlyArray<string> => {
  switch (followed._tag) {
    case "Fact":
      return [JSON.stringify({ cursor: followed.cursor, fact: followed.fact })]
    case "CaughtUp":
      return [JSON.stringify({ cursor: followed.cursor, caughtUp: true })]
    case "Scanned":
      return []
  }
}

export const command = Command.make("follow", flags, (options) =>
  Effect.gen(function* () {
    const scope = yield* Scope.of(options)
    if (Option.isSome(options.after) && options.fromStart) {
      return yield* Failure.usage("name one of --after and --from-start, or neither to begin now")
    }
    const from = Option.match(options.after, {
      onSome: (cursor) => Cursor.Cursor.make(cursor),
      onNone: () => (options.fromStart ? "start" : "now")
    })
    yield* Effect.gen(function* () {
      const store = yield* EventStore.EventStore
      // Who is slow holds up nobody: what is not taken yet waits in the ledger, not in memory.
      yield* store.follow({ scope, from, maxBehind: Number.POSITIVE_INFINITY }).pipe(
        Stream.mapError((error) =>
          error._tag === "CursorExpired"
            ? new Failure.Failure({ status: Failure.status.found, message: error.message })
            : Failure.ledger(error)
        ),
        Stream.runForEachArray((page) => Output.lines(page.flatMap(lines)))
      )
    }).pipe(Effect.provide(Ledger.forReading(options.ledger)))
  })
).pipe(
  Command.withDescription(
    `Write facts as they are committed, as JSON Lines, until it is stopped

  {"cursor":C,"fact":F}         a fact, as export writes it, and the cursor after it
  {"cursor":C,"caughtUp":true}  once: what was there is written, and what follows is new

  To go on after a stop or a crash, keep the cursor of the last line that was dealt with, and begin --after it: nothing
  is left out and nothing comes twice. It ends with 1 when facts after the cursor were pruned: begin --from-start then.`
  ),
  Command.withShortDescription("Write facts as they are committed, as JSON Lines"),
  Command.withExamples([
    { command: "runledger follow --run run-1 --from-start", description: "A run, from its first fact on" },
    {
      command: "runledger follow --all | jq --unbuffered -r 'select(.fact) | .fact.kind'",
      description: "The kinds of what happens from now on"
    },
    { command: "runledger follow --all --after l.1200", description: "Go on after the last line that was dealt with" }
  ])
)
