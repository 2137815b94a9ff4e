/**
 * What it costs to record into PostgreSQL, against plain inserts of the same rows, and what more writers bring.
 *
 * The server is the one of the tests: on this machine, without fsync, so that it is not the disk that is measured.
 */
import { PgClient, PgTypes } from "@effect/sql-pg"
import { Durability } from "@runledger/core"
import * as PostgresLedger from "@runledger/sql/postgres"
import { Array as Arr, Effect, Layer, Redacted, Result } from "effect"
import { Reactivity } from "effect/reactivity"
import { randomUUIDv7 } from "node:crypto"
import { createDatabase, dropDatabase, startServer } from "../../../scripts/postgres.ts"
import { patches, recorderInto } from "./recording.ts"
import { microsEach, Missing, type Row } from "./Row.ts"

const events = 51_200
const batch = 512

const server = Effect.acquireRelease(
  Effect.tryPromise({
    try: () => startServer(),
    catch: (cause) => new Missing({ message: cause instanceof Error ? cause.message : String(cause) })
  }),
  ({ stop }) => Effect.promise(stop)
)

const databaseOf = (server: string) =>
  Effect.acquireRelease(
    Effect.promise(() => createDatabase(server)),
    (url) => Effect.promise(() => dropDatabase(server, url))
  )

/** A run that has its connections, and its start and its first fact in the ledger. */
const openRun = Effect.fnUntraced(function* (url: string, writer: number) {
  const ids = { threadId: `thread-${writer}`, runId: `run-${writer}` }
  const recorder = yield* recorderInto(PostgresLedger.layer({ url }))
  const run = yield* recorder.open(ids)
  yield* run.emitAll([{ _tag: "RunStart", ...ids }, ...patches(1)])
  yield* run.flush()
  return run
})

/** Records so many events from so many writers, each with a ledger, a recorder and a run of its own, in one process. */
const record = (server: string, writers: number, count: number) =>
  Effect.gen(function* () {
    const url = yield* databaseOf(server)
    const runs = yield* Effect.forEach(Arr.range(1, writers), (writer) => openRun(url, writer))
    const batches = Arr.chunksOf(patches(count / writers), batch)
    return yield* microsEach(
      count,
      Effect.forEach(
        runs,
        (run) => Effect.andThen(Effect.forEach(batches, run.emitAll, { discard: true }), run.flush()),
        { concurrency: "unbounded", discard: true }
      )
    )
  }).pipe(Effect.scoped, Effect.provideService(Durability.Durability, "full_fidelity"))

type Values = ReadonlyArray<bigint | string | null>

const columns: Readonly<
  Record<string, readonly [type: number, value: (payload: string, at: bigint) => Values[number]]>
> = {
  position: [PgTypes.OID.int8, (_, at) => at],
  event_id: [PgTypes.OID.uuid, () => randomUUIDv7()],
  thread: [PgTypes.OID.int8, () => 1n],
  thread_sequence: [PgTypes.OID.int8, (_, at) => at],
  run: [PgTypes.OID.int8, () => 1n],
  run_sequence: [PgTypes.OID.int8, (_, at) => at],
  kind: [PgTypes.OID.int8, () => 1n],
  flags: [PgTypes.OID.int8, () => 0n],
  ordinal: [PgTypes.OID.int8, (_, at) => at],
  last_ordinal: [PgTypes.OID.int8, () => null],
  occurred_at: [PgTypes.OID.int8, () => BigInt(Date.now())],
  recorded_after: [PgTypes.OID.int8, () => 5n],
  origin: [PgTypes.OID.int8, () => 2n],
  correlation: [PgTypes.OID.int8, () => null],
  causation: [PgTypes.OID.text, () => null],
  schema_version: [PgTypes.OID.int8, () => 1n],
  payload: [PgTypes.OID.text, (payload) => payload]
}

const names = Object.keys(columns).join(", ")

const insert = `INSERT INTO events (${names}) SELECT ${names}
  FROM unnest(${Object.keys(columns).map((_, index) => `$${index + 1}`)}) AS given (${names})`

/** Inserts as many rows into the tables of a ledger, a statement for each batch. All values are made before. */
const insertAll = (server: string, count: number) =>
  Effect.gen(function* () {
    const url = yield* databaseOf(server)
    yield* Effect.scoped(Layer.build(PostgresLedger.layer({ url })))
    const sql = yield* Effect.provide(PgClient.make({ url: Redacted.make(url) }), Reactivity.layer)
    const payloads = patches(count).map((event) => JSON.stringify(event))
    const batches = Arr.chunksOf(payloads, batch).map((part, index) =>
      Object.values(columns).map(([type, value]) =>
        Result.getOrThrow(
          PgTypes.array(
            part.map((payload, row) => value(payload, BigInt(index * batch + row + 1))),
            type
          )
        )
      )
    )
    return yield* microsEach(
      count,
      Effect.forEach(batches, (values) => sql.unsafe(insert, values).values, { discard: true })
    )
  }).pipe(Effect.scoped)

export const rows: ReadonlyArray<Row> = [
  {
    name: "ledger.postgres",
    work: "from emit to commit, emitAll of 512, full_fidelity, no events joined",
    against: "plain inserts of the same rows, 512 a statement, values made before",
    unit: "us/fact",
    mark: { ratio: 0.75 },
    rounds: 5,
    prepare: (size) =>
      Effect.map(server, ({ url }) => ({
        ours: record(url, 1, size.of(events)),
        theirs: insertAll(url, size.of(events))
      }))
  },
  {
    name: "ledger.postgres.8",
    work: "the same from 8 writers of one process, on 8 threads",
    against: "from one writer",
    unit: "us/fact",
    mark: { ratio: 1.4 },
    rounds: 5,
    prepare: (size) =>
      Effect.map(server, ({ url }) => ({
        ours: record(url, 8, size.of(events)),
        theirs: record(url, 1, size.of(events))
      }))
  }
]
