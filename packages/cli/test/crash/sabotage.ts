/**
 * Loaded before the command: gives it a ledger that breaks a promise, to see whether the check notices.
 */
import { registerHooks } from "node:module"

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "@runledger/sql/sqlite" && !context.parentURL?.endsWith("/crash/sabotaged.ts")
      ? { url: new URL("./sabotaged.ts", import.meta.url).href, shortCircuit: true }
      : next(specifier, context)
})
