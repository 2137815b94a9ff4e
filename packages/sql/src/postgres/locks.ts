/**
 * How the name of a writer is held: by an advisory lock of a session, which the server lets go when the session ends,
 * however it ends.
 *
 * All locks of a handle are of one session, opened for the first claim and closed after the last. It also listens, to a
 * channel on which nobody says anything: only who listens learns that an idle connection was lost. Then the locks are taken
 * again in a new session, unless somebody else has claimed the name meanwhile, which its epoch tells.
 */
import { PgConnection, PgTypes } from "@effect/sql-pg"
import { EventStore } from "@runledger/core"
import { Effect, Exit, Fiber, Latch, Queue, Scope, Semaphore } from "effect"
import type { SqlError } from "effect/sql"
import { createHash } from "node:crypto"
import type { Locks } from "../internal/locks.ts"
import { withinLockTimeout } from "./lockTimeout.ts"

/** How long it takes until a lock that could not be taken again is tried again. */
const interval = "1 second"

/** How long the server may take to free a name. After that the session is closed, which frees all of its names. */
const patience = "5 seconds"

/**
 * What the session is set to: it is idle for good, and when its machine is gone without a word, the server notices within
 * a minute, not after the two hours that are usual.
 */
const settings = `SELECT set_config('idle_session_timeout', '0', false), set_config('tcp_keepalives_idle', '30', false),
  set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)`

interface Session {
  readonly query: PgConnection.PgConnection["queryValues"]
  readonly close: Effect.Effect<void>
}

/** A claim: its epoch, once it has one, and the session that has its lock. */
interface Hold {
  epoch?: number
  session?: Session
}

/** The locks of a ledger, which has a name of its own in its database. They are held until the scope closes. */
export const make = Effect.fnUntraced(function* (
  config: PgConnection.Config,
  ledger: string
): Effect.fn.Return<Locks, never, Scope.Scope> {
  const handle = yield* Effect.scope
  const held = new Map<string, Hold>()
  const turn = Semaphore.makeUnsafe(1)
  const missing = Latch.makeUnsafe()
  let session: Session | undefined
  /** How many names are being freed. */
  let unlocks = 0

  const open = Effect.gen(function* () {
    // Closed last to first: a connection that is closed is not asked to stop listening, which it may never answer.
    const listening = yield* Scope.fork(handle)
    const connected = yield* Scope.fork(handle)
    const close = Effect.andThen(Scope.close(connected, Exit.void), Scope.close(listening, Exit.void))
    return yield* Effect.gen(function* () {
      const connection = yield* Scope.provide(PgConnection.make(config), connected)
      const pinned = yield* Scope.provide(connection.pin, listening)
      yield* pinned.query(settings)
      const heard = yield* Scope.provide(pinned.listen(`${ledger}_writers`), listening)
      const opened: Session = {
        query: pinned.queryValues,
        close: Effect.suspend(() => {
          session = session === opened ? undefined : session
          return Effect.andThen(close, missing.open)
        })
      }
      session = opened
      yield* Effect.forever(Queue.takeAll(heard)).pipe(
        Effect.onExit(() => opened.close),
        Effect.forkIn(handle)
      )
      return opened
    }).pipe(Effect.onError(() => close))
  })

  const current = Effect.suspend(() => (session === undefined ? open : Effect.succeed(session)))

  const keyOf = (writer: string): PgTypes.Parameter =>
    PgTypes.int8(createHash("sha256").update(`${ledger} ${writer}`).digest().readBigInt64BE())

  const lock = (on: Session, writer: string): Effect.Effect<boolean, SqlError.SqlError> =>
    Effect.map(on.query("SELECT pg_try_advisory_lock($1)", [keyOf(writer)]), ([row = []]) => row[0] === true)

  const unlock = (on: Session, writer: string) =>
    Effect.gen(function* () {
      unlocks += 1
      const unlocking = yield* Effect.forkIn(on.query("SELECT pg_advisory_unlock($1)", [keyOf(writer)]), handle)
      yield* Effect.timeoutOrElse(Fiber.await(unlocking), { duration: patience, orElse: () => on.close })
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          unlocks -= 1
        })
      )
    )

  /** The name may have been claimed again through this handle. */
  const drop = (writer: string, hold: Hold): void => {
    if (held.get(writer) === hold) {
      held.delete(writer)
    }
  }

  /** A name whose session is closed may be held for a moment longer, so one that is being freed keeps its session. */
  const closeUnused = Effect.suspend(() =>
    session !== undefined && held.size === 0 && unlocks === 0 ? session.close : Effect.void
  )

  const free = (writer: string, hold: Hold): Effect.Effect<void> =>
    Effect.gen(function* () {
      drop(writer, hold)
      if (session !== undefined && hold.session === session) {
        yield* unlock(session, writer)
      }
      yield* closeUnused
    })

  /** Takes a lock again, unless the name was claimed by somebody else since, or freed. */
  const retake = Effect.fnUntraced(function* (on: Session, writer: string, hold: Hold) {
    const got = yield* lock(on, writer)
    const [[epoch] = []] = yield* on.query("SELECT epoch FROM writers WHERE writer = $1", [writer])
    const isMine = Number(epoch) === hold.epoch && held.get(writer) === hold
    if (got && isMine) {
      hold.session = on
    } else if (got) {
      yield* unlock(on, writer)
    }
    if (!isMine) {
      drop(writer, hold)
    }
  })

  const isMissing = (hold: Hold): boolean =>
    hold.epoch !== undefined && (session === undefined || hold.session !== session)

  const retakeAll = turn.withPermit(
    Effect.gen(function* () {
      for (const [writer, hold] of [...held].filter(([, hold]) => isMissing(hold))) {
        yield* retake(yield* current, writer, hold)
      }
      yield* closeUnused
    })
  )

  yield* Effect.forkScoped(
    Effect.forever(
      Effect.gen(function* () {
        yield* Effect.andThen(missing.await, missing.close)
        yield* Effect.ignore(retakeAll)
        if ([...held.values()].some(isMissing)) {
          // Where the server is away, or has not noticed yet that the session is.
          yield* Effect.sleep(interval)
          yield* missing.open
        }
      })
    )
  )
  return {
    claim: (writer, raise) =>
      Effect.suspend(() => {
        if (held.has(writer)) {
          return Effect.fail(EventStore.writerHeld(writer))
        }
        const hold: Hold = {}
        held.set(writer, hold)
        return Effect.gen(function* () {
          const on = yield* turn.withPermit(current)
          if (!(yield* lock(on, writer))) {
            return yield* EventStore.writerHeld(writer)
          }
          hold.session = on
          const claimed = yield* withinLockTimeout(raise)
          hold.epoch = claimed.epoch
          // The session may be gone since.
          yield* missing.open
          return claimed
        }).pipe(Effect.onError(() => free(writer, hold)))
      }),
    release: ({ epoch, writer }) =>
      Effect.suspend(() => {
        const hold = held.get(writer)
        return hold?.epoch === epoch ? free(writer, hold) : Effect.void
      })
  }
})
