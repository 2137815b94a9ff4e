/**
 * "After this fact in this scope": where a reader goes on.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import { EventScope } from "./CanonicalEvent.ts"
import { sha256 } from "./internal/text.ts"
import { CursorExpired } from "./LedgerError.ts"

/**
 * What can be read in order: a thread, a run, or the whole ledger.
 *
 * @category models
 * @since 0.1.0
 */
export const ReadScope = Schema.Union([EventScope, Schema.TaggedStruct("Ledger", {})])

/**
 * @category models
 * @since 0.1.0
 */
export type ReadScope = typeof ReadScope.Type

/**
 * The whole ledger, in the order of commits.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ledger: ReadScope = { _tag: "Ledger" }

/**
 * An opaque token, valid in the scope it was made for and refused in any other.
 *
 * @category models
 * @since 0.1.0
 */
export const Cursor = Schema.String.pipe(Schema.brand("@runledger/core/Cursor"))

/**
 * @category models
 * @since 0.1.0
 */
export type Cursor = typeof Cursor.Type

const mark = (scope: ReadScope): string => {
  switch (scope._tag) {
    case "Thread":
      return `t${sha256(scope.threadId).slice(0, 12)}`
    case "Run":
      return `r${sha256(scope.runId).slice(0, 12)}`
    case "Ledger":
      return "l"
  }
}

/**
 * The cursors of a scope, by the sequence that each stands after (the position, for the whole ledger). 0 is the start.
 * Where facts were pruned up to a `floor`, a cursor below it, for what was kept there, holds as long as the floor is the
 * same.
 *
 * @category constructors
 * @since 0.1.0
 */
export const within = (scope: ReadScope, floor = 0): ((sequence: number) => Cursor) => {
  const prefix = `${mark(scope)}.`
  return (sequence) => Cursor.make(sequence < floor ? `${prefix}${sequence}.${floor}` : `${prefix}${sequence}`)
}

/**
 * The cursor after a sequence of a scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (scope: ReadScope, sequence: number): Cursor => within(scope)(sequence)

/**
 * The cursor before the first fact of a scope. To expect a scope to end here is to expect it to be empty.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = (scope: ReadScope): Cursor => make(scope, 0)

/**
 * The place of a fact in the order of a scope; 0 if it is not in it.
 *
 * @category getters
 * @since 0.1.0
 */
export const sequenceOf = (
  scope: ReadScope,
  fact: {
    readonly threadSequence?: number | undefined
    readonly runSequence?: number | undefined
    readonly position: number
  }
): number => {
  switch (scope._tag) {
    case "Thread":
      return fact.threadSequence ?? 0
    case "Run":
      return fact.runSequence ?? 0
    case "Ledger":
      return fact.position
  }
}

const form = /^([^.]+)\.(\d{1,15})(?:\.(\d{1,15}))?$/

/** The sequence that a cursor of this scope stands after, and the floor for which it was made, if it is one. */
const parse = (scope: ReadScope, cursor: Cursor): { readonly sequence: number; readonly floor: number } | undefined => {
  const [, scopeMark, sequence, floor = 0] = form.exec(cursor) ?? []
  return scopeMark === mark(scope) ? { sequence: Number(sequence), floor: Number(floor) } : undefined
}

const foreign = (cursor: Cursor): CursorExpired =>
  new CursorExpired({ message: `cursor ${cursor} is not one of this scope; read again from the start` })

/**
 * The sequence that a cursor stands after, if it is a cursor of this scope.
 *
 * @category getters
 * @since 0.1.0
 */
export const sequence = (scope: ReadScope, cursor: Cursor): Result.Result<number, CursorExpired> => {
  const parsed = parse(scope, cursor)
  return parsed === undefined ? Result.fail(foreign(cursor)) : Result.succeed(parsed.sequence)
}

/**
 * The sequence from which to read on: that of the cursor, unless facts after it were pruned or it stands beyond the
 * `last` sequence of the scope.
 *
 * @category getters
 * @since 0.1.0
 */
export const resolve = (
  scope: ReadScope,
  cursor: Cursor,
  bounds: { readonly floor: number; readonly last: number }
): Result.Result<number, CursorExpired> => {
  const parsed = parse(scope, cursor)
  if (parsed === undefined) {
    return Result.fail(foreign(cursor))
  }
  if (parsed.sequence < bounds.floor && parsed.floor !== bounds.floor) {
    return Result.fail(
      new CursorExpired({ message: `facts after cursor ${cursor} were pruned; read again from the start` })
    )
  }
  return parsed.sequence > bounds.last
    ? Result.fail(
        new CursorExpired({ message: `cursor ${cursor} stands beyond the end of its scope; read again from the start` })
      )
    : Result.succeed(parsed.sequence)
}
