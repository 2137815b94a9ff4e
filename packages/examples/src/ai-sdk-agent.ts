import { Effect } from "effect"
import type { Options } from "./main.ts"
export const main = (_: Options) => Effect.succeed(1)
