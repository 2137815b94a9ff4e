/**
 * One line of the benchmark: two things that are measured in turns.
 */
import { Effect, type Scope } from "effect"

/** How much is measured: everything, or a twentieth of it. */
export interface Size {
  readonly isQuick: boolean
  /** So many, or a twentieth of them. */
  readonly of: (count: number) => number
}

export const size = (isQuick: boolean): Size => ({
  isQuick,
  of: (count) => (isQuick ? Math.max(Math.round(count / 20), 1) : count)
})

/** What is measured: each gives a cost, of which less is better. */
export interface Measured {
  readonly ours: Effect.Effect<number, unknown>
  readonly theirs: Effect.Effect<number, unknown>
}

export interface Row {
  readonly name: string
  readonly work: string
  readonly against: string
  /** The unit of both costs. */
  readonly unit: string
  /** The ratio to reach. */
  readonly mark: number
  readonly prepare: (size: Size) => Effect.Effect<Measured, unknown, Scope.Scope>
}

/** What came out: the median of each cost and of their ratio, and how far the ratio was spread. */
export interface Figure {
  readonly ratio: number
  readonly lowest: number
  readonly highest: number
  readonly ours: number
  readonly theirs: number
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}

/** Measures a row: once to warm up, then in turns, who is first by turns too. */
export const measure = (row: Row, size: Size): Effect.Effect<Figure, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { ours, theirs } = yield* row.prepare(size)
      const costs: Array<{ readonly ours: number; readonly theirs: number }> = []
      const rounds = size.isQuick ? 5 : 9
      for (let round = -1; round < rounds; round += 1) {
        const first = yield* round % 2 === 0 ? ours : theirs
        const second = yield* round % 2 === 0 ? theirs : ours
        if (round >= 0) {
          costs.push(round % 2 === 0 ? { ours: first, theirs: second } : { ours: second, theirs: first })
        }
      }
      const ratios = costs.map(({ ours, theirs }) => theirs / ours)
      return {
        ratio: median(ratios),
        lowest: Math.min(...ratios),
        highest: Math.max(...ratios),
        ours: median(costs.map(({ ours }) => ours)),
        theirs: median(costs.map(({ theirs }) => theirs))
      }
    })
  )

/** How many microseconds each of so many takes. */
export const microsEach = <E, R>(count: number, work: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function* () {
    const from = performance.now()
    yield* work
    return ((performance.now() - from) * 1000) / count
  })
