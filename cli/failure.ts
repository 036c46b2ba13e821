// How a failure leaves the program: one line of what is wrong, one of what to do next, and an exit code that scripts
// can tell apart. The only place that maps error codes to either.

import { CommanderError } from "commander";
import { type ErrorCode, HoldfastError, isHoldfastError } from "../lib/error.ts";

export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, unverified: 4, unreachable: 5 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Codes that are not here exit with 1. */
const EXIT_OF: Partial<Record<ErrorCode, ExitCode>> = {
  "invalid-request": EXIT.usage,
  "invalid-hash": EXIT.usage,
  "invalid-domain": EXIT.usage,
  "invalid-name": EXIT.usage,
  "invalid-url": EXIT.usage,
  "not-found": EXIT.notFound,
  gone: EXIT.notFound,
  "unavailable-for-legal-reasons": EXIT.notFound,
  "domain-not-found": EXIT.notFound,
  removed: EXIT.notFound,
  "not-canonical": EXIT.unverified,
  "invalid-statement": EXIT.unverified,
  "invalid-manifest": EXIT.unverified,
  "invalid-index": EXIT.unverified,
  "invalid-signature": EXIT.unverified,
  "wrong-namespace": EXIT.unverified,
  "wrong-type": EXIT.unverified,
  "name-hash-mismatch": EXIT.unverified,
  "content-hash-mismatch": EXIT.unverified,
  "length-mismatch": EXIT.unverified,
  "digest-mismatch": EXIT.unverified,
  "key-not-authorized": EXIT.unverified,
  "author-mismatch": EXIT.unverified,
  "delegation-mismatch": EXIT.unverified,
  "name-owned": EXIT.unverified,
  "no-author-key": EXIT.unverified,
  fork: EXIT.unverified,
  "no-domain-key": EXIT.unverified,
  "invalid-record": EXIT.unverified,
  "time-order": EXIT.unverified,
  "sequence-gap": EXIT.unverified,
  "statement-expired": EXIT.unverified,
  "rolled-back": EXIT.unverified,
  "domain-keys-changed": EXIT.unverified,
  "dns-failed": EXIT.unreachable,
  "dns-disagreement": EXIT.unverified,
  "dnssec-lost": EXIT.unverified,
  "no-holder": EXIT.unreachable,
  "too-few-nodes": EXIT.unreachable,
  unreachable: EXIT.unreachable,
  timeout: EXIT.unreachable,
};

/** What to do next, where the message does not say it. */
const NEXT: Partial<Record<ErrorCode, string>> = {
  "invalid-domain": "give <domain>/<name>, such as example.org/app.iso",
  "invalid-name": "give <domain>/<name>, such as example.org/app.iso",
  "invalid-signature": "do not use these bytes; ask another server with --from URL",
  "name-hash-mismatch": "ask another server with --from URL",
  "content-hash-mismatch": "do not use these bytes; ask another server with --from URL",
  "statement-expired": "ask its publisher for a newer Version, or name this one with --version ID",
  "rolled-back": "ask other servers with --from URL; --allow-older takes what there is",
  "author-mismatch": "set --author to the e-mail address in the domain's record",
  "dns-failed": "check the network, or name another resolver with HOLDFAST_DOH",
  "dns-disagreement": "with a third resolver in HOLDFAST_DOH two of three decide",
  "quota-exceeded":
    "home nodes must have room (see holdfast status), and the edge's operator sets what a domain may have",
  "disk-full": "more home nodes must have room; see holdfast status",
  "too-few-nodes":
    "see holdfast status for the home nodes known, or ask for less with --replicas or --redundancy",
  "no-holder": "try again later: offline home nodes come back",
  "rate-limited": "wait a minute and try again",
  "unknown-previous": "see holdfast log, then publish again",
  fork: "see holdfast log, then publish again",
};

export interface Failure {
  exitCode: ExitCode;
  code: string;
  message: string;
  next: string | null;
}

export function failureOf(error: unknown): Failure {
  if (isHoldfastError(error)) {
    const exitCode = EXIT_OF[error.code] ?? EXIT.failed;
    return { exitCode, code: error.code, message: error.message, next: NEXT[error.code] ?? null };
  }
  if (error instanceof CommanderError) return usageFailure(error);
  const message = error instanceof Error ? error.message : String(error);
  return { exitCode: EXIT.failed, code: systemCode(error) ?? "internal", message, next: null };
}

/** The text for stderr: lines for people, or one JSON document. */
export function formatFailure(failure: Failure, asJson: boolean): string {
  const { code, message, next } = failure;
  if (asJson) return `${JSON.stringify({ error: { code, message, ...(next === null ? {} : { next }) } })}\n`;
  const line = `holdfast: ${message} (${code})\n`;
  return next === null ? line : `${line}holdfast: ${next}\n`;
}

/** A wrong option or argument, found by a parser of argv. */
export function usageError(message: string): HoldfastError {
  return new HoldfastError("invalid-request", `${message}; see --help`);
}

function usageFailure(error: CommanderError): Failure {
  const message = error.message.replace(/^error: /, "");
  return { exitCode: EXIT.usage, code: "usage", message, next: "see holdfast --help" };
}

/** ENOENT, EACCES, ENOSPC … of Node's own errors. */
function systemCode(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
