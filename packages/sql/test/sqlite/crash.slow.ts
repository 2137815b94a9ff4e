import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { child, expectKept, linesOf } from "./crash.ts"
import { newPath } from "./support.ts"

const rounds = 60

describe("a long campaign of kills", () => {
  for (const where of ["worker", "thread"]) {
    it.live(
      `loses nothing that was acknowledged, in the ${where}`,
      () =>
        Effect.forEach(
          Array.from({ length: rounds }, (_, round) => round),
          Effect.fnUntraced(function* () {
            const path = yield* newPath
            const lines = yield* linesOf(process.execPath, [child, path, where], 1 + Math.floor(Math.random() * 150))
            yield* expectKept(path, Number(lines.at(-1)))
          }, Effect.scoped),
          { discard: true }
        ),
      600_000
    )
  }
})
