import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import { importSigner, verifyEd25519 } from "../../lib/ed25519.ts";
import vectors from "../vectors/ed25519.json" with { type: "json" };
import edge from "../vectors/ed25519-edge.json" with { type: "json" };

type Case = (typeof edge.cases)[number];

describe("strict Ed25519", () => {
  test.each(vectors.cases)("$why", async ({ key, message, signature, valid }) => {
    expect(await verifyEd25519(hexToBytes(key), hexToBytes(message), hexToBytes(signature))).toBe(valid);
  });

  // In Wycheproof's groups, and in those on which libraries are known to disagree. test/node has the same in a browser.
  const groups = Map.groupBy(edge.cases, ({ group }) => group);
  test.each([...groups])("gives the verdicts of the group %s", async (group, cases) => {
    const wrong: string[] = [];
    for (const one of cases) if ((await verdictOn(one)) !== one.valid) wrong.push(one.why);
    const valid = cases.filter((one) => one.valid).length;
    console.log(`${group}: ${valid} valid, ${cases.length - valid} invalid, ${wrong.length} wrong verdicts`);
    expect(wrong).toEqual([]);
  });

  test("has vectors enough of either verdict", () => {
    expect(edge.cases.filter(({ valid }) => valid).length).toBeGreaterThanOrEqual(50);
    expect(edge.cases.filter(({ valid }) => !valid).length).toBeGreaterThanOrEqual(400);
  });

  test("what is signed verifies, and with any one bit flipped does not", async () => {
    const signer = await importSigner(randomBytes(32));
    const message = new TextEncoder().encode("holdfast");
    const signature = await signer.sign(message);
    expect(await verifyEd25519(signer.publicKey, message, signature)).toBe(true);
    for (let bit = 0; bit < 512; bit += 7) {
      const flipped = Uint8Array.from(signature);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await verifyEd25519(signer.publicKey, message, flipped), bytesToHex(flipped)).toBe(false);
    }
  });
});

function verdictOn({ key, message, signature }: Case): Promise<boolean> {
  return verifyEd25519(hexToBytes(key), hexToBytes(message), hexToBytes(signature));
}
