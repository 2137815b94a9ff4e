/**
 * `npm run bench [-- --quick] [--json FILE] [--only NAME]`: what things cost, each against something in the same run.
 */
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { parseArgs } from "node:util"
import * as Emit from "./emit.ts"
import * as Growth from "./growth.ts"
import * as Ledger from "./ledger.ts"
import * as Memory from "./memory.ts"
import * as Normalize from "./normalize.ts"
import * as Peers from "./peers.ts"
import * as Postgres from "./postgres.ts"
import { type Figure, measure, Missing, type Row, size } from "./Row.ts"
import * as Runs from "./runs.ts"
import * as Sizes from "./sizes.ts"
import * as Stall from "./stall.ts"

const rows: ReadonlyArray<Row> = [
  ...Normalize.rows,
  ...Emit.rows,
  ...Ledger.rows,
  ...Postgres.rows,
  ...Stall.rows,
  ...Growth.rows,
  ...Runs.rows,
  ...Sizes.rows,
  ...Memory.rows,
  ...Peers.rows
]

const usage = `usage: npm run bench [-- --quick] [--json FILE] [--only NAME]; NAME is one of ${rows.map(({ name }) => name).join(", ")}`

const settings = () => {
  try {
    const { values } = parseArgs({
      options: { quick: { type: "boolean", default: false }, json: { type: "string" }, only: { type: "string" } }
    })
    const chosen = rows.filter(({ name }) => values.only === undefined || name === values.only)
    return chosen.length === 0 ? undefined : { ...values, chosen }
  } catch {
    return undefined
  }
}

const versionOf = (name: string): string =>
  String(
    JSON.parse(readFileSync(new URL(`../../../node_modules/${name}/package.json`, import.meta.url), "utf8")).version
  )

/** What the figures were measured on. */
const machine = (): string => {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `Node ${process.version.slice(1)}, effect ${versionOf("effect")}, SQLite ${process.versions["sqlite"]}; ${cpus().length} × ${cpu?.model.trim()}, ${memory} GiB, ${process.platform}`
}

const number = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(value < 1 ? 2 : 3)

/** What a row is to reach, and whether it does. */
const markOf = ({ mark, unit }: Row, { ours, ratio }: Figure): readonly [string, string] => {
  if (mark === undefined) {
    return ["", ""]
  }
  const [what, isReached] =
    "ratio" in mark ? [`≥ ${mark.ratio}`, ratio >= mark.ratio] : [`ours ≤ ${mark.ours} ${unit}`, ours <= mark.ours]
  return [what, isReached ? "yes" : "no"]
}

const line = (row: Row, figure: Figure): string => {
  const { against, name, unit, work } = row
  const { highest, lowest, ours, ratio, theirs } = figure
  const [mark, isReached] = markOf(row, figure)
  return `| ${name} | ${work} | ${against} | ${number(ratio)} [${number(lowest)}..${number(highest)}] | ${mark} | ${isReached} | ${number(ours)} | ${number(theirs)} | ${unit} |`
}

/** Writes what is known so far: a run that is ended early keeps it. */
const save = (file: string | undefined, metrics: object): void => {
  if (file !== undefined) {
    writeFileSync(file, `${JSON.stringify({ metrics }, undefined, 2)}\n`)
  }
}

const bench = Effect.gen(function* () {
  const chosen = settings()
  if (chosen === undefined) {
    process.stderr.write(`${usage}\n`)
    return 64
  }
  try {
    save(chosen.json, {})
  } catch (cause) {
    process.stderr.write(`${chosen.json} cannot be written: ${cause instanceof Error ? cause.message : cause}\n`)
    return 73
  }
  process.stdout.write(`${machine()}\n\n`)
  process.stdout.write("| name | work | against | ratio [lowest..highest] | mark | reached | ours | theirs | unit |\n")
  process.stdout.write("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
  const metrics: Record<string, object> = {}
  const left: Array<string> = []
  for (const row of chosen.chosen) {
    if (row.isFull === true && chosen.quick) {
      left.push(`${row.name}: takes minutes, so only a full run has it`)
      continue
    }
    const figure = yield* Effect.catchIf(
      measure(row, size(chosen.quick)),
      (error) => error instanceof Missing,
      ({ message }) =>
        Effect.as(
          Effect.sync(() => left.push(`${row.name}: ${message}`)),
          undefined
        )
    )
    if (figure === undefined) {
      continue
    }
    process.stdout.write(`${line(row, figure)}\n`)
    metrics[row.name] = {
      ratio: figure.ratio,
      against: row.against,
      ours: figure.ours,
      theirs: figure.theirs,
      unit: row.unit
    }
    save(chosen.json, metrics)
  }
  if (left.length > 0) {
    process.stdout.write(`\nLeft out:\n\n${left.map((what) => `- ${what}\n`).join("")}`)
  }
  return 0
})

process.exitCode = await Effect.runPromise(Effect.catchCause(bench, (cause) => Effect.as(Effect.logError(cause), 1)))
