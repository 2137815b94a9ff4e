/**
 * Holds the write lock of an SQLite file for 2 seconds; says so, and when it is about to let go.
 */
import { DatabaseSync } from "node:sqlite"
import { say } from "./ledger.ts"

const database = new DatabaseSync(process.argv[2] ?? "", { timeout: 10_000 })
database.exec("BEGIN IMMEDIATE")
say("locked")
setTimeout(() => {
  say("unlocking")
  database.exec("COMMIT")
}, 2000)
