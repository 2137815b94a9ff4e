/**
 * A run that is recorded by way of the one that started it. What is said of it waits until it is open.
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

/** The run that a child was started by. */
export interface Parent {
  /** Opens the child, and says what came of it, also when it is interrupted. */
  readonly openChild: (
    threadId: string,
    runId: string,
    opened: (exit: Exit.Exit<Actor, unknown>) => void
  ) => Fiber.Fiber<void>

  /** Acks nothing from here on before the child is open. */
  readonly holdFrom: (runId: string, place: Place) => void

  /** What was said of the child cannot be recorded. */
  readonly refuse: (said: Said, cause: unknown) => void
}

export class Child {
  readonly runId: string
  private readonly parent: Parent
  /** It was open when its parent was left, in this process or another. */
  private readonly isSaved: boolean
  private actor: Actor | undefined
  private waiting: ReadonlyArray<Said> = []
  private opening: Fiber.Fiber<void> | undefined

  constructor(parent: Parent, runId: string, isSaved: boolean) {
    this.parent = parent
    this.runId = runId
    this.isSaved = isSaved
  }

  /** Whether the run has not ended, as far as is known. */
  get isActive(): boolean {
    return this.actor === undefined ? this.isSaved || this.waiting.length > 0 : this.actor.isActive()
  }

  record(said: Said): void {
    if (this.actor !== undefined) {
      this.actor.recordForParent(said)
      return
    }
    this.waiting = [...this.waiting, said]
    this.parent.holdFrom(this.runId, said.place)
    if (this.waiting.length === 1) {
      this.opening = this.parent.openChild(said.event.threadId, this.runId, (exit) => this.settle(exit))
    }
  }

  private settle(exit: Exit.Exit<Actor, unknown>): void {
    const { waiting } = this
    this.waiting = []
    if (Exit.isSuccess(exit)) {
      this.actor = exit.value
      waiting.forEach((said) => exit.value.recordForParent(said))
    } else {
      waiting.forEach((said) => this.parent.refuse(said, Cause.squash(exit.cause)))
    }
  }

  /** Waits until it is open, or refused. */
  get opened(): Effect.Effect<void> {
    return Effect.suspend(() => (this.opening === undefined ? Effect.void : Fiber.await(this.opening)))
  }

  /** Waits no longer than this until it is open; then it is refused. */
  openedWithin(duration: Duration.Input): Effect.Effect<void> {
    return Effect.timeoutOrElse(this.opened, {
      duration,
      orElse: () => (this.opening === undefined ? Effect.void : Fiber.interrupt(this.opening))
    })
  }

  get flush(): Effect.Effect<void, StagingFailed> {
    return Effect.suspend(() => this.actor?.flush() ?? Effect.void)
  }

  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, StagingFailed> {
    return Effect.suspend(() => this.actor?.end(exit) ?? Effect.void)
  }
}
