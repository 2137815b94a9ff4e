import {
  Durability,
  EventSink,
  EventStager,
  EventStore,
  type LedgerError,
  LiveSink,
  MemoryEventStore,
  Normalizer,
  RunContext,
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
    expectTypeOf<EventSink.EventSinkShape["close"]>().toEqualTypeOf<Effect.Effect<void, EventStager.StagingFailed>>()

    expectTypeOf(EventStager.layer).toEqualTypeOf<Layer.Layer<EventStager.EventStager, never, EventStore.EventStore>>()
    expectTypeOf<EventStager.EventStagerShape["stage"]>().returns.toEqualTypeOf<
      Result.Result<void, LedgerError.ValidationError>
    >()
    expectTypeOf<EventStager.EventStagerShape["flush"]>().toEqualTypeOf<
      Effect.Effect<void, EventStager.StagingFailed>
    >()

    expectTypeOf(MemoryEventStore.layer).toEqualTypeOf<Layer.Layer<EventStore.EventStore>>()
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
