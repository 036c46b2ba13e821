// Nobody is led inside: URLs that lead to loopback, private networks and metadata services in all their spellings, at an
// edge that permits no local nodes, and at a client whom a hostile edge sends there. A canary counts who comes.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pLimit from "p-limit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { DoorCanary } from "./door-canary.ts";
import { HostileEdge } from "./hostile-edge.ts";
import { nodeUrlForms } from "./node-url-forms.ts";
import { registerWith } from "./registrant.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, startNetwork } from "./setup.ts";

const run = promisify(execFile);
const FORMS_MIN = 150;
const AT_ONCE = 8;
const canary = new DoorCanary();

beforeAll(() => canary.start());
afterAll(() => canary.stop());
beforeEach(() => {
  canary.hits = 0;
});

describe("an edge that permits no local nodes", () => {
  let network: LocalNetwork;

  beforeAll(async () => {
    network = await startNetwork(0, 0, { ALLOW_LOCAL_NODES: "false" });
  });
  afterAll(() => endNetwork(network));

  test("asks nobody inside for a node's id, however the URL is spelt", async () => {
    const forms = nodeUrlForms(canary.port);
    expect(forms.length).toBeGreaterThanOrEqual(FORMS_MIN);
    const limit = pLimit(AT_ONCE);
    const outcomes = await Promise.all(
      forms.map((form) => limit(async () => ({ form, ...(await registerWith(network.edgeUrl, form)) }))),
    );
    const refused = outcomes.filter(({ direct }) => !direct);
    process.stderr.write(`node URLs: ${forms.length} forms at the edge, ${canary.hits} hits\n`);
    expect(canary.hits).toBe(0);
    expect(refused.length).toBe(forms.length);
    // Judged by the text alone: none of them was dialled and found to be something else.
    const codes = new Set(refused.map(({ code }) => code));
    expect([...codes].sort()).toEqual([
      "host-not-public",
      "invalid-statement",
      "url-malformed",
      "url-not-https",
    ]);
  });

  test("is what keeps them out: one that permits them comes to the canary", async () => {
    const outcome = await registerWith(inject("network").edgeUrl, `http://127.0.0.1:${canary.port}`);
    expect(outcome).toEqual({ direct: false, code: "not-a-node" });
    expect(canary.hits).toBe(1);
  });
});

const { missing } = requirePrograms({ unshare: "util-linux", openssl: "openssl" });

/** A process for which these names lead to loopback: in a mount namespace, whose /etc/hosts says so. */
async function runWithHosts(hosts: string[], command: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-hosts-"));
  try {
    const file = join(folder, "hosts");
    await writeFile(file, `127.0.0.1 localhost\n${hosts.map((host) => `127.0.0.1 ${host}\n`).join("")}`);
    const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
    const args = ["--map-root-user", "--mount", "sh", "-c", script, file, ...command];
    return (await run("unshare", args, { env: { ...process.env, ...env } })).stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe.skipIf(missing.length > 0)("a client of a hostile edge", () => {
  const EDGE_HOST = "edge.holdfast-hostile.net";
  const INSIDE = "inside.holdfast-hostile.net";
  let edge: HostileEdge;

  beforeEach(async () => {
    edge = await HostileEdge.start(EDGE_HOST);
  });
  afterEach(() => edge.stop());

  /** Reads a chunk for each place, of which the edge says that it is there. Returns how many were got. */
  async function readChunks(places: string[]): Promise<number> {
    edge.places = places;
    const program = join(import.meta.dirname, "hostile-edge-client.ts");
    const command = [process.execPath, program, edge.url, String(places.length)];
    const env = { NODE_EXTRA_CA_CERTS: edge.certificateFile };
    return Number(await runWithHosts([EDGE_HOST, INSIDE], command, env));
  }

  test("follows neither its contacts nor its redirects inside, however they are spelt", async () => {
    // Nothing at all is a place: the edge itself.
    const forms = nodeUrlForms(canary.port).filter((form) => form !== "");
    expect(await readChunks(forms)).toBe(0);
    process.stderr.write(`node URLs: ${forms.length} forms at a client, ${canary.hits} hits\n`);
    expect(edge.redirects).toBeGreaterThanOrEqual(forms.length);
    expect(canary.hits).toBe(0);
  });

  test("does not connect where a public name leads inside", async () => {
    expect(await readChunks([`https://${INSIDE}:${canary.port}`])).toBe(0);
    // Once more at the end, as after every connection that could not be made.
    expect(edge.redirects).toBe(2);
    expect(canary.hits).toBe(0);
  });

  test("reads through the edge itself, which the user named, wherever that is", async () => {
    expect(await readChunks([edge.url])).toBe(1);
    expect(canary.hits).toBe(0);
  });

  test("would connect by that name if the user had named it", async () => {
    const script = `await fetch("http://${INSIDE}:${canary.port}/").then((response) => console.log(response.status))`;
    const command = [process.execPath, "--input-type=module", "-e", script];
    expect(await runWithHosts([INSIDE], command, {})).toBe("404\n");
    expect(canary.hits).toBe(1);
  });
});
