/**
 * Recorded provider streams, read by the real provider packages and recorded: what the ledger then shows is compared with
 * what the AI SDK itself says of the same stream.
 */
import { Durability, EventStore, Json, MemoryEventStore, Recorder, RunView } from "@runledger/core"
import * as AiSdk from "@runledger/ai/ai-sdk"
import { dynamicTool, jsonSchema, streamText, type TextStreamPart, type ToolSet } from "ai"
import { Cause, Effect, Layer, Schema, Stream, Struct } from "effect"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { type Provider, providers } from "./Provider.ts"

/** What became of a file: what does not match, if anything. */
export interface Outcome {
  readonly name: string
  readonly problems: ReadonlyArray<string>
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a line of a recorded response says, if it has the frame of one still. */
const dataOf = (line: string): string => (/^(?:event|id|retry)?:/.test(line) ? "" : line.replace(/^data:/, "").trim())

/**
 * The events of a file: one a line, the members of an array, or the one that it is. A line that is no JSON was sent so,
 * and is sent so.
 */
export const eventsOf = (text: string): ReadonlyArray<string> => {
  const whole = text.includes("\n") ? parsed(text) : undefined
  const events =
    whole === undefined
      ? text
          .split(/\r?\n/)
          .map(dataOf)
          .filter((line) => line !== "" && line !== "[DONE]")
      : [whole].flat().map((event) => JSON.stringify(event))
  if (events.length === 0) {
    throw new Error("it holds no events")
  }
  return events
}

/** Serves a body to whoever asks, in pieces that end anywhere. */
const serve = (body: string) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer((request, response) => {
            request.resume()
            response.writeHead(200, { "content-type": "text/event-stream" })
            const bytes = Buffer.from(body)
            for (let at = 0; at < bytes.length; at += 1021) {
              response.write(bytes.subarray(at, at + 1021))
            }
            response.end()
          })
          server.listen(0, "127.0.0.1", () => resolve(server))
        })
    ),
    (server) =>
      Effect.promise(
        () =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeAllConnections()
          })
      )
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

type Part = TextStreamPart<ToolSet>

/** What the SDK itself says of a stream, at its end. */
interface Told {
  readonly steps: ReadonlyArray<Awaited<ReturnType<typeof streamText>["steps"]>[number]>
  readonly finishReason: string | undefined
  readonly usage: Awaited<ReturnType<typeof streamText>["totalUsage"]> | undefined
  readonly errors: ReadonlyArray<unknown>
  readonly sent: ReadonlyArray<Part>
}

/** A stream without a step has no other end than its error. */
const orUndefined = <A>(promise: PromiseLike<A>): Effect.Effect<A | undefined> =>
  Effect.promise(() => Promise.resolve(promise).catch(() => undefined))

const runId = "run"

/** Reads a stream once and records it. */
const read = Effect.fnUntraced(function* (provider: Provider, baseURL: string, tools: ToolSet) {
  const errors: Array<unknown> = []
  const sent: Array<Part> = []
  const result = streamText({
    model: provider.model(baseURL),
    prompt: "…",
    tools,
    maxRetries: 0,
    include: { rawChunks: true },
    onError: ({ error }) => void errors.push(error)
  })
  const noted = async function* () {
    for await (const part of result.stream) {
      sent.push(part)
      yield part
    }
  }
  const received = yield* AiSdk.record(noted()).pipe(
    Stream.runCollect,
    Recorder.record({ threadId: "transcripts", runId })
  )
  const store = yield* EventStore.EventStore
  const { facts } = yield* store.read({ scope: { _tag: "Run", runId }, limit: 10_000 })
  const told: Told = {
    steps: (yield* orUndefined(result.steps)) ?? [],
    finishReason: yield* orUndefined(result.finishReason),
    usage: yield* orUndefined(result.totalUsage),
    errors,
    sent
  }
  return { told, received, facts, view: RunView.fromFacts(runId, facts) }
})

type Read = Effect.Success<ReturnType<typeof read>>

/** A value as the JSON that it can be. */
const plain = (value: unknown): unknown => (value === undefined ? null : JSON.parse(JSON.stringify(value) ?? "null"))

const same = (left: unknown, right: unknown): boolean => Json.canonical(plain(left)) === Json.canonical(plain(right))

const short = (value: unknown): string => {
  const text = Json.canonical(plain(value))
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}

