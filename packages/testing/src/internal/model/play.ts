/**
 * Does commands to a store and to the model side by side, and compares what comes of them.
 */
import { type CanonicalEvent, Cursor, type EventStore } from "@runledger/core"
import { Effect, Exit, Result, Scope, Stream } from "effect"
import {
  expect,
  expectContents,
  expectFailure,
  expectThat,
  following,
  nextMillisecond
} from "../conformance/support.ts"
import { type Command, filterOf, optionsOf, print, stagedEvent } from "./commands.ts"
import * as State from "./state.ts"

type Store = EventStore.EventStoreShape
type Open = Effect.Effect<Store, unknown, Scope.Scope>
type Of<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>

interface Follower {
  readonly held: State.Held
  readonly next: Effect.Success<ReturnType<typeof following>>["next"]
}

/** The member that a number means, counted round. */
const pick = <A>(members: ReadonlyArray<A>, n: number): A | undefined => members[n % Math.max(members.length, 1)]

/** Whether a cursor still holds for a scope; without one, reading begins with what was kept. */
const holds = (state: State.State, held: State.Held | undefined, scope: Cursor.ReadScope): boolean =>
  held === undefined || (State.keyOf(held.scope) === State.keyOf(scope) && !State.isExpired(state, held))

/** Opens a handle that can be closed and opened again, with what lives no longer than it does. */
const reopenable = Effect.fnUntraced(function* (open: Open) {
  const outer = yield* Effect.scope
  const build = Effect.gen(function* () {
    const scope = yield* Scope.fork(outer)
    return { scope, store: yield* Scope.provide(open, scope) }
  })
  let handle = yield* build
  return {
    store: () => handle.store,
    scope: () => handle.scope,
    reopen: Effect.gen(function* () {
      yield* Scope.close(handle.scope, Exit.void)
      handle = yield* build
    })
  }
})

