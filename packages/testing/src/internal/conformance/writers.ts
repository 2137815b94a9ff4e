import { Effect, Exit, Result, Scope, Stream } from "effect"
import { make } from "../../Check.ts"
import {
  claim,
  contents,
  event,
  events,
  expect,
  expectContents,
  expectFailure,
  expectRefusal,
  idsIn,
  idsOf,
  numbers,
  thread
} from "./support.ts"

export const writers = [
  make(
    "writers.epochs",
    "The claims of a name MUST have the epochs 1, 2, 3 …, each name its own, and a new one the high-water mark 0.",
    function* (open) {
      const store = yield* open
      const claims = yield* Effect.forEach(["a", "a", "b", "A", "a", "b"], (writer) => claim(store, writer))
      yield* expect(
        "the claims",
        claims,
        [
          ["a", 1],
          ["a", 2],
          ["b", 1],
          ["A", 1],
          ["a", 3],
          ["b", 2]
        ].map(([writer, epoch]) => ({ writer, epoch, highWater: 0 }))
      )
    }
  ),
  make(
    "writers.listed",
    "All writers MUST be listed, in the order in which they were first claimed.",
    function* (open) {
      const store = yield* open
      const [b] = yield* Effect.forEach(["b", "a", "c", "a"], (writer) => claim(store, writer))
      yield* store.append([event(1)], { writers: [{ writer: "b", epoch: b?.epoch ?? 0, highWater: 4 }] })
      yield* expect("the writers", yield* Stream.runCollect(store.writers), [
        { writer: "b", epoch: 1, highWater: 4 },
        { writer: "a", epoch: 2, highWater: 0 },
        { writer: "c", epoch: 1, highWater: 0 }
      ])
    }
  ),
  make(
    "writers.stale-fenced",
    "An append under an epoch that is not the latest MUST be Fenced, name the writer, and write nothing.",
    function* (open) {
      const store = yield* open
      const first = yield* claim(store, "w")
      yield* store.append([event(1)], { writers: [{ ...first, highWater: 1 }] })
      const second = yield* claim(store, "w")
      for (const epoch of [first.epoch, second.epoch + 1, 0]) {
        const append = store.append([event(2)], { writers: [{ writer: "w", epoch, highWater: 2 }] })
        const fenced = yield* expectRefusal(`an append under epoch ${epoch} of 2`, store, append, "Fenced")
        yield* expect("the writer that the error names", fenced.writer, "w")
      }
      yield* store.append([event(3)], { writers: [{ ...second, highWater: 2 }] })
      yield* expect("the order in the thread", yield* idsIn(store, thread), idsOf(1, 3))
    }
  ),
  make("writers.never-claimed", "An append under a name that was never claimed MUST be Fenced.", function* (open) {
    const store = yield* open
    for (const epoch of [0, 1]) {
      const append = store.append([event(1)], { writers: [{ writer: "nobody", epoch, highWater: 1 }] })
      yield* expectRefusal(`an append under epoch ${epoch} of nobody`, store, append, "Fenced")
    }
  }),
  make(
    "writers.fenced-first",
    "A stale writer MUST be Fenced also when it repeats what is in the ledger, or says something else under a known id.",
    function* (open) {
      const store = yield* open
      const stale = { writers: [yield* claim(store, "w")] }
      yield* store.append([event(1)], stale)
      yield* claim(store, "w")
      yield* expectRefusal("a retry", store, store.append([event(1)], stale), "Fenced")
      const conflict = store.append([event(1, { payload: "{}" })], stale)
      yield* expectRefusal("a conflict", store, conflict, "Fenced")
    }
  ),
  make(
    "writers.high-water-kept",
    "The next claim of a name MUST give the high-water mark of its last append, also when that append had no events.",
    function* (open) {
      const store = yield* open
      const first = yield* claim(store, "w")
      yield* store.append(events(1, 2), { writers: [{ ...first, highWater: 7 }] })
      const second = yield* claim(store, "w")
      yield* expect("the second claim", second, { writer: "w", epoch: 2, highWater: 7 })
      yield* store.append([], { writers: [{ ...second, highWater: 9 }] })
      yield* expect("the third claim", yield* claim(store, "w"), { writer: "w", epoch: 3, highWater: 9 })
    }
  ),
  make(
    "writers.high-water-of-a-retry",
    "A batch that is sent again MUST raise the high-water mark too: its writer may have got further since.",
    function* (open) {
      const store = yield* open
      const claimed = yield* claim(store, "w")
      yield* store.append([event(1)], { writers: [{ ...claimed, highWater: 4 }] })
      yield* store.append([event(1)], { writers: [{ ...claimed, highWater: 6 }] })
      yield* expect("the next claim", yield* claim(store, "w"), { writer: "w", epoch: 2, highWater: 6 })
    }
  ),
  make("writers.high-water-never-back", "A high-water mark MUST NOT go back.", function* (open) {
    const store = yield* open
    const claimed = yield* claim(store, "w")
    yield* store.append([event(1)], { writers: [{ ...claimed, highWater: 7 }] })
    yield* store.append([event(2)], { writers: [{ ...claimed, highWater: 3 }] })
    const { highWater } = yield* claim(store, "w")
    yield* expect("the high-water mark", highWater, 7)
  }),
  make(
    "writers.failed-append",
    "An append that fails for whatever reason MUST leave the high-water marks of its writers as they were.",
    function* (open) {
      const store = yield* open
      const claimed = yield* claim(store, "w")
      yield* store.append([event(1)], { writers: [{ ...claimed, highWater: 1 }] })
      const writers = [{ ...claimed, highWater: 5 }]
      const conflict = store.append([event(2), event(1, { payload: "{}" })], { writers })
      yield* expectRefusal("a conflict", store, conflict, "IdempotencyConflict")
      const noRun = store.append([event(2)], { writers, runs: [{ runId: "nobody", ordinal: 1, state: "{}" }] })
      yield* expectRefusal("a state of no run", store, noRun, "ValidationError")
    }
  ),
  make(
    "writers.several",
    "An append may have several writers: all of their marks MUST be raised, or none, when one is stale.",
    function* (open) {
      const store = yield* open
      const [a, b] = [yield* claim(store, "a"), yield* claim(store, "b")]
      const both = [
        { ...a, highWater: 3 },
        { ...b, highWater: 4 }
      ]
      yield* store.append([event(1)], { writers: both })
      yield* expect("the writers", yield* Stream.runCollect(store.writers), both)
      yield* claim(store, "b")
      const later = Array.from(both, (writer) => ({ ...writer, highWater: 9 }))
      yield* expectRefusal("one stale of two", store, store.append([event(2)], { writers: later }), "Fenced")
    }
  ),
  make(
    "writers.over-handles",
    "A claim through one handle MUST fence what another claimed, and of claims that race exactly one MUST win.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      const first = yield* claim(one, "w")
      yield* one.append([event(1)], { writers: [{ ...first, highWater: 1 }] })
      const second = yield* claim(other, "w")
      yield* expect("the claim of the other handle", second, { writer: "w", epoch: 2, highWater: 1 })
      yield* expectRefusal("the first claim", one, one.append([event(2)], { writers: [first] }), "Fenced")
      const claims = yield* Effect.forEach(
        numbers(1, 10),
        (n) => Effect.andThen(Effect.yieldNow, Effect.result((n % 2 === 0 ? one : other).claimWriter("raced"))),
        { concurrency: "unbounded" }
      )
      const came = claims.map((claim) => (Result.isSuccess(claim) ? claim.success.epoch : claim.failure._tag))
      yield* expect("what racing claims came to", came.toSorted(), [1, ...numbers(2, 10).map(() => "WriterHeld")])
    }
  ),
  make(
    "writers.held",
    "As long as the scope of a claim is open, every other claim of its name MUST be WriterHeld, through whatever handle, and name the writer.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      yield* one.claimWriter("w")
      yield* other.claimWriter("v")
      for (const [what, store, writer] of [
        ["a claim through the same handle", one, "w"],
        ["a claim through another handle", other, "w"],
        ["a claim of what the other handle holds", one, "v"]
      ] as const) {
        const held = yield* expectFailure(what, claim(store, writer), "WriterHeld")
        yield* expect("the writer that the error names", held.writer, writer)
      }
    }
  ),
  make(
    "writers.free-again",
    "When the scope of a claim has closed, its name MUST be free for everybody, and no other name.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      const scope = yield* Scope.make()
      yield* Scope.provide(one.claimWriter("w"), scope)
      yield* one.claimWriter("v")
      yield* Scope.close(scope, Exit.void)
      for (const [n, store] of [other, one, one].entries()) {
        yield* expect("the next claim", yield* claim(store, "w"), { writer: "w", epoch: n + 2, highWater: 0 })
      }
      yield* expectFailure("a claim of the other name", claim(other, "v"), "WriterHeld")
    }
  ),
  make(
    "writers.refused-claim",
    "A claim that is refused MUST change nothing: the epoch does not move, and who holds the name writes on.",
    function* (open) {
      const [one, other] = [yield* open, yield* open]
      const held = yield* one.claimWriter("w")
      yield* one.append([event(1)], { writers: [{ ...held, highWater: 1 }] })
      const before = yield* contents(one)
      for (const store of [one, other, other]) {
        yield* expectFailure("a claim of a name that is held", claim(store, "w"), "WriterHeld")
      }
      yield* expectContents("after the refused claims", one, before)
      yield* one.append([event(2)], { writers: [{ ...held, highWater: 2 }] })
      yield* expect("the order in the thread", yield* idsIn(other, thread), idsOf(1, 2))
    }
  ),
  make(
    "writers.refuses-names",
    "A blank name, or one with a NUL or a lone surrogate, MUST be refused: a ValidationError.",
    function* (open) {
      const store = yield* open
      const before = yield* contents(store)
      for (const bad of ["", " \t", "nul\0", "\ud800"]) {
        yield* expectFailure(`a claim of ${JSON.stringify(bad)}`, claim(store, bad), "ValidationError")
      }
      yield* expect("the writers", (yield* contents(store)).writers, before.writers)
    }
  )
]
