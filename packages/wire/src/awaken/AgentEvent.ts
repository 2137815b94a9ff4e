/**
 * The seed's JSON of agent events: internally tagged by `event_type`, keys in snake_case, unknown keys ignored.
 *
 * @since 0.1.0
 */
import { AgentEvent, Lifecycle, RunIdentity, Suspension, TokenUsage, Tool } from "@runledger/core"
import { Effect, Option, Result, Schema, SchemaGetter, SchemaTransformation } from "effect"
import { type DecodeError, taggedDecoder } from "../DecodeError.ts"
import { nullish, omittedWhen, snakeCased } from "../internal/snakeCase.ts"
import * as JsonText from "../JsonText.ts"

const identity = snakeCased(RunIdentity.RunIdentity, {
  runMode: omittedWhen(RunIdentity.RunMode, (mode) => mode === "foreground", "foreground"),
  adapter: omittedWhen(RunIdentity.RunAdapter, (adapter) => adapter === "internal", "internal")
})

const ticket = snakeCased(Suspension.SuspendTicket, {
  suspension: snakeCased(Suspension.Suspension, {
    message: omittedWhen(Schema.String, (message) => message === "", ""),
    parameters: omittedWhen(Schema.Json, (parameters) => parameters === null, null)
  }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
})

/** The message of a tool result is always written, as null when there is none. */
const messageOrNull = Schema.optionalKey(Schema.NullOr(Schema.String)).pipe(
  Schema.decodeTo(Schema.optionalKey(Schema.String), {
    decode: SchemaGetter.transformOptional((read: Option.Option<string | null>) =>
      Option.filter(read, (message) => message !== null)
    ),
    encode: SchemaGetter.transformOptional((written: Option.Option<string>) => Option.orElseSome(written, () => null))
  })
)

const toolResult = snakeCased(Tool.ToolResult, {
  message: messageOrNull,
  suspension: nullish(ticket),
  metadata: omittedWhen(Schema.Record(Schema.String, Schema.Json), (metadata) => Object.keys(metadata).length === 0, {})
})

const withoutValue = <const T extends string>(types: ReadonlyArray<T>) =>
  Schema.Struct({ type: Schema.Literals(types), value: Schema.optionalKey(Schema.Null) })

const withValue = <const T extends string, V extends Schema.Constraint>(types: ReadonlyArray<T>, value: V) =>
  Schema.Struct({ type: Schema.Literals(types), value })

const stopped = Schema.Struct({ code: Schema.String, detail: nullish(Schema.String) })

/** Adjacently tagged: `{ type, value? }`. `plugin_requested` is an older name that is only read. */
const termination = Schema.Union([
  withoutValue(["natural_end", "behavior_requested", "plugin_requested", "cancelled", "suspended"]),
  withValue(["stopped"], stopped),
  withValue(["blocked", "error"], Schema.String)
]).pipe(
  Schema.decodeTo(
    Schema.toType(Lifecycle.TerminationReason),
    SchemaTransformation.transform({
      decode: (wire): Lifecycle.TerminationReason => {
        switch (wire.type) {
          case "natural_end":
            return { _tag: "NaturalEnd" }
          case "behavior_requested":
          case "plugin_requested":
            return { _tag: "BehaviorRequested" }
          case "cancelled":
            return { _tag: "Cancelled" }
          case "suspended":
            return { _tag: "Suspended" }
          case "stopped":
            return { _tag: "Stopped", ...wire.value }
          case "blocked":
            return { _tag: "Blocked", reason: wire.value }
          case "error":
            return { _tag: "Error", message: wire.value }
        }
      },
      encode: (reason) => {
        switch (reason._tag) {
          case "NaturalEnd":
            return { type: "natural_end" as const }
          case "BehaviorRequested":
            return { type: "behavior_requested" as const }
          case "Cancelled":
            return { type: "cancelled" as const }
          case "Suspended":
            return { type: "suspended" as const }
          case "Stopped": {
            const { _tag, ...value } = reason
            return { type: "stopped" as const, value }
          }
          case "Blocked":
            return { type: "blocked" as const, value: reason.reason }
          case "Error":
            return { type: "error" as const, value: reason.message }
        }
      }
    })
  )
)

const fieldCodecs = {
  RunStart: { identity: nullish(identity) },
  RunFinish: { identity: nullish(identity), termination },
  ToolCallDone: { result: toolResult },
  InferenceComplete: { usage: nullish(snakeCased(TokenUsage.TokenUsage)) }
}

type Tag = AgentEvent.AgentEvent["_tag"]

const eventType = (tag: Tag): string => tag.replace(/\B[A-Z]/g, (letter) => `_${letter}`).toLowerCase()

/**
 * The codec of each event, by its native tag.
 *
 * @category codecs
 * @since 0.1.0
 */
export const cases = Object.fromEntries(
  Object.entries(AgentEvent.AgentEvent.cases).map(([tag, event]) => [
    tag,
    snakeCased(event, {
      ...(Object.hasOwn(fieldCodecs, tag) ? Reflect.get(fieldCodecs, tag) : {}),
      _tag: Schema.Literal(eventType(event.fields._tag.schema.literal)).transform(event.fields._tag.schema.literal)
    })
  ])
) as { readonly [K in Tag]: Schema.Codec<Extract<AgentEvent.AgentEvent, { readonly _tag: K }>, unknown> }

/**
 * The codec of an agent event: the seed's JSON value ⇄ the native event.
 *
 * @category codecs
 * @since 0.1.0
 */
export const AgentEventJson: Schema.Codec<AgentEvent.AgentEvent, unknown> = Schema.Union(Object.values(cases))

const decodeValue = taggedDecoder(
  "event_type",
  new Set(Object.keys(cases).map((tag) => eventType(tag as Tag))),
  AgentEventJson
)

/**
 * Reads an agent event from a JSON value.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeAgentEvent = (value: unknown): Result.Result<AgentEvent.AgentEvent, DecodeError> =>
  decodeValue(value)

/**
 * Reads an agent event from a JSON text; see {@link JsonText.parse} for what is refused.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseAgentEvent = (text: string): Result.Result<AgentEvent.AgentEvent, DecodeError> =>
  Result.flatMap(JsonText.parse(text, { wellFormed: true }), decodeValue)

/**
 * Writes an agent event as a JSON value.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeAgentEvent: (event: AgentEvent.AgentEvent) => unknown = Schema.encodeSync(AgentEventJson)
