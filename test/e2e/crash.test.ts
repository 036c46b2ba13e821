// A few rounds of `npm run crash`, each at a moment that is sure to be in the middle of the work.

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import { parseHash } from "../../lib/hash.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { type Receipt, receiptKind } from "../../lib/upload.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { SeededRandom } from "../random.ts";
import { CrashSite, type Round } from "./crash-rounds.ts";
import { sha256 } from "./object-reads.ts";

const TIMEOUT_MS = 180_000;

const ROUNDS: Round[] = [
  { during: "publish", victim: "publisher", moment: { afterShare: 0.6 } },
  { during: "publish", victim: "node", moment: { afterShare: 0.3 } },
  { during: "publish", victim: "edge", moment: { afterShare: 0.5 } },
  { during: "read", victim: "publisher", moment: { afterShare: 0.5 } },
  { during: "read", victim: "edge", moment: { afterShare: 0.3 } },
];

describe("processes that are killed in the middle of their work", () => {
  let site: CrashSite;

  beforeAll(async () => {
    site = await CrashSite.start();
  }, TIMEOUT_MS);

  afterAll(() => site.stop(), TIMEOUT_MS);

  test.each(ROUNDS)(
    "$victim, during a $during: what was acknowledged is whole, and the rest is finished by a second run",
    async (round) => {
      const random = new SeededRandom("crash", round.during, round.victim);
      await site.run(round, random);
      await site.checkAll(random, 1);
      await site.checkCopies(1);
    },
    TIMEOUT_MS,
  );

  test(
    "receipts that the edge refuses do not stop the publish that finds them in its journal",
    () =>
      site.publishWithJournal(async ({ domain }) => {
        const stranger = createStatementSigner(await importSigner(new Uint8Array(randomBytes(32))));
        const chunks = [{ hash: parseHash(sha256("a chunk")), size: 7 }];
        const time = new Date().toISOString();
        const body: Receipt = { type: receiptKind.type, node: nodeIdOf(stranger.key), domain, chunks, time };
        return formatSigned(await signStatement(receiptKind, body, stranger));
      }),
    TIMEOUT_MS,
  );

  test(
    "none of them lost anything: all objects read back whole, both ways, and each copy is there",
    async () => {
      await site.checkAll(new SeededRandom("last"));
      await site.checkCopies();
      const { finishedByAnother, keptBytes, fetchedAgainBytes } = site.figures;
      expect(finishedByAnother).toBeGreaterThanOrEqual(2);
      expect(keptBytes).toBeGreaterThan(0);
      expect(fetchedAgainBytes).toBe(0);
    },
    TIMEOUT_MS,
  );
});
