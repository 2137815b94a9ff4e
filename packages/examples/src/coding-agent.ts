/**
 * A coding agent that reads files by itself, and runs a command when somebody has approved it.
 *
 * It ends with 75 when it waits for a decision. Then `runledger pending` lists the call, `runledger decide` decides on it,
 * and the agent, started again, goes on from the ledger; so it does when it was killed.
 */
import { Recorder } from "@runledger/core"
import { Agent } from "@runledger/ai/effect"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { ScriptedModel } from "@runledger/testing"
import { Console, Effect, Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { exec } from "node:child_process"
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Options } from "./main.ts"

const tools = Toolkit.make(
  Tool.make("read_file", { parameters: Schema.Struct({ path: Schema.String }), success: Schema.String }),
  Tool.make("run_command", {
    parameters: Schema.Struct({ command: Schema.String }),
    success: Schema.String,
    needsApproval: true
  })
)

/** The tools. Each execution leaves the id of its call in `tool.log`. */
const toolsIn = (workDir: string) => {
  const log = (id = "") => appendFileSync(join(workDir, "tool.log"), `${id}\n`)
  return tools.toLayer({
    read_file: ({ path }, { toolCallId }) =>
      Effect.sync(() => {
        log(toolCallId)
        return readFileSync(join(workDir, path), "utf8")
      }),
    run_command: ({ command }, { toolCallId }) =>
      Effect.promise(async () => {
        log(toolCallId)
        const { stdout } = await promisify(exec)(command, { cwd: workDir })
        return stdout
      })
  })
}

/** A model that needs no key. Yours is a layer of your provider. */
const { answer, call, reasoning, text } = ScriptedModel
const model = ScriptedModel.layer(
  [
    answer(reasoning("First I look."), text("I'll read both files."), [
      ...call("call-1", "read_file", { path: "add.js" }),
      ...call("call-2", "read_file", { path: "add.test.js" })
    ]),
    answer(text("The sum is a difference. I'll mend it and run the test."), [
      ...call("call-3", "run_command", { command: "sed -i.old 's/a - b/a + b/' add.js && node add.test.js" })
    ]),
    answer(text("Mended: 1 + 2 is 3 again."))
  ],
  { delay: "5 millis" }
)

const project = {
  "add.js": "module.exports = (a, b) => a - b\n",
  "add.test.js": 'if (require("./add.js")(1, 2) !== 3) process.exit(1)\nconsole.log("1 passed")\n'
}

export const main = ({ ledger, workDir }: Options) =>
  Effect.gen(function* () {
    for (const [file, content] of Object.entries(project)) {
      if (!existsSync(join(workDir, file))) {
        writeFileSync(join(workDir, file), content)
      }
    }
    const outcome = yield* Agent.run({
      threadId: "mend-the-sum",
      runId: "mend-the-sum-1",
      system: "You are a coding agent.",
      input: "The test of add.js fails. Mend it.",
      toolkit: yield* tools
    })
    if (outcome._tag === "Suspended") {
      for (const { id, name } of outcome.calls) {
        yield* Console.log(`${name} waits for a decision: runledger decide ${id} --approve --ledger ${ledger}`)
      }
      return 75
    }
    yield* Console.log(outcome._tag === "Blocked" ? outcome.reason : outcome.text)
    return 0
  }).pipe(
    Effect.provide(
      Layer.mergeAll(Recorder.layer(), model, toolsIn(workDir)).pipe(
        Layer.provideMerge(SqliteLedger.layer({ path: ledger }))
      )
    )
  )