interface Block {
  readonly type: "text" | "reasoning"
  readonly text: string
  readonly metadata: unknown
}

/** The pieces that were said; what a provider keeps of a reasoning that it hides is one, an empty text is none. */
const blocksTold = ({ steps }: Told): ReadonlyArray<Block> =>
  steps
    .flatMap(({ content }) => content)
    .flatMap((part) =>
      part.type === "text" || part.type === "reasoning"
        ? [{ type: part.type, text: part.text, metadata: part.providerMetadata ?? {} }]
        : []
    )
    .filter(
      ({ metadata, text, type }) => text !== "" || (type === "reasoning" && Object.keys(Object(metadata)).length > 0)
    )

const partsSeen = ({ view }: Read) =>
  view.messages.filter(({ role }) => role === "assistant").flatMap(({ parts }) => parts)

const blocksSeen = (read: Read): ReadonlyArray<Block> =>
  partsSeen(read).flatMap(
    (part): ReadonlyArray<Block> =>
      part._tag === "Text"
        ? [{ type: "text", text: part.text, metadata: part.metadata }]
        : part._tag === "Reasoning"
          ? [{ type: "reasoning", text: part.text, metadata: part.metadata }]
          : []
  )

/** Whether everything that the SDK knows of a piece at its end is kept, beside what was said of it earlier. */
const covers = (seen: unknown, told: unknown): boolean =>
  Object.entries(Object(told)).every(([provider, said]) =>
    Object.entries(Object(said)).every(([key, value]) =>
      same(Reflect.get(Object(Reflect.get(Object(seen), provider)), key), value)
    )
  )

const textOf = (blocks: ReadonlyArray<Block>, type: Block["type"]): string =>
  blocks
    .filter((block) => block.type === type)
    .map(({ text }) => text)
    .join("")

/** The pieces of a type, each with where it ends in all that is said. */
const ends = (blocks: ReadonlyArray<Block>, type: Block["type"]) => {
  let end = 0
  return blocks
    .filter((block) => block.type === type)
    .map(({ metadata, text }) => ({ end: (end += text.length), metadata }))
}

/** What is kept of pieces otherwise than the SDK has them. A piece within which another thing was said may be two. */
const piecesDiffer = (seen: ReadonlyArray<Block>, told: ReadonlyArray<Block>, type: Block["type"]) => {
  const kept = ends(seen, type)
  return ends(told, type).flatMap(({ end, metadata }) => {
    const at = kept.filter((piece) => piece.end === end)
    return at.length === 0
      ? [`${type}: no piece ends at ${end}`]
      : at.some((piece) => covers(piece.metadata, metadata))
        ? []
        : [`${type}: the piece that ends at ${end} has ${short(at)} and lacks some of ${short(metadata)}`]
  })
}

const callsTold = ({ steps }: Told) =>
  steps
    .flatMap(({ toolCalls }) => toolCalls)
    .map(({ input, toolCallId: id, toolName: name }) => ({ id, name, arguments: plain(input) }))

/** The calls whose arguments came to their end; of one that an earlier answer made, only the result is here. */
const callsSeen = ({ view }: Read) =>
  RunView.calls(view).flatMap((call) =>
    call.arguments === undefined ? [] : [{ id: call.id, name: call.name, arguments: call.arguments }]
  )

/** What the tools came to that ran at the provider, and the calls that could not be read. The last of a call counts. */
const outputsTold = ({ steps }: Told) =>
  Array.from(
    new Map(
      steps
        .flatMap(({ content }) => content)
        .flatMap((part) =>
          part.type === "tool-result"
            ? [{ id: part.toolCallId, state: "succeeded", data: plain(part.output) }]
            : part.type === "tool-error"
              ? [{ id: part.toolCallId, state: "failed", data: plain(part.error) }]
              : []
        )
        .map((output) => [output.id, output])
    ).values()
  )

const outputsSeen = ({ view }: Read, ids: ReadonlyArray<string>) =>
  ids.map((id) => {
    const call = RunView.calls(view).find((call) => call.id === id)
    return { id, state: call?.state, data: call?.result?.data }
  })

const sourcesTold = ({ steps }: Told) =>
  steps.flatMap(({ sources }) => sources).map(Struct.omit(["providerMetadata", "type"]))

