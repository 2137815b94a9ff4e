import { defineConfig } from "vitest/config"

/** The fast lane (`npm test`) and the slow lane (`npm run test:slow`) run the same projects over other files. */
const isSlow = process.env["RUNLEDGER_LANE"] === "slow"

const projects = ["core", "wire", "sql", "testing", "cli"]

/** Each of these projects starts one PostgreSQL for all of its tests. */
const onPostgres = new Set(["sql", "cli"])

export default defineConfig({
  test: {
    testTimeout: 60_000,
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
