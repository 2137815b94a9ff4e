import {
  Approval,
  Checkpoint,
  Durability,
  EventSink,
  type EventStager,
  type EventStore,
  GroupStager,
  type LedgerError,
  LiveSink,
  MemoryEventStore,
  MemoryStager,
  Normalizer,
  Recorder,
  type Run,
  RunContext,
  type Transaction,
  Upcast
} from "@runledger/core"
import type { Config, Effect, Layer, Result, Scope, Stream } from "effect"
import { describe, expectTypeOf, it } from "vitest"

describe("what public functions need and how they fail", () => {
  it("is known to the type checker", () => {
    expectTypeOf(EventSink.make).toEqualTypeOf<
      Effect.Effect<EventSink.EventSinkShape, never, Normalizer.Normalizer | EventStager.EventStager>
    >()
    expectTypeOf(EventSink.layer).toEqualTypeOf<
      Layer.Layer<EventSink.EventSink, never, Normalizer.Normalizer | EventStager.EventStager>
    >()
    expectTypeOf<EventSink.EventSinkShape["emit"]>().returns.toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<EventSink.EventSinkShape["emitAll"]>().returns.toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<EventSink.EventSinkShape["close"]>().toEqualTypeOf<Effect.Effect<void, LedgerError.StagingFailed>>()

    expectTypeOf(GroupStager.layer).returns.toEqualTypeOf<
      Layer.Layer<EventStager.EventStager, never, EventStore.EventStore>
    >()
    expectTypeOf(MemoryStager.layer).toEqualTypeOf<Layer.Layer<EventStager.EventStager>>()
    expectTypeOf<EventStager.Lane["stage"]>().returns.toEqualTypeOf<Result.Result<void, LedgerError.ValidationError>>()
    expectTypeOf<EventStager.Lane["flush"]>().returns.toEqualTypeOf<Effect.Effect<void, LedgerError.StagingFailed>>()
    expectTypeOf<EventStager.Lane["close"]>().toEqualTypeOf<Effect.Effect<void, LedgerError.StagingFailed>>()

    expectTypeOf(Recorder.layer).returns.toEqualTypeOf<
      Layer.Layer<Recorder.Recorder, LedgerError.ReadError, EventStore.EventStore>
    >()
    expectTypeOf<Recorder.RecorderShape["open"]>().returns.toEqualTypeOf<
      Effect.Effect<Run.RunShape, Recorder.OpenError, Scope.Scope>
    >()
    const agent = {} as Effect.Effect<number, "its own", Run.Run | EventStore.EventStore>
    const recorded = Recorder.record({ threadId: "t", runId: "r" })(agent)
    expectTypeOf<Effect.Success<typeof recorded>>().toEqualTypeOf<number>()
    expectTypeOf<Effect.Error<typeof recorded>>().toEqualTypeOf<"its own" | LedgerError.RecordError>()
    expectTypeOf<Effect.Services<typeof recorded>>().toEqualTypeOf<EventStore.EventStore | Recorder.Recorder>()
    const checkpointed = {} as Effect.Effect<number, "its own", Run.Run | Checkpoint.Checkpoint | EventStore.EventStore>
    const committed = Checkpoint.record({ threadId: "t", runId: "r" })(checkpointed)
    expectTypeOf<Effect.Error<typeof committed>>().toEqualTypeOf<"its own" | LedgerError.RecordError>()
    expectTypeOf<Effect.Services<typeof committed>>().toEqualTypeOf<
      EventStore.EventStore | Recorder.Recorder | Transaction.Transaction
    >()
    expectTypeOf(Recorder.recover).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<Recorder.Interrupted>, LedgerError.ReadError, EventStore.EventStore>
    >()
    expectTypeOf<Run.RunShape["emit"]>().returns.toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<Run.RunShape["close"]>().toEqualTypeOf<Effect.Effect<void, LedgerError.StagingFailed>>()

    expectTypeOf(MemoryEventStore.layer).toEqualTypeOf<Layer.Layer<EventStore.EventStore | Transaction.Transaction>>()
    expectTypeOf<EventStore.EventStoreShape["append"]>().returns.toEqualTypeOf<
      Effect.Effect<void, LedgerError.AppendError>
    >()
    expectTypeOf<EventStore.EventStoreShape["read"]>().returns.toEqualTypeOf<
      Effect.Effect<EventStore.EventPage, LedgerError.CursorExpired | LedgerError.ReadError>
    >()
    expectTypeOf<EventStore.EventStoreShape["follow"]>().returns.toEqualTypeOf<
      Stream.Stream<EventStore.Followed, LedgerError.CursorExpired | LedgerError.FollowerLagged | LedgerError.ReadError>
    >()
    expectTypeOf<EventStore.EventStoreShape["restore"]>().returns.toEqualTypeOf<
      Effect.Effect<void, LedgerError.ValidationError | LedgerError.ReadError>
    >()
    expectTypeOf(Approval.pending).toEqualTypeOf<
      Stream.Stream<Approval.Pending, LedgerError.ReadError, EventStore.EventStore>
    >()
    expectTypeOf(Approval.decide).toEqualTypeOf<
      (options: Approval.Decide) => Effect.Effect<Approval.Decision, Approval.DecideError, EventStore.EventStore>
    >()
    expectTypeOf<Approval.DecideError>().toEqualTypeOf<
      | LedgerError.NotFound
      | LedgerError.AlreadyDecided
      | LedgerError.AmbiguousCall
      | LedgerError.ValidationError
      | LedgerError.ReadError
    >()
    expectTypeOf(Upcast.layer).returns.toEqualTypeOf<Layer.Layer<EventStore.EventStore, never, EventStore.EventStore>>()

    expectTypeOf(Normalizer.make).returns.toEqualTypeOf<Effect.Effect<Normalizer.NormalizerShape>>()
    expectTypeOf(Normalizer.layer).returns.toEqualTypeOf<
      Layer.Layer<Normalizer.Normalizer, LedgerError.ValidationError>
    >()
    expectTypeOf(RunContext.make).returns.toEqualTypeOf<
      Result.Result<RunContext.RunContext, LedgerError.ValidationError>
    >()
    expectTypeOf(Durability.layerConfig).toEqualTypeOf<Layer.Layer<never, Config.ConfigError>>()
    expectTypeOf(LiveSink.fromEffect<never>).returns.toEqualTypeOf<
      Effect.Effect<LiveSink.LiveSinkShape, never, Scope.Scope>
    >()
  })
})
