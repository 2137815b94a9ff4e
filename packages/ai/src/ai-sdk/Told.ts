/**
 * What a run was told by the streams that are read. The AI SDK reads ahead: it runs a tool while the parts before it are
 * still on their way to the app.
 */
import type { Run } from "@runledger/core"
import { Deferred, Effect } from "effect"

interface Told {
  /** How many streams are being read. */
  streams: number
  hasEnded: boolean
  /** The calls that are in the ledger, and have not been claimed. */
  readonly ready: Set<string>
  readonly waiting: Map<string, Deferred.Deferred<void>>
}

const runs = new WeakMap<Run.RunShape, Told>()

const toldOf = (run: Run.RunShape): Told => {
  const told = runs.get(run) ?? { streams: 0, hasEnded: false, ready: new Set(), waiting: new Map() }
  runs.set(run, told)
  return told
}

const letGo = (told: Told, id: string): void => {
  const waiting = told.waiting.get(id)
  told.waiting.delete(id)
  if (waiting !== undefined) {
    Deferred.doneUnsafe(waiting, Effect.void)
  }
}

/** A stream is being read from now on; whether the run goes on after another one ended it. */
export const begin = (run: Run.RunShape): boolean => {
  const told = toldOf(run)
  const goesOn = told.hasEnded
  told.hasEnded = false
  told.streams += 1
  return goesOn
}

/** A stream is read no more: of its calls, nothing else will be heard. */
export const end = (run: Run.RunShape): void => {
  const told = toldOf(run)
  told.streams -= 1
  if (told.streams === 0) {
    for (const id of told.waiting.keys()) {
      letGo(told, id)
    }
    told.ready.clear()
  }
}

/** The run has ended, as far as a stream knows. */
export const ended = (run: Run.RunShape): void => {
  toldOf(run).hasEnded = true
}

/** A step begins; ids of calls may be used again in it. */
export const step = (run: Run.RunShape): void => toldOf(run).ready.clear()

/** A call is in the ledger, with its arguments. */
export const ready = (run: Run.RunShape, id: string): void => {
  const told = toldOf(run)
  told.ready.add(id)
  letGo(told, id)
}

/** How long a call waits to be read by an app that may never read it. */
const patience = "5 seconds"

/** Waits until a call is in the ledger, if a stream is read that may bring it. */
export const whenReady = (run: Run.RunShape, id: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const told = toldOf(run)
    if (told.streams === 0 || told.ready.has(id)) {
      return Effect.void
    }
    const waiting = told.waiting.get(id) ?? Deferred.makeUnsafe<void>()
    told.waiting.set(id, waiting)
    return Effect.asVoid(Effect.timeoutOption(Deferred.await(waiting), patience))
  }).pipe(Effect.ensuring(Effect.sync(() => void toldOf(run).ready.delete(id))))
