/**
 * `exports` of a package name its sources, so that a checkout works without a build. What is published is built, so
 * `npm pack` and `npm publish` call this before (`enter`) and after (`leave`) they read package.json.
 */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"

const manifest = "package.json"
const backup = ".package.json.source"

const built = (entry: unknown): unknown =>
  typeof entry === "string" && entry.startsWith("./src/")
    ? {
        types: entry.replace("./src/", "./dist/").replace(/\.ts$/, ".d.ts"),
        default: entry.replace("./src/", "./dist/").replace(/\.ts$/, ".js")
      }
    : entry

if (process.argv[2] === "enter") {
  rmSync("dist", { recursive: true, force: true })
  execFileSync(process.execPath, ["../../node_modules/typescript/bin/tsc", "-b", "--force"], { stdio: "inherit" })
  copyFileSync("../../LICENSE", "LICENSE")
  const { scripts: _, ...published } = JSON.parse(readFileSync(manifest, "utf8"))
  renameSync(manifest, backup)
  published.exports = Object.fromEntries(Object.entries(published.exports).map(([path, entry]) => [path, built(entry)]))
  writeFileSync(manifest, `${JSON.stringify(published, null, 2)}\n`)
} else if (existsSync(backup)) {
  renameSync(backup, manifest)
  rmSync("LICENSE")
}
