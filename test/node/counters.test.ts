// What a node counts: by way, direction, day and domain; over restarts and crashes, and when its file is damaged.

import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { Accepted, DOMAINS_COUNTED_MAX } from "../../home-node/counters/accepted.ts";
import { COUNTERS_FILE, COUNTERS_WRITE_MS, Counters } from "../../home-node/counters/counters.ts";
import { DAYS_KEPT, Traffic } from "../../home-node/counters/traffic.ts";
import { parseDomain } from "../../lib/names.ts";
import { Cleanup, DOMAIN, ManualClock, settle, until } from "./home-node-fixture.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const DAY_MS = 24 * 60 * 60 * 1000;
const NONE = { requests: 0, bytes: 0 };

async function startCounters(dir: string, clock = new ManualClock()): Promise<Counters> {
  const counters = new Counters({ dir, clock, log: pino({ level: "silent" }) });
  await counters.start();
  return counters;
}

async function fileIn(dir: string): Promise<string | null> {
  return readFile(join(dir, COUNTERS_FILE), "utf8").catch(() => null);
}

async function untilWritten(dir: string, before: string | null): Promise<void> {
  let now = before;
  await until("the counters are written", () => {
    void fileIn(dir).then((text) => {
      now = text;
    });
    return now !== before;
  });
}

/** Bytes that went out directly. */
function outBytes(counters: Counters) {
  const { today, total } = counters.report().traffic;
  return { today: today.direct.out.bytes, total: total.direct.out.bytes };
}

describe("traffic", () => {
  it("is counted by way and direction, in all and today", () => {
    const traffic = new Traffic(new ManualClock(), null);
    traffic.count("direct", "out", { requests: 1 });
    traffic.count("direct", "out", { bytes: 100 });
    traffic.count("tunnel", "in", { requests: 1, bytes: 7 });
    traffic.count("relay", "out", { bytes: 3 });
    const flows = {
      direct: { in: NONE, out: { requests: 1, bytes: 100 } },
      tunnel: { in: { requests: 1, bytes: 7 }, out: NONE },
      relay: { in: NONE, out: { requests: 0, bytes: 3 } },
    };
    expect(traffic.report()).toEqual({
      since: "2026-03-01T12:00:00.000Z",
      total: flows,
      today: { date: "2026-03-01", ...flows },
      days: [{ date: "2026-03-01", ...flows }],
    });
  });

  it("begins a new day at midnight in UTC, to the millisecond", async () => {
    const clock = new ManualClock();
    const traffic = new Traffic(clock, null);
    await clock.advance(DAY_MS / 2 - 1);
    traffic.count("direct", "out", { bytes: 1 });
    expect(traffic.report().today).toMatchObject({ date: "2026-03-01", direct: { out: { bytes: 1 } } });
    await clock.advance(1);
    expect(traffic.report().today).toMatchObject({ date: "2026-03-02", direct: { out: NONE } });
    traffic.count("direct", "out", { bytes: 2 });
    const { total, days } = traffic.report();
    expect(total.direct.out.bytes).toBe(3);
    expect(days.map(({ date, direct }) => [date, direct.out.bytes])).toEqual([
      ["2026-03-01", 1],
      ["2026-03-02", 2],
    ]);
  });

  it("keeps the last 31 days, and the sum of all", async () => {
    const clock = new ManualClock();
    const traffic = new Traffic(clock, null);
    for (let day = 0; day < DAYS_KEPT + 9; day++) {
      traffic.count("direct", "out", { bytes: 1 });
      await clock.advance(DAY_MS);
    }
    const { days, total } = traffic.report();
    expect([days.length, days[0]?.date, days.at(-1)?.date]).toEqual([31, "2026-03-10", "2026-04-09"]);
    expect(total.direct.out.bytes).toBe(DAYS_KEPT + 9);
  });

  it("goes on with the day that it is when the clock is put back", () => {
    let nowMs = Date.parse("2026-03-02T00:00:01.000Z");
    const traffic = new Traffic({ now: () => nowMs }, null);
    traffic.count("direct", "out", { bytes: 1 });
    nowMs -= 2000;
    traffic.count("direct", "out", { bytes: 2 });
    nowMs += 2000;
    traffic.count("direct", "out", { bytes: 4 });
    expect(traffic.report().days.map(({ direct }) => direct.out.bytes)).toEqual([2, 5]);
  });

  it("gives out copies", () => {
    const traffic = new Traffic(new ManualClock(), null);
    traffic.count("direct", "out", { bytes: 1 });
    traffic.report().total.direct.out.bytes = 99;
    traffic.report().today.direct.out.bytes = 99;
    expect(traffic.report().today.direct.out.bytes).toBe(1);
    expect(traffic.report().total.direct.out.bytes).toBe(1);
  });
});

describe("what was accepted", () => {
  it("is counted for each domain, the most bytes first", () => {
    const accepted = new Accepted(null);
    accepted.add(parseDomain("small.example"), 5);
    accepted.add(DOMAIN, 10);
    accepted.add(DOMAIN, 20);
    expect(accepted.record()).toEqual({
      domains: [
        { domain: DOMAIN, chunks: 2, bytes: 30 },
        { domain: "small.example", chunks: 1, bytes: 5 },
      ],
      others: { chunks: 0, bytes: 0 },
    });
  });

  it("keeps the large ones apart and loses no sum, however many small domains come", () => {
    const accepted = new Accepted(null);
    for (let i = 0; i < 100; i++) accepted.add(DOMAIN, 1000);
    for (let i = 0; i < 3 * DOMAINS_COUNTED_MAX; i++) accepted.add(parseDomain(`d${i}.example.net`), 1);
    const { domains, others } = accepted.record();
    expect(domains).toHaveLength(DOMAINS_COUNTED_MAX);
    expect(domains[0]).toEqual({ domain: DOMAIN, chunks: 100, bytes: 100_000 });
    const chunks = domains.reduce((sum, domain) => sum + domain.chunks, others.chunks);
    expect(chunks).toBe(100 + 3 * DOMAINS_COUNTED_MAX);
  });
});

