/**
 * emmett's event store on SQLite: a stream a thread. Its connection is kept, for it opens one for each append otherwise.
 */
import { join } from "node:path"
import { serve } from "./serve.mjs"

serve(async (folder) => {
  const { getSQLiteEventStore, sqliteConnection } = await import("@event-driven-io/emmett-sqlite")
  const fileName = join(folder, "theirs.db")
  const connection = sqliteConnection({ fileName })
  const store = getSQLiteEventStore({ fileName, connectionOptions: { singleton: true, connection } })
  await store.schema.migrate()
  return {
    append: ({ events, threadId }) =>
      store.appendToStream(
        threadId,
        events.map((data) => ({ type: "TextDelta", data }))
      ),
    close: async () => connection.close()
  }
})
