/**
 * How far the input of a producer is in the ledger.
 */
import { Effect, Option, Stream } from "effect"
import * as Follow from "../Follow.ts"
import type { After, EventStagerShape, Lane } from "../EventStager.ts"
import type { Writer } from "../EventStore.ts"
import type { StagingFailed } from "../LedgerError.ts"
import type { Input } from "../Run.ts"

/** An input with what its runs tell it. `writer` is its claim, if it has a name. */
export interface OpenInput extends Input {
  readonly writer: Writer | undefined

  /** The position that an event without one has. */
  readonly next: () => number

  /**
   * An event at this position has been taken; `from` is the first position that its run has not recorded in full, `after`
   * what the run must remember of it, when no fact of its own says so, or that it must not remember it yet.
   */
  readonly taken: (
    runId: string,
    position: number,
    from: number | undefined,
    after: After | "as before" | undefined
  ) => void

  /** Acks nothing from this position on until the run says more. */
  readonly holdFrom: (runId: string, position: number) => void

  /** Acks nothing more: some of it is not in the ledger. */
  readonly fail: (cause: unknown) => void
}

export const make = Effect.fnUntraced(function* (stager: EventStagerShape, owner: Writer, writer: Writer | undefined) {
  const first = writer?.highWater ?? 0
  const { changed, notify } = Follow.signal()
  let isClosed = false
  let failure: StagingFailed | undefined
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      notify()
    })
  )
  // What runs must remember is committed with marks too, so whoever takes them over must fence these off as well.
  const lane: Lane = stager.lane({
    writers: [owner],
    onFailure: (failed) => {
      failure = failed
      notify()
    }
  })
  yield* Effect.addFinalizer(() => Effect.ignoreCause(lane.close, { log: true }))
  const held = new Map<string, number>()
  let unsaved = new Map<string, After>()
  let at = first
  let marked = first
  let acked = first

  const mark = (): void => {
    let safe = at
    for (const from of held.values()) {
      safe = Math.min(safe, from - 1)
    }
    if (safe <= marked) {
      return
    }
    marked = safe
    lane.stage([], {
      ...(writer === undefined ? {} : { mark: { ...writer, highWater: safe }, others: unsaved }),
      onCommit: () => {
        acked = safe
        notify()
      }
    })
    unsaved = new Map()
  }

  const input: OpenInput = {
    writer,
    acked: first,
    // Who is slow gets the last ack, which says what those before it said.
    acks: Stream.unwrap(
      Effect.map(changed, (change) =>
        Stream.paginate(first, (told) =>
          Effect.flatMap(
            Effect.whileLoop({
              while: () => acked === told && !isClosed && failure === undefined,
              body: () => change,
              step: () => {}
            }),
            (): Effect.Effect<readonly [ReadonlyArray<number>, Option.Option<number>], StagingFailed> => {
              if (acked !== told) {
                return Effect.succeed([[acked], Option.some(acked)])
              }
              return failure === undefined ? Effect.succeed([[], Option.none()]) : Effect.fail(failure)
            }
          )
        )
      )
    ),
    advance: (position) =>
      Effect.sync(() => {
        at = Math.max(at, position)
        mark()
      }),
    flush: Effect.map(lane.flush(), () => acked),
    next: () => at + 1,
    taken: (runId, position, from, after) => {
      at = Math.max(at, position)
      from === undefined ? held.delete(runId) : held.set(runId, from)
      if (after !== "as before") {
        after === undefined ? unsaved.delete(runId) : unsaved.set(runId, after)
      }
      mark()
    },
    holdFrom: (runId, position) => {
      held.set(runId, Math.min(held.get(runId) ?? position, position))
    },
    fail: (cause) => lane.fail(cause)
  }
  return input
})
