// Kept connections that servers close: what was lost on one is sent again, and nothing else is.

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { httpFetch } from "../../cli/http-fetch.ts";
import { readBody } from "../../lib/fetch.ts";

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";
let server: Server | null = null;
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server?.close();
});

/** Tells `answer` of each request: which of its connection, and which connection. */
async function listen(
  answer: (socket: Socket, request: number, connection: number) => void,
): Promise<string> {
  let connections = 0;
  server = createServer((socket) => {
    const connection = ++connections;
    let request = 0;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      if (data.toString().startsWith("POST")) answer(socket, ++request, connection);
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}/`;
}

async function textOf(url: string): Promise<string> {
  const response = await httpFetch(url, { method: "POST", body: "question" });
  return new TextDecoder().decode(await readBody(response, 100));
}

test("a request that a kept connection loses, because the server has just closed it, is sent on another", async () => {
  const served: string[] = [];
  const url = await listen((socket, request, connection) => {
    served.push(`${connection}.${request}`);
    if (connection === 1 && request === 2) socket.destroy();
    else socket.write(ANSWER);
  });
  expect(await textOf(url)).toBe("ok");
  expect(await textOf(url)).toBe("ok");
  expect(served).toEqual(["1.1", "1.2", "2.1"]);
});

test("a request that a new connection loses fails: that server does not answer", async () => {
  let requests = 0;
  const url = await listen((socket) => {
    requests += 1;
    socket.destroy();
  });
  await expect(textOf(url)).rejects.toThrow("socket hang up");
  expect(requests).toBe(1);
});

test("a server that closes every kept connection is not asked for ever", async () => {
  let requests = 0;
  const url = await listen((socket, request) => {
    requests += 1;
    if (request === 1) socket.write(ANSWER);
    else socket.destroy();
  });
  // Three connections that are kept, and lost when they are used again.
  await Promise.all([textOf(url), textOf(url), textOf(url)]);
  requests = 0;
  await expect(textOf(url)).rejects.toThrow("socket hang up");
  expect(requests).toBe(3);
});
