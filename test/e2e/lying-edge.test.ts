// An edge that lies in one field at a time: every field of every JSON answer that a reader or a publisher gets, also inside
// the statements and Manifests that they carry. The client gives what is true, or a code; never what is false, and never a
// Version older than one that it has seen.

import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { LiedToClient, outcomeOf } from "./lied-to-client.ts";
import { allLies, answersDuring, type Told, tellLie } from "./lies.ts";
import { HONEST, LyingEdge } from "./lying-edge.ts";
import { publishTree, writeFolder } from "./publish-tree.ts";
import { Publisher } from "./publisher.ts";

const network = inject("network");
/** A holder that a lie leads to is given up after this long. */
const QUICK = { idleMs: 1000, totalMs: 4000 };
/** Of the lies so many are told beside an honest server: one in four. */
const EVERY_LIE = 4;
const OLD = "the first Version's bytes";
const NEW = "the second Version's bytes, which are the newest";
const OTHER = "another object's bytes";

interface Operation {
  name: string;
  /** What a client makes of it. */
  run: (client: LiedToClient, object: "app" | "other") => Promise<unknown>;
  isRight: (value: unknown) => boolean;
  /** What it may end with when it is lied to. */
  codes: string[];
}

const REFUSALS = ["bad-answer", "invalid-statement", "name-hash-mismatch", "not-found"];

describe("an edge that lies in one field", () => {
  const edge = new LyingEdge(network.edgeUrl);
  let publisher: Publisher;
  let genuine: string[];
  let tree: string;

  beforeAll(async () => {
    await edge.start();
    publisher = await Publisher.create(network);
    for (const [name, bytes] of [
      ["app", OLD],
      ["app", NEW],
      ["other", OTHER],
      ["other", `${OTHER}, again`],
    ] as const) {
      const { code, stderr } = await publisher.publish(await publisher.writeFile("file", bytes), name);
      expect([code, stderr]).toEqual([0, expect.any(String)]);
    }
    for (const prefix of ["app-tree", "other-tree"]) {
      await publishTree(publisher, await writeFolder(publisher, { a: prefix, "b/c": "c" }), prefix);
    }
    const honest = await clientOf([network.edgeUrl]);
    genuine = await honest.log("app");
    tree = await honest.ls("app-tree");
  }, 120_000);

  afterAll(() => edge.stop());

  function clientOf(urls: string[]): Promise<LiedToClient> {
    const { dohUrl } = network;
    return LiedToClient.create({
      ...{ urls, dohUrl, domain: publisher.domain, folder: publisher.folder, chunkLimits: QUICK },
    });
  }

  const operations: Operation[] = [
    {
      name: "get",
      run: (client, object) => client.get(object),
      isRight: (value) => value === NEW,
      codes: [...REFUSALS, "rolled-back"],
    },
    {
      name: "verify",
      run: async (client, object) => [await client.verify(object, NEW), await client.verify(object, OLD)],
      isRight: (value) => JSON.stringify(value) === "[true,false]",
      codes: [...REFUSALS, "rolled-back"],
    },
    {
      name: "log",
      run: (client, object) => client.log(object),
      // What is withheld cannot be known from one edge: what is told must be true.
      isRight: (value) => Array.isArray(value) && value.every((id) => genuine.includes(id)),
      codes: [],
    },
    {
      name: "get -r",
      run: (client, object) => client.getTree(`${object}-tree`),
      isRight: (value) => value === "a: app-tree\nb/c: c",
      codes: [...REFUSALS, "body-too-large", "invalid-signature"],
    },
    {
      name: "ls",
      run: (client, object) => client.ls(`${object}-tree`),
      isRight: (value) => value === tree,
      codes: [...REFUSALS, "body-too-large", "invalid-signature"],
    },
  ];

  async function answersTo(operation: Operation, object: "app" | "other"): Promise<Map<string, unknown>> {
    const client = await clientOf([edge.url]);
    return answersDuring(edge, () => operation.run(client, object));
  }

  async function liesTo(operation: Operation): Promise<Told[]> {
    const others = await answersTo(operation, "other");
    const answers = await answersTo(operation, "app");
    return [...answers].flatMap(([kind, answer]) => allLies(kind, answer, others.get(kind)));
  }

  /** Runs the operation once for each lie; what it came to, with how often, and what was wrongly taken. */
  async function tell(operation: Operation, lies: Told[], urls: string[]) {
    const client = await clientOf(urls);
    edge.lie = HONEST;
    expect(await outcomeOf(operation.run(client, "app"))).toSatisfy(
      (outcome) => "value" in outcome && operation.isRight(outcome.value),
    );
    const tally = new Map<string, number>();
    const wrong: string[] = [];
    for (const told of lies) {
      tellLie(edge, told);
      const outcome = await outcomeOf(operation.run(client, "app"));
      const said = "code" in outcome ? outcome.code : operation.isRight(outcome.value) ? "right" : "wrong";
      if (said === "wrong") wrong.push(told.text);
      tally.set(said, (tally.get(said) ?? 0) + 1);
    }
    edge.lie = HONEST;
    return { tally: Object.fromEntries([...tally].sort()), wrong };
  }

  test.each(operations)(
    "is not believed by $name",
    async (operation) => {
      const lies = await liesTo(operation);
      const { tally, wrong } = await tell(operation, lies, [edge.url]);
      console.log(
        `${operation.name}: ${lies.length} lies, ${wrong.length} believed; ${JSON.stringify(tally)}`,
      );
      expect(wrong).toEqual([]);
      expect(lies.length).toBeGreaterThan(100);
    },
    240_000,
  );

  test.each(operations)(
    "does not keep $name from the truth where an honest server is asked too",
    async (operation) => {
      const lies = (await liesTo(operation)).filter((_, i) => i % EVERY_LIE === 0);
      const { tally, wrong } = await tell(operation, lies, [edge.url, network.edgeUrl]);
      console.log(`${operation.name}, two servers: ${lies.length} lies; ${JSON.stringify(tally)}`);
      expect(wrong).toEqual([]);
      expect(tally).toEqual({ right: lies.length });
    },
    240_000,
  );
});
