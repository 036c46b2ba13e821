// One HTTP exchange with a server of the protocol, bounded in time and bytes. Every way in which it can fail becomes
// a HoldfastError whose message names the URL: the server's own code where it gave one, else unreachable, timeout
// or bad-answer.

import { parseJson } from "../canonical-json.ts";
import { Deadline, type DeadlineLimits } from "../deadline.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { type Fetch, type FetchInit, type FetchResponse, readBody } from "../fetch.ts";
import { errorOf, PROBLEM_TYPE } from "../problem.ts";
import { parseProblem, SMALL_ANSWER_MAX } from "../wire/problem.ts";

const PROBLEM_BYTES_MAX = 64 * 1024;
const CAUSE_DEPTH_MAX = 4;
const CAUSE_TEXT_MAX = 200;
// A server's words end up in terminals: control characters could move the cursor or recolour the screen.
const CONTROLS = /[\p{Cc}\p{Cf}\u2028\u2029]+/gu;

/** A server that says "later" is asked again so often, each time after the pause that it names, up to RETRY_AFTER_MAX_S. */
export const RATE_WAITS_MAX = 5;
export const RETRY_AFTER_MAX_S = 60;
const TOO_MANY_REQUESTS = 429;

export interface Exchange extends Pick<FetchInit, "method" | "headers" | "body"> {
  limits: DeadlineLimits;
  /** How often to wait where the server says that it is asked too much: RATE_WAITS_MAX of a server, none unless given. */
  waitsMax?: number;
  /** Gives up for a reason of the caller's own. */
  signal?: AbortSignal | undefined;
}

export interface JsonExchange<T> extends Exchange {
  maxBytes?: number;
  parse: (value: unknown) => T;
}

/** Sends a request and parses its JSON answer. */
export async function requestJson<T>(fetch: Fetch, url: string, exchange: JsonExchange<T>): Promise<T> {
  const maxBytes = exchange.maxBytes ?? SMALL_ANSWER_MAX;
  const patient = { waitsMax: RATE_WAITS_MAX, ...exchange };
  const bytes = await withResponse(fetch, url, patient, async (response) => {
    await checkStatus(response, url);
    return readBody(response, maxBytes);
  });
  return parseAnswer(url, bytes, maxBytes, exchange.parse);
}

/** Runs `use` on the response within the deadline; reading its body counts as hearing from the server. */
export async function withResponse<T>(
  fetch: Fetch,
  url: string,
  exchange: Exchange,
  use: (response: FetchResponse) => Promise<T>,
): Promise<T> {
  const { waitsMax = 0 } = exchange;
  for (let waits = 0; ; waits++) {
    const outcome = await exchangeOnce(fetch, url, exchange, async (response) => {
      const pauseMs = waits < waitsMax ? pauseOf(response) : null;
      if (pauseMs === null) return { value: await use(response) };
      await response.body?.getReader().cancel();
      return { pauseMs };
    });
    if ("value" in outcome) return outcome.value;
    await pause(outcome.pauseMs, exchange.signal);
  }
}

async function exchangeOnce<T>(
  fetch: Fetch,
  url: string,
  { limits, signal, waitsMax: _, ...init }: Exchange,
  use: (response: FetchResponse) => Promise<T>,
): Promise<T> {
  const deadline = new Deadline(url, limits);
  const both = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
  try {
    const response = await fetch(url, { ...init, signal: both, redirect: "manual" });
    deadline.extend();
    return await use(heardBy(deadline, response));
  } catch (error) {
    throw failureOf(error, url, both);
  } finally {
    deadline.stop();
  }
}

/** How long the server asks to be left alone, or null where it does not, or for longer than anybody waits. */
function pauseOf({ status, headers }: FetchResponse): number | null {
  const text = headers.get("retry-after") ?? "";
  if (status !== TOO_MANY_REQUESTS || !/^\d{1,4}$/.test(text) || Number(text) > RETRY_AFTER_MAX_S)
    return null;
  return Number(text) * 1000;
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    signal?.addEventListener("abort", stop, { once: true });
  });
  signal?.throwIfAborted();
}

/** Throws what a response that is not 2xx stands for. */
export async function checkStatus(response: FetchResponse, url: string): Promise<void> {
  if (response.status >= 200 && response.status < 300) return;
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith(PROBLEM_TYPE)) throw await problemFrom(response, url);
  await response.body?.getReader().cancel();
  throw new HoldfastError(
    "bad-answer",
    `${url} answered ${response.status}, which is no answer of the protocol; is it a Holdfast server?`,
  );
}

/** Text of a stranger's, safe to print. */
export function plainText(text: string): string {
  return text.replace(CONTROLS, " ");
}

async function problemFrom(response: FetchResponse, url: string): Promise<HoldfastError> {
  const bytes = await readBody(response, PROBLEM_BYTES_MAX);
  const error = errorOf(parseAnswer(url, bytes, PROBLEM_BYTES_MAX, parseProblem));
  const detail = plainText(error.message);
  return new HoldfastError(error.code, `${detail === "" ? error.code : detail} (said ${url})`);
}

function parseAnswer<T>(url: string, bytes: Uint8Array, maxBytes: number, parse: (value: unknown) => T): T {
  try {
    return parse(parseJson(bytes, maxBytes));
  } catch (cause) {
    if (!isHoldfastError(cause)) throw cause;
    throw new HoldfastError(
      "bad-answer",
      `the answer of ${url} does not parse (${plainText(cause.message)}); update holdfast, or ask another server`,
      { cause },
    );
  }
}

function heardBy(deadline: Deadline, response: FetchResponse): FetchResponse {
  const { status, headers, body } = response;
  if (body === null) return { status, headers, body };
  const getReader = () => {
    const reader = body.getReader();
    const read = async () => {
      const block = await reader.read();
      deadline.extend();
      return block;
    };
    return { read, cancel: (reason?: unknown) => reader.cancel(reason) };
  };
  return { status, headers, body: { getReader } };
}

function failureOf(error: unknown, url: string, signal: AbortSignal): unknown {
  if (isHoldfastError(error, "body-too-large")) {
    return new HoldfastError("bad-answer", `the answer of ${url} is larger than allowed`, { cause: error });
  }
  if (error instanceof HoldfastError) return error;
  if (signal.aborted) return signal.reason;
  return new HoldfastError(
    "unreachable",
    `cannot reach ${url} (${causeText(error)}); check the address and that the server runs`,
    { cause: error },
  );
}

// fetch says only "fetch failed"; the reason (ECONNREFUSED, a certificate) is the innermost cause.
function causeText(error: unknown): string {
  let innermost = error;
  for (let depth = 0; depth < CAUSE_DEPTH_MAX; depth++) {
    if (!(innermost instanceof Error) || !(innermost.cause instanceof Error)) break;
    innermost = innermost.cause;
  }
  if (!(innermost instanceof Error)) return "no reason given";
  const code = "code" in innermost && typeof innermost.code === "string" ? innermost.code : "";
  const text = innermost.message === "" ? code : innermost.message;
  return plainText(text === "" ? innermost.name : text).slice(0, CAUSE_TEXT_MAX);
}
