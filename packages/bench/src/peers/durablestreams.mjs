/**
 * The file store of Durable Streams' server, without the server: a JSON stream a thread, a batch an array.
 */
import { serve } from "./serve.mjs"

const encoder = new TextEncoder()

serve(async (folder) => {
  const { FileBackedStreamStore } = await import("@durable-streams/server")
  const store = new FileBackedStreamStore({ dataDir: folder })
  for (let thread = 0; thread < 10; thread += 1) {
    await store.create(`/thread-${thread}`, { contentType: "application/json" })
  }
  return {
    append: ({ events, threadId }) => store.append(`/${threadId}`, encoder.encode(JSON.stringify(events))),
    close: () => store.close()
  }
})
