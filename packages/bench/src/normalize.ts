/**
 * What it costs to make facts of events, with the text of each payload.
 */
import { Durability, Normalizer } from "@runledger/core"
import { Effect, Result } from "effect"
import { ids, runOf } from "./events.ts"
import { microsEach, type Row } from "./Row.ts"

const row = (durability: "full_fidelity" | "compacted", name: string, mark: number): Row => ({
  name,
  work: `facts of a run's events with their text, ${durability}`,
  against: "JSON.stringify of the same events",
  unit: "us/event",
  mark: { ratio: mark },
  prepare: (size) =>
    Effect.sync(() => {
      const events = runOf()
      const passes = size.of(100)
      const normalizers = Array.from({ length: passes }, () => Normalizer.make({ ...ids, origin: "native" }))
      let characters = 0
      const measured = (work: () => void) => microsEach(events.length * passes, Effect.sync(work))
      return {
        ours: Effect.flatMap(Effect.all(normalizers), (fresh) =>
          measured(() => {
            for (const { normalizeMany } of fresh) {
              for (const event of events) {
                for (const { draft, fidelity } of Result.getOrThrow(normalizeMany(event, durability))) {
                  characters += Durability.shouldPersist(durability, fidelity)
                    ? JSON.stringify(draft.payload).length
                    : 0
                }
              }
            }
          })
        ),
        theirs: measured(() => {
          for (let pass = 0; pass < passes; pass += 1) {
            for (const event of events) {
              characters += JSON.stringify(event).length
            }
          }
        })
      }
    })
})

export const rows: ReadonlyArray<Row> = [
  row("full_fidelity", "normalize.full", 0.6),
  row("compacted", "normalize.compacted", 4)
]
