/**
 * A process that appends until it dies, and what must be left of its work.
 */
import { assert } from "@effect/vitest"
import { Cursor, EventStore } from "@runledger/core"
import { layer, layerInThread } from "@runledger/sql/sqlite"
import { Context, Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { events, readAll, run } from "./support.ts"

export const child = fileURLToPath(new URL("./child.ts", import.meta.url))

/** The store at a path, for as long as the scope lives. */
export const open = (path: string, make = layer) =>
  Effect.map(Layer.build(make({ path })), (context) => Context.get(context, EventStore.EventStore))

/** Runs the child through a shell until it ends, or is killed once it has said enough. Its lines. */
export const linesOf = (command: string, args: ReadonlyArray<string>, killAfter = Infinity) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const started = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    started.stdout.on("data", (chunk) => {
      said += String(chunk)
      if (said.split("\n").length > killAfter) {
        started.kill("SIGKILL")
      }
    })
    started.on("close", () => resume(Effect.succeed(said.split("\n").slice(0, -1))))
  })

/** What was acknowledged must be there, and the file sound; a batch that was not may be, but whole. */
export const expectKept = Effect.fnUntraced(function* (path: string, acknowledged: number) {
  const store = yield* open(path, layerInThread)
  const facts = yield* readAll(store, run)
  assert.isAtLeast(facts.length, acknowledged)
  assert.strictEqual(facts.length % 100, 0)
  assert.isTrue(
    facts.every(({ ordinal, position, runSequence }, i) => [ordinal, position, runSequence].every((n) => n === i + 1))
  )
  const database = new DatabaseSync(path)
  assert.deepStrictEqual({ ...database.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" })
  database.close()
  yield* store.append(events(facts.length + 1, facts.length + 10))
  assert.strictEqual(yield* store.count(Cursor.ledger), facts.length + 10)
})
