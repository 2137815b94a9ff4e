#!/usr/bin/env node
// Plain JavaScript that any Node can read, so that an old one gets a sentence instead of a syntax error.
import { existsSync } from "node:fs"
import * as nodeModule from "node:module"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 24 || (major === 24 && minor < 16)) {
  process.stderr.write(
    `runledger needs Node 24.16 or newer, and this is ${process.version}; in a checkout, start it with npx runledger\n`
  )
  process.exit(3)
}

// Most of a short command's time is loading code.
nodeModule.enableCompileCache()

const source = new URL("../src/main.ts", import.meta.url)
await import(existsSync(source) ? source.href : new URL("../dist/main.js", import.meta.url).href)
