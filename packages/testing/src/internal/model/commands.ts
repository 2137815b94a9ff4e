/**
 * What can be done to a ledger, as plain data that shrinks well and prints in a line.
 */
import type { Cursor, EventStore, StagedEvent } from "@runledger/core"
import { Arbitrary, Schema } from "effect"
import { event } from "../conformance/support.ts"
import { oneOf } from "../generate.ts"

const threadIds = ["t", "u"] as const
const runIds = ["a", "b", "c"] as const

const kinds = ["RunStarted", "NoteTaken", "RunFinished", "RunSuspended", "RunInterrupted", "RunResumed"] as const

const count = 36

/** An event as it is, with its keys in another order, or saying something else under its id. */
const Sent = Schema.Struct({
  n: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: count - 1 })),
  said: Schema.Literals(["same", "same", "same", "same", "same", "same", "same", "same", "reordered", "other"])
})

export type Sent = typeof Sent.Type

/**
 * One of the events that a ledger of the model can hold. Its number decides all that it says, so that what is random in
 * a command is only which events it sends, and a number that was sent before is a retry. A run is in one thread.
 */
export const stagedEvent = ({ n, said }: Sent): StagedEvent.StagedEvent => {
  const runId = runIds[n % 3]
  const threadId = n % 4 === 2 && n % 5 < 2 ? "u" : runId === "c" ? "u" : "t"
  const members = [`"n":${n}`, `"termination":{"_tag":"NaturalEnd"}`, ...(said === "other" ? [`"other":true`] : [])]
  return event(n, {
    kind: kinds[Math.floor(n / 3) % kinds.length],
    visibility: n % 5 === 0 ? "internal" : "public",
    threadId: n % 4 === 3 ? undefined : threadId,
    runId: n % 4 === 2 ? undefined : runId,
    ordinal: n % 7 === 0 ? undefined : n,
    lastOrdinal: n % 7 === 1 ? n + 2 : undefined,
    payload: `{${(said === "reordered" ? members.toReversed() : members).join()}}`
  })
}

const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const ReadScope = Schema.Union([
  Schema.TaggedStruct("Thread", { threadId: Schema.Literals(threadIds) }),
  Schema.TaggedStruct("Run", { runId: Schema.Literals(runIds) }),
  Schema.TaggedStruct("Ledger", {})
])

const Filter = Schema.Struct({
  kind: Schema.optionalKey(Schema.Literals(["NoteTaken", "RunFinished", "unheard of"])),
  visibility: Schema.optionalKey(Schema.Literals(["public", "internal"]))
})

export const filterOf = ({ kind, visibility }: typeof Filter.Type): EventStore.Filter => ({
  ...(kind === undefined ? {} : { kinds: [kind] }),
  ...(visibility === undefined ? {} : { visibility: [visibility] })
})

const Writer = Schema.Literals(["w", "v"])
const Handle = Schema.Literals([0, 1])

const Labels = Schema.Struct({
  team: Schema.optionalKey(Schema.Literals(["red", "blue"])),
  env: Schema.optionalKey(Schema.Literal("test"))
})

const Append = Schema.TaggedStruct("Append", {
  handle: Handle,
  events: Schema.Array(Sent).check(Schema.isMaxLength(5)),
  /** Which of what follows goes with the events. */
  with: Schema.Literals(["nothing", "nothing", "nothing", "expected", "writer", "state", "all"]),
  /** The end of a scope of one of the events, or a place where it does not end. */
  expected: Schema.Struct({
    of: small(4),
    family: Schema.Literals(["Thread", "Run"]),
    at: Schema.Literals(["end", "end", "start", "beyond"])
  }),
  writer: Schema.Struct({
    writer: Writer,
    epoch: Schema.Literals(["latest", "latest", "latest", "stale"]),
    highWater: small(9)
  }),
  state: Schema.Struct({
    runId: Schema.Literals(runIds),
    ordinal: small(99),
    labels: Schema.optionalKey(Labels)
  })
})

const Claim = Schema.TaggedStruct("Claim", { handle: Handle, writer: Writer })

const Release = Schema.TaggedStruct("Release", { writer: Writer })

const List = Schema.TaggedStruct("List", {
  handle: Handle,
  status: Schema.optionalKey(Schema.Literals(["running", "done"])),
  labels: Schema.optionalKey(Labels)
})

const Read = Schema.TaggedStruct("Read", {
  handle: Handle,
  scope: ReadScope,
  after: Schema.optionalKey(small(9)),
  limit: small(4),
  reverse: Schema.Boolean,
  filter: Schema.optionalKey(Filter)
})

const Follow = Schema.TaggedStruct("Follow", {
  scope: ReadScope,
  from: Schema.Union([Schema.Literals(["start", "now"]), small(9)]),
  filter: Schema.optionalKey(Filter)
})

const Pull = Schema.TaggedStruct("Pull", { follower: small(3) })

