import { LedgerError } from "@runledger/core"

/** The error for a ledger whose content is not what was written. */
export const damaged = (name: string, what: string, cause?: unknown): LedgerError.IntegrityError =>
  new LedgerError.IntegrityError({
    message: `the ledger ${name} is damaged: ${what}; restore it from a backup, or copy what can be read into a new one`,
    ...(cause === undefined ? {} : { cause })
  })
