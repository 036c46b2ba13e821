import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { holdfast, Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const network = inject("network");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const MiB = 1024 * 1024;
const withoutCurl = requirePrograms({ curl: "curl" }).missing.length > 0;
const withoutSsh = requirePrograms({ "ssh-keygen": "openssh-client" }).missing.length > 0;

interface VersionLine {
  version: string;
  sequence: number;
}

async function logOf(publisher: Publisher, name: string): Promise<VersionLine[]> {
  const { stdout } = await publisher.holdfast("log", `${publisher.domain}/${name}`, "--json");
  return JSON.parse(stdout);
}

describe("an object, from the file to the reader", () => {
  const content = randomBytes(24 * MiB + 12_345);
  let publisher: Publisher;
  let file: string;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    file = await publisher.writeFile("big", content);
    expect(await publisher.publish(file, "big")).toMatchObject({ code: 0 });
  });

  test.skipIf(withoutCurl)(
    "curl gets the bytes, with the length and headers that say what they are",
    async () => {
      const out = join(publisher.folder, "curl");
      await run("curl", ["-fsSL", "-D", `${out}.headers`, "-o", out, publisher.objectUrl("big")]);
      expect(sha256(await readFile(out))).toBe(sha256(content));
      const headers = (await readFile(`${out}.headers`, "utf8")).toLowerCase();
      expect(headers).toContain(`content-length: ${content.length}`);
      expect(headers).toContain("content-type: application/octet-stream");
      expect(headers).toContain("x-content-type-options: nosniff");
      const digest = createHash("sha256").update(content).digest("base64").toLowerCase();
      expect(headers).toContain(`repr-digest: sha-256=:${digest}:`);
    },
  );

  test.skipIf(withoutCurl)("curl resumes in the middle of a chunk", async () => {
    const out = join(publisher.folder, "resumed");
    await writeFile(out, content.subarray(0, 3_333_333));
    await run("curl", ["-fsSL", "-C", "-", "-o", out, publisher.objectUrl("big")]);
    expect(sha256(await readFile(out))).toBe(sha256(content));
  });

  test.skipIf(withoutCurl)("curl -L follows a chunk's referral to a holder", async () => {
    const { manifest } = await manifestOf(publisher, "big");
    const [chunk] = manifest.chunks;
    if (chunk === undefined) throw new Error("the Manifest lists no chunks");
    const { stdout } = await run("curl", ["-fsSL", `${network.edgeUrl}/chunk/${chunk.hash}`], {
      encoding: "buffer",
      maxBuffer: 4 * MiB,
    });
    expect(sha256(stdout as unknown as Uint8Array)).toBe(chunk.hash);
  });

  test("get writes the same bytes, and verify agrees until a byte changes", async () => {
    const out = join(publisher.folder, "out");
    const object = `${publisher.domain}/big`;
    expect(await publisher.holdfast("get", object, "-o", out)).toMatchObject({ code: 0 });
    expect(sha256(await readFile(out))).toBe(sha256(content));
    expect(await publisher.holdfast("verify", object, out)).toMatchObject({ code: 0 });
    const altered = Buffer.from(content);
    altered[15 * MiB] = (altered[15 * MiB] ?? 0) ^ 1;
    await writeFile(out, altered);
    expect(await publisher.holdfast("verify", object, out)).toMatchObject({ code: 4 });
  });

  test("get resumes what an earlier one left, and mends what is wrong in it", async () => {
    const out = join(publisher.folder, "partial");
    const part = Buffer.from(content.subarray(0, 10 * MiB));
    part[100] = (part[100] ?? 0) ^ 1;
    await writeFile(`${out}.part`, part);
    expect(await publisher.holdfast("get", `${publisher.domain}/big`, "-o", out)).toMatchObject({ code: 0 });
    expect(sha256(await readFile(out))).toBe(sha256(content));
  });

  test.skipIf(withoutCurl || withoutSsh)(
    "ssh-keygen -Y verify accepts the statement, and refuses it altered, by another key, for another purpose",
    async () => {
      const [version] = await logOf(publisher, "big");
      const [statement, signature, allowed] = ["v", "s", "allowed"].map((name) =>
        join(publisher.folder, name),
      );
      await run("sh", [
        "-c",
        `curl -fs ${network.edgeUrl}/version/${version?.version} > ${statement} && curl -fs ${network.edgeUrl}/version/${version?.version}.sig > ${signature}`,
      ]);
      const bytes = await readFile(statement ?? "");
      expect(sha256(bytes)).toBe(version?.version);
      const [type, key] = (await readFile(`${publisher.keyFile}.pub`, "utf8")).split(" ");
      await writeFile(allowed ?? "", `${publisher.author} ${type} ${key}\n`);
      const verify = (file: string | undefined, namespace = "holdfast", signers = allowed) =>
        run("sh", [
          "-c",
          `ssh-keygen -Y verify -f ${signers} -I ${publisher.author} -n ${namespace} -s ${signature} < ${file}`,
        ]);
      await verify(statement);
      await expect(verify(statement, "file")).rejects.toThrow();
      await writeFile(`${statement}.altered`, bytes.toString().replace('"sequence":1', '"sequence":2'));
      await expect(verify(`${statement}.altered`)).rejects.toThrow();
      const stranger = await Publisher.create(network, { records: false });
      const [, strangerKey] = (await readFile(`${stranger.keyFile}.pub`, "utf8")).split(" ");
      await writeFile(`${allowed}.stranger`, `${publisher.author} ${type} ${strangerKey}\n`);
      await expect(verify(statement, "holdfast", `${allowed}.stranger`)).rejects.toThrow();
    },
  );

  test("publishing it unchanged makes no new Version", async () => {
    const again = await publisher.publish(file, "big", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ status: "unchanged" });
    expect(await logOf(publisher, "big")).toHaveLength(1);
  });

  test("a changed file is a second Version that shares chunks; the first stays readable by its id", async () => {
    const changed = Buffer.concat([content.subarray(0, 5000), randomBytes(1024), content.subarray(5000)]);
    const before = await manifestOf(publisher, "big");
    await publisher.publish(await publisher.writeFile("big2", changed), "big");
    const after = await manifestOf(publisher, "big");
    const versions = await logOf(publisher, "big");
    expect(versions.map(({ sequence }) => sequence)).toEqual([2, 1]);
    const old = new Set(before.manifest.chunks.map(({ hash }) => hash));
    const fresh = after.manifest.chunks.filter(({ hash }) => !old.has(hash));
    expect(fresh.length).toBeLessThanOrEqual(3);
    const first = await fetch(`${publisher.objectUrl("big")}?version=${versions[1]?.version}`);
    expect(sha256(new Uint8Array(await first.arrayBuffer()))).toBe(sha256(content));
    expect(first.headers.get("cache-control")).toContain("immutable");
    const newest = await fetch(publisher.objectUrl("big"));
    expect(sha256(new Uint8Array(await newest.arrayBuffer()))).toBe(sha256(changed));
  });
});

