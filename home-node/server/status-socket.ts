// The socket in the node's folder, where the volunteer's command finds a running node, whether it has a listener or not.
// The file system says who may connect, and no other machine, browser or site can.

import { chmod, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Answer, closeGently, createHttpServer, listen } from "./listener.ts";
import { placeSocket, SOCKET_FILE } from "./socket-path.ts";

const SOCKET_MODE = 0o600;

export interface StatusSocket {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function createStatusSocket(dir: string, answer: Answer): StatusSocket {
  const server = createHttpServer(answer);
  const name = join(dir, SOCKET_FILE);
  /** Once it listens. */
  let path: string | null = null;
  return {
    start: async () => {
      const place = await placeSocket(dir);
      await listen(server, { path: place });
      path = place;
      await chmod(place, SOCKET_MODE);
    },
    stop: async () => {
      if (path === null) return;
      await closeGently(server);
      await rm(name, { force: true });
      if (path !== name) await rm(dirname(path), { recursive: true, force: true });
    },
  };
}
