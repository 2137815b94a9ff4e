import { type EventStore, Json } from "@runledger/core"
import { Stream } from "effect"
import { make } from "../../Check.ts"
import { event, events, expect, expectFailure, expectRefusal, finish, readAll, run } from "./support.ts"

const endings = [
  ["RunFinished", { _tag: "NaturalEnd" }, "natural"],
  ["RunFinished", { _tag: "BehaviorRequested" }, "behavior_requested"],
  ["RunCancelled", { _tag: "Cancelled" }, "cancelled"],
  ["RunErrored", { _tag: "Error", message: "it broke" }, "error"],
  ["RunTerminated", { _tag: "Stopped", code: "max_turns" }, "stopped:max_turns"],
  ["RunTerminated", { _tag: "Blocked", reason: "policy" }, "blocked:policy"]
] as const

/** Labels of which every second run has one, and every 500th another. */
const labelsOf = (n: number): EventStore.Labels => ({ n: `${n % 2}`, ...(n % 500 === 0 ? { team: "blue" } : {}) })

const labelled = (ordinal: number, labels?: EventStore.Labels): EventStore.AppendOptions => ({
  runs: [{ runId: "run-1", ordinal, state: "{}", ...(labels && { labels }) }]
})

export const runs = [
  make(
    "runs.status",
    "A run MUST stand where its last lifecycle fact left it: created before any, then running, waiting when suspended, done at its end, running when it goes on.",
    function* (open) {
      const store = yield* open
      const path = [
        [event(1), "created"],
        [event(2, { kind: "RunStarted" }), "running"],
        [event(3, { kind: "ToolCallReady" }), "running"],
        [finish(4, { kind: "RunSuspended" }, { _tag: "Suspended" }), "waiting"],
        [event(5), "waiting"],
        [event(6, { kind: "RunResumed" }), "running"],
        [finish(7), "done"],
        [event(8), "done"],
        [event(9, { kind: "RunResumed" }), "running"]
      ] as const
      for (const [event, status] of path) {
        yield* store.append([event])
        const entry = yield* store.run("run-1")
        yield* expect(
          `after ${event.kind}, status and done reason`,
          [entry.status, entry.doneReason],
          [status, event === path[6][0] || event === path[7][0] ? "natural" : undefined]
        )
      }
    }
  ),
  make(
    "runs.done-reason",
    "A run that is done MUST have the done reason of its finish, and none when its payload is not that of a finish.",
    function* (open) {
      const store = yield* open
      for (const [n, [kind, termination, reason]] of endings.entries()) {
        const runId = `run-${n}`
        yield* store.append([
          event(2 * n, { runId, kind: "RunStarted" }),
          finish(2 * n + 1, { runId, kind }, termination)
        ])
        const { doneReason, status } = yield* store.run(runId)
        yield* expect(`after ${kind}, status and done reason`, [status, doneReason], ["done", reason])
      }
      yield* store.append([event(99, { runId: "cut", kind: "RunFinished", payload: '{"truncated":{"bytes":9}}' })])
      const cut = yield* store.run("cut")
      yield* expect("after a finish without a reason", [cut.status, "doneReason" in cut], ["done", false])
    }
  ),
  make(
    "runs.interrupted",
    "A run that was interrupted MUST be done, with the done reason `interrupted`, until it goes on.",
    function* (open) {
      const store = yield* open
      const interrupted = { kind: "RunInterrupted", payload: '{"threadId":"thread-1","runId":"run-1","openCalls":[]}' }
      const path = [
        [event(1, { kind: "RunStarted" }), "running", undefined],
        [event(2, interrupted), "done", "interrupted"],
        [event(3), "done", "interrupted"],
        [event(4, { kind: "RunResumed" }), "running", undefined],
        [event(5, { kind: "RunInterrupted", payload: '{"truncated":{"bytes":9}}' }), "done", "interrupted"]
      ] as const
      for (const [event, status, reason] of path) {
        yield* store.append([event])
        const entry = yield* store.run("run-1")
        yield* expect(`after ${event.kind}, status and done reason`, [entry.status, entry.doneReason], [status, reason])
      }
    }
  ),
  make(
    "runs.entry",
    "A run MUST tell the thread of its first fact, when that occurred, when its last was recorded, and how many it has; all that it has not is absent.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 2))
      yield* store.append([event(3, { threadId: "thread-2" }), event(4, { runId: "run-2", threadId: undefined })])
      const facts = yield* readAll(store, run)
      const entry = {
        runId: "run-1",
        threadId: "thread-1",
        status: "created",
        startedAt: event(1).occurredAt,
        updatedAt: facts.at(-1)?.recordedAt,
        facts: 3,
        floor: 0
      }
      yield* expect("the run", yield* store.run("run-1"), entry)
      const [first, second] = yield* Stream.runCollect(store.runs())
      yield* expect("the run in the list", first, entry)
      yield* expect("a run without a thread", [second?.runId, second && "threadId" in second], ["run-2", false])
    }
  ),
  make(
    "runs.listed",
    "Runs MUST be listed in the order in which they first appeared; with a status, those that have it.",
    function* (open) {
      const store = yield* open
      yield* store.append(["c", "a", "d", "b", "e"].map((runId, n) => event(n, { runId, kind: "RunStarted" })))
      yield* store.append([
        finish(11, { runId: "b" }),
        finish(12, { runId: "c" }),
        finish(13, { runId: "d", kind: "RunSuspended" }, { _tag: "Suspended" }),
        event(14, { runId: "new" })
      ])
      const expected = [
        [undefined, ["c", "a", "d", "b", "e", "new"]],
        ["done", ["c", "b"]],
        ["waiting", ["d"]],
        ["running", ["a", "e"]],
        ["created", ["new"]]
      ] as const
      for (const [status, ids] of expected) {
        const listed = yield* Stream.runCollect(store.runs(status === undefined ? {} : { status }))
        yield* expect(
          `the runs that are ${status ?? "there"}`,
          listed.map(({ runId }) => runId),
          ids
        )
      }
    }
  ),
  make(
    "runs.state",
    "The state of a run MUST be committed with the batch and take the place of the one before, text and ordinal; the list has the ordinal only.",
    function* (open) {
      const store = yield* open
      yield* store.append(events(1, 2), { runs: [{ runId: "run-1", ordinal: 2, state: '{"a":1}' }] })
      const state = ' { "z": "🎉 \\\\ \\u0001", "a" : [ 1.0 ] } '
      yield* store.append([event(3), event(4, { runId: "run-2" })], { runs: [{ runId: "run-1", ordinal: 3, state }] })
      const one = yield* store.run("run-1")
      const two = yield* store.run("run-2")
      yield* expect("the state of the run", [one.ordinal, one.state], [3, state])
      yield* expect("that of another run", ["ordinal" in two, "state" in two], [false, false])
      const [first] = yield* Stream.runCollect(store.runs())
      yield* expect("the run in the list", [first?.ordinal, first && "state" in first], [3, false])
      yield* store.append([event(5)])
      yield* expect("the state after a batch without one", (yield* store.run("run-1")).state, state)
    }
  ),
  make(
    "runs.labels",
    "The labels of a run MUST be committed with its state and take the place of those before; without any they stay, and an empty set takes them away.",
    function* (open) {
      const store = yield* open
      const odd = Json.parse(
        '{"":"","__proto__":"🧵","a\\"b\\\\":"\\n\\u2028","constructor":"e\\u0301","7":" "}'
      ) as EventStore.Labels
      const path = [
        [event(1), labelled(1), undefined],
        [event(2), labelled(2, { team: "blue", env: "test" }), { team: "blue", env: "test" }],
        [event(3), labelled(3), { team: "blue", env: "test" }],
        [event(4), {}, { team: "blue", env: "test" }],
        [event(5), labelled(5, odd), odd],
        [event(6), labelled(6, {}), undefined],
        [event(7), labelled(7, { team: "red" }), { team: "red" }]
      ] as const
      for (const [event, options, labels] of path) {
        yield* store.append([event], options)
        const [listed] = yield* Stream.runCollect(store.runs())
        const found = yield* store.run("run-1")
        yield* expect("the labels of the run, alone and in the list", [found.labels, listed?.labels], [labels, labels])
        yield* expect("whether it has the member", "labels" in found, labels !== undefined)
      }
      const conflict = store.append([event(7, { payload: "{}" })], labelled(8, { team: "green" }))
      yield* expectRefusal("a conflict", store, conflict, "IdempotencyConflict")
    }
  ),
  make(
    "runs.by-labels",
    "With labels, the runs that have all of them MUST be listed, in their order; with a status too, those that have both.",
    function* (open) {
      const store = yield* open
      const count = 1100
      const runs = Array.from({ length: count }, (_, n) => ({
        runId: `run-${n}`,
        ordinal: 1,
        state: "{}",
        labels: labelsOf(n)
      }))
      yield* store.append(
        runs.map(({ runId }, n) => event(n, { runId, threadId: undefined, kind: n === 500 ? "RunStarted" : "Said" })),
        { runs }
      )
      yield* store.append([event(count, { runId: "without" })])
      const expected: ReadonlyArray<readonly [EventStore.RunFilter, ReadonlyArray<string>]> = [
        [{ labels: { team: "blue" } }, ["run-0", "run-500", "run-1000"]],
        [{ labels: { team: "blue", n: "0" }, status: "running" }, ["run-500"]],
        [{ labels: { team: "blue", n: "1" } }, []],
        [{ labels: { team: "Blue" } }, []],
        [{ labels: { constructor: "" } }, []],
        [{ labels: {}, status: "running" }, ["run-500"]]
      ]
      for (const [filter, ids] of expected) {
        const listed = yield* Stream.runCollect(store.runs(filter))
        yield* expect(
          `the runs with ${JSON.stringify(filter)}`,
          listed.map(({ runId }) => runId),
          ids
        )
      }
      yield* expect("all runs", (yield* Stream.runCollect(store.runs({ labels: {} }))).length, count + 1)
    }
  ),
  make(
    "runs.refuses-labels",
    "A label with a NUL or a lone surrogate in its name or its value MUST be refused: a ValidationError.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1)], labelled(1, { team: "blue" }))
      for (const labels of [{ team: "\0" }, { "\0": "" }, { team: "\ud800" }, { "\udc00": "x" }]) {
        const append = store.append([event(2)], labelled(2, labels as never))
        yield* expectRefusal(`the labels ${JSON.stringify(labels)}`, store, append, "ValidationError")
      }
    }
  ),
  make("runs.state-rolled-back", "The state of a run MUST NOT be kept when its batch is not.", function* (open) {
    const store = yield* open
    yield* store.append([event(1)], { runs: [{ runId: "run-1", ordinal: 1, state: '"old"' }] })
    const runs = [{ runId: "run-1", ordinal: 2, state: '"new"' }]
    const conflict = store.append([event(2), event(1, { payload: "{}" })], { runs })
    yield* expectRefusal("a conflict", store, conflict, "IdempotencyConflict")
    const invalid = store.append([event(2, { kind: "\0" })], { runs })
    yield* expectRefusal("an invalid event", store, invalid, "ValidationError")
  }),
  make(
    "runs.state-of-no-run",
    "The state of a run that has no fact, in the ledger or in the batch, MUST be a ValidationError.",
    function* (open) {
      const store = yield* open
      yield* store.append([event(1, { runId: undefined })])
      const append = store.append([event(2)], { runs: [{ runId: "nobody", ordinal: 1, state: "{}" }] })
      yield* expectRefusal("a state of nobody", store, append, "ValidationError")
      const fraction = store.append([event(2)], { runs: [{ runId: "run-1", ordinal: 0.5, state: "{}" }] })
      yield* expectRefusal("a state with a broken ordinal", store, fraction, "ValidationError")
    }
  ),
  make("runs.not-found", "A run that has no fact MUST be NotFound.", function* (open) {
    const store = yield* open
    yield* store.append([event(1, { threadId: "thread-1", runId: undefined })])
    for (const runId of ["run-1", "thread-1", ""]) {
      yield* expectFailure(`the run ${JSON.stringify(runId)}`, store.run(runId), "NotFound")
    }
  }),
  make(
    "threads.listed",
    "Threads MUST be listed in the order in which they first appeared, with the number of their facts.",
    function* (open) {
      const store = yield* open
      yield* store.append(["c", "a", "c", "b", undefined, "a", "c"].map((threadId, n) => event(n, { threadId })))
      yield* expect("the threads", yield* Stream.runCollect(store.threads), [
        { threadId: "c", facts: 3, floor: 0 },
        { threadId: "a", facts: 2, floor: 0 },
        { threadId: "b", facts: 1, floor: 0 }
      ])
    }
  )
]
