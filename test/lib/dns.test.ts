// DNS over HTTPS on the wire: messages that BIND sent, and what happens to them cut, changed and contradicted.

import { type Answer, encode, type OptAnswer, type Packet } from "@leichtgewicht/dns-packet";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ANSWER_BYTES_MAX,
  ANSWER_RECORDS_MAX,
  CNAME_DEPTH_MAX,
  encodeTxtQuery,
  parseTxtAnswer,
  queryTxt,
} from "../../lib/dns.ts";
import { isHoldfastError } from "../../lib/error.ts";
import type { Fetch } from "../../lib/fetch.ts";
import vectors from "../vectors/dns-answers.json" with { type: "json" };

const NAME = "_holdfast.example.org";
const RESPONSE: Packet = { type: "response", id: 0, questions: [{ type: "TXT", name: NAME }] };
const DNS_FAILED = expect.objectContaining({ code: "dns-failed" });

const txt = (name: string, text: string, ttl = 60): Answer => ({ type: "TXT", name, ttl, data: [text] });
const alias = (name: string, target: string, ttl = 60): Answer => ({
  type: "CNAME",
  name,
  ttl,
  data: target,
});
const parse = (packet: Packet) => parseTxtAnswer(encode({ ...RESPONSE, ...packet }), NAME);

/** Flips bits of the second half of the header: opcode, flags, rcode. */
function withFlags(flags: number): Packet {
  return { flags, answers: [txt(NAME, "v=hf1")] };
}

describe("messages of a real server", () => {
  test("the query is byte for byte what BIND answered", () => {
    expect(bytesToHex(encodeTxtQuery(vectors.query.name))).toBe(vectors.query.hex);
  });

  for (const vector of vectors.cases) {
    test(`${vector.title} parses as it says`, () => {
      const bytes = hexToBytes(vector.hex);
      if (vector.answer === undefined) {
        expect(() => parseTxtAnswer(bytes, vector.name)).toThrow(
          expect.objectContaining({ code: vector.error }),
        );
        return;
      }
      const answer = parseTxtAnswer(bytes, vector.name);
      expect({ ...answer, texts: answer.texts.toSorted() }).toEqual(vector.answer);
    });

    test(`${vector.title}, cut anywhere or followed by a byte, is dns-failed`, () => {
      const bytes = hexToBytes(vector.hex);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(() => parseTxtAnswer(bytes.slice(0, length), vector.name)).toThrow(DNS_FAILED);
      }
      expect(() => parseTxtAnswer(Uint8Array.from([...bytes, 0]), vector.name)).toThrow(DNS_FAILED);
    });

    test(`${vector.title}, with any byte changed, gives an answer or dns-failed and nothing else`, () => {
      const bytes = hexToBytes(vector.hex);
      for (const index of bytes.keys()) {
        for (const mask of [0x01, 0x80, 0xff]) {
          const changed = bytes.slice();
          changed[index] = (changed[index] ?? 0) ^ mask;
          expect(["answer", "dns-failed"]).toContain(outcomeOf(changed, vector.name));
        }
      }
    });
  }
});

describe("an answer is refused with dns-failed", () => {
  const cases: Record<string, Packet> = {
    "if its id is not 0": { id: 1 },
    "if it is a query": { type: "query" },
    "if its opcode is not QUERY": withFlags(0x2800),
    "if it is truncated": withFlags(0x0200),
    "if it has no question": { questions: [] },
    "if it answers another name": { questions: [{ type: "TXT", name: "_holdfast.example.net" }] },
    "if it answers another type": { questions: [{ type: "A", name: NAME }] },
    "if it answers another class": { questions: [{ type: "TXT", class: "CH", name: NAME }] },
    "if it has two questions": {
      questions: [
        { type: "TXT", name: NAME },
        { type: "TXT", name: NAME },
      ],
    },
    "if it is FORMERR": withFlags(1),
    "if it is SERVFAIL": withFlags(2),
    "if it is NOTIMP": withFlags(4),
    "if it is REFUSED": withFlags(5),
    "if it says that the name does not exist, and has its records": withFlags(3),
    "if aliases loop": { answers: [alias(NAME, "b.test"), alias("b.test", NAME)] },
    "if a name is an alias of itself": { answers: [alias(NAME, NAME)] },
    "if a name is an alias of two names": { answers: [alias(NAME, "b.test"), alias(NAME, "c.test")] },
    "if there are too many records": {
      answers: Array.from({ length: ANSWER_RECORDS_MAX }, () => txt(NAME, "")),
    },
  };
  for (const [title, packet] of Object.entries(cases)) {
    test(title, () => {
      expect(() => parse(packet)).toThrow(DNS_FAILED);
    });
  }

  test("if its header announces more records than it can hold, before any memory is taken for them", () => {
    const bytes = encode({ ...RESPONSE });
    bytes.fill(0xff, 6, 12);
    expect(() => parseTxtAnswer(bytes, NAME)).toThrow(DNS_FAILED);
  });

  test("if its error stands in the EDNS record only", () => {
    const edns: OptAnswer & { extendedRcode: number } = {
      type: "OPT",
      name: ".",
      data: [],
      extendedRcode: 1,
    };
    expect(() => parse({ additionals: [edns] })).toThrow(DNS_FAILED);
    edns.extendedRcode = 0;
    expect(parse({ additionals: [edns] }).exists).toBe(true);
  });
});

