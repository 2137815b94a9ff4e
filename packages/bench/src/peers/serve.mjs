/**
 * What the process of a peer does: asked to, it opens the peer in a folder, appends so many batches, and says what an event
 * cost, from the object to the ack of its batch.
 */
import { readFileSync } from "node:fs"

/** Whether a package is not installed, or its addon not compiled, or compiled for another Node. */
const isMissing = ({ code, message }) =>
  ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND", "ERR_DLOPEN_FAILED"].includes(code) ||
  message.startsWith("Could not locate the bindings file")

/** `open` loads a peer and opens it in a folder; it gives how a batch is appended, and how the peer is closed. */
export const serve = (open) => {
  const all = JSON.parse(readFileSync(process.argv[2], "utf8"))

  const measure = async ({ count, folder }) => {
    const batches = all.slice(0, count)
    const { append, close } = await open(folder)
    const from = performance.now()
    for (const batch of batches) {
      await append(batch)
    }
    const took = performance.now() - from
    await close()
    return (took * 1000) / batches.reduce((sum, { events }) => sum + events.length, 0)
  }

  process.on("message", async (question) => {
    try {
      process.send({ _tag: "Measured", cost: await measure(question) })
    } catch (error) {
      process.send(isMissing(error) ? { _tag: "Missing" } : { _tag: "Failed", why: error.stack })
    }
  })
}
