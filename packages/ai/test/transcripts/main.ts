/**
 * `npm run transcripts -- DIR`: records the provider streams of a folder through the AI SDK, a result a line, and ends with
 * `N passed, M failed`; exits with 1 when any failed.
 */
import { Effect } from "effect"
import { statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { runFolder } from "./run.ts"

const say = (line: string): void => void process.stdout.write(`${line}\n`)

// The models have made-up names, about which the SDK would warn.
Reflect.set(globalThis, "AI_SDK_LOG_WARNINGS", false)

const dir = process.argv[2] ?? fileURLToPath(new URL("../../../../../shared/transcripts", import.meta.url))

if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) {
  const outcomes = await Effect.runPromise(
    runFolder(dir, ({ name, problems }) => {
      say(problems.length === 0 ? `ok ${name}` : `FAILED ${name}`)
      for (const problem of problems) {
        say(`  ${problem}`)
      }
    })
  )
  const failed = outcomes.filter(({ problems }) => problems.length > 0).length
  if (outcomes.length === 0) {
    process.stderr.write(`${dir} holds no recorded streams\n`)
  }
  say(`${outcomes.length - failed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || outcomes.length === 0 ? 1 : 0
} else {
  process.stderr.write(`${dir} is no folder: give the one that holds the recorded streams\n`)
  process.exitCode = 1
}
