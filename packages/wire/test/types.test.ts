import type { AgentEvent, CanonicalEvent, LedgerError, RunContext } from "@runledger/core"
import { Awaken, type DecodeError, JsonText, Native } from "@runledger/wire"
import type { Result } from "effect"
import { describe, expectTypeOf, it } from "vitest"

type Decoded<A> = Result.Result<A, DecodeError.DecodeError>

describe("what decoders give, and how they fail", () => {
  it("is known to the type checker", () => {
    expectTypeOf(JsonText.parse).returns.toEqualTypeOf<Decoded<unknown>>()
    expectTypeOf(Native.parseAgentEvent).returns.toEqualTypeOf<Decoded<AgentEvent.AgentEvent>>()
    expectTypeOf(Awaken.parseAgentEvent).returns.toEqualTypeOf<Decoded<AgentEvent.AgentEvent>>()
    expectTypeOf(Awaken.decodeAgentEvent).returns.toEqualTypeOf<Decoded<AgentEvent.AgentEvent>>()
    expectTypeOf(Awaken.decodeDraft).returns.toEqualTypeOf<Decoded<CanonicalEvent.CanonicalEventDraft>>()
    expectTypeOf(Awaken.decodeNormalized).returns.toEqualTypeOf<Decoded<CanonicalEvent.NormalizedEvent>>()
    expectTypeOf(Awaken.decodeFact).returns.toEqualTypeOf<Decoded<CanonicalEvent.CanonicalEvent>>()
    expectTypeOf(Awaken.decodeRunContextUnchecked).returns.toEqualTypeOf<Decoded<RunContext.RunContext>>()
    expectTypeOf(Awaken.decodeRunContext).returns.toEqualTypeOf<
      Result.Result<RunContext.RunContext, DecodeError.DecodeError | LedgerError.ValidationError>
    >()
  })
})
