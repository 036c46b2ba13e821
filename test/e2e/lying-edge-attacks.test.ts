// The attacks that The Update Framework names, by an edge between a reader and the real one. Every attack has its control:
// the same client reads the newest bytes from the same edge before it lies and after.

import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import type { NameAnswer } from "../../lib/wire/names.ts";
import { outcomeOf } from "./lied-to-client.ts";
import { HONEST, type Lie } from "./lying-edge.ts";
import { EVIL, LyingScene, NEW, naming, OLD, problem, publishAs } from "./lying-scene.ts";
import { publishTree, writeFolder } from "./publish-tree.ts";
import { Publisher } from "./publisher.ts";

const network = inject("network");
const DAY_MS = 24 * 60 * 60 * 1000;
const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;
const INDEX = ".holdfast-index";

let scene: LyingScene;

/** What the edge says in place of the truth, and the code that it comes to. */
const REFUSED: [string, () => NameAnswer | Promise<NameAnswer>, string][] = [
  [
    "arbitrary software: a stranger's Version",
    async () => scene.only(await scene.forged(scene.stranger)),
    "key-not-authorized",
  ],
  [
    "arbitrary software: by another domain's key",
    async () => scene.only(await scene.forged(await scene.foreign.signer())),
    "key-not-authorized",
  ],
  [
    "arbitrary software: unsigned",
    async () => scene.only({ ...(await scene.forged(scene.stranger)), signature: "" }),
    "invalid-signature",
  ],
  [
    "arbitrary software: under the true signature",
    async () => scene.only({ ...(await scene.forged(scene.stranger)), signature: newest().signature }),
    "invalid-signature",
  ],
  ["arbitrary software: signed for another purpose", () => signedForUpload(), "wrong-namespace"],
  ["rollback", () => scene.oldAnswer, "rolled-back"],
  [
    "rollback: the old Version beside the new Manifest",
    () => ({ ...scene.oldAnswer, manifest: scene.newAnswer.manifest }),
    "rolled-back",
  ],
  [
    "rollback: the newest left out",
    () => ({ ...scene.newAnswer, versions: scene.newAnswer.versions.slice(1) }),
    "rolled-back",
  ],
  [
    "fast-forward: the last sequence there is",
    async () => scene.only(await scene.forged(scene.stranger, { sequence: SEQUENCE_MAX })),
    "key-not-authorized",
  ],
  ["wrong software: another object of the domain", () => scene.otherAnswer, "name-hash-mismatch"],
  [
    "wrong software: another domain's object of the same name",
    () => scene.foreignAnswer,
    "name-hash-mismatch",
  ],
  [
    "wrong software: another domain's Versions under this one's name",
    () => ({ ...scene.newAnswer, versions: scene.foreignAnswer.versions }),
    "name-hash-mismatch",
  ],
  ["withheld: no Version at all", () => ({ ...scene.newAnswer, versions: [], manifest: null }), "not-found"],
];

/** What is false beside what is true. */
const HARMLESS: [string, () => NameAnswer | Promise<NameAnswer>][] = [
  ["arbitrary software", async () => scene.withFirst(await scene.forged(scene.stranger))],
  [
    "fast-forward",
    async () => scene.withFirst(await scene.forged(scene.stranger, { sequence: SEQUENCE_MAX })),
  ],
  ["a forged sibling", async () => scene.withFirst(await scene.forged(scene.stranger, { sequence: 2 }))],
  ["the true Version under a stranger's signature", async () => scene.withFirst(await resigned())],
  ["mix and match: the old Manifest", () => ({ ...scene.newAnswer, manifest: scene.oldAnswer.manifest })],
  [
    "mix and match: another object's Manifest",
    () => ({ ...scene.newAnswer, manifest: scene.otherAnswer.manifest }),
  ],
  [
    "mix and match: another Version's witnesses",
    () => ({ ...scene.newAnswer, versions: scene.newAnswer.versions.map(withForeignWitnesses) }),
  ],
  ["another order", () => ({ ...scene.newAnswer, versions: scene.newAnswer.versions.toReversed() })],
];

const newest = () => scene.newAnswer.versions[0] ?? { statement: "", signature: "", witnesses: [] };
const statementOf = ({ statement }: { statement: string }) =>
  new Uint8Array(Buffer.from(statement, "base64"));
const withForeignWitnesses = (version: NameAnswer["versions"][number]) => ({
  ...version,
  witnesses: scene.foreignAnswer.versions[0]?.witnesses ?? [],
});

/** Also where many names are asked for at once: there the edge says that it cannot, and each is asked for by itself. */
function namingEach(answer: NameAnswer): Lie {
  const name = naming(answer);
  return (honest, asked, response) =>
    asked.kind === "POST /name/lookup" ? problem("not-found", 404) : name(honest, asked, response);
}

async function signedForUpload(): Promise<NameAnswer> {
  const made = await scene.forged(scene.signer);
  return scene.only({ ...made, signature: await scene.signer.sign("holdfast-upload", statementOf(made)) });
}