const sourcesSeen = (read: Read) =>
  partsSeen(read).flatMap((part) =>
    part._tag === "Data" && part.mediaType === "application/vnd.runledger.source+json" ? [part.data] : []
  )

const filesTold = ({ steps }: Told) =>
  steps.flatMap(({ files }) => files).map(({ base64, mediaType }) => ({ mediaType, data: base64 }))

const filesSeen = (read: Read) =>
  partsSeen(read).flatMap((part) =>
    part._tag === "Data" && !part.mediaType.startsWith("application/vnd.runledger.")
      ? [{ mediaType: part.mediaType, data: part.data }]
      : []
  )

/** The approvals that the provider asks for. */
const approvalsTold = ({ steps }: Told): ReadonlyArray<string> =>
  steps
    .flatMap(({ content }) => content)
    .flatMap((part) => (part.type === "tool-approval-request" && part.isAutomatic !== true ? [part.approvalId] : []))

const usageTold = ({ usage }: Told) => ({
  promptTokens: usage?.inputTokens ?? 0,
  completionTokens: usage?.outputTokens ?? 0,
  totalTokens: usage?.totalTokens ?? 0,
  cacheReadTokens: usage?.inputTokenDetails.cacheReadTokens ?? 0,
  cacheCreationTokens: usage?.inputTokenDetails.cacheWriteTokens ?? 0,
  thinkingTokens: usage?.outputTokenDetails.reasoningTokens ?? 0
})

/** How the run must have ended. */
const endTold = (told: Told): string => {
  if (told.errors.length > 0 || told.finishReason === "error") {
    return "error"
  }
  if (told.finishReason === "content-filter") {
    return "blocked:content-filter"
  }
  if (approvalsTold(told).length > 0) {
    return "waiting"
  }
  return told.finishReason === "length" || told.finishReason === "interrupted"
    ? `stopped:${told.finishReason}`
    : "natural"
}

/** An error that is no `Error` has no one message. */
const errorTold = (error: unknown): string | undefined =>
  error instanceof Error && error.message !== "" ? error.message : undefined

const errorsMatch = ({ told, view }: Read): boolean =>
  view.errors.length === told.errors.length &&
  told.errors.every((error, index) => {
    const message = errorTold(error)
    return message === undefined || view.errors[index]?.message === message
  })

const isPlain = Schema.is(Schema.Json)

/** What the ledger has otherwise than the SDK. */
const compare = (read: Read): ReadonlyArray<string> => {
  const { facts, received, told, view } = read
  const problems: Array<string> = []
  const expect = (what: string, seen: unknown, expected: unknown): void => {
    if (!same(seen, expected)) {
      problems.push(`${what}: the ledger has ${short(seen)}, the SDK says ${short(expected)}`)
    }
  }
  const seen = blocksSeen(read)
  const blocks = blocksTold(told)
  for (const type of ["text", "reasoning"] as const) {
    expect(type, textOf(seen, type), textOf(blocks, type))
    problems.push(...piecesDiffer(seen, blocks, type))
  }
  expect("tool calls", callsSeen(read), callsTold(told))
  const outputs = outputsTold(told)
  const ids = outputs.map(({ id }) => id)
  expect("tool outputs", outputsSeen(read, ids), outputs)
  expect("sources", sourcesSeen(read), sourcesTold(told))
  expect("files", filesSeen(read), filesTold(told))
  const approvals = view.permissions.map(({ suspensionId }) => suspensionId)
  expect("approvals", approvals, approvalsTold(told))
  expect("usage", view.tokens, usageTold(told))
  expect("steps", view.inferences, told.steps.length)
  expect("finish reason", Reflect.get(Object(view.result), "finishReason"), told.finishReason)
  expect("end", view.status === "waiting" ? view.status : view.doneReason, endTold(told))
  if (!errorsMatch(read)) {
    const errors = view.errors.map(({ message }) => message)
    problems.push(`errors: the ledger has ${short(errors)}, the SDK says ${short(told.errors.map(messageOf))}`)
  }
  if (received.length !== told.sent.length || received.some((part, index) => part !== told.sent[index])) {
    problems.push("the parts that reach the app are not those of the stream")
  }
  if (view.gaps.length > 0) {
    problems.push(`some is not recorded: ${short(view.gaps)}`)
  }
  for (const { kind, payload } of facts) {
    if (!isPlain(payload)) {
      problems.push(`the payload of a ${kind} is not JSON`)
    }
  }
  return problems
}

