/**
 * What is measured many times in one round.
 */

/** The value that so great a part of them does not exceed: 0.5 is the median, 1 the largest. */
export const quantile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(Math.ceil(values.length * part) - 1, 0)] ?? Number.NaN