async function resigned(): Promise<NameAnswer["versions"][number]> {
  const signature = await scene.stranger.sign("holdfast", statementOf(newest()));
  return { ...newest(), signature, witnesses: [] };
}

describe("an edge that attacks", () => {
  beforeAll(async () => {
    scene = await LyingScene.start(network);
  }, 120_000);

  afterEach(() => {
    scene.edge.lie = HONEST;
  });

  afterAll(() => scene.edge.stop());

  test.each(REFUSED)("%s: refused, and not in the way of an honest server", async (_, answer, code) => {
    const client = await scene.readerOf();
    const both = await scene.readerOf(scene.both);
    scene.edge.lie = naming(await answer());
    expect(await outcomeOf(client.get("app"))).toEqual({ code });
    expect(await both.get("app")).toBe(NEW);
    scene.edge.lie = HONEST;
    expect(await client.get("app")).toBe(NEW);
  });

  test.each(HARMLESS)("%s beside the truth: the true bytes", async (_, answer) => {
    const client = await scene.readerOf();
    scene.edge.lie = naming(await answer());
    expect(await client.get("app")).toBe(NEW);
  });

  test("rollback of a client that has seen nothing: not to be known from one server, found out by two", async () => {
    scene.edge.lie = naming(scene.oldAnswer);
    expect(await (await scene.clientOf()).get("app")).toBe(OLD);
    expect(await (await scene.clientOf(scene.both)).get("app")).toBe(NEW);
  });

  test("indefinite freeze: ends where the Version expires", async () => {
    const expires = new Date(Date.now() + DAY_MS).toISOString();
    await publishAs(scene.publisher, "frozen", OLD, "--expires", expires);
    const frozen = await scene.answerOf(scene.publisher, "frozen");
    await publishAs(scene.publisher, "frozen", NEW);
    let nowMs = Date.now();
    const client = await scene.clientOf([scene.edge.url], { now: () => nowMs });
    scene.edge.lie = naming(frozen);
    expect(await client.get("frozen")).toBe(OLD);
    nowMs += 2 * DAY_MS;
    expect(await outcomeOf(client.get("frozen"))).toEqual({ code: "statement-expired" });
    scene.edge.lie = HONEST;
    expect(await client.get("frozen")).toBe(NEW);
  });

  test("extraneous dependencies: a tree has what its own index says", async () => {
    const { publisher, edge } = scene;
    await publishTree(publisher, await writeFolder(publisher, { a: "a" }), "tree");
    await publishTree(publisher, await writeFolder(publisher, { a: "a", trojan: "x" }), "evil");
    const client = await scene.clientOf();
    const listing = await client.ls("tree");
    expect(listing).not.toContain("trojan");
    const evil = await scene.answerOf(publisher, `evil/${INDEX}`);
    edge.lie = namingEach(evil);
    expect(await outcomeOf(client.ls("tree"))).toEqual({ code: "name-hash-mismatch" });
    edge.lie = namingEach({ ...(await scene.answerOf(publisher, `tree/${INDEX}`)), manifest: evil.manifest });
    expect(await client.ls("tree")).toBe(listing);
  });

  test("key compromise: ends where the key is withdrawn from DNS", async () => {
    const victim = await Publisher.create(network);
    await publishAs(victim, "app", EVIL);
    const newClient = () => scene.clientOf([scene.edge.url], { domain: victim.domain });
    expect(await (await newClient()).get("app")).toBe(EVIL);
    const zone = await readFile(network.zoneFile, "utf8");
    const [own, others] = [true, false].map((wanted) =>
      zone.split("\n").filter((line) => line.includes(victim.domain) === wanted),
    );
    await writeFile(network.zoneFile, `${others?.join("\n")}\n`);
    expect(await outcomeOf((await newClient()).get("app"))).toEqual({ code: "domain-not-found" });
    await appendFile(network.zoneFile, `${own?.join("\n")}\n`);
    expect(await (await newClient()).get("app")).toBe(EVIL);
  });

  test.each([
    ["rollback", () => scene.oldAnswer, 4],
    ["a stranger's Version", async () => scene.only(await scene.forged(scene.stranger)), 4],
    ["wrong software", () => scene.otherAnswer, 4],
    ["nothing", () => ({ ...scene.newAnswer, versions: [], manifest: null }), 3],
  ] as const)(
    "the real command, told %s, ends with a code and writes nothing",
    async (what, answer, code) => {
      const { publisher, edge } = scene;
      const get = (file: string) =>
        publisher.holdfast(
          "get",
          `${publisher.domain}/app`,
          "--edge",
          edge.url,
          "-o",
          join(publisher.folder, file),
          "--force",
        );
      expect(await get("right")).toMatchObject({ code: 0 });
      expect(await readFile(join(publisher.folder, "right"), "utf8")).toBe(NEW);
      edge.lie = naming(await answer());
      const file = `told ${what}`;
      const told = await get(file);
      const written = await readFile(join(publisher.folder, file), "utf8").catch(() => null);
      // A home node that holds what the edge shows may know better: then the truth is had all the same.
      expect([
        { code, written: null },
        { code: 0, written: NEW },
      ]).toContainEqual({ code: told.code, written });
    },
  );
});
