/**
 * Reading facts that were written with an older schema of their kind.
 *
 * @since 0.1.0
 */
import { Effect, Layer, type Schema, Stream } from "effect"
import type { CanonicalEvent, Kind } from "./CanonicalEvent.ts"
import { EventStore } from "./EventStore.ts"

/**
 * Turns the payload of a kind at a schema version into one at the next.
 *
 * @category models
 * @since 0.1.0
 */
export interface Upcaster {
  readonly kind: Kind
  readonly from: number
  readonly upcast: (payload: Schema.Json) => Schema.Json
}

/**
 * Raises a fact step by step, as far as there is an upcaster for its kind and version. A fact whose upcaster throws, or
 * whose payload was erased, is left as it is: old facts never stop a reader.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (upcasters: ReadonlyArray<Upcaster>): ((fact: CanonicalEvent) => CanonicalEvent) => {
  const steps = new Map(upcasters.map((upcaster) => [`${upcaster.from} ${upcaster.kind}`, upcaster.upcast]))
  return (fact) => {
    let { payload, schemaVersion } = fact
    let step = fact.erased ? undefined : steps.get(`${schemaVersion} ${fact.kind}`)
    if (step === undefined) {
      return fact
    }
    try {
      while (step !== undefined) {
        payload = step(payload)
        schemaVersion += 1
        step = steps.get(`${schemaVersion} ${fact.kind}`)
      }
    } catch {
      return fact
    }
    return { ...fact, payload, schemaVersion }
  }
}

/**
 * Gives what is read from the store in force to upcasters. What is stored stays as it is.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (upcasters: ReadonlyArray<Upcaster>): Layer.Layer<EventStore, never, EventStore> => {
  const raise = make(upcasters)
  return Layer.effect(
    EventStore,
    Effect.map(EventStore, (store) =>
      EventStore.of({
        ...store,
        read: (options) => Effect.map(store.read(options), (page) => ({ ...page, facts: page.facts.map(raise) })),
        follow: (options) =>
          Stream.map(store.follow(options), (item) =>
            item._tag === "Fact" ? { ...item, fact: raise(item.fact) } : item
          ),
        get: (eventId) => Effect.map(store.get(eventId), raise)
      })
    )
  )
}
