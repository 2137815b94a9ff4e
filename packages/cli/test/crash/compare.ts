/**
 * Whether two ledgers say the same of a pass, whatever happened while they were written.
 */
import type { CanonicalEvent } from "@runledger/core"

/** What is wrong with a ledger: facts that are missing, facts that are there twice or should not be, and places that are empty or taken twice, or in another order. */
export interface Faults {
  readonly lost: number
  readonly duplicated: number
  readonly holes: number
  /** The first texts that are missing or too many, for a person. */
  readonly examples: ReadonlyArray<string>
}

const deltas: Readonly<Record<string, string>> = {
  TextDeltaObserved: "delta",
  ReasoningDeltaObserved: "delta",
  ToolCallDeltaObserved: "argsDelta",
  ToolCallStreamDeltaObserved: "delta"
}

const field = (payload: unknown, name: string): string => String(Object(payload)[name] ?? "")

/** What recovery adds is marked; and a message in part is followed by the whole one. */
const isOfRecovery = ({ kind, origin, payload }: CanonicalEvent.CanonicalEvent): boolean =>
  origin === "recovery" || (kind === "MessageCommitted" && Object(payload).partial === true)

/**
 * The facts of a run as texts. Where a row of deltas ends depends on the time, so the deltas of one text up to the next other fact are put
 * together.
 */
const told = (facts: ReadonlyArray<CanonicalEvent.CanonicalEvent>, pass: string): ReadonlyArray<string> => {
  const texts: Array<string> = []
  let open = new Map<string, string>()
  const close = () => {
    texts.push(...Array.from(open, ([key, text]) => `${key} ${text}`))
    open = new Map()
  }
  for (const { kind, lastOrdinal: _, ordinal = 0, payload } of facts.filter((fact) => !isOfRecovery(fact))) {
    const name = deltas[kind]
    if (name === undefined) {
      close()
      texts.push(`${kind} ${ordinal} ${JSON.stringify(payload).replaceAll(pass, "PASS")}`)
    } else {
      const key = `${kind} ${field(payload, "id")}`
      // What is thought and what is said follow one another.
      if (
        !open.has(key) &&
        [...open.keys()].some((other) => /^(Text|Reasoning)/.test(other) && /^(Text|Reasoning)/.test(key))
      ) {
        close()
      }
      open.set(key, `${open.get(key) ?? ""}${field(payload, name)}`)
    }
  }
  close()
  return texts
}

const missing = (from: ReadonlyArray<string>, what: ReadonlyArray<string>): ReadonlyArray<string> => {
  const left = new Map<string, number>()
  for (const text of from) {
    left.set(text, (left.get(text) ?? 0) + 1)
  }
  return what.filter((text) => {
    const count = left.get(text) ?? 0
    left.set(text, count - 1)
    return count <= 0
  })
}

const holesIn = (sequences: ReadonlyArray<number | undefined>): number =>
  sequences.filter((sequence, index) => sequence !== index + 1).length

export type Facts = ReadonlyArray<CanonicalEvent.CanonicalEvent>

/** Compares a pass with the one that nothing interrupted, run by run. */
export const compare = (
  sound: { readonly pass: string; readonly runs: ReadonlyArray<Facts> },
  found: { readonly pass: string; readonly runs: ReadonlyArray<Facts>; readonly thread: Facts }
): Faults => {
  const faults = {
    lost: 0,
    duplicated: 0,
    holes: holesIn(found.thread.map(({ threadSequence }) => threadSequence)),
    examples: new Array<string>()
  }
  for (const [index, facts] of found.runs.entries()) {
    const expected = told(sound.runs[index] ?? [], sound.pass)
    const actual = told(facts, found.pass)
    const lost = missing(actual, expected)
    const duplicated = missing(expected, actual)
    faults.lost += lost.length
    faults.duplicated += duplicated.length
    faults.examples.push(
      ...lost.slice(0, 5).map((text) => `lost: ${text}`),
      ...duplicated.slice(0, 5).map((text) => `too many: ${text}`)
    )
    faults.holes += holesIn(facts.map(({ runSequence }) => runSequence))
    if (lost.length + duplicated.length === 0) {
      faults.holes += expected.filter((text, place) => text !== actual[place]).length
    }
  }
  return faults
}
