// One server of the HTTP protocol, edge or home node: its JSON requests. Chunks travel in chunk-fetch.ts and
// node-upload.ts. What a server says is parsed here, and believed nowhere.

import type { DeadlineLimits } from "../deadline.ts";
import { HoldfastError } from "../error.ts";
import type { Fetch } from "../fetch.ts";
import type { Hash } from "../hash.ts";
import type { Domain } from "../names.ts";
import {
  type LocateAnswer,
  type PlanAnswer,
  type PlanRequest,
  parseLocateAnswer,
  parsePlanAnswer,
  parseSuspectAnswer,
  type SuspectAnswer,
  type SuspectRequest,
} from "../wire/chunks.ts";
import {
  LOOKUP_ANSWER_MAX,
  type LookupAnswer,
  NAME_ANSWER_MAX,
  type NameAnswer,
  type NameKey,
  type NamesAnswer,
  type NamesRequest,
  parseLookupAnswer,
  parseNameAnswer,
  parseNamesAnswer,
} from "../wire/names.ts";
import {
  type ClosestAnswer,
  parseClosestAnswer,
  parseServerIdentity,
  type ServerIdentity,
  URL_TEXT_MAX,
} from "../wire/nodes.ts";
import { type DomainSupport, type EdgeStatus, parseDomainSupport, parseEdgeStatus } from "../wire/status.ts";
import { requestJson } from "./request.ts";

const LOOKUP_LIMITS: DeadlineLimits = { idleMs: 15_000, totalMs: 60_000 };
/** The server asks DNS and every holder's shard before it answers these. */
const WRITE_LIMITS: DeadlineLimits = { idleMs: 60_000, totalMs: 120_000 };
/** Nobody waits for the answer to a complaint. */
const COMPLAINT_LIMITS: DeadlineLimits = { idleMs: 3000, totalMs: 3000 };
/** A locate answer names up to 256 chunks with 64 holders each. */
const LOCATE_ANSWER_MAX = 4 * 1024 * 1024;

export interface ServerOptions {
  /** How long an answer to a question may take. */
  limits?: DeadlineLimits;
  /** How often to wait where the server says that it is asked too much. */
  waitsMax?: number;
  /** False for a home node. */
  isEdge?: boolean;
}

export class Server {
  /** Without a slash at its end. */
  readonly url: string;
  readonly isEdge: boolean;
  readonly #fetch: Fetch;
  readonly #options: ServerOptions;

  constructor(url: string, fetch: Fetch, options: ServerOptions = {}) {
    this.url = parseServerUrl(url);
    this.isEdge = options.isEdge ?? true;
    this.#fetch = fetch;
    this.#options = options;
  }

  /** Statements about a name, newest first as the server has it; `before` is the `next` of the page before. */
  name(nameHash: Hash, domain: Domain, before: Hash | null = null): Promise<NameAnswer> {
    const page = before === null ? "" : `&before=${before}`;
    return this.#get(`/name/${nameHash}?domain=${domain}${page}`, parseNameAnswer, NAME_ANSWER_MAX);
  }

  /** The newest Versions of at most NAMES_PER_LOOKUP_MAX names. */
  lookup(names: NameKey[]): Promise<LookupAnswer> {
    return this.#post("/name/lookup", { names }, LOOKUP_LIMITS, parseLookupAnswer, LOOKUP_ANSWER_MAX);
  }

  postNames(request: NamesRequest): Promise<NamesAnswer> {
    return this.#post("/names", request, WRITE_LIMITS, parseNamesAnswer);
  }

  plan(request: PlanRequest): Promise<PlanAnswer> {
    return this.#post("/chunk/plan", request, WRITE_LIMITS, parsePlanAnswer);
  }

  locate(chunks: Hash[]): Promise<LocateAnswer> {
    return this.#post("/chunk/locate", { chunks }, LOOKUP_LIMITS, parseLocateAnswer, LOCATE_ANSWER_MAX);
  }

  /** Has an edge read what did not come from these holders. */
  suspect(request: SuspectRequest): Promise<SuspectAnswer> {
    return this.#post("/chunk/suspect", request, COMPLAINT_LIMITS, parseSuspectAnswer, undefined, 0);
  }

  closest(hash: Hash): Promise<ClosestAnswer> {
    return this.#get(`/closest/${hash}`, parseClosestAnswer);
  }

  /** What an edge knows of a domain that DNS does not. */
  domainSupport(domain: Domain): Promise<DomainSupport> {
    return this.#get(`/domain/${domain}`, parseDomainSupport);
  }

  /** An edge's status; a home node answers with other fields. */
  status(): Promise<EdgeStatus> {
    return this.#get("/status", parseEdgeStatus);
  }

  /** Who answers here, and whether it is an edge or a home node. */
  identity(): Promise<ServerIdentity> {
    return this.#get("/status", parseServerIdentity);
  }

  #get<T>(path: string, parse: (value: unknown) => T, maxBytes?: number): Promise<T> {
    return requestJson(this.#fetch, `${this.url}${path}`, {
      headers: { accept: "application/json" },
      limits: this.#options.limits ?? LOOKUP_LIMITS,
      ...(this.#options.waitsMax === undefined ? {} : { waitsMax: this.#options.waitsMax }),
      parse,
      ...(maxBytes === undefined ? {} : { maxBytes }),
    });
  }

  #post<T>(
    path: string,
    body: unknown,
    limits: DeadlineLimits,
    parse: (value: unknown) => T,
    maxBytes?: number,
    waitsMax?: number,
  ): Promise<T> {
    return requestJson(this.#fetch, `${this.url}${path}`, {
      ...(waitsMax === undefined ? {} : { waitsMax }),
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify(body),
      limits,
      parse,
      ...(maxBytes === undefined ? {} : { maxBytes }),
    });
  }
}

/** `https://edge.example` or `http://127.0.0.1:8787`, with a path where the server stands under one. Throws `invalid-url`. */
export function parseServerUrl(text: string): string {
  const url = parseUrl(text);
  const usable =
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === "";
  if (!usable) throw notServerUrl(text);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function parseUrl(text: string): URL {
  if (text.length > URL_TEXT_MAX) throw notServerUrl(text);
  try {
    return new URL(text);
  } catch (cause) {
    throw notServerUrl(text, cause);
  }
}

function notServerUrl(text: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    "invalid-url",
    `${JSON.stringify(text.slice(0, 80))} is no server's URL; expected one such as https://edge.example.org`,
    { cause },
  );
}
