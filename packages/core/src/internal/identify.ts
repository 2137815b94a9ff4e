/**
 * The stage that gives facts their text and their identity: redacted, no larger than allowed, companions with what
 * caused them.
 *
 * In the seed, drafts carry no identity, so a retry duplicates; and everything is stored as it comes.
 */
import { Result } from "effect"
import type { NormalizedEvent, Remnant } from "../CanonicalEvent.ts"
import * as Json from "../Json.ts"
import { ValidationError } from "../LedgerError.ts"
import type { Redactor } from "../Redaction.ts"
import * as StagedEvent from "../StagedEvent.ts"
import type { Gap } from "./gap.ts"
import { redact } from "./redact.ts"
import { remnant } from "./remnant.ts"
import type { Entry } from "./stages.ts"
import { sha256 } from "./text.ts"
import { normalized as inDraft } from "./transition.ts"

/** What a payload may be. */
export interface Limits {
  readonly redactor: Redactor | undefined
  readonly maxEventBytes: number
}

const withoutSecrets = (redactor: Redactor, text: string): string => {
  const payload = Json.parse(text)
  const redacted = redact(redactor, payload)
  return redacted === payload ? text : JSON.stringify(redacted)
}

/** What is left of a payload that was not redacted: its ids and outcome, if at least these can be. */
const leftOf = (payload: unknown, redactor: Redactor | undefined, withheld: "not_json" | "not_redacted"): Remnant => {
  try {
    const left = remnant(payload, { withheld })
    return redactor === undefined ? left : { ...(redact(redactor, left) as object), withheld }
  } catch {
    return { withheld }
  }
}

/** A code unit of UTF-16 is at most three bytes of UTF-8, so most texts need not be measured. */
const isTooLarge = (text: string, maxBytes: number): boolean =>
  text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes

type NotSaid = { readonly left: Remnant; readonly why: "too_large" | "refused" }

const withhold = (
  { payload }: NormalizedEvent["draft"],
  { redactor }: Limits,
  withheld: "not_json" | "not_redacted"
): Result.Result<never, NotSaid> => Result.fail({ left: leftOf(payload, redactor, withheld), why: "refused" })

const truncate = (payload: unknown, text: string): Result.Result<never, NotSaid> =>
  Result.fail({
    left: remnant(payload, { truncated: { bytes: Buffer.byteLength(text), sha256: sha256(text) } }),
    why: "too_large"
  })

/** The text of a payload, or what is left of it and why. */
const textOf = (draft: NormalizedEvent["draft"], limits: Limits): Result.Result<string, NotSaid> => {
  const { maxEventBytes, redactor } = limits
  const said = StagedEvent.textOf(draft)
  if (Result.isFailure(said)) {
    return withhold(draft, limits, "not_json")
  }
  if (redactor === undefined) {
    return isTooLarge(said.success, maxEventBytes)
      ? truncate(draft.payload, said.success)
      : Result.succeed(said.success)
  }
  let text: string
  try {
    text = withoutSecrets(redactor, said.success)
  } catch {
    return withhold(draft, limits, "not_redacted")
  }
  return isTooLarge(text, maxEventBytes) ? truncate(Json.parse(text), text) : Result.succeed(text)
}

const tagOf = (payload: unknown, kind: string): string =>
  typeof payload === "object" && payload !== null && "_tag" in payload ? String(payload._tag) : kind

/** A gap in the place of an observed event that cannot be kept. */
const inPlaceOf = (
  { events = 1, lastOrdinal, normalized, ordinal = 0 }: Entry,
  why: "too_large" | "refused"
): NormalizedEvent => {
  const { draft } = normalized
  const tags = { [tagOf(draft.payload, draft.kind)]: events }
  const gap: Gap = { reason: why, events, tags, firstOrdinal: ordinal, lastOrdinal: lastOrdinal ?? ordinal }
  return inDraft(draft, "control_event", "CaptureGap", draft.scopes, gap)
}

/** A fact that is not what was said, and why. */
export interface Problem {
  readonly tag: string
  readonly ordinal: number
  readonly error: ValidationError
}

const problemOf = ({ normalized: { draft, fidelity }, ordinal = 0 }: Entry, left: Remnant): Problem => {
  const what =
    "truncated" in left
      ? `its payload has ${left.truncated.bytes} bytes, which is more than allowed`
      : left.withheld === "not_json"
        ? "its payload is no JSON"
        : "its payload could not be redacted"
  const rest = fidelity === "observed_runtime_event" ? "" : "; its kind, its ids and its outcome are kept"
  return {
    tag: tagOf(draft.payload, draft.kind),
    ordinal,
    error: new ValidationError({ message: `validation error: ${what}${rest}` })
  }
}

/** The unit of what one event brought. */
export const identify = (
  entries: ReadonlyArray<Entry>,
  limits: Limits
): { readonly unit: StagedEvent.StagedUnit; readonly problems: ReadonlyArray<Problem> } => {
  const problems: Array<Problem> = []
  let cause: string | undefined
  const unit = entries.map((entry) => {
    const { companion, lastOrdinal, normalized, occurredAt, ordinal } = entry
    const text = textOf(normalized.draft, limits)
    const at = { occurredAt, ordinal, lastOrdinal, causationId: companion ? cause : undefined }
    let event: StagedEvent.StagedEvent
    if (Result.isSuccess(text)) {
      event = StagedEvent.fromText(normalized, text.success, at)
    } else {
      const { left, why } = text.failure
      const isObserved = normalized.fidelity === "observed_runtime_event"
      const gap = isObserved ? inPlaceOf(entry, why) : undefined
      event = StagedEvent.fromText(gap ?? normalized, JSON.stringify(gap?.draft.payload ?? left), at)
      problems.push(problemOf(entry, left))
    }
    cause = companion ? cause : event.eventId
    return event
  })
  return { unit, problems }
}
