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
import { bin, folder, runledger, starting } from "./process.ts"

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

/** Starts a copy into Postgres, and kills it while it writes the fact at a position. */
const killAt = (position: number, from: string, url: string) =>
  Effect.gen(function* () {
    const sql = yield* PgClient.make({ url: Redacted.make(url), maxConnections: 2 })
    yield* sql.unsafe(`
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.position = ${position} THEN PERFORM pg_advisory_xact_lock(${key}); END IF; RETURN NEW;
      END $$;
      CREATE TRIGGER wait BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION wait()`).valuesUnprepared
    yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`SELECT pg_advisory_xact_lock(${key})`
        const copying = starting(folder(), "copy", "--from", from, "--to", url)
        const waits = sql`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = ${key} AND NOT granted`
        while ((yield* waits).length === 0) {
          // Asks again.
        }
        copying.kill("SIGKILL")
        yield* Effect.promise(() => copying.ended)
      })
    )
    yield* sql.unsafe("DROP TRIGGER wait ON events").valuesUnprepared
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer), Effect.runPromise)

const mebibyte = 1024 * 1024

/**
 * Copies a ledger of so many facts from SQLite to the Postgres database at a URL, which is killed once in the middle, and
 * back again: the facts and runs stay the same, and no copy takes more than 250 MB. The result is what the copies took.
 */
export const roundTrip = async (facts: number, url: string): Promise<string> => {
  const [from, back] = [join(folder(), "from.db"), join(folder(), "back.db")]
  await makeLarge(from, facts)
  // Makes the tables.
  await withStore(url, () => Effect.void)
  await killAt(facts / 2 + 1, from, url)
  const half = (facts / 2).toLocaleString("en-US")
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
  assert.match(there.stdout, new RegExp(`^${half} facts copied to [^@]*, which has ${all} now, `))
  assert.match(again.stdout, new RegExp(`^${all} facts copied to .*, which has ${all} now, `))
  for (const { peak } of [there, again]) {
    assert.isBelow(peak, 250 * mebibyte)
  }
  return [there, again].map(({ peak }) => `${Math.round(peak / mebibyte)} MiB`).join(", ")
}