describe("what the network says of itself", () => {
  test("status, domain show and node status print it for people and as JSON", async () => {
    const publisher = await Publisher.create(network);
    const status = await publisher.holdfast("status", "--json");
    // Nodes of other tests may have come and gone.
    const known = expect.toSatisfy((count: number) => count >= 5);
    expect(JSON.parse(status.stdout)).toMatchObject({ kind: "edge", nodes: { known, online: 5 } });
    expect((await publisher.holdfast("status")).stdout).toMatch(/5 online of \d+ known/);
    const [type, key] = (await readFile(`${publisher.keyFile}.pub`, "utf8")).split(" ");
    const domain = await publisher.holdfast("domain", "show", publisher.domain, "--json");
    expect(JSON.parse(domain.stdout)).toMatchObject({ domain: publisher.domain, policy: "exclusive" });
    expect(domain.stdout).toContain(key);
    expect(type).toBe("ssh-ed25519");
    const node = await publisher.holdfast("node", "status", "--url", network.nodeUrls[0] ?? "", "--json");
    expect(JSON.parse(node.stdout)).toMatchObject({
      kind: "home-node",
      edges: [{ state: "registered", direct: true }],
    });
  });

  test.skipIf(withoutCurl)("HEAD of an object has the headers of GET, and no body", async () => {
    const { stdout } = await run("curl", ["-fsSI", `${network.edgeUrl}/obj/example.test/hello.txt`]);
    expect(stdout).toMatch(/^HTTP\/1.1 200 /);
    expect(stdout.toLowerCase()).toContain("content-length: 207\r\n");
  });
});

