/**
 * What flags have in common.
 */
import { Flag } from "effect/cli"

/** A flag whose text must say something: an empty one is most often a variable of a script that was not set. */
export const text = (name: string): Flag.Flag<string> =>
  Flag.String(name).pipe(
    Flag.filter(
      (value) => value.trim() !== "",
      () => "a text that is not blank"
    )
  )
