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
 * The cursor after a sequence of a scope (after a position, for the whole ledger).
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (scope: ReadScope, sequence: number): Cursor => Cursor.make(`${mark(scope)}.${sequence}`)

/**
 * The sequence that a cursor stands after, if it is a cursor of this scope.
 *
 * @category getters
 * @since 0.1.0
 */
export const sequence = (scope: ReadScope, cursor: Cursor): Result.Result<number, CursorExpired> => {
  const [scopeMark, after = ""] = cursor.split(".")
  return scopeMark === mark(scope) && /^\d{1,15}$/.test(after)
    ? Result.succeed(Number(after))
    : Result.fail(expired(cursor))
}

/**
 * The error for a cursor that the ledger cannot go on from.
 *
 * @category errors
 * @since 0.1.0
 */
export const expired = (cursor: Cursor): CursorExpired =>
  new CursorExpired({ message: `cursor ${cursor} is not one of this scope; read again from the start` })
