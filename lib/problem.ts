// problem+json (RFC 9457): the one map from error codes to HTTP status numbers, for every host of the protocol.

import { ERROR_CODES, type ErrorCode, HoldfastError } from "./error.ts";

export const PROBLEM_TYPE = "application/problem+json";

const STATUS: Record<ErrorCode, number> = {
  "invalid-request": 400,
  "invalid-hash": 400,
  "invalid-domain": 400,
  "invalid-name": 400,
  "invalid-key": 400,
  "invalid-url": 400,
  "not-canonical": 400,
  "invalid-statement": 400,
  "invalid-manifest": 400,
  "invalid-index": 422,
  "invalid-record": 422,
  "body-too-large": 413,
  "chunk-too-large": 413,
  "range-not-satisfiable": 416,
  "precondition-failed": 412,
  "use-client": 406,
  "invalid-signature": 403,
  "wrong-namespace": 403,
  "wrong-type": 400,
  "name-hash-mismatch": 422,
  "content-hash-mismatch": 422,
  "length-mismatch": 400,
  "digest-mismatch": 422,
  "key-not-authorized": 403,
  "author-mismatch": 403,
  "delegation-mismatch": 403,
  "name-owned": 403,
  "witness-mismatch": 422,
  "time-order": 422,
  "statement-expired": 422,
  "rolled-back": 409,
  "statement-replayed": 403,
  "domain-not-found": 422,
  "no-domain-key": 422,
  "no-author-key": 422,
  "dns-failed": 503,
  "dns-disagreement": 503,
  "dnssec-lost": 503,
  "domain-keys-changed": 409,
  "sequence-gap": 409,
  "unknown-previous": 409,
  fork: 409,
  "not-held": 409,
  "not-found": 404,
  gone: 410,
  "unavailable-for-legal-reasons": 451,
  removed: 410,
  "grant-missing": 401,
  "grant-expired": 403,
  "grant-exceeded": 403,
  "grant-mismatch": 403,
  "receipt-invalid": 422,
  "registration-invalid": 403,
  "registration-expired": 403,
  "registration-replayed": 403,
  "contact-invalid": 403,
  "contact-expired": 403,
  "frame-malformed": 400,
  "frame-too-large": 413,
  "domain-not-accepted": 403,
  "quota-exceeded": 507,
  "disk-full": 507,
  "too-few-nodes": 503,
  "no-holder": 503,
  "rate-limited": 429,
  "outside-hours": 503,
  "method-not-allowed": 405,
  "service-worker-refused": 403,
  unreachable: 502,
  timeout: 504,
  "bad-answer": 502,
  internal: 500,
};

export interface Problem {
  type: "about:blank";
  title: string;
  status: number;
  code: ErrorCode;
  detail: string;
}

export function statusOf(code: ErrorCode): number {
  return STATUS[code];
}

/** The problem document of an expected failure. */
export function problemOf(error: HoldfastError): Problem {
  return {
    type: "about:blank",
    title: error.code.replaceAll("-", " "),
    status: statusOf(error.code),
    code: error.code,
    detail: error.message,
  };
}

/** A failure that another server reported: its own code where this version knows it, else `bad-answer`. */
export function errorOf(problem: { code: string; detail: string }): HoldfastError {
  const code = ERROR_CODES.find((known) => known === problem.code);
  return code === undefined
    ? new HoldfastError("bad-answer", `the server answered ${problem.code}: ${problem.detail}`)
    : new HoldfastError(code, problem.detail);
}
