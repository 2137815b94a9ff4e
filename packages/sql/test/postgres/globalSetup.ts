import type { TestProject } from "vitest/node"
import { startServer } from "../../../../scripts/postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** A server for the tests of a project; each test makes a database of its own with `createDatabase`. */
    readonly postgresUrl: string
  }
}

export default async (project: TestProject) => {
  const { stop, url } = await startServer()
  project.provide("postgresUrl", url)
  return stop
}
