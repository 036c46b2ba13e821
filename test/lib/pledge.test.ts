import { describe, expect, test } from "vitest";
import {
  formatHours,
  isServingAt,
  msUntilServing,
  parseHours,
  parseVolunteerName,
} from "../../lib/pledge.ts";

const at = (time: string) => Date.parse(`2026-11-02T${time}Z`);
const MINUTE_MS = 60_000;

describe("hours of a pledge", () => {
  test.each([
    ["08:00-20:00", "07:59:59.999", false],
    ["08:00-20:00", "08:00:00.000", true],
    ["08:00-20:00", "19:59:59.999", true],
    ["08:00-20:00", "20:00:00.000", false],
    ["22:00-06:00", "21:59:59.999", false],
    ["22:00-06:00", "23:00:00.000", true],
    ["22:00-06:00", "00:00:00.000", true],
    ["22:00-06:00", "05:59:59.999", true],
    ["22:00-06:00", "06:00:00.000", false],
    ["00:00-23:59", "23:59:30.000", false],
  ])("%s at %s: %s", (text, time, serves) => {
    const hours = parseHours(text);
    expect(formatHours(hours)).toBe(text);
    expect(isServingAt(hours, at(time))).toBe(serves);
    // It serves again when it says so, and not a millisecond before.
    const waitMs = msUntilServing(hours, at(time));
    expect(waitMs === 0).toBe(serves);
    expect(isServingAt(hours, at(time) + waitMs)).toBe(true);
    if (waitMs > 0) expect(isServingAt(hours, at(time) + waitMs - 1)).toBe(false);
  });

  test("are always where none are said", () => {
    expect(isServingAt(null, at("03:00:00"))).toBe(true);
    expect(msUntilServing(null, at("03:00:00"))).toBe(0);
  });

  test("end after a wait that counts seconds and milliseconds", () => {
    expect(msUntilServing(parseHours("08:00-20:00"), at("07:58:30.250"))).toBe(1.5 * MINUTE_MS - 250);
  });

  test.each([
    "",
    "8-20",
    "08:00",
    "08:00-08:00",
    "24:00-01:00",
    "08:60-09:00",
    "08:00-09:00-10:00",
    " 08:00-09:00",
  ])("%j are none", (text) => {
    expect(() => parseHours(text)).toThrowError(expect.objectContaining({ code: "invalid-request" }));
  });
});

describe("a volunteer's name", () => {
  test.each(["Ada's attic", "A", "Bücher & Söhne", "図書館の屋根裏", "a".repeat(64), "😀".repeat(64), "<b>"])(
    "%j shows as it is",
    (text) => {
      expect(parseVolunteerName(text)).toBe(text);
    },
  );

  test.each([
    ["empty", ""],
    ["of spaces", "   "],
    ["with a space at its end", "Ada "],
    ["too long", "a".repeat(65)],
    ["with a line end", "Ada\nroot"],
    ["with an escape", "\u001b[31mAda"],
    ["with a bidi override", "Ada\u202eadA"],
    ["with an isolate", "\u2066Ada"],
    ["with a mark of Arabic order", "Ada\u061c"],
    ["with a zero-width space", "A\u200bda"],
    ["with a lone surrogate", "Ada\ud800"],
    ["with a line separator", "Ada\u2028x"],
    ["with a wide space", "Ada\u3000x"],
    ["of private use", "\ue000"],
  ])("is refused %s", (_, text) => {
    expect(() => parseVolunteerName(text)).toThrowError(expect.objectContaining({ code: "invalid-request" }));
  });
});
