// The doors of a home node: the listener, if it has one, and the socket in its folder. Who comes in by the listener gets
// the protocol's app, the same for everybody; but the volunteer sees the page and all of /status, by either door.

import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Logger } from "pino";
import { isLoopbackHost } from "../../lib/node-url.ts";
import type { NodeConfig } from "../config.ts";
import { createListener, type Listener, type Upgrades } from "./listener.ts";
import { hasKey, isLocalRequest, KEY_PARAMETER } from "./local-request.ts";
import { createStatusSocket, type StatusSocket } from "./status-socket.ts";

/** Paths that the volunteer has, and strangers have not or see less of. */
const LOCAL_PATHS = ["/", "/status"];
const LOCAL_METHODS = ["GET", "HEAD"];
const ANY_ADDRESS = ["0.0.0.0", "[::]"];
const KEY_BYTES = 16;

type App = { fetch: (request: Request) => Response | Promise<Response> };

export interface DoorsDeps {
  /** For everybody. */
  open: App;
  /** For the volunteer. */
  local: App;
  /** Takes WebSockets at the listener. */
  upgrades: Upgrades | null;
  log: Logger;
}

export class Doors {
  readonly #deps: DoorsDeps;
  readonly #listener: Listener | null;
  readonly #socket: StatusSocket;
  /**
   * A node with a public URL has a proxy in front of it, perhaps on this machine, and perhaps one that does not say for
   * whom it asks (nginx, unless told to). There the volunteer needs a key, which the socket tells. Null: none is needed.
   */
  readonly #key: string | null;
  /** The listener's origin once it listens. */
  #url: string | null = null;

  constructor({ dir, listen, publicUrl }: Pick<NodeConfig, "dir" | "listen" | "publicUrl">, deps: DoorsDeps) {
    this.#deps = deps;
    this.#key = isPublic(publicUrl) ? randomBytes(KEY_BYTES).toString("hex") : null;
    this.#listener =
      listen === null
        ? null
        : createListener((request, message) => this.#answer(request, message), listen, deps.upgrades);
    this.#socket = createStatusSocket(dir, (request) => deps.local.fetch(request));
  }

  get url(): string | null {
    return this.#url;
  }

  /** Where a browser on this machine finds the page; null where the listener cannot be asked from here as loopback. */
  get page(): string | null {
    return this.#url === null ? null : pageUrlOf(this.#url, this.#key);
  }

  async start(): Promise<void> {
    this.#url = (await this.#listener?.start()) ?? null;
    try {
      await this.#socket.start();
    } catch (error) {
      // Not every file system has sockets, and a node serves without.
      this.#deps.log.warn({ err: error }, "no socket in the folder: node status works with --url only");
    }
  }

  async stop(): Promise<void> {
    await this.#listener?.stop();
    await this.#socket.stop();
  }

  #answer(request: Request, message: IncomingMessage): Response | Promise<Response> {
    const { open, local } = this.#deps;
    const [path = ""] = message.url?.split("?", 1) ?? [];
    const isLocal =
      LOCAL_METHODS.includes(request.method) &&
      LOCAL_PATHS.includes(path) &&
      isLocalRequest(message) &&
      (this.#key === null || hasKey(request.url, this.#key));
    return isLocal ? local.fetch(request) : open.fetch(request);
  }
}

function isPublic(publicUrl: string | null): boolean {
  return publicUrl !== null && !isLoopbackHost(new URL(publicUrl).hostname);
}

function pageUrlOf(origin: string, key: string | null): string | null {
  const url = new URL(origin);
  if (ANY_ADDRESS.includes(url.hostname)) url.hostname = "127.0.0.1";
  if (!isLoopbackHost(url.hostname)) return null;
  if (key !== null) url.searchParams.set(KEY_PARAMETER, key);
  return url.href;
}
