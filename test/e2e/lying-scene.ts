// What the attacks of a lying edge are made of: an object with an old and a new Version, others that could be passed off for
// it, clients that have seen the newest, and forged statements.

import { expect } from "vitest";
import { nameHashOf, parseName } from "../../lib/names.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { type Version, versionKind } from "../../lib/version.ts";
import type { LocateAnswer } from "../../lib/wire/chunks.ts";
import { type NameAnswer, parseNameAnswer } from "../../lib/wire/names.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { makeSigner } from "../node/client-fixture.ts";
import { LiedToClient, type LiedToOptions } from "./lied-to-client.ts";
import { type Answer, jsonOf, type Lie, LyingEdge, withJson } from "./lying-edge.ts";
import { Publisher } from "./publisher.ts";
import type { SharedNetwork } from "./setup.ts";

export const OLD = "old bytes";
export const NEW = "new bytes";
export const EVIL = "evil bytes";
const QUICK = { idleMs: 1000, totalMs: 4000 };

type Listed = NameAnswer["versions"][number];

export class LyingScene {
  readonly network: SharedNetwork;
  readonly edge: LyingEdge;
  readonly publisher: Publisher;
  readonly foreign: Publisher;
  readonly signer: StatementSigner;
  readonly stranger: StatementSigner;
  /** What the edge says of app, and what it said when OLD was the newest. */
  newAnswer: NameAnswer;
  oldAnswer: NameAnswer;
  otherAnswer: NameAnswer;
  foreignAnswer: NameAnswer;

  private constructor(
    network: SharedNetwork,
    publishers: [Publisher, Publisher],
    signers: [StatementSigner, StatementSigner],
  ) {
    this.network = network;
    this.edge = new LyingEdge(network.edgeUrl);
    [this.publisher, this.foreign] = publishers;
    [this.signer, this.stranger] = signers;
    const { domain } = this.publisher;
    const nameHash = nameHashOf(domain, parseName("app"));
    const nothing: NameAnswer = { nameHash, domain, versions: [], manifest: null, next: null };
    this.newAnswer = this.oldAnswer = this.otherAnswer = this.foreignAnswer = nothing;
  }

  static async start(network: SharedNetwork): Promise<LyingScene> {
    const [publisher, foreign] = [await Publisher.create(network), await Publisher.create(network)];
    const signers: [StatementSigner, StatementSigner] = [await publisher.signer(), await makeSigner(7)];
    const scene = new LyingScene(network, [publisher, foreign], signers);
    await scene.edge.start();
    await publishAs(publisher, "app", OLD);
    scene.oldAnswer = await scene.answerOf(publisher, "app");
    await publishAs(publisher, "app", NEW);
    scene.newAnswer = await scene.answerOf(publisher, "app");
    await publishAs(publisher, "other", EVIL);
    scene.otherAnswer = await scene.answerOf(publisher, "other");
    await publishAs(foreign, "app", EVIL);
    scene.foreignAnswer = await scene.answerOf(foreign, "app");
    return scene;
  }

  async answerOf(by: Publisher, name: string): Promise<NameAnswer> {
    const nameHash = nameHashOf(by.domain, parseName(name));
    const url = `${this.network.edgeUrl}/name/${nameHash}?domain=${by.domain}`;
    return parseNameAnswer(await (await fetch(url)).json());
  }

  /** A client that has seen nothing; of the lying edge, unless `urls` says otherwise. */
  clientOf(urls = [this.edge.url], more: Partial<LiedToOptions> = {}): Promise<LiedToClient> {
    const { domain, folder } = this.publisher;
    const { dohUrl } = this.network;
    return LiedToClient.create({ urls, dohUrl, domain, folder, chunkLimits: QUICK, ...more });
  }

  /** A client that has read NEW from the edge while it was honest: the control of every attack. */
  async readerOf(urls = [this.edge.url]): Promise<LiedToClient> {
    const client = await this.clientOf(urls);
    expect(await client.get("app")).toBe(NEW);
    return client;
  }

  /** The lying edge and an honest one. */
  get both(): string[] {
    return [this.edge.url, this.network.edgeUrl];
  }

  /** A successor of NEW by another key, or with other fields; holders have its Manifest, of EVIL. */
  async forged(by: StatementSigner, changes: Partial<Version> = {}): Promise<Listed> {
    const { manifest, size } = bodyOf(this.foreignAnswer.versions[0]);
    const body = { ...bodyOf(this.newAnswer.versions[0]), manifest, size, sequence: 3, ...changes };
    return { ...formatSigned(await signStatement(versionKind, body, by)), witnesses: [] };
  }

  /** NEW's answer with no Version but this. */
  only(version: Listed): NameAnswer {
    return { ...this.newAnswer, versions: [version], manifest: this.foreignAnswer.manifest };
  }

  /** NEW's answer with this Version before the true ones. */
  withFirst(version: Listed): NameAnswer {
    const versions = [version, ...this.newAnswer.versions];
    return { ...this.newAnswer, versions, manifest: this.foreignAnswer.manifest };
  }
}

export async function publishAs(
  by: Publisher,
  name: string,
  bytes: string,
  ...options: string[]
): Promise<void> {
  const { code, stderr } = await by.publish(await by.writeFile("file", bytes), name, ...options);
  expect([name, code, stderr]).toEqual([name, 0, expect.any(String)]);
}

function bodyOf(listed: Listed | undefined): Version {
  return JSON.parse(Buffer.from(listed?.statement ?? "", "base64").toString()) as Version;
}

/** A lie about the answers to one kind of request. */
export function answering(kind: string, change: Lie): Lie {
  return (answer, asked, response) => (asked.kind === kind ? change(answer, asked, response) : answer);
}

export function naming(answer: NameAnswer): Lie {
  return answering("GET /name", (honest) => withJson(honest, answer));
}

export function locating(change: (honest: LocateAnswer) => unknown): Lie {
  return answering("POST /chunk/locate", (answer) =>
    withJson(answer, change(jsonOf(answer) as LocateAnswer)),
  );
}

/** No holder is to be reached but through the edge. */
export const relayedOnly = locating((honest) => ({
  ...honest,
  nodes: honest.nodes.map((node) => ({ ...node, url: null })),
}));

export function redirect(location: string): Answer {
  return { status: 307, headers: { location }, body: Buffer.alloc(0) };
}

export function problem(code: string, status: number): Answer {
  const headers = { "content-type": "application/problem+json" };
  return withJson({ status, headers, body: Buffer.alloc(0) }, { code, status, detail: "so it says" });
}
