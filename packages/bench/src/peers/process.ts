/**
 * A peer in a process of its own.
 */
import { Effect } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { folder } from "../files.ts"
import { Missing } from "../Row.ts"
import type { Batch } from "./work.ts"

type Answer =
  | { readonly _tag: "Measured"; readonly cost: number }
  | { readonly _tag: "Missing" }
  | { readonly _tag: "Failed"; readonly why: string }

/** The Node that runs npm: npm compiles addons for it. */
export const nodeOfNpm = process.env["npm_node_execpath"] ?? process.execPath

export interface Options {
  readonly script: string
  readonly node: string
  readonly batches: ReadonlyArray<Batch>
  /** What to do when the peer is not there. */
  readonly remedy: string
}

const start = ({ node, script }: Options, batches: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = fork(fileURLToPath(new URL(script, import.meta.url)), [batches], {
        execPath: node,
        execArgv: [],
        stdio: ["ignore", "ignore", "pipe", "ipc"]
      })
      const said: Array<string> = []
      child.stderr?.setEncoding("utf8").on("data", (text: string) => said.push(text))
      return { child, said }
    }),
    ({ child }) => Effect.sync(() => child.kill())
  )

const ask = (child: ChildProcess, said: ReadonlyArray<string>, question: object): Effect.Effect<Answer, unknown> =>
  Effect.raceFirst(
    Effect.tryPromise((signal) => {
      child.send(question)
      return once(child, "message", { signal })
    }),
    Effect.flatMap(
      Effect.tryPromise((signal) => once(child, "close", { signal })),
      ([code, signal]) => Effect.fail(new Error(`the peer's process ended (${code ?? signal}): ${said.join("")}`))
    )
  ).pipe(Effect.map(([answer]) => answer))

/** Starts a peer, and tries it with a batch; gives how to measure it, each time on new files. */
export const peer = (options: Options) =>
  Effect.gen(function* () {
    const { batches, remedy } = options
    const file = join(yield* folder, "batches.json")
    writeFileSync(file, JSON.stringify(batches))
    const { child, said } = yield* start(options, file)
    const measure = (count: number) =>
      Effect.gen(function* () {
        const answer = yield* ask(child, said, { folder: yield* folder, count })
        if (answer._tag === "Missing") {
          return yield* new Missing({ message: remedy })
        }
        return answer._tag === "Measured" ? answer.cost : yield* Effect.fail(new Error(answer.why))
      }).pipe(Effect.scoped)
    yield* measure(1)
    return measure(batches.length)
  })
