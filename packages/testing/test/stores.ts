/**
 * The stores that must pass the conformance suite, by name.
 */
import { MemoryEventStore } from "@runledger/core"
import { TestLedger } from "@runledger/testing"

export const stores: { readonly [name: string]: TestLedger.Fresh } = {
  memory: TestLedger.shared(MemoryEventStore.layer)
}