describe("objects of other shapes", () => {
  test.each([
    ["an empty file", ""],
    ["one byte", "x"],
  ])("%s is published and read", async (_, text) => {
    const publisher = await Publisher.create(network);
    const file = await publisher.writeFile("f", text);
    expect(await publisher.publish(file, "small.txt")).toMatchObject({ code: 0 });
    const response = await fetch(publisher.objectUrl("small.txt"), {
      headers: { "accept-encoding": "identity" },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toContain("no-transform");
    expect(response.headers.get("content-length")).toBe(String(text.length));
    expect(response.headers.get("content-type")).toContain("text/plain");
    expect(await response.text()).toBe(text);
    const out = await publisher.holdfast("get", `${publisher.domain}/small.txt`, "-o", "-");
    expect(out).toMatchObject({ code: 0, stdout: text });
  });

  test("standard input is published, under a name that needs escaping in a URL", async () => {
    const publisher = await Publisher.create(network);
    const name = "ordner/größe 100%?#.txt";
    const result = await holdfast(
      network,
      [
        "publish",
        "-",
        `${publisher.domain}/${name}`,
        "--key",
        publisher.keyFile,
        "--author",
        publisher.author,
      ],
      { input: "piped" },
    );
    expect(result).toMatchObject({ code: 0 });
    const response = await fetch(publisher.objectUrl(name.split("/").map(encodeURIComponent).join("/")));
    expect(await response.text()).toBe("piped");
  });

  test("an object is served until it expires, and then refused to every reader; its Version stays", async () => {
    const publisher = await Publisher.create(network);
    const file = await publisher.writeFile("f", "for a moment");
    const expires = new Date(Date.now() + 4000);
    expect(await publisher.publish(file, "f", "--expires", expires.toISOString())).toMatchObject({ code: 0 });
    expect((await fetch(publisher.objectUrl("f"))).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, expires.getTime() - Date.now() + 100));
    const late = await fetch(publisher.objectUrl("f"));
    expect(await late.json()).toMatchObject({ code: "statement-expired" });
    const get = await publisher.holdfast("get", `${publisher.domain}/f`, "-o", "-");
    expect(get).toMatchObject({ code: 4, stdout: "" });
    expect(await logOf(publisher, "f")).toHaveLength(1);
  });

  test("a home node that was given a Version serves it by name and by id", async () => {
    const publisher = await Publisher.create(network);
    await publisher.publish(await publisher.writeFile("f", "bundle"), "f");
    const [version] = await logOf(publisher, "f");
    const { manifest } = await jsonAt<{ manifest: string }>(`${network.edgeUrl}/version/${version?.version}`);
    const nameHash = sha256(Buffer.from(`${publisher.domain}/f`));
    const holders = await urlsOfHolders(manifest);
    expect(holders.length).toBeGreaterThan(0);
    for (const url of network.nodeUrls) {
      // The Manifest's holders are given it, as far as they can be handed anything.
      const isGiven = holders.includes(url);
      expect((await fetch(`${url}/version/${version?.version}`)).status).toBe(isGiven ? 200 : 404);
      const name = await fetch(`${url}/name/${nameHash}?domain=${publisher.domain}`);
      expect(name.status).toBe(isGiven ? 200 : 404);
    }
  });
});

async function jsonAt<T>(url: string, init?: RequestInit): Promise<T> {
  return (await (await fetch(url, init)).json()) as T;
}

/** Of those that hold the chunk, the URLs of those that have one. */
async function urlsOfHolders(chunk: string): Promise<string[]> {
  const body = JSON.stringify({ chunks: [chunk] });
  const located = await jsonAt<{ nodes: { url: string | null }[] }>(`${network.edgeUrl}/chunk/locate`, {
    method: "POST",
    body,
  });
  return located.nodes.flatMap(({ url }) => url ?? []);
}

async function manifestOf(
  publisher: Publisher,
  name: string,
): Promise<{ manifest: { chunks: { hash: string }[] } }> {
  const nameHash = sha256(Buffer.from(`${publisher.domain}/${name}`));
  const response = await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
  const { manifest } = (await response.json()) as { manifest: string };
  return { manifest: JSON.parse(Buffer.from(manifest, "base64").toString()) };
}
