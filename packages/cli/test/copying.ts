/**
 * A ledger on its way from SQLite to Postgres and back, with a copy that is killed in the middle.
 */
import { assert } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { makeLarge, withStore } from "./ledgers.ts"
import { bin, type Ended, folder, runledger, starting } from "./process.ts"

/** Copies, and says how many bytes of memory that took at most; 0 where the system does not tell. */
const copy = async (from: string, to: string) => {
  const copying = starting(folder(), "copy", "--from", from, "--to", to)
  let peak = 0
  const watching = setInterval(() => {
    try {
      const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${copying.pid}/status`, "utf8")) ?? []
      peak = Math.max(peak, Number(kilobytes ?? 0) * 1024)
    } catch {
      // It has ended, or this is not Linux.
    }
  }, 10)
  const { status, stderr, stdout } = await copying.ended
  clearInterval(watching)
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
  return { stdout, peak }
}

/** The digest of all facts, as they are exported. */
const digestOf = async (ledger: string): Promise<string> => {
  const hash = createHash("sha256")
  const child = spawn(process.execPath, [bin, "export", "--all", "--ledger", ledger], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  child.stdout.on("data", (chunk: Buffer) => hash.update(chunk))
  const [status] = await once(child, "close")
  assert.strictEqual(status, 0)
  return hash.digest("hex")
}

const key = 1803

/**
 * Starts a copy into a Postgres database, lets it come as far as a row that it inserts into a table, and does something
 * to it there; how it ends.
 */
export const copyUpTo = (
  row: { readonly table: "events" | "writers"; readonly where: string },
  from: string,
  url: string,
  act: (copying: ReturnType<typeof starting>) => Promise<unknown>
): Promise<Ended> =>
  Effect.gen(function* () {
    // Makes the tables.
    yield* Effect.promise(() => withStore(url, () => Effect.void))
    const sql = yield* PgClient.make({ url: Redacted.make(url), maxConnections: 2 })
    const [table, where, lock] = [sql.literal(row.table), sql.literal(row.where), sql.literal(`${key}`)]
    yield* sql`
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(${lock}); RETURN NEW;
      END $$`.unprepared
    yield* sql`
      CREATE TRIGGER wait BEFORE INSERT ON ${table} FOR EACH ROW WHEN (${where}) EXECUTE FUNCTION wait()`.unprepared
    const copying = yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`SELECT pg_advisory_xact_lock(${lock})`
        const copying = starting(folder(), "copy", "--from", from, "--to", url)
        const waits = sql`
          SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database()
          WHERE locktype = 'advisory' AND objid = ${lock} AND NOT granted`
        while ((yield* waits).length === 0) {
          // Asks again.
        }
        yield* Effect.promise(() => act(copying))
        return copying
      })
    )
    const ended = yield* Effect.promise(() => copying.ended)
    yield* sql`DROP TRIGGER wait ON ${table}`.unprepared
    return ended
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer), Effect.runPromise)

const mebibyte = 1024 * 1024

/**
 * Copies a ledger of so many facts from SQLite to the Postgres database at a URL, which is killed once in the middle, and
 * back again: the facts and runs stay the same, and no copy takes more than 250 MB. The result is what the copies took.
 */
export const roundTrip = async (facts: number, url: string): Promise<string> => {
  const [from, back] = [join(folder(), "from.db"), join(folder(), "back.db")]
  await makeLarge(from, facts)
  const { signal } = await copyUpTo(
    { table: "events", where: `NEW.position = ${facts * 0.4 + 1}` },
    from,
    url,
    (copying) => {
      copying.kill("SIGKILL")
      return copying.ended
    }
  )
  assert.strictEqual(signal, "SIGKILL")
  const rest = (facts * 0.6).toLocaleString("en-US")
  const all = facts.toLocaleString("en-US")
  const there = await copy(from, url)
  const again = await copy(url, back)
  const digest = await digestOf(from)
  for (const ledger of [url, back]) {
    assert.strictEqual(await digestOf(ledger), digest)
    assert.strictEqual(
      (await runledger(folder(), "runs", "--json", "--ledger", ledger)).stdout,
      (await runledger(folder(), "runs", "--json", "--ledger", from)).stdout
    )
    assert.match((await runledger(folder(), "verify", "--ledger", ledger)).stdout, /, no faults\n$/)
  }
  assert.match(there.stdout, new RegExp(`^${rest} facts copied to [^@]*, which has ${all} now, `))
  assert.match(again.stdout, new RegExp(`^${all} facts copied to .*, which has ${all} now, `))
  for (const { peak } of [there, again]) {
    assert.isBelow(peak, 250 * mebibyte)
  }
  return [there, again].map(({ peak }) => `${Math.round(peak / mebibyte)} MiB`).join(", ")
}