describe("of an answer", () => {
  test("only records of the name asked for are taken, in any case of letters", () => {
    const { texts } = parse({
      answers: [
        txt("_HOLDFAST.Example.ORG", "mine"),
        txt("example.org", "not mine"),
        txt(`x.${NAME}`, "nor this"),
      ],
    });
    expect(texts).toEqual(["mine"]);
  });

  test("records of another class are left", () => {
    expect(parse({ answers: [{ ...txt(NAME, "chaos"), class: "CH" }] }).texts).toEqual([]);
  });

  test("records at an alias's own name are left, and those of its target taken", () => {
    const { texts, target } = parse({
      answers: [txt(NAME, "beside the alias"), alias(NAME, "Keys.test"), txt("keys.TEST", "there")],
    });
    expect({ texts, target }).toEqual({ texts: ["there"], target: "keys.test" });
  });

  test(`${CNAME_DEPTH_MAX} aliases are followed, one more is refused`, () => {
    const chain = (length: number) =>
      Array.from({ length }, (_, i) => alias(i === 0 ? NAME : `a${i}.test`, `a${i + 1}.test`));
    expect(
      parse({ answers: [...chain(CNAME_DEPTH_MAX), txt(`a${CNAME_DEPTH_MAX}.test`, "end")] }).texts,
    ).toEqual(["end"]);
    expect(() => parse({ answers: chain(CNAME_DEPTH_MAX + 1) })).toThrow(DNS_FAILED);
  });

  test("the smallest TTL counts, unused records' do not, and one with the top bit set is zero", () => {
    expect(
      parse({ answers: [alias(NAME, "b.test", 30), txt("b.test", "x", 50), txt("c.test", "y", 1)] })
        .ttlSeconds,
    ).toBe(30);
    expect(parse({ answers: [txt(NAME, "x", 50), txt(NAME, "y", 0x8000_0000)] }).ttlSeconds).toBe(0);
  });

  test("an empty answer without a start of authority may not be kept", () => {
    expect(parse({}).ttlSeconds).toBe(0);
  });

  test("a byte order mark stays in the text", () => {
    expect(parse({ answers: [txt(NAME, "\ufeffv=hf1")] }).texts).toEqual(["\ufeffv=hf1"]);
  });
});

test("a text cut into strings anywhere, inside a character too, comes back joined", () => {
  const texts = fc.string({ unit: "grapheme", minLength: 1, maxLength: 100 });
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 255 }), (text, size) => {
      const bytes = new TextEncoder().encode(text);
      const count = Math.ceil(bytes.length / size);
      const strings = Array.from({ length: count }, (_, i) => bytes.slice(i * size, (i + 1) * size));
      expect(parse({ answers: [{ type: "TXT", name: NAME, data: strings }] }).texts).toEqual([text]);
    }),
  );
});

test("random bytes after a good header never throw anything but dns-failed", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      const header = encode({ ...RESPONSE }).slice(0, 12);
      header.set([0, 3], 6);
      expect(["answer", "dns-failed"]).toContain(outcomeOf(Uint8Array.from([...header, ...tail]), NAME));
    }),
  );
});

test("a name that no DNS message can carry is invalid-domain", () => {
  const long = `_holdfast.${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.${"d".repeat(60)}.org`;
  for (const name of ["", "a..b", "UPPER.test", "ä.test", "a b.test", `${"a".repeat(64)}.test`, long]) {
    expect(() => encodeTxtQuery(name)).toThrow(expect.objectContaining({ code: "invalid-domain" }));
  }
});

describe("over HTTP", () => {
  const good = encode({ ...RESPONSE, answers: [txt(NAME, "v=hf1")] });
  const dohUrl = "https://dns.test/dns-query";
  const reply = (status: number, type: string | null, bytes: Uint8Array = good) =>
    new Response(Uint8Array.from(bytes), { status, headers: type === null ? {} : { "content-type": type } });
  const ask = (fetch: Fetch) => queryTxt({ name: NAME, dohUrl, fetch, timeoutMs: 50 });

  test("the question is one POST of the query's bytes, with both media types", async () => {
    const calls: unknown[] = [];
    const fetch: Fetch = async (url, init) => {
      calls.push([url, init?.method, init?.redirect, init?.headers]);
      expect(init?.body).toEqual(encodeTxtQuery(NAME));
      return reply(200, "Application/DNS-Message; charset=x");
    };
    expect((await ask(fetch)).texts).toEqual(["v=hf1"]);
    const type = "application/dns-message";
    expect(calls).toEqual([[dohUrl, "POST", "manual", { accept: type, "content-type": type }]]);
  });

  const refusals: Record<string, () => Response> = {
    "a status other than 200": () => reply(502, "application/dns-message"),
    "a redirect": () => reply(307, "application/dns-message"),
    "another media type": () => reply(200, "application/dns-json"),
    "no media type": () => reply(200, null),
    "an empty body": () => reply(200, "application/dns-message", new Uint8Array()),
    "a body that is too large": () =>
      reply(200, "application/dns-message", new Uint8Array(ANSWER_BYTES_MAX + 1)),
  };
  for (const [title, answer] of Object.entries(refusals)) {
    test(`${title} is dns-failed`, async () => {
      await expect(ask(async () => answer())).rejects.toMatchObject({ code: "dns-failed" });
    });
  }

  test("a resolver that cannot be reached is dns-failed and keeps the cause", async () => {
    const cause = new TypeError("connect ECONNREFUSED");
    await expect(ask(() => Promise.reject(cause))).rejects.toMatchObject({ code: "dns-failed", cause });
  });

  test("a resolver that never answers is dns-failed after the time limit", async () => {
    const never: Fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    await expect(ask(never)).rejects.toMatchObject({ code: "dns-failed" });
  });
});

function outcomeOf(bytes: Uint8Array, name: string): string {
  try {
    parseTxtAnswer(bytes, name);
    return "answer";
  } catch (error) {
    return isHoldfastError(error) ? error.code : String(error);
  }
}
