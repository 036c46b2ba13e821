// The one error class of Holdfast. A code is stable: scripts, tests and other servers may match on it.
// lib knows no HTTP; problem.ts maps codes to status numbers.

export const ERROR_CODES = [
  // what was asked for is not well formed
  "invalid-request",
  "invalid-hash",
  "invalid-domain",
  "invalid-name",
  "invalid-key",
  "invalid-url",
  "not-canonical",
  "invalid-statement",
  "invalid-manifest",
  "invalid-index",
  "invalid-record",
  "body-too-large",
  "chunk-too-large",
  "range-not-satisfiable",
  "precondition-failed",
  "use-client",
  // it is well formed, and does not verify
  "invalid-signature",
  "wrong-namespace",
  "wrong-type",
  "name-hash-mismatch",
  "content-hash-mismatch",
  "length-mismatch",
  "digest-mismatch",
  "key-not-authorized",
  "author-mismatch",
  "delegation-mismatch",
  "name-owned",
  "witness-mismatch",
  "time-order",
  "statement-expired",
  "rolled-back",
  "statement-replayed",
  // the domain
  "domain-not-found",
  "no-domain-key",
  "no-author-key",
  "dns-failed",
  "dns-disagreement",
  "dnssec-lost",
  "domain-keys-changed",
  // names and versions
  "sequence-gap",
  "unknown-previous",
  "fork",
  "not-held",
  "not-found",
  "gone",
  "unavailable-for-legal-reasons",
  "removed",
  // grants, receipts and registration
  "grant-missing",
  "grant-expired",
  "grant-exceeded",
  "grant-mismatch",
  "receipt-invalid",
  "registration-invalid",
  "registration-expired",
  "registration-replayed",
  "contact-invalid",
  "contact-expired",
  "frame-malformed",
  "frame-too-large",
  // nodes and servers
  "domain-not-accepted",
  "quota-exceeded",
  "disk-full",
  "too-few-nodes",
  "no-holder",
  "rate-limited",
  "outside-hours",
  "method-not-allowed",
  "service-worker-refused",
  "unreachable",
  "timeout",
  "bad-answer",
  "internal",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** An expected failure. `code` is for programs, `message` is for people and says what to do next where it can. */
export class HoldfastError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "HoldfastError";
    this.code = code;
  }
}

/** True if `error` is a HoldfastError, of one of `codes` where any are given. */
export function isHoldfastError(error: unknown, ...codes: ErrorCode[]): error is HoldfastError {
  return error instanceof HoldfastError && (codes.length === 0 || codes.includes(error.code));
}
