// Home nodes that know each other, and cards and contacts of nodes that there are not.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { digestOf } from "../../home-node/store/digest.ts";
import { type ContactCard, contactCardKind } from "../../lib/contact-card.ts";
import type { Hash } from "../../lib/hash.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { type Provided, providedKind } from "../../lib/provided.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { type ClosestAnswer, type Contact, parseClosestAnswer } from "../../lib/wire/nodes.ts";
import {
  formatProvidersRequest,
  joinHashes,
  parseContactAnswer,
  parseReferred,
  type Referred,
} from "../../lib/wire/overlay.ts";
import { formatSigned, parseSigned } from "../../lib/wire/signed.ts";
import {
  type Cleanup,
  createSigner,
  isoTime,
  ManualClock,
  startTestNode,
  type TestDns,
  type TestNode,
  type TestNodeOptions,
} from "./home-node-fixture.ts";

/** Nodes with one clock, each of which is told of `join` only: by default of the first of them. */
export async function startNet(
  count: number,
  cleanup: Cleanup,
  dns: TestDns,
  options: TestNodeOptions = {},
): Promise<TestNode[]> {
  const clock = options.clock ?? new ManualClock();
  const nodes: TestNode[] = [];
  for (let i = 0; i < count; i++) {
    const join = nodes.slice(0, 1).map(({ url }) => url);
    nodes.push(await startTestNode(cleanup, dns, { ...options, clock, config: { join, ...options.config } }));
  }
  return nodes;
}

/** As `until`, for what has to be asked. */
export async function untilAsync(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function contactsOf({ node }: Pick<TestNode, "node">): Promise<number> {
  return (await node.status()).contacts;
}

export async function untilContacts(nodes: readonly TestNode[], count: number): Promise<void> {
  await untilAsync(`each of ${nodes.length} nodes knows ${count}`, async () => {
    const known = await Promise.all(nodes.map(contactsOf));
    return known.every((size) => size === count);
  });
}

export async function closestAt({ url }: Pick<TestNode, "url">, hash: Hash): Promise<ClosestAnswer["nodes"]> {
  return parseClosestAnswer(await (await fetch(`${url}/closest/${hash}`)).json()).nodes;
}

/** What a 404 of a node says of others. */
export async function referredBy(response: Response): Promise<Referred> {
  if (response.status !== 404) throw new Error(`expected a 404, not ${response.status}`);
  return parseReferred(await response.json());
}

/** The holders of a referral. */
export function parseReferral(value: unknown): Contact[] {
  if (typeof value !== "object" || value === null || !("hash" in value)) throw new Error("no referral");
  return parseReferred(value).holders;
}

/** A node that there is not: its key, and what it signs. */
export class Stranger {
  readonly signer: StatementSigner;
  readonly #clock: ManualClock;

  private constructor(signer: StatementSigner, clock: ManualClock) {
    this.signer = signer;
    this.#clock = clock;
  }

  static async create(clock: ManualClock): Promise<Stranger> {
    return new Stranger(await createSigner(), clock);
  }

  contact(url: string | null): Contact {
    return { id: nodeIdOf(this.signer.key), key: formatPublicKeyText(this.signer.key), url };
  }

  card(url: string | null, change: Partial<ContactCard> = {}): Promise<SignedStatement> {
    const { id } = this.contact(url);
    const time = isoTime(this.#clock.now());
    const body = { type: contactCardKind.type, node: id, url, relays: [], time, ...change };
    return signStatement(contactCardKind, body, this.signer);
  }

  async provide(
    to: TestNode,
    card: SignedStatement,
    hashes: Hash[],
    change: Partial<Provided> = {},
  ): Promise<Response> {
    const { id } = this.contact(null);
    const time = isoTime(this.#clock.now());
    const bytes = joinHashes(hashes);
    const said = {
      type: providedKind.type,
      node: id,
      to: to.id,
      hashes: digestOf(bytes),
      time,
      ...change,
    };
    const provided = await signStatement(providedKind, said, this.signer);
    const body = formatProvidersRequest({
      card: formatSigned(card),
      provided: formatSigned(provided),
      hashes: bytes,
    });
    return postJson(`${to.url}/providers`, body);
  }
}

export function postJson(url: string, body: string): Promise<Response> {
  return fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

export function postCard({ url }: Pick<TestNode, "url">, card: SignedStatement): Promise<Response> {
  return postJson(`${url}/contact`, JSON.stringify({ card: formatSigned(card) }));
}

/** The card that a node hands out. */
export async function cardOf(node: TestNode): Promise<SignedStatement> {
  const stranger = await Stranger.create(node.clock);
  const response = await postCard(node, await stranger.card(null));
  return parseSigned(parseContactAnswer(await response.json()).card);
}

/** A server of a test's own that stands where a node is said to be; it keeps what it was asked. */
export async function startPretender(
  cleanup: Cleanup,
  answer: (path: string, body: unknown) => unknown,
): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const path = request.url ?? "";
    asked.push(path);
    const reading = request.method === "POST" ? json(request) : Promise.resolve(null);
    void reading
      .then((body) => answer(path, body))
      .then((value) => {
        response.setHeader("Content-Type", "application/json");
        response.statusCode = value === null ? 404 : 200;
        response.end(JSON.stringify(value ?? {}));
      });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup.add(async () => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}
