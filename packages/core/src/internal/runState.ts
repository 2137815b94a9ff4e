/**
 * What a run remembers in the ledger, so that another process can go on with it. It is committed with the facts up to
 * `ordinal`, and holds nothing that was said: a message that was open is put together again by who sends it again.
 */
import { HashSet, Result, Schema, Struct } from "effect"
import { IntegrityError } from "../LedgerError.ts"
import * as Json from "../Json.ts"
import type { RunContext } from "../RunContext.ts"
import { Count } from "./numbers.ts"
import type { RunState } from "./transition.ts"

const Saved = Schema.Struct({
  version: Schema.Literal(1),
  /** Who has the run open, by the claim of its recorder; absent when nobody has. */
  owner: Schema.optionalKey(Schema.Struct({ writer: Schema.String, epoch: Count })),
  started: Schema.Boolean,
  ended: Schema.Boolean,
  compaction: Schema.Struct({
    inFlight: Schema.optionalKey(
      Schema.Struct({ taskId: Schema.String, boundaryMessageId: Schema.optionalKey(Schema.String) })
    ),
    reported: Schema.Array(Schema.String),
    totalCompactions: Schema.Number
  }),
  step: Count,
  calls: Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, executing: Schema.Boolean })),
  /** The ordinal of the first event of the message that was open. */
  fromOrdinal: Schema.optionalKey(Count),
  /** How far the input of each producer had come with the last fact. */
  inputs: Schema.Array(Schema.Struct({ writer: Schema.String, position: Count })),
  children: Schema.Array(Schema.String)
})

export type Saved = typeof Saved.Type

export const encode = (saved: Omit<Saved, "version">): string => JSON.stringify({ version: 1, ...saved })

/** The state of a run that nobody has open any more. */
export const withoutOwner = (saved: Saved): string => encode(Struct.omit(saved, ["owner", "version"]))

export const decode = (runId: string, state: string): Result.Result<Saved, IntegrityError> =>
  Result.mapError(
    Result.flatMap(Result.try({ try: () => Json.parse(state), catch: (cause) => cause }), (value) =>
      Schema.decodeUnknownResult(Saved)(value)
    ),
    (cause) =>
      new IntegrityError({
        message: `the state of run ${JSON.stringify(runId)} cannot be read; it was written by a newer version, or is damaged`,
        cause
      })
  )

/** The part of the state that the normalizer has. */
export const normalizerState = (
  { compaction, ended, started }: Pick<Saved, "compaction" | "ended" | "started">,
  { runId }: RunContext
): RunState => ({
  started: started ? HashSet.make(runId) : HashSet.empty(),
  terminal: ended ? HashSet.make(runId) : HashSet.empty(),
  compaction: {
    inFlight:
      compaction.inFlight === undefined
        ? undefined
        : { taskId: compaction.inFlight.taskId, boundaryMessageId: compaction.inFlight.boundaryMessageId },
    reported: HashSet.fromIterable(compaction.reported),
    totalCompactions: compaction.totalCompactions
  }
})

/** The state of the normalizer as it is saved. */
export const ofNormalizer = (
  { compaction: { inFlight, reported, totalCompactions }, started, terminal }: RunState,
  { runId }: RunContext
): Pick<Saved, "compaction" | "ended" | "started"> => ({
  started: HashSet.has(started, runId),
  ended: HashSet.has(terminal, runId),
  compaction: {
    ...(inFlight === undefined
      ? {}
      : {
          inFlight:
            inFlight.boundaryMessageId === undefined
              ? { taskId: inFlight.taskId }
              : { taskId: inFlight.taskId, boundaryMessageId: inFlight.boundaryMessageId }
        }),
    reported: [...reported],
    totalCompactions
  }
})
