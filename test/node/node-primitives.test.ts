// The primitives that Node lends the command and the home node: the same verdicts and the same bytes as the portable ones.

import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodePrimitives } from "../../cli/node-primitives.ts";
import { importSigner, verifyEd25519 } from "../../lib/ed25519.ts";
import { hashBytes } from "../../lib/hash.ts";
import { portablePrimitives, primitives, usePrimitives } from "../../lib/primitives.ts";
import vectors from "../vectors/ed25519.json" with { type: "json" };
import edge from "../vectors/ed25519-edge.json" with { type: "json" };

beforeAll(() => usePrimitives(nodePrimitives));
afterAll(() => usePrimitives(portablePrimitives));

describe("Node's primitives", () => {
  test("give the verdict of every Ed25519 vector", async () => {
    expect(primitives()).toBe(nodePrimitives);
    const cases = [...vectors.cases, ...edge.cases];
    const wrong: string[] = [];
    for (const { why, key, message, signature, valid } of cases) {
      const verdict = await verifyEd25519(hexToBytes(key), hexToBytes(message), hexToBytes(signature));
      if (verdict !== valid) wrong.push(why);
    }
    console.log(`${cases.length} vectors, ${wrong.length} wrong verdicts`);
    expect(wrong).toEqual([]);
  });

  test("sign what the portable ones verify, byte for byte as they sign", async () => {
    const seed = randomBytes(32);
    const message = randomBytes(100);
    const own = await importSigner(seed);
    const signature = await own.sign(message);
    const verify = await portablePrimitives.importVerifier(own.publicKey);
    expect(await verify(message, signature)).toBe(true);
    usePrimitives(portablePrimitives);
    const portable = await (await importSigner(seed)).sign(message);
    usePrimitives(nodePrimitives);
    expect(bytesToHex(portable)).toBe(bytesToHex(signature));
  });

  test("hash as the portable ones do, views of larger memory too", () => {
    const memory = randomBytes(300);
    for (const bytes of [new Uint8Array(), memory, memory.subarray(17, 130)]) {
      for (const name of ["sha256", "sha512"] as const)
        expect(bytesToHex(nodePrimitives[name](bytes))).toBe(bytesToHex(portablePrimitives[name](bytes)));
      expect(hashBytes(bytes)).toBe(bytesToHex(portablePrimitives.sha256(bytes)));
    }
  });

  test("write base64 as the portable ones do, and read what they read", () => {
    const memory = randomBytes(300);
    for (const bytes of [new Uint8Array(), memory, memory.subarray(17, 130), memory.subarray(18, 130)]) {
      const text = portablePrimitives.encodeBase64(bytes);
      expect(nodePrimitives.encodeBase64(bytes)).toBe(text);
      for (const one of [nodePrimitives, portablePrimitives])
        expect(bytesToHex(one.decodeBase64(text))).toBe(bytesToHex(bytes));
    }
  });

  test.each([
    ["padding is missing", "AA"],
    ["padding is too much", "AAAA===="],
    ["the last bits are set", "AB=="],
    ["the alphabet is that of URLs", "-_-_"],
    ["white space is in it", "AAAA\nAAAA"],
    ["something follows the padding", "AA==AAAA"],
    ["it is not ASCII", "AAA\u0100"],
    ["nothing of it is base64", "***"],
  ])("refuse base64 where %s", (_, text) => {
    for (const one of [nodePrimitives, portablePrimitives]) expect(() => one.decodeBase64(text)).toThrow();
  });
});
