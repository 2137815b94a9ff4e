/**
 * LangGraph's checkpointer on SQLite: a batch is the writes of a task.
 */
import { join } from "node:path"
import { serve } from "./serve.mjs"

serve(async (folder) => {
  const { SqliteSaver } = await import("@langchain/langgraph-checkpoint-sqlite")
  const saver = SqliteSaver.fromConnString(join(folder, "theirs.db"))
  saver.setup()
  return {
    append: ({ events, runId, threadId }) =>
      saver.putWrites(
        { configurable: { thread_id: threadId, checkpoint_ns: "", checkpoint_id: runId } },
        events.map((event) => ["events", event]),
        runId
      ),
    close: async () => saver.db.close()
  }
})
