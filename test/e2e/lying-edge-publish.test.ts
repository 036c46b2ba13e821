// An edge that lies to a publisher, in one field at a time and about what it has accepted. What the client calls published
// is there for everybody else; all other lies end in a code.

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { makeSigner } from "../node/client-fixture.ts";
import { LiedToClient, outcomeOf } from "./lied-to-client.ts";
import { allLies, answersDuring, type Told, tellLie } from "./lies.ts";
import { type Answer, HONEST, jsonOf, LyingEdge, withJson } from "./lying-edge.ts";
import { Publisher } from "./publisher.ts";

const network = inject("network");
const QUICK = { idleMs: 1000, totalMs: 4000 };
/** Of each answer's lies so many are told, spread over all of its fields. */
const LIES_PER_ANSWER = 50;
const NAME = "pub";

describe("an edge that lies to a publisher", () => {
  const edge = new LyingEdge(network.edgeUrl, { remembers: false });
  let publisher: Publisher;
  let count = 0;

  beforeAll(async () => {
    await edge.start();
    publisher = await Publisher.create(network);
  });

  afterAll(() => edge.stop());

  function clientOf(url: string): Promise<LiedToClient> {
    const { dohUrl } = network;
    const { domain, folder } = publisher;
    return LiedToClient.create({ urls: [url], dohUrl, domain, folder, chunkLimits: QUICK });
  }

  /** Publishes something new; `true` where everybody can read it then, `false` where only the client thinks so. */
  async function publishNext(client: LiedToClient, name = NAME): Promise<boolean> {
    const bytes = `bytes number ${++count}`;
    const { version } = await client.publish(name, bytes, await publisher.signer(), publisher.author);
    const reader = await clientOf(network.edgeUrl);
    const [newest] = await reader.log(name);
    return newest === version.id && (await reader.get(name)) === bytes;
  }

  async function someLies(): Promise<Told[]> {
    const client = await clientOf(edge.url);
    expect(await publishNext(client)).toBe(true);
    const answers = await answersDuring(edge, async () => expect(await publishNext(client)).toBe(true));
    return [...answers].flatMap(([kind, answer]) => {
      const lies = allLies(kind, answer, undefined);
      const step = Math.max(1, lies.length / LIES_PER_ANSWER);
      return lies.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
    });
  }

  test("in one field has nothing published that is not there", async () => {
    const lies = await someLies();
    const client = await clientOf(edge.url);
    const tally = new Map<string, number>();
    const wrong: string[] = [];
    for (const told of lies) {
      tellLie(edge, told);
      const outcome = await outcomeOf(publishNext(client));
      const said = "code" in outcome ? outcome.code : outcome.value === true ? "published" : "wrong";
      if (said === "wrong") wrong.push(told.text);
      tally.set(said, (tally.get(said) ?? 0) + 1);
    }
    edge.lie = HONEST;
    console.log(
      `publish: ${lies.length} lies, ${wrong.length} believed; ${JSON.stringify(Object.fromEntries(tally))}`,
    );
    expect(wrong).toEqual([]);
    expect(await publishNext(client)).toBe(true);
    expect(tally.get("published")).toBeGreaterThan(0);
    expect(tally.get("bad-answer")).toBeGreaterThan(0);
  }, 240_000);

  test("and acknowledges what it has thrown away is not believed without a witness of its own", async () => {
    const client = await clientOf(edge.url);
    const answers = await answersDuring(edge, async () =>
      expect(await publishNext(client, "kept")).toBe(true),
    );
    const earlier = answers.get("POST /names");
    const lies: Record<string, (id: string) => unknown> = {
      "no witness": (id) => ({ results: [{ id, status: "accepted", witnesses: [] }] }),
      "another Version's witness": (id) => ({ results: [{ ...firstResult(earlier), id }] }),
      "an earlier answer": () => earlier,
      "a statement that is no witness": (id) => ({ results: [{ id, status: "known", witnesses: [signed] }] }),
    };
    const signer = await makeSigner(9);
    const text = new TextEncoder().encode("{}");
    const signed = { statement: btoa("{}"), signature: await signer.sign("holdfast-edge", text) };
    for (const [what, lie] of Object.entries(lies)) {
      edge.withhold = ({ kind, body }) => (kind === "POST /names" ? jsonAnswer(lie(idIn(body))) : null);
      expect([what, await outcomeOf(publishNext(client, "kept"))]).toEqual([what, { code: "bad-answer" }]);
    }
    edge.withhold = () => null;
    expect(await publishNext(client, "kept")).toBe(true);
  });
});

function jsonAnswer(value: unknown): Answer {
  const answer = { status: 200, headers: { "content-type": "application/json" }, body: Buffer.alloc(0) };
  return withJson(answer, value);
}

function firstResult(answer: unknown): object {
  return (answer as { results: object[] }).results[0] ?? {};
}

/** The id of the first Version that is posted. */
function idIn(body: Buffer): string {
  const { statements } = jsonOf({ status: 200, headers: {}, body }) as {
    statements: { version: { statement: string } }[];
  };
  const statement = Buffer.from(statements[0]?.version.statement ?? "", "base64");
  return createHash("sha256").update(statement).digest("hex");
}
