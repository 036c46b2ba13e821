// Peers that lie, hang or never end: nothing of it is listed here, each costs a reader a bounded time, once, and honest peers
// are heard beside them.

import { SELF } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { parseNameAnswer } from "../../lib/wire/names.ts";
import { PEER_HEADER } from "../../lib/wire/peers.ts";
import { asked, domain, knows, objectAt, origin, type PeerObject, script } from "./peer-scene.ts";
import { EDGE } from "./test-node.ts";

const HONEST = 0;
const stranger = async () => createStatementSigner(await importSigner(new Uint8Array(32).fill(8)));
const nameUrl = ({ nameHash }: PeerObject) => `${EDGE}/name/${nameHash}?domain=${domain}`;
const pathOf = ({ nameHash }: PeerObject) => `/peer/name/${nameHash}`;
const page = (...objects: PeerObject[]) => ({
  versions: objects.map(({ posted }) => posted),
  removals: [],
  hasMore: false,
});

/** Ids of the Versions that a reader is given. */
async function read(object: PeerObject, headers: Record<string, string> = {}): Promise<number> {
  const response = await SELF.fetch(nameUrl(object), { headers });
  if (response.status === 404) return 0;
  return parseNameAnswer(await response.json()).versions.length;
}

async function timesAsked(peer: number, object: PeerObject): Promise<number> {
  return (await asked()).filter(
    ({ origin: at, path }) => at === origin(peer) && path.startsWith(pathOf(object)),
  ).length;
}

let warnings: string[] = [];
beforeEach(async () => {
  await asked();
  warnings = [];
  vi.spyOn(console, "warn").mockImplementation((text: string) => void warnings.push(text));
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Peer `peer` says `body` of a name that the honest one knows too: the reader gets what the honest one knows. */
async function besideHonest(
  peer: number,
  bodyFor: (object: PeerObject) => Promise<unknown>,
): Promise<PeerObject> {
  const object = await objectAt(HONEST);
  await knows(HONEST, object);
  await script(peer, pathOf(object), { body: JSON.stringify(await bodyFor(object)) });
  expect(await read(object)).toBe(1);
  return object;
}

describe("a peer that is asked for a name", () => {
  test("and gives a Version that another key signed is left alone, its Version is not listed", async () => {
    const object = await besideHonest(1, async ({ nameText }) => {
      const forged = await objectAt(1, { name: nameText, seed: 77, signer: await stranger() });
      const { signature } = (await objectAt(1)).posted.version;
      return page({
        ...forged,
        posted: { ...forged.posted, version: { ...forged.posted.version, signature } },
      });
    });
    expect(await read(object, { [PEER_HEADER]: "1" })).toBe(1);
    const next = await objectAt(1);
    await knows(1, next);
    expect(await read(next)).toBe(0);
    expect(await timesAsked(1, next)).toBe(0);
  });

  test("and gives a Version by a key that is not the domain's has it not listed", async () => {
    const object = await besideHonest(2, async ({ nameText }) =>
      page(await objectAt(2, { name: nameText, seed: 78, signer: await stranger() })),
    );
    expect(await read(object, { [PEER_HEADER]: "1" })).toBe(1);
  });

  test("and answers about another name is left alone, and nothing of it is taken in", async () => {
    const other = await objectAt(3);
    const object = await besideHonest(3, async () => page(other));
    expect(await read(other, { [PEER_HEADER]: "1" })).toBe(0);
    expect(warnings.some((text) => text.includes("not asked for"))).toBe(true);
    expect(await read(object, { [PEER_HEADER]: "1" })).toBe(1);
  });

  test("and says without end that there is more is not asked without end", async () => {
    const object = await objectAt(4);
    await script(4, pathOf(object), { body: JSON.stringify({ ...page(object), hasMore: true }) });
    expect(await read(object)).toBe(1);
    expect(await timesAsked(4, object)).toBeLessThanOrEqual(2);
  });

  test("and sends the edge elsewhere is not followed", async () => {
    const object = await objectAt(5);
    await knows(HONEST, object);
    await script(5, pathOf(object), { status: 307, location: `${origin(HONEST)}/secret` });
    expect(await read(object)).toBe(1);
    expect((await asked()).filter(({ path }) => path === "/secret")).toEqual([]);
    expect(warnings.some((text) => text.includes("bad-answer"))).toBe(true);
  });

  test("and whose answer is larger than any is cut off", async () => {
    const object = await objectAt(6);
    await knows(HONEST, object);
    await script(6, pathOf(object), { does: "huge" });
    expect(await read(object)).toBe(1);
    expect(warnings.some((text) => text.includes("larger than allowed"))).toBe(true);
  });

  test("and says nothing is waited for once: the next reader is not kept", async () => {
    const [object, next] = [await objectAt(7), await objectAt(7)];
    await knows(HONEST, object);
    await script(7, "/peer/name/", { does: "hang" });
    expect(await read(object)).toBe(1);
    expect(warnings.some((text) => text.includes("timeout"))).toBe(true);
    await asked();
    expect(await read(next)).toBe(0);
    expect(await timesAsked(7, next)).toBe(0);
  });
});
