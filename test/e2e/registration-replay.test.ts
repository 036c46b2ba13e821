// Registrations that somebody has recorded, sent again to real edges: over the same connection and new ones, by another
// node's, at another edge, and after the edge was ended and started anew with what it had on disk.

import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import {
  type Challenge,
  type EdgeFrame,
  formatFrame,
  parseEdgeFrame,
  type Registration,
  registrationKind,
} from "../../lib/registration.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { makeSigner } from "../node/client-fixture.ts";
import { endNetwork, startNetwork } from "./setup.ts";

let network: LocalNetwork;
let other: LocalNetwork;
let signer: StatementSigner;
/** What each replay came to. */
const answers: [string, string][] = [];

beforeAll(async () => {
  [network, other] = [await startNetwork(0), await startNetwork(0)];
  signer = await makeSigner(41);
}, 180_000);

afterAll(async () => {
  for (const one of [network, other]) await endNetwork(one);
});

/** A home node's connection to an edge, as far as its challenge. */
class Dialled {
  readonly challenge: Challenge;
  readonly #socket: WebSocket;
  readonly #frames: EdgeFrame[];

  private constructor(socket: WebSocket, frames: EdgeFrame[], challenge: Challenge) {
    this.#socket = socket;
    this.#frames = frames;
    this.challenge = challenge;
  }

  static async to(edgeUrl: string, by: StatementSigner): Promise<Dialled> {
    const socket = new WebSocket(`${edgeUrl.replace("http", "ws")}/node?id=${nodeIdOf(by.key)}`);
    const frames: EdgeFrame[] = [];
    socket.on("message", (data) => frames.push(parseEdgeFrame(String(data))));
    await once(socket, "open");
    const [challenge] = await expect
      .poll(() => frames, { timeout: 5000 })
      .toHaveLength(1)
      .then(() => frames.splice(0));
    if (challenge?.type !== "challenge") throw new Error("an edge begins with a challenge");
    return new Dialled(socket, frames, challenge);
  }

  /** `registered`, or the code of the refusal. */
  async say(frame: string): Promise<string> {
    this.#socket.send(frame);
    await expect.poll(() => this.#frames.length, { timeout: 10_000 }).toBeGreaterThan(0);
    const [answer] = this.#frames.splice(0);
    return answer?.type === "refused" ? answer.code : (answer?.type ?? "");
  }

  close(): void {
    this.#socket.terminate();
  }
}

async function answerTo(
  { edge, nonce, epoch }: Challenge,
  changes: Partial<Registration> = {},
): Promise<string> {
  const body: Registration = {
    ...{ type: registrationKind.type, node: nodeIdOf(signer.key), edge, nonce, epoch },
    origin: network.edgeUrl,
    time: new Date().toISOString(),
    url: null,
    pledge: { bytes: 1000, uploadRate: null, downloadRate: null, domains: "all" },
    freeBytes: 900,
    software: "test/1",
    ...changes,
  };
  return formatFrame({
    type: "register",
    registration: formatSigned(await signStatement(registrationKind, body, signer)),
  });
}

/** Sends a recorded frame on a new connection. */
async function replay(what: string, frame: string, edgeUrl = network.edgeUrl, by = signer): Promise<void> {
  const dialled = await Dialled.to(edgeUrl, by);
  answers.push([what, await dialled.say(frame)]);
  dialled.close();
}

async function restartEdge(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (signal === "SIGTERM") await network.edge.stop();
  else network.edge.kill("SIGKILL");
  await expect.poll(() => network.edge.isRunning, { timeout: 10_000 }).toBe(false);
  await network.startEdge();
}

describe("a recorded registration", () => {
  test("is accepted nowhere a second time, also not after the edge's end", async () => {
    const first = await Dialled.to(network.edgeUrl, signer);
    const recorded = await answerTo(first.challenge);
    expect(await first.say(recorded)).toBe("registered");
    answers.push(["on the same connection", await first.say(recorded)]);
    await replay("on a new connection", recorded);
    const unused = await Dialled.to(network.edgeUrl, signer);
    const neverSent = await answerTo(unused.challenge);
    unused.close();
    await replay("one that was signed and never sent, on a new connection", neverSent);
    await replay("at another edge", recorded, other.edgeUrl);
    await replay(
      "at another edge, made for its origin",
      await answerTo(first.challenge, { origin: other.edgeUrl }),
      other.edgeUrl,
    );
    await replay("by another node's connection", recorded, network.edgeUrl, await makeSigner(42));
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await restartEdge(signal);
      await replay(`after the edge's end by ${signal}`, recorded);
      await replay(`one that was never sent, after the edge's end by ${signal}`, neverSent);
    }
    const wrong = answers.filter(([, answer]) => answer !== "registration-replayed");
    console.log(
      `registrations replayed: ${answers.length}, accepted: ${answers.filter(([, answer]) => answer === "registered").length}`,
    );
    expect(wrong).toEqual([]);
    const last = await Dialled.to(network.edgeUrl, signer);
    expect(last.challenge.epoch).toBeGreaterThan(first.challenge.epoch);
    expect(await last.say(await answerTo(last.challenge))).toBe("registered");
    last.close();
  }, 240_000);

  test("made for a challenge with its epoch set back is refused, and the same with the epoch as it is, accepted", async () => {
    for (const back of [1, 2]) {
      const dialled = await Dialled.to(network.edgeUrl, signer);
      const { challenge } = dialled;
      expect(await dialled.say(await answerTo(challenge, { epoch: challenge.epoch - back }))).toBe(
        "registration-replayed",
      );
      dialled.close();
    }
    const dialled = await Dialled.to(network.edgeUrl, signer);
    expect(await dialled.say(await answerTo(dialled.challenge))).toBe("registered");
    dialled.close();
  });
});
