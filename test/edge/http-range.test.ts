// What the comparison with nginx (test/e2e/http-semantics.test.ts) cannot say: properties over all requests, dates of
// other centuries, and the framing's arithmetic.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseHttpDate } from "../../workers/http-date.ts";
import { evaluateConditions, RANGES_MAX, totalBytes } from "../../workers/http-range.ts";
import { bodyLength, multipartBody, plainBody, randomBoundary } from "../../workers/object-body.ts";

const VALIDATORS = { etag: "ab12", modifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) };

function ask(sizeBytes: number, headers: Record<string, string>, method = "GET") {
  return evaluateConditions({ method, headers: new Headers(headers) }, VALIDATORS, sizeBytes);
}

const position = fc.oneof(fc.nat(20), fc.nat(), fc.constant(""));
const spec = fc.tuple(position, position).map(([first, last]) => `${first}-${last}`);
const range = fc.oneof(
  fc.array(spec, { minLength: 1, maxLength: 40 }).map((specs) => `bytes=${specs.join(",")}`),
  fc.stringMatching(/^bytes=[0-9, \t-]{0,20}$/),
);

describe("ranges", () => {
  test("that are served are bytes of the object, no more of them than it has, and not too many", () => {
    fc.assert(
      fc.property(fc.nat(30), range, (sizeBytes, text) => {
        const answer = ask(sizeBytes, { range: text });
        if (answer.status !== 206) return;
        expect(answer.ranges.length).toBeGreaterThan(0);
        expect(answer.ranges.length).toBeLessThanOrEqual(RANGES_MAX);
        expect(totalBytes(answer.ranges)).toBeLessThanOrEqual(sizeBytes);
        for (const { first, last } of answer.ranges) {
          expect(first).toBeGreaterThanOrEqual(0);
          expect(last).toBeGreaterThanOrEqual(first);
          expect(last).toBeLessThan(sizeBytes);
        }
      }),
    );
  });

  test("of a single kind say exactly the bytes that they name", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(60), fc.nat(60), (sizeBytes, a, b) => {
        const bytes = Array.from({ length: sizeBytes }, (_, i) => i);
        const bytesOf = (text: string) => {
          const answer = ask(sizeBytes, { range: text });
          return answer.status === 206
            ? answer.ranges.flatMap(({ first, last }) => bytes.slice(first, last + 1))
            : [];
        };
        expect(bytesOf(`bytes=${a}-${b}`)).toEqual(bytes.slice(a, b + 1));
        expect(bytesOf(`bytes=${a}-`)).toEqual(bytes.slice(a));
        expect(bytesOf(`bytes=-${a}`)).toEqual(a === 0 ? [] : bytes.slice(-a));
      }),
    );
  });

  test("of an object at the largest size are exact", () => {
    const { MAX_SAFE_INTEGER: size } = Number;
    expect(ask(size, { range: `bytes=${size - 1}-` })).toEqual({
      status: 206,
      ranges: [{ first: size - 1, last: size - 1 }],
    });
    expect(ask(size, { range: `bytes=${size}-` })).toEqual({ status: 416 });
  });
});

describe("HTTP dates", () => {
  const now = Date.UTC(2026, 5, 1);
  const example = Date.UTC(1994, 10, 6, 8, 49, 37) / 1000;

  test.each([
    ["Sun, 06 Nov 1994 08:49:37 GMT", example],
    ["Sunday, 06-Nov-94 08:49:37 GMT", example],
    ["Sun Nov  6 08:49:37 1994", example],
    ["Monday, 06-Nov-76 08:49:37 GMT", Date.UTC(2076, 10, 6, 8, 49, 37) / 1000],
    ["Sunday, 06-Nov-77 08:49:37 GMT", Date.UTC(1977, 10, 6, 8, 49, 37) / 1000],
    ["Thu, 29 Feb 2024 00:00:00 GMT", Date.UTC(2024, 1, 29) / 1000],
    ["Sat, 29 Feb 2025 00:00:00 GMT", null],
    ["Sun, 06 Nov 1994 24:00:00 GMT", null],
    ["Sun, 06 Nov 1994 08:60:00 GMT", null],
    ["Sun, 06 Nov 1994 08:49:37", null],
    ["Sun, 06 Nov 1994 08:49:37 UTC", null],
    ["sun, 06 nov 1994 08:49:37 gmt", null],
    ["Sun, 6 Nov 1994 08:49:37 GMT", null],
    ["1994-11-06T08:49:37Z", null],
    ["784111777", null],
    ["", null],
  ])("%j is %j", (text, seconds) => {
    expect(parseHttpDate(text, now)).toBe(seconds);
  });

  test("as they are written are read back to the second", () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true }), (date) => {
        expect(parseHttpDate(date.toUTCString())).toBe(Math.floor(date.getTime() / 1000));
      }),
    );
  });

  test("a Version's own date is not before it, though it has no milliseconds", () => {
    const date = new Date(VALIDATORS.modifiedMs).toUTCString();
    expect(ask(1, { "if-modified-since": date })).toEqual({ status: 304 });
    expect(ask(1, { "if-unmodified-since": date })).toEqual({ status: 200 });
  });
});

describe("bodies", () => {
  const byteRange = fc.tuple(fc.nat(), fc.nat(1000)).map(([first, more]) => ({ first, last: first + more }));

  test("of several ranges are as long as they say", () => {
    fc.assert(
      fc.property(fc.array(byteRange, { minLength: 2, maxLength: RANGES_MAX }), (ranges) => {
        const body = multipartBody(ranges, 2 ** 40, "text/plain; charset=utf-8", randomBoundary());
        const framing = body.sections.reduce((sum, { lead }) => sum + lead.length, 0) + body.trail.length;
        expect(bodyLength(body)).toBe(framing + totalBytes(ranges));
      }),
    );
  });

  test("of no bytes have no length", () => {
    expect(bodyLength(plainBody({ first: 0, last: -1 }))).toBe(0);
  });

  test("never have the same boundary twice", () => {
    const boundaries = Array.from({ length: 100 }, randomBoundary);
    expect(new Set(boundaries).size).toBe(100);
    expect(boundaries.every((boundary) => /^[0-9a-f]{20}$/.test(boundary))).toBe(true);
  });
});
