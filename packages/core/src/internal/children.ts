/**
 * The runs that are recorded by way of the one that they descend from.
 *
 * Each is opened like any run, which takes a moment. What it and its parent say meanwhile waits, and is staged in the order
 * in which it was said.
 */
import { Cause, type Duration, Effect, Exit, Fiber } from "effect"
import type { AgentEvent } from "../AgentEvent.ts"
import type { StagingFailed } from "../LedgerError.ts"
import type { Actor } from "./actor.ts"
import type { Place } from "./assemble.ts"

/** An event that is about a run. */
export type AboutRun = Extract<AgentEvent, { readonly _tag: "RunStart" | "RunFinish" }>

/** What was said of a run, and its place among the events of the run that it was said in. */
export interface Said {
  readonly event: AboutRun
  readonly place: Place
  readonly occurredAt: number
}

/** The run that has the children. */
export interface Parent {
  readonly runId: string

  /** Opens a child, and says what came of it, also when it is interrupted. */
  readonly openChild: (
    threadId: string,
    runId: string,
    opened: (exit: Exit.Exit<Actor, unknown>) => void
  ) => Fiber.Fiber<void>

  /** What was said of a child cannot be recorded. */
  readonly refuse: (said: Said, cause: unknown) => void

  /** Nothing waits any more. */
  readonly caughtUp: () => void
}

interface Child {
  readonly runId: string
  /** It was open when its parent was left. */
  readonly isSaved: boolean
  /** It was said to start, and is not open yet. */
  isStarting: boolean
  actor: Actor | undefined
}

const notStarted = new Error("its start is not recorded")

const closedTooSoon = new Error("the store did not answer before the run was closed")

/** How much may wait for a child to be open; who says more, waits too. */
const waitingLimit = 4096

const none: ReadonlyArray<string> = []

export class Children {
  private readonly parent: Parent
  private list: ReadonlyArray<Child>
  /** What waits for a child to be open; undefined when none is being opened. */
  private waiting: Array<() => void> | undefined
  private opening: Fiber.Fiber<void> | undefined
  private hasGivenUp = false
  /** The position of the first event that waits. */
  from: number | undefined

  constructor(parent: Parent, saved: ReadonlyArray<string>) {
    this.parent = parent
    this.list = saved.map((runId) => ({ runId, isSaved: true, isStarting: false, actor: undefined }))
  }

  /** Whether a child is being opened. */
  get isOpening(): boolean {
    return this.waiting !== undefined
  }

  /** The runs that have not ended, as far as is known. */
  get active(): ReadonlyArray<string> {
    return this.list.length === 0
      ? none
      : this.list.flatMap(({ actor, isSaved, isStarting, runId }) =>
          (actor?.isActive() ?? (isSaved || isStarting)) ? [runId] : []
        )
  }

  /** Takes a step, when all before it are taken. */
  inOrder(step: () => void): void {
    if (this.waiting === undefined) {
      step()
    } else {
      this.waiting.push(step)
    }
  }

  /** Has a child, or a child of one, record what is said of it; false when the event is about none. */
  record(said: Said): boolean {
    const { event } = said
    let child = this.list.find(({ runId }) => runId === event.runId)
    if (child === undefined) {
      const parent = event._tag === "RunStart" ? (event.parentRunId ?? event.identity?.parentRunId) : undefined
      const isOurs = parent === this.parent.runId || this.list.some(({ runId }) => runId === parent)
      if (!isOurs || event.runId === this.parent.runId) {
        return false
      }
      child = { runId: event.runId, isSaved: false, isStarting: true, actor: undefined }
      this.list = [...this.list, child]
    }
    const told = child
    this.inOrder(() => this.tell(told, said))
    return true
  }

  private tell(child: Child, said: Said): void {
    if (child.actor !== undefined) {
      child.actor.recordForParent(said)
    } else if (this.hasGivenUp) {
      this.refuse(child, said, closedTooSoon)
    } else if (said.event._tag === "RunFinish" && !child.isSaved) {
      this.refuse(child, said, notStarted)
    } else {
      this.open(child, said)
    }
  }

  private refuse(child: Child, said: Said, cause: unknown): void {
    child.isStarting = false
    this.parent.refuse(said, cause)
  }

  private open(child: Child, said: Said): void {
    child.isStarting = said.event._tag === "RunStart"
    this.waiting = []
    this.from = said.place.position
    this.opening = this.parent.openChild(said.event.threadId, child.runId, (exit) => {
      const steps = this.waiting ?? []
      this.waiting = undefined
      this.from = undefined
      if (Exit.isSuccess(exit)) {
        child.actor = exit.value
        child.actor.recordForParent(said)
      } else {
        this.refuse(child, said, this.hasGivenUp ? closedTooSoon : Cause.squash(exit.cause))
      }
      // One of them may have to wait for another child.
      steps.forEach((step) => this.inOrder(step))
      if (this.waiting === undefined) {
        this.parent.caughtUp()
      }
    })
  }

  /** Waits until nothing waits any more. */
  opened(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.waiting === undefined || this.opening === undefined
        ? Effect.void
        : Effect.andThen(Fiber.await(this.opening), this.opened())
    )
  }

  /** Waits no longer than this; what is not open then is refused. */
  openedWithin(duration: Duration.Input): Effect.Effect<void> {
    const giveUp = Effect.suspend(() => {
      this.hasGivenUp = true
      return Effect.andThen(this.opening === undefined ? Effect.void : Fiber.interrupt(this.opening), this.opened())
    })
    return Effect.suspend(() =>
      this.waiting === undefined ? Effect.void : Effect.timeoutOrElse(this.opened(), { duration, orElse: () => giveUp })
    )
  }

  /** What who says more must wait for. */
  credit(): Effect.Effect<void> | undefined {
    return this.waiting === undefined || this.waiting.length < waitingLimit ? undefined : this.opened()
  }

  flush(): ReadonlyArray<Effect.Effect<void, StagingFailed>> {
    return this.list.flatMap(({ actor }) => (actor === undefined ? [] : [actor.flush()]))
  }

  end(exit: Exit.Exit<unknown, unknown>): ReadonlyArray<Effect.Effect<void, StagingFailed>> {
    return this.list.flatMap(({ actor }) => (actor === undefined ? [] : [actor.end(exit)]))
  }
}
