/**
 * What a state snapshot tells about context compaction.
 *
 * The agent keeps its compaction state under `extensions.__context_compaction` of each snapshot. Successive snapshots
 * are compared, and what is new becomes facts. Keys inside the snapshot are the seed's, for the snapshot is opaque.
 */
import { HashSet } from "effect"
import { sha256, trim } from "./text.ts"

interface InFlight {
  readonly taskId: string
  readonly boundaryMessageId: string | undefined
}

/**
 * What was seen so far: the compaction in flight, what was reported, the last count of compactions. What was reported is
 * known by the hash of its fingerprint, for it is saved with the run, and a fingerprint may hold the text of an error.
 */
export interface CompactionState {
  readonly inFlight: InFlight | undefined
  readonly reported: HashSet.HashSet<string>
  readonly totalCompactions: number
}

export const initial: CompactionState = { inFlight: undefined, reported: HashSet.empty(), totalCompactions: 0 }

/** A compaction fact to be: its kind and payload. */
export interface Observation {
  readonly kind: `ContextCompaction${"Started" | "Completed" | "Failed" | "Skipped" | "Cancelled"}`
  readonly payload: Record<string, unknown>
}

const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined

const entries = (state: unknown, key: string): ReadonlyArray<unknown> => {
  const value = field(state, key)
  return Array.isArray(value) ? value : []
}

/** A trimmed text; blank counts as absent. */
const textAt = (value: unknown, key: string): string | undefined => {
  const found = field(value, key)
  return typeof found === "string" ? trim(found) || undefined : undefined
}

/** An unsigned 64-bit integer, as far as a JavaScript number can tell. */
const countAt = (value: unknown, key: string): number | undefined => {
  const found = field(value, key)
  return typeof found === "number" && Number.isInteger(found) && found < 2 ** 64 && (found > 0 || Object.is(found, 0))
    ? found
    : undefined
}

const present = (members: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))

const inFlightOf = (state: unknown): InFlight | undefined => {
  const inFlight = field(state, "in_flight")
  const taskId = textAt(inFlight, "task_id")
  return taskId === undefined ? undefined : { taskId, boundaryMessageId: textAt(inFlight, "boundary_message_id") }
}

const sameInFlight = (left: InFlight | undefined, right: InFlight | undefined): boolean =>
  left?.taskId === right?.taskId && left?.boundaryMessageId === right?.boundaryMessageId

/** Whether an entry tells how a compaction ended: by task and boundary when a boundary was in flight, else by task. */
const ends = (entry: unknown, inFlight: InFlight): boolean =>
  textAt(entry, "task_id") === inFlight.taskId &&
  (inFlight.boundaryMessageId === undefined || textAt(entry, "boundary_message_id") === inFlight.boundaryMessageId)

interface Planned extends Observation {
  readonly fingerprint: string
}

const completed = (threadId: string, state: unknown): ReadonlyArray<Planned> => {
  const boundaries = entries(state, "boundaries")
  const totalCompactions = countAt(state, "total_compactions") ?? boundaries.length
  return boundaries.map((entry, index) => {
    const taskId = textAt(entry, "task_id")
    const boundaryMessageId = textAt(entry, "boundary_message_id")
    const timestampMs = countAt(entry, "timestamp_ms") ?? 0
    const preTokens = countAt(entry, "pre_tokens") ?? 0
    const postTokens = countAt(entry, "post_tokens") ?? 0
    const summary = field(entry, "summary")
    const summaryHash = sha256(typeof summary === "string" ? summary : "")
    return {
      kind: "ContextCompactionCompleted",
      fingerprint: `completed/${taskId ?? ""}/${boundaryMessageId ?? ""}/${index}/${timestampMs}/${preTokens}/${postTokens}/${summaryHash}`,
      payload: present({
        threadId,
        boundaryIndex: index,
        compactionOrdinal: index + 1,
        totalCompactions,
        preTokens,
        postTokens,
        timestampMs,
        summaryHash,
        taskId,
        boundaryMessageId
      })
    }
  })
}

const failed = (threadId: string, state: unknown): ReadonlyArray<Planned> =>
  entries(state, "failures").map((entry, index) => {
    const taskId = textAt(entry, "task_id")
    const boundaryMessageId = textAt(entry, "boundary_message_id") ?? ""
    const error = textAt(entry, "error") ?? "unknown error"
    const timestampMs = countAt(entry, "timestamp_ms") ?? 0
    return {
      kind: "ContextCompactionFailed",
      fingerprint: `failed/${index}/${timestampMs}/${taskId ?? ""}/${boundaryMessageId}/${error}`,
      payload: present({ threadId, failureIndex: index, boundaryMessageId, error, timestampMs, taskId })
    }
  })

