/**
 * What the processes of these tests share.
 */
import type { StagedEvent } from "@runledger/core"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { Effect, Layer } from "effect"
import { randomUUIDv7 } from "node:crypto"

const postgres = (url: string) =>
  Effect.map(
    Effect.promise(() => import("@runledger/sql/postgres")),
    (ledger) => ledger.layer({ url })
  )

/** The ledger at a path or a URL. */
export const layer = (ledger: string) =>
  ledger.startsWith("postgres") ? Layer.unwrap(postgres(ledger)) : SqliteLedger.layer({ path: ledger })

export const event = (fields: Partial<StagedEvent.StagedEvent>): StagedEvent.StagedEvent => ({
  eventId: randomUUIDv7(),
  kind: "Said",
  fidelity: "domain_event",
  visibility: "public",
  payload: "{}",
  origin: "test",
  schemaVersion: 1,
  occurredAt: Date.now(),
  ...fields
})

/** Tells the test something, a line at a time. */
export const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