/** A file may hold images, and all of it is compared. */
const ledger = () =>
  Recorder.layer({ maxEventBytes: 2 ** 28 }).pipe(Layer.provideMerge(Layer.fresh(MemoryEventStore.layer)))

const namesOf = (parts: ReadonlyArray<Part>): ReadonlySet<string> =>
  new Set(parts.flatMap((part) => ("toolName" in part ? [part.toolName] : [])))

/** A tool for every name, which takes anything and is not run. */
const toolsFor = (names: ReadonlySet<string>): ToolSet =>
  Object.fromEntries(
    Array.from(names, (name) => [
      name,
      dynamicTool({ inputSchema: jsonSchema({ type: "object" }), execute: undefined } as never)
    ])
  )

/**
 * Reads the same events four times: without tools, so that the calls of the model cannot be read, and with tools of the
 * names that are then known; each once with all facts kept and once compacted.
 */
const check = Effect.fnUntraced(function* (provider: Provider, events: ReadonlyArray<string>) {
  const baseURL = yield* serve(provider.frame(events))
  const readWith = Effect.fnUntraced(function* (turn: string, tools: ToolSet) {
    const modes = yield* Effect.forEach(["full_fidelity", "compacted"] as const, (mode) =>
      read(provider, baseURL, tools).pipe(
        Effect.map((one) => ({ one, problems: compare(one).map((problem) => `${turn}, ${mode}: ${problem}`) })),
        Effect.provideService(Durability.Durability, mode),
        Effect.provide(ledger())
      )
    )
    const { sent } = modes[0].one.told
    return { problems: modes.flatMap(({ problems }) => problems), sent }
  })
  const without = yield* readWith("without tools", {})
  const withTools = yield* readWith("with tools", toolsFor(namesOf(without.sent)))
  const errors = [without, withTools].map(({ sent }) => sent.filter(({ type }) => type === "error").length)
  return [
    ...without.problems,
    ...withTools.problems,
    ...(errors[0] === errors[1] ? [] : ["the provider cannot be asked with tools of these names"])
  ]
}, Effect.scoped)

const contentOf = (path: string): string => {
  if (!statSync(path).isFile()) {
    throw new Error("it is no file")
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path))
}

/** Reads and compares one file. Whatever goes wrong is a problem of the file. */
export const runFile = (name: string, provider: Provider, path: string): Effect.Effect<Outcome> =>
  Effect.try({ try: () => eventsOf(contentOf(path)), catch: (cause) => cause }).pipe(
    Effect.flatMap((events) => check(provider, events)),
    Effect.timeout("60 seconds"),
    Effect.sandbox,
    Effect.match({
      onSuccess: (problems) => ({ name, problems }),
      onFailure: (cause) => ({ name, problems: [`it cannot be read: ${messageOf(Cause.squash(cause))}`] })
    })
  )

const visible = (path: string): ReadonlyArray<string> =>
  readdirSync(path)
    .filter((name) => !name.startsWith("."))
    .toSorted()

/** The folder called after a provider: an outcome a file, or one that says why there are none. */
const runProvider = (dir: string, folder: string): ReadonlyArray<Effect.Effect<Outcome>> => {
  const provider = providers.get(folder)
  if (provider === undefined) {
    const known = [...providers.keys()].join(", ")
    return [Effect.succeed({ name: folder, problems: [`no provider is called that; known are ${known}`] })]
  }
  try {
    return visible(join(dir, folder)).map((file) => runFile(`${folder}/${file}`, provider, join(dir, folder, file)))
  } catch (error) {
    return [Effect.succeed({ name: folder, problems: [`it cannot be read: ${messageOf(error)}`] })]
  }
}

/** Runs a folder of folders, each named after the provider whose streams it holds. */
export const runFolder = (
  dir: string,
  say: (outcome: Outcome) => void = () => undefined
): Effect.Effect<ReadonlyArray<Outcome>> =>
  Effect.suspend(() => {
    const folders = visible(dir).filter(
      (name) => statSync(join(dir, name), { throwIfNoEntry: false })?.isDirectory() === true
    )
    return Effect.forEach(
      folders.flatMap((folder) => runProvider(dir, folder)),
      (run) => Effect.tap(run, (outcome) => Effect.sync(() => say(outcome)))
    )
  })
