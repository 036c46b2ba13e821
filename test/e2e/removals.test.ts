// What is taken back, by the real command against a real network; and what a Removal cannot do.

import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { parseLocateAnswer } from "../../lib/wire/chunks.ts";
import { addRecords, Person } from "./people.ts";
import { type CliResult, Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const network = inject("network");
const { missing } = requirePrograms({ "ssh-keygen": "openssh-client" });
let domain: Publisher;
let alice: Person;
let names = 0;

beforeAll(async () => {
  domain = await Publisher.create(network);
  const mail = `mail-of-${domain.domain}`;
  await addRecords(domain, `v=hf1; policy=moderated; a=*@${mail}`);
  alice = await Person.create(domain, `alice@${mail}`, { inDns: true });
});

const newName = () => `removed-${++names}`;
const full = (name: string) => `${domain.domain}/${name}`;
const codeOf = ({ stderr }: CliResult) => /\(([a-z-]+)\)\n/.exec(stderr)?.[1];
const text = async (content: string) => domain.writeFile(`text ${content}`, content);
const ok = (result: CliResult) => {
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result;
};
const get = (name: string, ...options: string[]) => domain.holdfast("get", full(name), "-o", "-", ...options);
const log = async (name: string) => JSON.parse(ok(await domain.holdfast("log", full(name), "--json")).stdout);
const remove = (name: string, ...options: string[]) =>
  domain.holdfast(...["remove", full(name), "--key", domain.keyFile, "--author", domain.author, ...options]);
const published = async (name: string, ...contents: string[]): Promise<string[]> => {
  for (const content of contents) ok(await domain.publish(await text(content), name));
  return (await log(name)).map(({ version }: { version: string }) => version).reverse();
};

describe("a Removal by the domain", () => {
  test("takes one Version back: readers get the one before, and are told why it is gone", async () => {
    const name = newName();
    const [first = "", second = ""] = await published(name, "one", "two");
    expect(ok(await get(name)).stdout).toBe("two");
    const removed = ok(await remove(name, "--version", second, "--reason", "does not boot"));
    expect(removed.stdout).toContain("1 Version taken back");
    // Though a newer one was seen: this is no rollback.
    expect(ok(await get(name)).stdout).toBe("one");
    expect(await (await fetch(domain.objectUrl(name))).text()).toBe("one");
    expect(await (await fetch(`${domain.objectUrl(name)}?version=${second}`)).json()).toMatchObject({
      status: 410,
      code: "removed",
      detail: expect.stringContaining("does not boot"),
    });
    const refused = await get(name, "--version", second);
    expect({ code: refused.code, reason: codeOf(refused) }).toEqual({ code: 3, reason: "removed" });
    expect(ok(await get(name, "--version", first)).stdout).toBe("one");
    const [newest, older] = await log(name);
    expect(newest).toMatchObject({
      version: second,
      removed: { reason: "does not boot", author: domain.author },
    });
    expect(older).not.toHaveProperty("removed");
  });

  test("leaves a tombstone: the next Version has the next sequence, and the Removal does not hit it", async () => {
    const name = newName();
    await published(name, "one", "two");
    const { removal } = JSON.parse(ok(await remove(name, "--all", "--json")).stdout);
    expect(await (await fetch(domain.objectUrl(name))).json()).toMatchObject({
      code: "removed",
      status: 410,
    });
    expect(codeOf(await get(name))).toBe("removed");
    ok(await domain.publish(await text("three"), name));
    expect(ok(await get(name)).stdout).toBe("three");
    expect((await log(name)).map(({ sequence }: { sequence: number }) => sequence)).toEqual([3, 2, 1]);
    // Somebody sends it again.
    const raw = async (suffix: string) =>
      Buffer.from(await (await fetch(`${network.edgeUrl}/version/${removal}${suffix}`)).arrayBuffer());
    const signed = {
      statement: (await raw("")).toString("base64"),
      signature: (await raw(".sig")).toString(),
    };
    const replay = await fetch(`${network.edgeUrl}/names`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ statements: [{ removal: signed, witnesses: [] }], receipts: [] }),
    });
    expect(await replay.json()).toMatchObject({ results: [{ id: removal, status: "known" }] });
    expect(ok(await get(name)).stdout).toBe("three");
  });

  test("is published again as something new, where the same bytes come back", async () => {
    const name = newName();
    await published(name, "same");
    ok(await remove(name, "--all"));
    expect(ok(await domain.publish(await text("same"), name)).stdout).toContain("published as sequence 2");
    expect(ok(await get(name)).stdout).toBe("same");
  });

  test("reaches through a sequence and no further; a dry run signs nothing", async () => {
    const name = newName();
    await published(name, "one", "two", "three");
    expect(
      ok(await remove(name, "--through", "2", "--dry-run"))
        .stdout.trim()
        .split("\n"),
    ).toHaveLength(2);
    expect((await log(name)).some((entry: object) => "removed" in entry)).toBe(false);
    ok(await remove(name, "--through", "2"));
    expect((await log(name)).map((entry: object) => "removed" in entry)).toEqual([false, true, true]);
    expect(ok(await get(name)).stdout).toBe("three");
  });

  test("is kept by home nodes, and told by them", async () => {
    const name = newName();
    const [only = ""] = await published(name, "alone");
    const { stdout } = ok(await remove(name, "--all", "--json"));
    expect(JSON.parse(stdout).bundleKept).toBeGreaterThan(0);
    const [entry] = await log(name);
    const located: unknown = await (
      await fetch(`${network.edgeUrl}/chunk/locate`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ chunks: [entry.manifest] }),
      })
    ).json();
    const { nodes } = parseLocateAnswer(located);
    const direct = nodes.find(({ url }) => url !== null);
    // Asked by itself, the node tells what stands.
    const alone = await domain.holdfast("get", full(name), "-o", "-", "--edge", direct?.url ?? "");
    expect({ version: only, reason: codeOf(alone) }).toEqual({ version: only, reason: "removed" });
  });

  test.skipIf(missing.length > 0)("is a statement that ssh-keygen verifies", async () => {
    const name = newName();
    await published(name, "checked");
    const { removal } = JSON.parse(ok(await remove(name, "--all", "--json")).stdout);
    const key = await readFile(`${domain.keyFile}.pub`, "utf8");
    const allowed = await domain.writeFile("allowed", `${domain.author} namespaces="holdfast" ${key}`);
    const signature = await domain.writeFile(
      "sig",
      await (await fetch(`${network.edgeUrl}/version/${removal}.sig`)).text(),
    );
    const statement = await domain.writeFile(
      "statement",
      await (await fetch(`${network.edgeUrl}/version/${removal}`)).text(),
    );
    const verify = `ssh-keygen -Y verify -f '${allowed}' -I '${domain.author}' -n holdfast -s '${signature}'`;
    const { stdout } = await run("sh", ["-c", `${verify} < '${statement}'`]);
    expect(stdout).toContain("Good");
  });
});

