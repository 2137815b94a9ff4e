/**
 * `npm run example -- NAME [--ledger PATH] [--work-dir DIR]`: runs one of the examples beside this file.
 */
import { Effect } from "effect"
import { mkdirSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as AiSdkAgent from "./ai-sdk-agent.ts"
import * as Chat from "./chat.ts"
import * as CodingAgent from "./coding-agent.ts"
import * as ManyAgents from "./many-agents.ts"

/** Where an example keeps its ledger, and where its tools work. */
export interface Options {
  readonly ledger: string
  readonly workDir: string
}

/** Each gives the exit status; 75 is that of a program that should be started again later. */
const examples: Readonly<Record<string, (options: Options) => Effect.Effect<number, unknown>>> = {
  "ai-sdk-agent": AiSdkAgent.main,
  chat: Chat.main,
  "coding-agent": CodingAgent.main,
  "many-agents": ManyAgents.main
}

const usage = `usage: npm run example -- NAME [--ledger PATH] [--work-dir DIR]; NAME is one of ${Object.keys(examples).join(", ")}`

const optionsOf = (): { readonly name: string; readonly options: Options } | undefined => {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { ledger: { type: "string" }, "work-dir": { type: "string" } }
    })
    const [name = "", ...others] = positionals
    if (!Object.hasOwn(examples, name) || others.length > 0) {
      return undefined
    }
    const workDir = values["work-dir"] ?? mkdtempSync(join(tmpdir(), "runledger-example-"))
    mkdirSync(workDir, { recursive: true })
    return { name, options: { ledger: values.ledger ?? join(workDir, "runledger.db"), workDir } }
  } catch {
    return undefined
  }
}

const chosen = optionsOf()
const example = chosen === undefined ? undefined : examples[chosen.name]
if (chosen === undefined || example === undefined) {
  process.stderr.write(`${usage}\n`)
  process.exitCode = 64
} else {
  const { options } = chosen
  process.stderr.write(`ledger ${options.ledger}\n`)
  process.exitCode = await Effect.runPromise(
    Effect.catchCause(example(options), (cause) => Effect.as(Effect.logError(cause), 1))
  )
}
