// An edge that lies: a proxy in front of a real one, which answers as the test tells it to. What the real edge said to a
// read is remembered, so that a thousand lies cost it one question.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface Asked {
  /** Method and first segments: `GET /name`, `POST /chunk/locate`, `GET /via`. */
  kind: string;
  method: string;
  path: string;
  body: Buffer;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** What is sent in place of the true answer; null where the lie has seen to the response itself. */
export type Lie = (
  answer: Answer,
  asked: Asked,
  response: ServerResponse,
) => Answer | null | Promise<Answer | null>;

export const HONEST: Lie = (answer) => answer;

/** An answer that is given without the real edge having heard of the request; null where it is to hear of it. */
export type Withhold = (asked: Asked) => Answer | null;
/** Reads only: what they are asked twice they answer twice. */
const REMEMBERED = ["GET /name", "GET /chunk", "GET /via", "POST /name/lookup", "POST /chunk/locate"];
const SENT_ON = ["content-type", "location", "retry-after"];

export class LyingEdge {
  lie: Lie = HONEST;
  withhold: Withhold = () => null;
  /** Each request, in order. */
  readonly asked: Asked[] = [];
  readonly #edgeUrl: string;
  readonly #remembers: boolean;
  readonly #memory = new Map<string, Promise<Answer>>();
  readonly #server: Server;
  url = "";

  constructor(edgeUrl: string, { remembers }: { remembers: boolean } = { remembers: true }) {
    this.#edgeUrl = edgeUrl;
    this.#remembers = remembers;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const { port } = this.#server.address() as AddressInfo;
    this.url = `http://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** What the real edge says. */
  honest(asked: Asked): Promise<Answer> {
    if (!this.#remembers || !REMEMBERED.includes(asked.kind)) return this.#forward(asked);
    const key = createHash("sha256")
      .update(`${asked.method} ${asked.path}\n`)
      .update(asked.body)
      .digest("hex");
    const known = this.#memory.get(key) ?? this.#forward(asked);
    this.#memory.set(key, known);
    return known;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url: path = "" } = request;
    const asked = { kind: kindOf(method, path), method, path, body: await buffer(request) };
    this.asked.push(asked);
    const answer = this.withhold(asked) ?? (await this.lie(await this.honest(asked), asked, response));
    if (answer === null) return;
    response.writeHead(answer.status, answer.headers).end(method === "HEAD" ? undefined : answer.body);
  }

  async #forward({ method, path, body }: Asked): Promise<Answer> {
    const sent = method === "POST" || method === "PUT" ? { body: new Uint8Array(body) } : {};
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${this.#edgeUrl}${path}`, { method, headers, redirect: "manual", ...sent });
    const kept = SENT_ON.flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value]];
    });
    return {
      status: answer.status,
      headers: Object.fromEntries(kept),
      body: Buffer.from(await answer.arrayBuffer()),
    };
  }
}

function kindOf(method: string, path: string): string {
  const [, first = "", second = ""] = new URL(path, "http://edge").pathname.split("/");
  return `${method} /${first}${/^[a-z]+$/.test(second) ? `/${second}` : ""}`;
}

/** The answer with another JSON body. */
export function withJson(answer: Answer, value: unknown): Answer {
  return { ...answer, body: Buffer.from(value === undefined ? "" : JSON.stringify(value)) };
}

export function jsonOf({ body }: Answer): unknown {
  return JSON.parse(body.toString());
}
