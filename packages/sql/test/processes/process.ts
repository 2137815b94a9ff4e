/**
 * How a test starts other processes, and hears what they say.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Process {
  /** What it has said, a value for each line. */
  readonly lines: ReadonlyArray<unknown>

  /** Resolves once it has said this. */
  readonly said: (what: unknown) => Effect.Effect<void>

  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>

  /** Resolves when it has ended; dies if it did not end well. */
  readonly ended: Effect.Effect<void>
}

/** Starts a script of this folder; it is ended with the test, if it has not ended before. */
export const start = (script: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...args], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const lines: Array<unknown> = []
      const waiting = new Set<() => void>()
      let rest = ""
      let ending: { readonly status: number | null } | undefined
      const wake = () => {
        for (const check of waiting) {
          check()
        }
      }
      child.stdout.on("data", (chunk) => {
        const [last = "", ...whole] = `${rest}${chunk}`.split("\n").toReversed()
        rest = last
        lines.push(...whole.toReversed().map((line): unknown => JSON.parse(line)))
        wake()
      })
      child.on("close", (status) => {
        ending = { status }
        wake()
      })
      const until = (holds: () => boolean) =>
        Effect.callback<void>((resume) => {
          const check = () => {
            if (holds() || ending !== undefined) {
              waiting.delete(check)
              resume(Effect.void)
            }
          }
          waiting.add(check)
          check()
        })
      const ended = Effect.andThen(
        until(() => ending !== undefined),
        Effect.suspend(() =>
          ending?.status === 0 ? Effect.void : Effect.die(new Error(`${script} ended with ${ending?.status}`))
        )
      )
      const started: Process = {
        lines,
        said: (what) =>
          Effect.andThen(
            until(() => lines.includes(what)),
            Effect.suspend(() => (lines.includes(what) ? Effect.void : ended))
          ),
        signal: (signal) => Effect.sync(() => void child.kill(signal)),
        ended
      }
      return { started, child }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  ).pipe(Effect.map(({ started }) => started))
