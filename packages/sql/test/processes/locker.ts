/**
 * Holds the write lock of an SQLite file for 2 seconds, from when it says so.
 */
import { DatabaseSync } from "node:sqlite"
import { say } from "./ledger.ts"

const database = new DatabaseSync(process.argv[2] ?? "", { timeout: 10_000 })
database.exec("BEGIN IMMEDIATE")
say("locked")
setTimeout(() => database.exec("COMMIT"), 2000)
