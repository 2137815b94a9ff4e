/**
 * What must not get into the ledger.
 *
 * @since 0.1.0
 */
import { Context, Redacted } from "effect"

/**
 * Takes secrets out of a text. `redact` is called with each text of each fact, before it is written anywhere, and must be
 * synchronous; when it throws, the payload of the fact is dropped. Texts that come in pieces are put together first, and
 * as much of them as a secret may be long, `longest` in UTF-16 code units, is held back until the next piece is there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Redactor {
  readonly redact: (text: string) => string
  readonly longest: number
}

/**
 * The redactor in force; by default there is none, and everything is recorded as it comes.
 *
 * @category services
 * @since 0.1.0
 */
export const Redaction = Context.Reference<Redactor | undefined>("@runledger/core/Redaction", {
  defaultValue: () => undefined
})

/**
 * Takes known secrets out, wherever they stand, also within JSON text, and leaves `<redacted>`. Empty ones are left alone.
 *
 * **Example** (Keeping an API key out of the ledger)
 *
 * ```ts
 * import { Redaction } from "@runledger/core"
 * import { Layer, Redacted } from "effect"
 *
 * export const layer = Layer.succeed(
 *   Redaction.Redaction,
 *   Redaction.fromSecrets([Redacted.make("sk-live-0123456789")])
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSecrets = (secrets: ReadonlyArray<Redacted.Redacted>): Redactor => {
  // The longest first, for one may be part of another.
  const values = secrets
    .map(Redacted.value)
    .filter((secret) => secret !== "")
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])
    .toSorted((a, b) => b.length - a.length)
  return {
    redact: (text) => values.reduce((rest, secret) => rest.replaceAll(secret, () => "<redacted>"), text),
    longest: values[0]?.length ?? 0
  }
}
