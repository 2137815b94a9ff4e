import { defineConfig } from "vitest/config"

/** The fast lane (`npm test`) and the slow lane (`npm run test:slow`) run the same projects over other files. */
const include = process.env["RUNLEDGER_LANE"] === "slow" ? ["test/**/*.slow.ts"] : ["test/**/*.test.ts"]

const projects = ["core", "wire", "sql", "testing", "cli"]

/** Each of these projects starts one PostgreSQL for all of its tests. */
const onPostgres = new Set(["sql", "cli"])

export default defineConfig({
  test: {
    testTimeout: 60_000,
    projects: projects.map((name) => ({
      extends: true as const,
      test: {
        name,
        root: `packages/${name}`,
        include,
        globalSetup: onPostgres.has(name) ? ["../sql/test/postgres/globalSetup.ts"] : []
      }
    }))
  }
})