const Prune = Schema.TaggedStruct("Prune", {
  handle: Handle,
  through: small(19),
  threadId: Schema.optionalKey(Schema.Literals(threadIds))
})

const Erase = Schema.TaggedStruct("Erase", { handle: Handle, threadId: Schema.Literals(threadIds) })

const Reopen = Schema.TaggedStruct("Reopen", { handle: Handle })

const Wait = Schema.TaggedStruct("Wait", {})

const Command = Schema.Union([Append, Claim, Release, List, Read, Follow, Pull, Prune, Erase, Reopen, Wait])

/** What can be done to a ledger. Facts, cursors and followers are meant by number, counted round as many as there are. */
export type Command = typeof Command.Type

const often: ReadonlyArray<readonly [number, Arbitrary.Arbitrary<Command>]> = [
  [6, Arbitrary.schema(Append)],
  [2, Arbitrary.schema(Claim)],
  [1, Arbitrary.schema(Release)],
  [1, Arbitrary.schema(List)],
  [3, Arbitrary.schema(Read)],
  [2, Arbitrary.schema(Follow)],
  [2, Arbitrary.schema(Pull)],
  [1, Arbitrary.schema(Prune)],
  [1, Arbitrary.schema(Erase)],
  [1, Arbitrary.schema(Reopen)],
  [2, Arbitrary.schema(Wait)]
]

/** How many commands there are in a sequence at most, for that many are needed until something can go wrong. */
export const most = 80

export const commands = Arbitrary.array(
  oneOf(Arbitrary.schema(Append), ...often.flatMap(([times, command]) => Array.from({ length: times }, () => command))),
  { maxLength: most }
)

/** What goes into the commit with the events of an append, printed and played alike. */
export const optionsOf = ({ events, expected, state, with: what, writer }: typeof Append.Type) => {
  const has = (option: typeof what) => what === option || what === "all"
  const sent = events[expected.of % Math.max(events.length, 1)]
  const { runId = "a", threadId = "t" } = sent === undefined ? {} : stagedEvent(sent)
  const scope =
    expected.family === "Thread" ? ({ _tag: "Thread", threadId } as const) : ({ _tag: "Run", runId } as const)
  return {
    expected: has("expected") ? [{ scope, at: expected.at }] : [],
    writers: has("writer") ? [writer] : [],
    runs: has("state") ? [{ ...state, state: JSON.stringify(state) }] : []
  }
}

const scopeText = (scope: Cursor.ReadScope): string =>
  scope._tag === "Ledger" ? "the ledger" : scope._tag === "Thread" ? `thread ${scope.threadId}` : `run ${scope.runId}`

const filterText = (filter: typeof Filter.Type | undefined): string =>
  filter === undefined ? "" : `, filter ${JSON.stringify(filterOf(filter))}`

const eventText = (sent: Sent): string => {
  const { kind, runId, threadId } = stagedEvent(sent)
  const said = sent.said === "same" ? "" : ` (${sent.said})`
  return `${sent.n}${said}: ${kind} in ${[threadId, runId].filter((id) => id !== undefined).join(" and ")}`
}

/** A command in a line. */
export const print = (command: Command): string => {
  const handle = "handle" in command ? ` through handle ${command.handle}` : ""
  switch (command._tag) {
    case "Append": {
      const { expected, runs, writers } = optionsOf(command)
      return [
        `append [${command.events.map(eventText).join("; ")}]${handle}`,
        ...expected.map(({ at, scope }) => `expect the ${at} of ${scopeText(scope)}`),
        ...writers.map(({ epoch, highWater, writer }) => `writer ${writer} (${epoch} epoch) to ${highWater}`),
        ...runs.map(
          ({ labels, ordinal, runId }) =>
            `state ${ordinal} of run ${runId}${labels === undefined ? "" : `, labels ${JSON.stringify(labels)}`}`
        )
      ].join(", ")
    }
    case "Claim":
      return `claim writer ${command.writer}${handle}`
    case "Release":
      return `end the claim of writer ${command.writer}`
    case "List": {
      const { labels, status } = command
      return `list the runs with ${JSON.stringify({ status, labels })}${handle}`
    }
    case "Read": {
      const after = command.after === undefined ? "" : ` after cursor ${command.after}`
      const direction = command.reverse ? ", reversed" : ""
      return `read ${command.limit} of ${scopeText(command.scope)}${after}${direction}${filterText(command.filter)}${handle}`
    }
    case "Follow": {
      const from = typeof command.from === "number" ? `cursor ${command.from}` : command.from
      return `follow ${scopeText(command.scope)} from ${from}${filterText(command.filter)}`
    }
    case "Pull":
      return `pull follower ${command.follower}`
    case "Prune":
      return `prune through fact ${command.through}${command.threadId === undefined ? "" : ` of thread ${command.threadId}`}${handle}`
    case "Erase":
      return `erase thread ${command.threadId}${handle}`
    case "Reopen":
      return `reopen handle ${command.handle}`
    case "Wait":
      return "wait for the next millisecond"
  }
}