/** Plays commands; fails with a text that says where the store and the model part. */
export const play = Effect.fnUntraced(function* (open: Open, commands: ReadonlyArray<Command>) {
  const state = State.empty()
  const followers: Array<Follower> = []
  const claims = new Map<string, { readonly handle: 0 | 1; readonly scope: Scope.Closeable }>()
  const watcher = yield* open
  const handles = [yield* reopenable(open), yield* reopenable(open)] as const

  const hold = (scope: Cursor.ReadScope, cursor: Cursor.Cursor, sequence: number): State.Held => {
    const held = { scope, cursor, sequence, floor: State.floorOf(state, scope) }
    state.cursors.push(held)
    return held
  }

  /** The cursor that a number means: one of the scope, if there is any, or for the last of numbers one of any scope. */
  const heldFor = (scope: Cursor.ReadScope, n: number): State.Held | undefined => {
    const own = state.cursors.filter((held) => State.keyOf(held.scope) === State.keyOf(scope))
    return pick(n === 9 || own.length === 0 ? state.cursors : own, n)
  }

  const append = Effect.fnUntraced(function* (store: Store, command: Of<"Append">) {
    const batch = command.events.map(stagedEvent)
    const { runs, ...options } = optionsOf(command)
    const expected = options.expected.map(({ at, scope }) => {
      const end = State.endOf(state, scope)
      return { scope, sequence: { end, start: 0, beyond: end + 1 }[at] }
    })
    const writers = options.writers.map(({ epoch, highWater, writer }) => {
      const latest = state.writers.get(writer)?.epoch ?? 1
      return { writer, epoch: epoch === "latest" ? latest : latest - 1, highWater }
    })
    const outcome = State.outcome(state, batch, { expected, writers, runs })
    const result = yield* Effect.result(
      store.append(batch, {
        expected: expected.map(({ scope, sequence }) => ({ scope, cursor: Cursor.make(scope, sequence) })),
        writers,
        runs
      })
    )
    const came = Result.isSuccess(result) ? "Committed" : result.failure._tag
    yield* expect("what the append came to", came, outcome._tag)
    if (outcome._tag !== "Committed") {
      return
    }
    for (const event of outcome.news) {
      const { position, recordedAt } = yield* watcher.get(event.eventId)
      yield* expectThat("positions must ascend", position > State.endOf(state, Cursor.ledger))
      State.commit(state, event, { position, recordedAt })
    }
    State.raise(state, writers)
    if (outcome.news.length > 0 || batch.length === 0) {
      State.keep(state, runs)
    }
  })

  const read = Effect.fnUntraced(function* (store: Store, command: Of<"Read">) {
    const { limit, reverse, scope } = command
    const filter = filterOf(command.filter ?? {})
    const held = command.after === undefined ? undefined : heldFor(scope, command.after)
    const reading = store.read({ scope, after: held?.cursor, limit, reverse, filter })
    if (!holds(state, held, scope)) {
      yield* expectFailure("a cursor that does not hold", reading, "CursorExpired")
      return
    }
    const page = yield* reading
    const start = held?.sequence ?? (reverse ? State.endOf(state, scope) : 0)
    const matching = State.factsOf(state, scope, filter)
    const ahead = reverse
      ? matching.filter(({ sequence }) => sequence <= start).toReversed()
      : matching.filter(({ sequence }) => sequence > start)
    const through = page.scannedThrough
    const within = ahead.filter(({ sequence }) => (reverse ? sequence > through : sequence <= through))
    yield* expect(
      "the facts of the page",
      page.facts,
      within.map(({ fact }) => fact)
    )
    yield* expectThat(`the page has ${page.facts.length} facts, asked were ${limit}`, page.facts.length <= limit)
    yield* expect("its floor", page.floor, State.floorOf(state, scope))
    const cursor = Cursor.sequence(scope, page.next)
    yield* expect("what its cursor stands after", Result.isSuccess(cursor) ? cursor.success : undefined, through)
    if (command.filter === undefined) {
      yield* expect("the length of the page", within.length, Math.min(limit, ahead.length))
      yield* expect("whether there is more", page.hasMore, ahead.length > limit)
    } else {
      yield* expectThat("the page says that there is no more", page.hasMore || within.length === ahead.length)
    }
    if (!page.hasMore && !reverse) {
      yield* expect("what was scanned at the end", through, State.endOf(state, scope))
    }
    hold(scope, page.next, through)
  })

  const follow = Effect.fnUntraced(function* (command: Of<"Follow">) {
    const { scope } = command
    const filter = filterOf(command.filter ?? {})
    const held = typeof command.from === "number" ? heldFor(scope, command.from) : undefined
    const from = typeof command.from === "number" ? (held?.cursor ?? "start") : command.from
    const follower = yield* following(watcher, { scope, from, filter })
    if (!holds(state, held, scope)) {
      yield* expectFailure("following from a cursor that does not hold", follower.next, "CursorExpired")
      return
    }
    const end = State.endOf(state, scope)
    const start = from === "now" ? end : (held?.sequence ?? 0)
    const there = State.factsOf(state, scope, filter).filter(({ sequence }) => sequence > start)
    const facts: Array<CanonicalEvent.CanonicalEvent> = []
    let item = yield* follower.next
    for (; item._tag !== "CaughtUp"; item = yield* follower.next) {
      facts.push(...(item._tag === "Fact" ? [item.fact] : []))
    }
    yield* expect(
      "the facts that were there",
      facts,
      there.map(({ fact }) => fact)
    )
    yield* expect("through what the follower is caught up", item.scannedThrough, end)
    const marker = hold(scope, item.cursor, end)
    if (command.filter === undefined) {
      followers.push({ held: marker, next: follower.next })
    }
  })

  const pull = Effect.fnUntraced(function* (command: Of<"Pull">) {
    const index = command.follower % Math.max(followers.length, 1)
    const follower = followers[index]
    if (follower === undefined) {
      return
    }
    const { next, held } = follower
    const came = State.factsOf(state, held.scope).filter(({ sequence }) => sequence > held.sequence)
    if (came.length > 0 && State.isExpired(state, held)) {
      followers.splice(index, 1)
      yield* expectFailure("a follower that missed what was pruned", next, "CursorExpired")
      return
    }
    for (const { fact, sequence } of came) {
      const item = yield* next
      yield* expect("what came to the follower", item._tag === "Fact" ? item.fact : item, fact)
      followers[index] = { next, held: hold(held.scope, item.cursor, sequence) }
    }
  })

  const prune = Effect.fnUntraced(function* (store: Store, { threadId, through }: Of<"Prune">) {
    const before = (pick(state.facts, through)?.recordedAt ?? 0) + 1
    const pruned = yield* store.prune({ before, ...(threadId === undefined ? {} : { threadId }) })
    yield* expect("how many facts were pruned", pruned, State.prune(state, before, threadId))
  })

  const claim = Effect.fnUntraced(function* (store: Store, { handle, writer }: Of<"Claim">) {
    if (claims.has(writer)) {
      yield* expectFailure("a claim of a name that is held", Effect.scoped(store.claimWriter(writer)), "WriterHeld")
      return
    }
    const scope = yield* Scope.fork(handles[handle].scope())
    const claimed = yield* Scope.provide(store.claimWriter(writer), scope)
    yield* expect("the claim", claimed, State.claim(state, writer))
    claims.set(writer, { handle, scope })
  })

  const release = Effect.fnUntraced(function* ({ writer }: Of<"Release">) {
    yield* Scope.close(claims.get(writer)?.scope ?? (yield* Scope.make()), Exit.void)
    claims.delete(writer)
  })

  const list = Effect.fnUntraced(function* (store: Store, { labels, status }: Of<"List">) {
    const runs = yield* Stream.runCollect(store.runs({ labels, status }))
    yield* expect(
      "the runs in the list",
      runs.map(({ runId }) => runId),
      State.runsWith(state, { labels, status })
    )
  })

  const reopen = Effect.fnUntraced(function* ({ handle }: Of<"Reopen">) {
    yield* handles[handle].reopen
    for (const [writer, claimed] of claims) {
      if (claimed.handle === handle) {
        claims.delete(writer)
      }
    }
  })

  const step = Effect.fnUntraced(function* (command: Command) {
    const store = handles["handle" in command ? command.handle : 0].store()
    switch (command._tag) {
      case "Append":
        return yield* append(store, command)
      case "Claim":
        return yield* claim(store, command)
      case "Release":
        return yield* release(command)
      case "List":
        return yield* list(store, command)
      case "Read":
        return yield* read(store, command)
      case "Follow":
        return yield* follow(command)
      case "Pull":
        return yield* pull(command)
      case "Prune":
        return yield* prune(store, command)
      case "Erase": {
        const erased = yield* store.erase({ threadId: command.threadId })
        return yield* expect("how many facts were erased", erased, State.erase(state, command.threadId))
      }
      case "Reopen":
        return yield* reopen(command)
      case "Wait":
        return yield* nextMillisecond
    }
  })

  for (const command of commands) {
    yield* step(command)
    yield* expectContents(`after ${print(command)}`, watcher, State.contents(state))
  }
})
