import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** The fast lane (`npm test`) and the slow lane (`npm run test:slow`) run the same projects over other files. */
const isSlow = process.env["RUNLEDGER_LANE"] === "slow"

const projects = ["core", "wire", "sql", "ai", "testing", "cli", "examples"]

/** Each of these projects starts one PostgreSQL for all of its tests. */
const onPostgres = new Set(["sql", "cli"])

export default defineConfig({
  test: {
    testTimeout: 60_000,
    // Node's own TypeScript loader is WebAssembly, of which V8 24 aborts the process now and then when threads that have it
    // come and go ("Check failed: jit_page.has_value()"): with a cache, the workers of the ledger do not load it.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node", import.meta.url)) },
    // Tests of the slow lane need the machine for themselves: they load it, and one measures the event loop.
    fileParallelism: !isSlow,
    projects: projects.map((name) => ({
      extends: true as const,
      test: {
        name,
        root: `packages/${name}`,
        include: [isSlow ? "test/**/*.slow.ts" : "test/**/*.test.ts"],
        globalSetup: onPostgres.has(name) ? ["../sql/test/postgres/globalSetup.ts"] : []
      }
    }))
  }
})
