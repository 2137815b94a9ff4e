/**
 * How staged units become one append.
 */
import type { Beside, LaneOptions } from "../EventStager.ts"
import type { AppendOptions, Expected, RunState, Writer } from "../EventStore.ts"
import type { StagedEvent, StagedUnit } from "../StagedEvent.ts"

/** A unit of a lane; `isOpen` says that a unit of the lane is in the ledger. */
export interface Staged<L extends { readonly options: LaneOptions; readonly isOpen: boolean }> {
  readonly lane: L
  readonly unit: StagedUnit
  readonly beside: Beside
}

type AnyStaged = Staged<{ readonly options: LaneOptions; readonly isOpen: boolean }>

/** What is sent to the store, and sent again unchanged if need be. */
export interface AppendBatch<Item> {
  readonly items: ReadonlyArray<Item>
  readonly events: ReadonlyArray<StagedEvent>
  readonly options: Required<AppendOptions>
}

/** What a fact takes up beside its payload. */
const overhead = 200

/** About how many bytes a unit takes up. */
export const sizeOf = (unit: StagedUnit): number =>
  unit.reduce((bytes, event) => bytes + event.payload.length + overhead, 0)

/** The highest mark of each claim that the items are written under. */
const writersOf = (items: ReadonlyArray<AnyStaged>): ReadonlyArray<Writer> => {
  // The lanes of a recorder have the same one.
  const said = new Set<Writer>()
  for (const { beside, lane } of items) {
    for (const writer of lane.options.writers ?? []) {
      said.add(writer)
    }
    if (beside.mark !== undefined) {
      said.add(beside.mark)
    }
  }
  const writers = new Map<string, Writer>()
  for (const writer of said) {
    const key = `${writer.epoch} ${writer.writer}`
    if (writer.highWater >= (writers.get(key)?.highWater ?? 0)) {
      writers.set(key, writer)
    }
  }
  return [...writers.values()]
}

/** Whether a unit has a fact in the scope that the lane expects something of. */
export const isIn = (unit: StagedUnit, { scope }: Expected): boolean =>
  unit.some(({ runId, threadId }) => (scope._tag === "Run" ? runId === scope.runId : threadId === scope.threadId))

export const batchOf = <Item extends AnyStaged>(items: ReadonlyArray<Item>): AppendBatch<Item> => {
  const expected = new Set<Expected>()
  const runs = new Map<string, NonNullable<Beside["after"]>>()
  for (const { beside, lane, unit } of items) {
    const first = lane.isOpen ? undefined : lane.options.expected
    if (first !== undefined && isIn(unit, first)) {
      expected.add(first)
    }
    // A run without a fact cannot have a state yet.
    for (const after of beside.others?.values() ?? []) {
      runs.set(after.runId, after)
    }
    if (beside.after !== undefined && (first === undefined || expected.has(first))) {
      runs.set(beside.after.runId, beside.after)
    }
  }
  return {
    items,
    events: items.flatMap(({ unit }) => unit),
    options: {
      writers: writersOf(items),
      expected: [...expected],
      runs: Array.from(runs.values(), ({ state, ...run }): RunState => ({ ...run, state: state() }))
    }
  }
}
