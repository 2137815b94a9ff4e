/**
 * The PostgreSQL server of the tests.
 */
import { inject } from "vitest"
import { createDatabase } from "../../../scripts/postgres.ts"

/** What starts the server; its types say what it provides tests with. */
export type Setup = typeof import("../../sql/test/postgres/globalSetup.ts")

export const serverUrl = (): string => inject("postgresUrl")

/** The URL of a new database. */
export const newDatabase = (): Promise<string> => createDatabase(serverUrl())
