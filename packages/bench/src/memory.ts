/**
 * Whether the memory of a process stays as it is, however much it records.
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { folder } from "./files.ts"
import type { Row } from "./Row.ts"

const gigabyte = fileURLToPath(new URL("./gigabyte.ts", import.meta.url))

/** In a process of its own, so that it begins with nothing in memory. */
const growth = Effect.gen(function* () {
  const path = yield* folder
  const { stdout } = yield* Effect.promise(() =>
    promisify(execFile)(process.execPath, [gigabyte, join(path, "ours.db")])
  )
  return { ours: Number(stdout) / 1e6, theirs: 250 }
}).pipe(Effect.scoped)

export const rows: ReadonlyArray<Row> = [
  {
    name: "memory.stream",
    work: "growth of resident memory while 1 GB of events is recorded into SQLite, full_fidelity, after the first 50 MB",
    against: "the limit",
    unit: "MB",
    mark: { ratio: 1 },
    rounds: 1,
    isFull: true,
    prepare: () => Effect.succeed({ both: growth })
  }
]
