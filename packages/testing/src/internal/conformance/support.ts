/**
 * What checks are written with: events to append, ways to read, and expectations, which fail with a text.
 */
import { type CanonicalEvent, Cursor, EventStore, type StagedEvent } from "@runledger/core"
import { Clock, Effect, Predicate, Stream } from "effect"
import { inspect, isDeepStrictEqual } from "node:util"

type Store = EventStore.EventStoreShape
type Fact = CanonicalEvent.CanonicalEvent

export const threadScope = (threadId: string) => ({ _tag: "Thread", threadId }) as const
export const runScope = (runId: string) => ({ _tag: "Run", runId }) as const

export const thread = threadScope("thread-1")
export const run = runScope("run-1")
export const ledger = Cursor.ledger

/** The id of event `n`: a UUIDv7. */
export const eventId = (n: number): string => `019c0000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

type Changes = { readonly [K in keyof StagedEvent.StagedEvent]?: StagedEvent.StagedEvent[K] | undefined }

/** Event `n`, in the thread and the run of the checks unless changed; `undefined` takes a member away. */
export const event = (n: number, changes: Changes = {}): StagedEvent.StagedEvent => {
  const changed = {
    eventId: eventId(n),
    kind: "NoteTaken",
    fidelity: "domain_event",
    visibility: "public",
    threadId: thread.threadId,
    runId: run.runId,
    payload: `{"n":${n}}`,
    origin: "conformance",
    schemaVersion: 1,
    occurredAt: 1_700_000_000_000 + n,
    ...changes
  }
  return Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== undefined)) as never
}

/** The numbers from one to another, both included. */
export const numbers = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: Math.max(to - from + 1, 0) }, (_, index) => from + index)

export const events = (from: number, to: number, changes: Changes = {}): ReadonlyArray<StagedEvent.StagedEvent> =>
  numbers(from, to).map((n) => event(n, changes))

/** The event with which a run ends, of one of the kinds that say so. */
export const finish = (
  n: number,
  changes: Changes = {},
  termination: { readonly _tag: string; readonly [key: string]: string } = { _tag: "NaturalEnd" }
): StagedEvent.StagedEvent =>
  event(n, {
    kind: "RunFinished",
    payload: JSON.stringify({ _tag: "RunFinish", threadId: "thread-1", runId: changes.runId ?? "run-1", termination }),
    ...changes
  })

export const ids = (facts: ReadonlyArray<{ readonly eventId: string }>): ReadonlyArray<string> =>
  facts.map(({ eventId }) => eventId)

export const idsOf = (...ns: ReadonlyArray<number>): ReadonlyArray<string> => ns.map(eventId)

const show = (value: unknown): string => inspect(value, { depth: 8, breakLength: Infinity, maxArrayLength: 12 })

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Whether a value is best shown whole: a list of a few ids says more than the first of them that differs. */
const isShort = (value: unknown): boolean =>
  !isObject(value) || (Array.isArray(value) && value.length <= 12 && !value.some(isObject))

/** Goes to the first member that differs: a list of hundreds of facts tells nobody anything. */
const difference = (actual: unknown, expected: unknown, path = ""): string => {
  if (isObject(actual) && isObject(expected) && !(isShort(actual) && isShort(expected))) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)])
    for (const key of keys) {
      const [is, should]: ReadonlyArray<unknown> = [Reflect.get(actual, key), Reflect.get(expected, key)]
      if (!isDeepStrictEqual(is, should)) {
        return difference(is, should, `${path}/${key}`)
      }
    }
  }
  return `${path === "" ? "" : `at ${path} `}expected ${show(expected)}, got ${show(actual)}`
}

export const expect = (what: string, actual: unknown, expected: unknown): Effect.Effect<void, string> =>
  isDeepStrictEqual(actual, expected) ? Effect.void : Effect.fail(`${what}: ${difference(actual, expected)}`)

export const expectThat = (what: string, holds: boolean): Effect.Effect<void, string> =>
  holds ? Effect.void : Effect.fail(what)

interface Tagged {
  readonly _tag: string
  readonly message: string
}

/** Expects a failure with a tag and a message, and gives it. */
export const expectFailure = <A, E, R, Tag extends Extract<E, Tagged>["_tag"]>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E, { readonly _tag: Tag }>, string, R> =>
  Effect.matchEffect(effect, {
    onSuccess: () => Effect.fail(`${what}: expected ${tag}, but it succeeded`),
    onFailure: (error) =>
      Predicate.hasProperty(error, "message") && Predicate.isTagged(error, tag) && error.message !== ""
        ? Effect.succeed(error as Extract<E, { readonly _tag: Tag }>)
        : Effect.fail(`${what}: expected ${tag}, got ${typeof error === "string" ? error : show(error)}`)
  })

/** The pages of a scope, to its end. */
export const readPages = Effect.fnUntraced(function* (store: Store, options: EventStore.ReadOptions) {
  let page = yield* store.read(options)
  const pages = [page]
  while (page.hasMore) {
    const after = page.next
    page = yield* store.read({ ...options, after })
    pages.push(page)
    yield* expectThat(`a page that begins at ${after} ends there too, and says that there is more`, page.next !== after)
  }
  return pages
})

/** The facts of a scope, page by page. */
export const readAll = (store: Store, scope: Cursor.ReadScope, options: Omit<EventStore.ReadOptions, "scope"> = {}) =>
  Effect.map(readPages(store, { scope, ...options }), (pages) => pages.flatMap(({ facts }) => facts))

/** The ids of the facts of a scope, in order. */
export const idsIn = (store: Store, scope: Cursor.ReadScope) => Effect.map(readAll(store, scope), ids)

/** All that a store tells about a ledger. */
export const contents = Effect.fnUntraced(function* (store: Store) {
  const threads = yield* Stream.runCollect(store.threads)
  const runs = yield* Stream.runCollect(store.runs())
  return {
    facts: yield* readAll(store, ledger),
    threads,
    runs: yield* Effect.forEach(runs, ({ runId }) => store.run(runId)),
    writers: yield* Stream.runCollect(store.writers),
    scopes: yield* Effect.forEach(
      [...threads.map(({ threadId }) => threadScope(threadId)), ...runs.map(({ runId }) => runScope(runId)), ledger],
      (scope) =>
        Effect.all({
          scope: Effect.succeed(scope),
          count: store.count(scope),
          floor: Effect.map(store.read({ scope, limit: 0 }), ({ floor }) => floor),
          ids: idsIn(store, scope)
        })
    )
  }
})

type Contents = Effect.Success<ReturnType<typeof contents>>

/** Expects a ledger to hold this, member by member, so that a failure names what differs. */
export const expectContents = Effect.fnUntraced(function* (
  what: string,
  store: Store,
  expected: { readonly [K in keyof Contents]: unknown }
) {
  const now = yield* contents(store)
  for (const key of ["facts", "threads", "runs", "writers", "scopes"] as const) {
    yield* expect(`${what}, the ${key} of the ledger`, now[key], expected[key])
  }
})

/** Expects a failure that leaves the ledger as it was. */
export const expectRefusal = Effect.fnUntraced(function* <A, E, Tag extends Extract<E, Tagged>["_tag"]>(
  what: string,
  store: Store,
  effect: Effect.Effect<A, E>,
  tag: Tag
) {
  const before = yield* contents(store)
  const error = yield* expectFailure(what, effect, tag)
  yield* expectContents(`after the refusal of ${what}`, store, before)
  return error
})

/** A claim whose scope has closed: the name is free, and the epoch in force until the next claim. */
export const claim = (store: Store, writer: string) => Effect.scoped(store.claimWriter(writer))

/** Waits until the clock has moved on, so that what is recorded next is recorded later; two, for clocks are read apart. */
export const nextMillisecond = Effect.gen(function* () {
  const now = yield* Clock.currentTimeMillis
  while ((yield* Clock.currentTimeMillis) < now + 2) {
    yield* Effect.yieldNow
  }
})

/** Opens a follower that gives one item at a time, and takes no step unless it is asked. */
export const following = Effect.fnUntraced(function* (store: Store, options: EventStore.FollowOptions) {
  const pull = yield* Stream.toPull(store.follow(options))
  let pulled: ReadonlyArray<EventStore.Followed> = []
  const next = Effect.gen(function* () {
    if (pulled.length === 0) {
      pulled = yield* pull
    }
    const [item, ...rest] = pulled
    pulled = rest
    return yield* item === undefined ? Effect.fail("a follower gave nothing") : Effect.succeed(item)
  })
  /** The facts up to and including the marker that says that this is all. */
  const untilCaughtUp = Effect.gen(function* () {
    const facts: Array<Fact> = []
    for (let item = yield* next; item._tag !== "CaughtUp"; item = yield* next) {
      if (item._tag === "Fact") {
        facts.push(item.fact)
      }
    }
    return facts
  })
  /** The next facts, which must come without a marker between them. */
  const facts = (count: number) =>
    Effect.forEach(numbers(1, count), () =>
      Effect.flatMap(next, (item) =>
        item._tag === "Fact" ? Effect.succeed(item.fact) : Effect.fail(`expected a fact, got ${show(item)}`)
      )
    )
  return { next, untilCaughtUp, facts }
})
