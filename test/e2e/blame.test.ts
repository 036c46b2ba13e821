// Who brought what, by the real command against a real network.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { type CliResult, Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const network = inject("network");
const { missing } = requirePrograms({ "ssh-keygen": "openssh-client" });
let publisher: Publisher;
let names = 0;

beforeAll(async () => {
  publisher = await Publisher.create(network);
});

const newName = (ending: string) => `blamed-${++names}${ending}`;
const jsonOf = (result: CliResult) => {
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return JSON.parse(result.stdout);
};
const holdfast = (command: string, name: string, ...options: string[]) =>
  publisher.holdfast(command, `${publisher.domain}/${name}`, ...options);
const publishAs = async (author: string, name: string, content: string | Uint8Array) => {
  const file = await publisher.writeFile("content", content);
  return jsonOf(await publisher.publish(file, name, "--author", author, "--json")).version;
};
const linesOf = async (name: string, ...options: string[]) =>
  jsonOf(await holdfast("blame", name, "--json", ...options)).map(
    ({ text, sequence, author }: { text: string; sequence: number; author: string }) =>
      `${sequence} ${author.split("@")[0]} ${text}`,
  );

describe("blame", () => {
  test("names for each line of a text the Version and the author that it came with", async () => {
    const name = newName(".md");
    await publishAs("ann@a.test", name, "one\ntwo\nthree\n");
    await publishAs("ben@b.test", name, "zero\none\ntwo\nthree\n");
    await publishAs("ann@a.test", name, "zero\none\nTWO\nthree\n\nfour");
    expect(await linesOf(name)).toEqual([
      ...["2 ben zero", "1 ann one", "3 ann TWO", "1 ann three", "3 ann ", "3 ann four"],
    ]);
    const { stdout } = await holdfast("blame", name);
    expect(stdout.split("\n")[0]).toMatch(/^[0-9a-f]{12} {3}2 \d{4}-\d\d-\d\d ben@b\.test +1\) zero$/);
  });

  test("does not trace a line through a Version that did not have it, nor to one that was taken back", async () => {
    const name = newName(".txt");
    await publishAs("ann@a.test", name, "gone\nkept\n");
    await publishAs("ben@b.test", name, "kept\n");
    const third = await publishAs("cat@c.test", name, "gone\nkept\n");
    expect(await linesOf(name)).toEqual(["3 cat gone", "1 ann kept"]);
    await publishAs("dan@d.test", name, "gone\nkept\nnew\n");
    const removal = ["--version", third, "--key", publisher.keyFile, "--author", publisher.author];
    jsonOf(await holdfast("remove", name, "--json", ...removal));
    expect(await linesOf(name)).toEqual(["4 dan gone", "1 ann kept", "4 dan new"]);
  });

  test("goes back from any Version, and says so where there is no text", async () => {
    const name = newName(".txt");
    const first = await publishAs("ann@a.test", name, "one\n");
    await publishAs("ben@b.test", name, new Uint8Array([0xff, 0, 0xfe]));
    expect(await linesOf(name, "--version", first)).toEqual(["1 ann one"]);
    const refused = await holdfast("blame", name, "--lines");
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("--bytes") });
  });

  test("names for each range of other bytes the Version that brought its chunks, and covers them all", async () => {
    const name = newName(".bin");
    const [head, tail, inserted] = [randomBytes(4_000_000), randomBytes(4_000_000), randomBytes(10)];
    await publishAs("ann@a.test", name, Buffer.concat([head, tail]));
    await publishAs("ben@b.test", name, Buffer.concat([head, inserted, tail]));
    const ranges: { first: number; last: number; sequence: number }[] = jsonOf(
      await holdfast("blame", name, "--json"),
    );
    expect(ranges.map(({ sequence }) => sequence)).toEqual([1, 2, 1]);
    const [before, changed, after] = ranges;
    expect(before?.first).toBe(0);
    expect(after?.last).toBe(8_000_009);
    for (const [one, next] of [
      [before, changed],
      [changed, after],
    ] as const)
      expect(next?.first).toBe((one?.last ?? 0) + 1);
    // What was inserted lies in what is the second Version's.
    expect(changed?.first).toBeLessThanOrEqual(4_000_000);
    expect(changed?.last).toBeGreaterThanOrEqual(4_000_009);
  });
});

test("log tells of each Version who, by which key and right, when witnessed, and who holds it now", async () => {
  const name = newName("");
  await publishAs("ann@a.test", name, "one");
  const [entry] = jsonOf(await holdfast("log", name, "--json"));
  expect(entry).toMatchObject({
    ...{ sequence: 1, author: "ann@a.test", authorVerified: false, verified: "domain-key" },
    key: expect.stringMatching(/^SHA256:/),
    witnesses: [{ edge: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    holders: { chunks: 2, audited: null },
  });
  expect(entry.holders.online).toBeGreaterThanOrEqual(3);
  const { stdout } = await holdfast("log", name);
  for (const word of [
    "author    ann@a.test (not verified)",
    "witnessed",
    "held",
    "audited   not every chunk yet",
  ])
    expect(stdout).toContain(word);
  expect((await holdfast("log", name, "--no-holders")).stdout).not.toContain("held");
});

test.skipIf(missing.length > 0)(
  "ssh-keygen verifies a delegation, and the edge's witness of a Version",
  async () => {
    const verify = async (
      namespace: string,
      key: string,
      signed: { statement: string; signature: string },
    ) => {
      const allowed = await publisher.writeFile("allowed", `someone namespaces="${namespace}" ${key}`);
      const signature = await publisher.writeFile("signature", signed.signature);
      const statement = await publisher.writeFile("statement", Buffer.from(signed.statement, "base64"));
      const command = `ssh-keygen -Y verify -f '${allowed}' -I someone -n ${namespace} -s '${signature}'`;
      return (await run("sh", ["-c", `${command} < '${statement}'`])).stdout;
    };
    const publicKey = await readFile(`${publisher.keyFile}.pub`, "utf8");
    const to = ["--key", publisher.keyFile, "--to", `${publisher.keyFile}.pub`, "--email", "ci@a.test"];
    const { stdout } = await publisher.holdfast(
      ...["domain", "delegate", publisher.domain, ...to, "--names", "nightly/*"],
    );
    expect(await verify("holdfast-domain", publicKey, JSON.parse(stdout))).toContain("Good");
    const name = newName("");
    await publishAs("ann@a.test", name, "witnessed");
    const { nameHash } = jsonOf(await publisher.publish(await publisher.writeFile("w", "2"), name, "--json"));
    const answer = await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
    const { versions } = JSON.parse(await answer.text());
    const { key } = JSON.parse(await (await fetch(`${network.edgeUrl}/status`)).text());
    expect(await verify("holdfast-edge", `ssh-ed25519 ${key}`, versions[0].witnesses[0])).toContain("Good");
  },
);
