/**
 * `npm run vectors -- PATH…`: replays the vectors of files and folders (.jsonl and .jsonl.gz), a result a line, and
 * ends with `N passed, M failed`; exits with 1 when any failed.
 */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { read, replay } from "./replay.ts"

const isVectors = (path: string): boolean => /\.jsonl(\.gz)?$/.test(path)

const filesOf = (path: string): ReadonlyArray<string> =>
  statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: "utf8" })
        .filter(isVectors)
        .toSorted()
        .map((name) => join(path, name))
    : [path]

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const paths = process.argv.slice(2)
if (paths.length === 0) {
  process.stderr.write("usage: npm run vectors -- PATH… (files or folders; .jsonl and .jsonl.gz)\n")
  process.exitCode = 64
} else {
  let passed = 0
  let failed = 0
  try {
    for (const file of paths.flatMap(filesOf)) {
      for (const vector of read(file)) {
        const problem = replay(vector)
        if (problem === undefined) {
          passed += 1
          say(`ok ${vector.name}`)
        } else {
          failed += 1
          say(`FAILED ${vector.name}: ${problem.slice(0, 500)}`)
        }
      }
    }
    say(`${passed} passed, ${failed} failed`)
    process.exitCode = failed === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
