/**
 * `npm run crash -- --rounds N [--ledger LEDGER] [--sabotage KIND]`
 */
import { parseArgs } from "node:util"
import { crash, sabotages } from "./crash.ts"

const usage = (message: string): never => {
  process.stderr.write(
    `${message}\nusage: npm run crash -- --rounds N [--ledger PATH-OR-URL] [--sabotage ${sabotages.join("|")}]\n`
  )
  process.exit(64)
}

const parsed = () => {
  try {
    return parseArgs({
      options: { rounds: { type: "string" }, ledger: { type: "string" }, sabotage: { type: "string" } }
    }).values
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error))
  }
}

const { ledger, rounds: given = "20", sabotage: named } = parsed()
const rounds = /^[1-9]\d*$/.test(given) ? Number(given) : usage("--rounds must be a number, 1 or more")
const sabotage = sabotages.find((kind) => kind === named)
if (named !== undefined && sabotage === undefined) {
  usage(`--sabotage must be one of ${sabotages.join(", ")}`)
}
if (sabotage !== undefined && ledger?.startsWith("postgres")) {
  usage("--sabotage is for SQLite")
}

const result = await crash({
  rounds,
  ledger,
  sabotage,
  onRound: (round) => {
    if (process.stderr.isTTY || round % 10 === 0) {
      process.stderr.write(`round ${round} of ${rounds}\n`)
    }
  }
})
if (result.complaints !== "") {
  process.stdout.write(result.complaints)
}
process.stdout.write(
  `${result.rounds} rounds, ${result.lost} lost, ${result.duplicated} duplicated, ${result.holes} holes\n`
)
process.exitCode = result.lost + result.duplicated + result.holes > 0 || result.complaints !== "" ? 1 : 0