describe("an author", () => {
  test("takes back what they published, and nothing of others", async () => {
    const name = newName();
    ok(await alice.publish(await text("mine"), name));
    ok(await domain.publish(await text("the domain's"), name));
    expect(
      codeOf(await alice.holdfast("remove", full(name), "--version", (await log(name))[0].version)),
    ).toBe("key-not-authorized");
    ok(await alice.holdfast("remove", full(name), "--all"));
    expect((await log(name)).map((entry: object) => "removed" in entry)).toEqual([false, true]);
    expect(ok(await get(name)).stdout).toBe("the domain's");
  });

  test("takes back the newest that a reader has seen, and the reader goes back to what stands", async () => {
    const name = newName();
    for (const content of ["first of alice", "second of alice"])
      ok(await alice.publish(await text(content), name));
    expect(ok(await get(name)).stdout).toBe("second of alice");
    const [{ version }] = await log(name);
    ok(await alice.holdfast("remove", full(name), "--version", version));
    expect(ok(await get(name)).stdout).toBe("first of alice");
  });

  test("removes nothing in a name of others, nor does a stranger anything", async () => {
    const name = newName();
    await published(name, "the domain's");
    expect(codeOf(await alice.holdfast("remove", full(name), "--all"))).toBe("key-not-authorized");
    const stranger = await Person.create(domain, `eve@elsewhere-${domain.domain}`, { inDns: true });
    expect(codeOf(await stranger.holdfast("remove", full(name), "--all"))).toBe("key-not-authorized");
    expect(ok(await get(name)).stdout).toBe("the domain's");
  });
});
