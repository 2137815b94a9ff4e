/**
 * Several agents at once in one ledger, and somebody who watches them live.
 */
import { EventStore, Recorder } from "@runledger/core"
import { Agent } from "@runledger/ai/effect"
import * as SqliteLedger from "@runledger/sql/sqlite"
import { ScriptedModel } from "@runledger/testing"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import type { Options } from "./main.ts"

const cities = ["Bergen", "Cusco", "Dakar", "Hanoi", "Turin"]

const tools = Toolkit.make(
  Tool.make("temperature", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.Number })
)

const handlers = tools.toLayer({ temperature: ({ city }) => Effect.succeed(city.length * 3) })

const { answer, call, text } = ScriptedModel
const modelFor = (city: string) =>
  ScriptedModel.layer([answer(call(`ask-${city}`, "temperature", { city })), answer(text(`${city} is fine.`))], {
    delay: "10 millis"
  })

const agent = (city: string) =>
  Effect.gen(function* () {
    return yield* Agent.run({
      threadId: city,
      runId: `weather-${city}-1`,
      input: `How is ${city}?`,
      toolkit: yield* tools
    })
  }).pipe(Effect.provide(modelFor(city)))

/** Says what is committed, as it is committed, until every agent has finished. */
const watch = Effect.gen(function* () {
  const store = yield* EventStore.EventStore
  yield* store.follow({ scope: { _tag: "Ledger" }, filter: { visibility: ["public"] } }).pipe(
    Stream.filter((followed) => followed._tag === "Fact"),
    Stream.tap(({ fact }) => Console.log(`${fact.threadId}: ${fact.kind}`)),
    Stream.filter(({ fact }) => fact.kind === "RunFinished"),
    Stream.take(cities.length),
    Stream.runDrain
  )
})

export const main = ({ ledger }: Options) =>
  Effect.all([watch, Effect.forEach(cities, agent, { concurrency: "unbounded" })], { concurrency: 2 }).pipe(
    Effect.as(0),
    Effect.provide(
      Layer.merge(Recorder.layer(), handlers).pipe(Layer.provideMerge(SqliteLedger.layer({ path: ledger })))
    )
  )