describe("counters on disk", () => {
  it("go on after a stop, today included, and the next day too", async () => {
    const dir = await cleanup.directory();
    const clock = new ManualClock();
    const first = await startCounters(dir, clock);
    first.count("direct", "out", { requests: 1, bytes: 100 });
    first.accept(DOMAIN, 50);
    first.receipt();
    await first.stop();
    expect((await stat(join(dir, COUNTERS_FILE))).mode & 0o777).toBe(0o600);
    const second = await startCounters(dir, clock);
    expect(second.report()).toEqual(first.report());
    second.count("direct", "out", { bytes: 11 });
    expect(outBytes(second)).toEqual({ today: 111, total: 111 });
    await second.stop();
    await clock.advance(DAY_MS);
    const third = await startCounters(dir, clock);
    third.count("direct", "out", { bytes: 5 });
    expect(outBytes(third)).toEqual({ today: 5, total: 116 });
    expect(third.report()).toMatchObject({ receipts: 1, accepted: { domains: [{ bytes: 50 }] } });
  });

  it("are written a minute after a change, not sooner, and not again without one", async () => {
    const dir = await cleanup.directory();
    const clock = new ManualClock();
    const counters = await startCounters(dir, clock);
    counters.count("direct", "out", { bytes: 1 });
    await clock.advance(COUNTERS_WRITE_MS - 1);
    counters.count("direct", "out", { bytes: 1 });
    await settle();
    expect(await fileIn(dir)).toBeNull();
    await clock.advance(1);
    await untilWritten(dir, null);
    expect(clock.sleepingUntil).toEqual([]);
    expect(JSON.parse((await fileIn(dir)) ?? "").traffic.total.direct.out.bytes).toBe(2);
    await counters.stop();
  });

  it("lose a minute in a crash, and no more", async () => {
    const dir = await cleanup.directory();
    const clock = new ManualClock();
    const counters = await startCounters(dir, clock);
    let before: string | null = null;
    for (let minute = 0; minute < 3; minute++) {
      counters.count("direct", "out", { bytes: 100 });
      await clock.advance(COUNTERS_WRITE_MS);
      await untilWritten(dir, before);
      before = await fileIn(dir);
    }
    counters.count("direct", "out", { bytes: 7 });
    await clock.advance(COUNTERS_WRITE_MS - 1);
    // The process is gone: what another one finds is what was on disk.
    const crashed = join(await cleanup.directory(), "copy");
    await cp(dir, crashed, { recursive: true });
    expect(outBytes(await startCounters(crashed, clock))).toEqual({ today: 300, total: 300 });
    await counters.stop();
  });

  it.each([
    ["nothing", ""],
    ["half of it", '{"type":"holdfast-counters-1","traffic":{"since":"2026-0'],
    ["zeros, as a power cut may leave", "\0".repeat(600)],
    ["another type", '{"type":"holdfast-counters-9"}'],
    ["far too much", `"${"x".repeat(2 ** 19)}"`],
  ])("that hold %s are put aside, and counting begins anew", async (_what, text) => {
    const dir = await cleanup.directory();
    await writeFile(join(dir, COUNTERS_FILE), text);
    const counters = await startCounters(dir);
    expect(outBytes(counters)).toEqual({ today: 0, total: 0 });
    expect(await readFile(join(dir, `${COUNTERS_FILE}.damaged`), "utf8")).toBe(text);
    counters.count("direct", "out", { bytes: 3 });
    await counters.stop();
    expect(outBytes(await startCounters(dir))).toEqual({ today: 3, total: 3 });
  });

  it.each([
    ["a negative number", '"receipts":0', '"receipts":-1'],
    ["a date that does not exist", '"date":"2026-03-01"', '"date":"2026-02-30"'],
    ["a field too many", '"receipts":0', '"receipts":0,"more":1'],
    ["a field too few", '"receipts":0', '"more":0'],
    ["a domain that is none", '"example.org"', '"../etc"'],
  ])("with %s are not taken", async (_what, text, damage) => {
    const dir = await cleanup.directory();
    const first = await startCounters(dir);
    first.count("direct", "out", { bytes: 3 });
    first.accept(DOMAIN, 3);
    await first.stop();
    const saved = (await fileIn(dir)) ?? "";
    expect(saved).toContain(text);
    await writeFile(join(dir, COUNTERS_FILE), saved.replace(text, damage));
    expect(outBytes(await startCounters(dir))).toEqual({ today: 0, total: 0 });
  });

  it("that cannot be written stop nothing, and are written when they can be", async () => {
    const dir = await cleanup.directory();
    const clock = new ManualClock();
    const counters = await startCounters(dir, clock);
    const obstacle = join(dir, `${COUNTERS_FILE}.new`);
    await mkdir(join(obstacle, "full"), { recursive: true });
    counters.count("direct", "out", { bytes: 1 });
    await clock.advance(COUNTERS_WRITE_MS);
    await until("the next attempt is planned", () => clock.sleepingUntil.length > 0);
    expect(await fileIn(dir)).toBeNull();
    await rm(obstacle, { recursive: true, force: true });
    await clock.advance(COUNTERS_WRITE_MS);
    await untilWritten(dir, null);
    await counters.stop();
  });
});
