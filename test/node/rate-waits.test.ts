// A client that is told to wait waits, as long as it was told and not for ever, and then goes on as if nothing had been.

import { afterEach, describe, expect, test } from "vitest";
import { nodeHost } from "../../cli/node-host.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import { RATE_WAITS_MAX, requestJson } from "../../lib/client/request.ts";
import { closeAll, hashOf, QUICK, readRequest, serve } from "./client-fixture.ts";

afterEach(closeAll);

/** Refuses the first `times` requests with this Retry-After, then answers with what it was sent. */
function busyServer(times: number, retryAfter: string | null) {
  let left = times;
  return serve(async (request, response) => {
    const sent = await readRequest(request);
    if (left-- > 0) {
      response.writeHead(429, {
        "content-type": "application/problem+json",
        ...(retryAfter === null ? {} : { "retry-after": retryAfter }),
      });
      response.end(JSON.stringify({ code: "rate-limited", detail: "too much" }));
    } else response.end(sent.length > 0 ? sent : '"got"');
  });
}

function post(url: string, signal?: AbortSignal): Promise<unknown> {
  const limits = { idleMs: 1000, totalMs: 1000 };
  return requestJson(nodeHost.fetch, url, {
    method: "POST",
    body: '{"a":1}',
    limits,
    signal,
    parse: (value) => value,
  });
}

describe("a server that says when to come again", () => {
  test("is asked again then, with the same body, and its deadline begins anew", async () => {
    const server = await busyServer(2, "1");
    const startedMs = performance.now();
    expect(await post(server.url)).toEqual({ a: 1 });
    expect(server.requests.length).toBe(3);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1990);
  });

  test("is given up after so many times", async () => {
    const server = await busyServer(100, "0");
    await expect(post(server.url)).rejects.toMatchObject({ code: "rate-limited" });
    expect(server.requests.length).toBe(1 + RATE_WAITS_MAX);
  });

  test.each([null, "61", "-1", "soon", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT"])(
    "is not waited for where it says %j",
    async (retryAfter) => {
      const server = await busyServer(1, retryAfter);
      await expect(post(server.url)).rejects.toMatchObject({ code: "rate-limited" });
      expect(server.requests.length).toBe(1);
    },
  );

  test("is not waited for by who has given up", async () => {
    const server = await busyServer(100, "30");
    await expect(post(server.url, AbortSignal.timeout(300))).rejects.toMatchObject({ name: "TimeoutError" });
    expect(server.requests.length).toBe(1);
  });
});

describe("a chunk", () => {
  test.each([
    [true, 2],
    [false, 1],
  ])("is waited for at a relay, not at a holder that is busy (relayed: %s)", async (isRelayed, requests) => {
    const server = await busyServer(1, "0");
    const wanted = { hash: hashOf(Buffer.from('"got"')), sizeBytes: 5 };
    const fetched = createChunkFetch(nodeHost.fetch, QUICK)(server.url, wanted, {
      redirectsMax: 0,
      isRelayed,
    });
    if (isRelayed) expect(Buffer.from(await fetched).toString()).toBe('"got"');
    else await expect(fetched).rejects.toMatchObject({ code: "rate-limited" });
    expect(server.requests.length).toBe(requests);
  });
});
