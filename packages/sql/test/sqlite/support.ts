/**
 * What the tests of the SQLite store share: folders of their own, and staged events.
 */
import type { CanonicalEvent, EventStore, LedgerError, StagedEvent } from "@runledger/core"
import { Effect, type Scope } from "effect"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A new folder, gone with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "runledger-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** The path of a ledger that is not there yet, in a folder of its own. */
export const newPath: Effect.Effect<string, never, Scope.Scope> = Effect.map(folder, (path) => join(path, "ledger.db"))

export const eventId = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

/** The nth event of thread-1 and run-1, unless said otherwise. */
export const event = (n: number, fields: Partial<StagedEvent.StagedEvent> = {}): StagedEvent.StagedEvent => ({
  eventId: eventId(n),
  kind: "TextDeltaObserved",
  fidelity: "observed_runtime_event",
  visibility: "public",
  threadId: "thread-1",
  runId: "run-1",
  ordinal: n,
  payload: JSON.stringify({ _tag: "TextDelta", delta: `${n}` }),
  origin: "native",
  schemaVersion: 1,
  occurredAt: 1_700_000_000_000 + n,
  ...fields
})

/** Events first, first + 1 … last. */
export const events = (first: number, last: number): ReadonlyArray<StagedEvent.StagedEvent> =>
  Array.from({ length: last - first + 1 }, (_, index) => event(first + index))

export const thread = { _tag: "Thread", threadId: "thread-1" } as const
export const run = { _tag: "Run", runId: "run-1" } as const

/** All facts of a scope, read in pages of this size. */
export const readAll = Effect.fnUntraced(function* (
  store: EventStore.EventStoreShape,
  scope: Parameters<EventStore.EventStoreShape["read"]>[0]["scope"],
  limit?: number
): Effect.fn.Return<
  ReadonlyArray<CanonicalEvent.CanonicalEvent>,
  LedgerError.CursorExpired | LedgerError.IntegrityError | LedgerError.UnavailableError
> {
  const facts: Array<CanonicalEvent.CanonicalEvent> = []
  let page: EventStore.EventPage | undefined
  while (page?.hasMore ?? true) {
    page = yield* store.read({ scope, after: page?.next, limit })
    facts.push(...page.facts)
  }
  return facts
})

/** Permissions bind anybody but root. */
export const asPlainUser = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  process.getuid?.() === 0
    ? Effect.acquireUseRelease(
        Effect.sync(() => process.seteuid?.(65534)),
        () => effect,
        () => Effect.sync(() => process.seteuid?.(0))
      )
    : effect

export const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex")
