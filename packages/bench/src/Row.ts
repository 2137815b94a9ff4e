/**
 * One line of the benchmark: two things that are measured in turns.
 */
import { Effect, Schema, type Scope } from "effect"

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

/** What is measured: a cost, of which less is better. */
export interface Costs {
  readonly ours: number
  readonly theirs: number
}

/** How it is measured: each alone, in turns; or both by one measurement, where one cannot be had without the other. */
export type Measured =
  | {
      readonly ours: Effect.Effect<number, unknown>
      readonly theirs: Effect.Effect<number, unknown>
    }
  | { readonly both: Effect.Effect<Costs, unknown> }

/** What a row needs is not there. */
export class Missing extends Schema.TaggedError<Missing>()("Missing", { message: Schema.String }) {}

export interface Row {
  readonly name: string
  readonly work: string
  readonly against: string
  /** The unit of both costs. */
  readonly unit: string
  /** What to reach, if anything: a ratio of at least so much, or a cost of our own of at most so much. */
  readonly mark?: { readonly ratio: number } | { readonly ours: number }
  /** How many rounds there are, five when nothing is said; a quick run has half of them. */
  readonly rounds?: number
  /** It takes so long that a quick run leaves it out. */
  readonly isFull?: boolean
  readonly prepare: (size: Size) => Effect.Effect<Measured, unknown, Scope.Scope>
}

/** What came out: the median of each cost and of their ratio, and how far the ratio was spread. */
export interface Figure extends Costs {
  readonly ratio: number
  readonly lowest: number
  readonly highest: number
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}

/** One round: who is first alternates. */
const inTurn = (measured: Measured, round: number): Effect.Effect<Costs, unknown> =>
  "both" in measured
    ? measured.both
    : round % 2 === 0
      ? Effect.all({ ours: measured.ours, theirs: measured.theirs })
      : Effect.map(Effect.all([measured.theirs, measured.ours]), ([theirs, ours]) => ({ ours, theirs }))

/** How many rounds come before those that count: none where once is all there is, more where they are short. */
const warmUps = ({ rounds }: Row, { isQuick }: Size): number =>
  rounds === 1 ? 0 : rounds === undefined && isQuick ? 2 : 1

/** Measures a row round by round. */
export const measure = (row: Row, size: Size): Effect.Effect<Figure, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const measured = yield* row.prepare(size)
      const { rounds: most = 5 } = row
      const rounds = size.isQuick ? Math.ceil(most / 2) : most
      const costs: Array<Costs> = []
      for (let round = -warmUps(row, size); round < rounds; round += 1) {
        const cost = yield* inTurn(measured, round)
        if (round >= 0) {
          costs.push(cost)
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