/** The seed prints an optional count as Rust's Debug does; a skip id may equal such a text, so the form matters. */
const optional = (count: number | undefined): string => (count === undefined ? "None" : `Some(${count})`)

const skipped = (threadId: string, state: unknown): ReadonlyArray<Planned> =>
  entries(state, "skipped").map((entry, index) => {
    const taskId = textAt(entry, "task_id")
    const boundaryMessageId = textAt(entry, "boundary_message_id")
    const reason = textAt(entry, "reason") ?? "unknown"
    const preTokens = countAt(entry, "pre_tokens")
    const postTokens = countAt(entry, "post_tokens")
    const savingsRatioPpm = countAt(entry, "savings_ratio_ppm")
    const minSavingsRatioPpm = countAt(entry, "min_savings_ratio_ppm")
    const timestampMs = countAt(entry, "timestamp_ms")
    const skipId = textAt(entry, "skip_id")
    const counts = [preTokens, postTokens, savingsRatioPpm, minSavingsRatioPpm].map(optional).join("/")
    return {
      kind: "ContextCompactionSkipped",
      fingerprint:
        skipId ?? `skipped/${index}/${taskId ?? ""}/${boundaryMessageId ?? ""}/${reason}/${counts}/${timestampMs ?? 0}`,
      payload: present({
        threadId,
        skipIndex: index,
        skipId,
        reason,
        taskId,
        boundaryMessageId,
        preTokens,
        postTokens,
        savingsRatioPpm,
        minSavingsRatioPpm,
        timestampMs
      })
    }
  })

const cancelled = (threadId: string, state: unknown, previous: InFlight | undefined): ReadonlyArray<Planned> => {
  if (previous === undefined || sameInFlight(previous, inFlightOf(state))) {
    return []
  }
  const ended = ["boundaries", "failures", "skipped"].some((key) =>
    entries(state, key).some((entry) => ends(entry, previous))
  )
  return ended
    ? []
    : [
        {
          kind: "ContextCompactionCancelled",
          fingerprint: `cancelled/${previous.taskId}/${previous.boundaryMessageId ?? ""}`,
          payload: present({
            threadId,
            taskId: previous.taskId,
            cancelledAtMs: countAt(state, "timestamp_ms") ?? 0,
            boundaryMessageId: previous.boundaryMessageId
          })
        }
      ]
}

const startedAt = (threadId: string, state: unknown, inFlight: InFlight): Observation => ({
  kind: "ContextCompactionStarted",
  payload: {
    threadId,
    taskId: inFlight.taskId,
    boundaryMessageId: inFlight.boundaryMessageId ?? "",
    startedAtMs: countAt(field(state, "in_flight"), "started_at_ms") ?? 0
  }
})

/**
 * The facts of one snapshot, in the seed's order: completed, failed, skipped, cancelled, started.
 *
 * A snapshot without compaction state says nothing. A count of compactions below the last one means that the agent
 * cleared its state: everything remembered is forgotten, so that a compaction that starts anew is seen again.
 */
export const observe = (
  before: CompactionState,
  threadId: string,
  snapshot: unknown
): readonly [CompactionState, ReadonlyArray<Observation>] => {
  const state = field(field(snapshot, "extensions"), "__context_compaction")
  if (state === undefined) {
    return [before, []]
  }
  const totalCompactions = countAt(state, "total_compactions") ?? before.totalCompactions
  const { inFlight: previous, reported: known } = totalCompactions < before.totalCompactions ? initial : before
  const observations: Array<Observation> = []
  let reported = known
  for (const { fingerprint, ...observation } of [
    ...completed(threadId, state),
    ...failed(threadId, state),
    ...skipped(threadId, state),
    ...cancelled(threadId, state, previous)
  ]) {
    const mark = sha256(fingerprint)
    if (!HashSet.has(reported, mark)) {
      reported = HashSet.add(reported, mark)
      observations.push(observation)
    }
  }
  const inFlight = inFlightOf(state)
  if (inFlight !== undefined && !sameInFlight(inFlight, previous)) {
    observations.push(startedAt(threadId, state, inFlight))
  }
  return [{ inFlight, reported, totalCompactions }, observations]
}
