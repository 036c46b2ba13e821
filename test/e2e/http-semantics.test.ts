// The same files, served by nginx and published at /obj: whatever a client asks, both answer alike. Where we differ,
// a row of EXCEPTIONS says why, and shows what each answers.

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { RANGES_MAX } from "../../workers/http-range.ts";
import { essenceOf, exchange } from "./http-exchange.ts";
import { type Nginx, startNginx } from "./nginx.ts";
import { Publisher } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const network = inject("network");
const withoutNginx = requirePrograms({ nginx: "nginx-light" }).missing.length > 0;
const MINUTE_MS = 60_000;
/** The largest number that nginx reads. */
const NUMBER_MAX = "9223372036854775807";
const OTHER_TAG = `"${"0".repeat(64)}"`;

const FILES = {
  empty: new Uint8Array(0),
  byte: Uint8Array.of(65),
  large: randomBytes(5 * 1024 * 1024 + 12_345),
};
type FileName = keyof typeof FILES;
const NAMES = Object.keys(FILES) as FileName[];

/**
 * Headers with places for what each server says of the file: {etag}, {date} of the last change in each form that HTTP
 * has, {earlier} and {later} dates; and for its {size}, its {last} position and one {beyond}.
 */
type Headers = Record<string, string>;

interface Ask {
  method: "GET" | "HEAD";
  headers: Headers;
}

const RANGES = [
  ...["0-99", "0-0", "0-", "0-{last}", "100-", "100-199", "{last}-", "{last}-{last}", "1000000-3000000"],
  ...["-1", "-100", "-{size}", "-{beyond}", "0-{beyond}", "{last}-{beyond}", "000-0001"],
  // no byte of it is there
  ...["{size}-", "{size}-{beyond}", "{beyond}-", "-0", "5-2", "1-0"],
  // several
  ...["0-0,-1", "0-9,20-29,40-", "50-59,0-9", "0-99,50-149", "0-9,0-9", "1000000-1000009,3000000-3000009,-5"],
  ...["0-9,{size}-", "{size}-,0-9", "0-0,5-2", "{size}-,{beyond}-", "0-,0-9", "0-,-{size}", "-1,0-0,1-1"],
  ...[ranges(RANGES_MAX), ranges(RANGES_MAX + 1), `${ranges(RANGES_MAX)},{size}-`],
  // white space
  ...[" 0-9", "0 - 9", "0- 9", "0 -9", "- 5", "0-9 , 20-29", "0-9,   20-29", "0-9,\t20-29", "0-9\t,20-29"],
  ...["0-9,,20-29", "0-9,", ",0-9", "0-9, ,", ",", ", ,"],
  // malformed
  ...["", "-", "a-b", "0-x", "x-9", "0", "0-9-", "0-9-12", "--5", "-5-", "0x0-9", "+0-9", "1.5-9", "5-9,x"],
  ...["x,0-9", "0-9;20-29", "0-9 20-29", "*", "0-*", "\u00bd-9"],
  // huge
  ...[`0-${NUMBER_MAX}`, `-${NUMBER_MAX}`, `${NUMBER_MAX}-`, `0-${"9".repeat(25)}`, `-${"9".repeat(25)}`],
  ...[`${"9".repeat(25)}-`, `${"9".repeat(25)}-${"9".repeat(26)}`, `0-0,-${"9".repeat(25)}`],
].map((list) => `bytes=${list}`);

const OTHER_UNITS = [
  "BYTES=0-9",
  "Bytes=0-0,-1",
  "bytes",
  "bytes 0-9",
  "bytes =0-9",
  "0-9",
  "items=0-9",
  "none",
  "=0-9",
];

const IF_RANGES = [
  "{etag}",
  OTHER_TAG,
  "W/{etag}",
  "{tag}",
  "{etag}, {etag}",
  "*",
  '"',
  '""',
  "yesterday",
].concat(["{date}", "{rfc850}", "{asctime}", "{iso}", "{earlier}", "{later}"]);

const TAGS = [
  "{etag}",
  OTHER_TAG,
  "W/{etag}",
  `${OTHER_TAG}, {etag}`,
  `${OTHER_TAG},{etag} ,"x"`,
  `"x", W/{etag}`,
].concat([`${OTHER_TAG}, "x"`, "*", '"x", *', "{tag}", "garbage", '"', ","]);

const DATES = [
  "{date}",
  "{rfc850}",
  "{asctime}",
  "{earlier}",
  "{later}",
  "{iso}",
  "yesterday",
  "0",
  "{time}",
];

const CONDITIONS: Headers[] = [
  ...IF_RANGES.map((value) => ({ Range: "bytes=0-0", "If-Range": value })),
  ...IF_RANGES.map((value) => ({ Range: "bytes=0-0,-1", "If-Range": value })),
  ...["{etag}", OTHER_TAG].map((value) => ({ Range: "bytes={size}-", "If-Range": value })),
  ...["{etag}", OTHER_TAG].map((value) => ({ "If-Range": value })),
  ...TAGS.flatMap((value) => [{ "If-None-Match": value }, { "If-Match": value }]),
  ...DATES.flatMap((value) => [{ "If-Modified-Since": value }, { "If-Unmodified-Since": value }]),
];

/** Every combination of these. */
const COMBINED: [string, string[]][] = [
  ["If-Match", ["", "{etag}", OTHER_TAG]],
  ["If-Unmodified-Since", ["", "{date}", "{earlier}"]],
  ["If-None-Match", ["", "{etag}", OTHER_TAG]],
  ["If-Modified-Since", ["", "{date}", "{earlier}", "yesterday"]],
  ["Range", ["", "bytes=0-0", "bytes={size}-"]],
];

const COMBINATIONS = COMBINED.reduce<Headers[]>(
  (all, [name, values]) =>
    all.flatMap((headers) => values.map((value) => (value === "" ? headers : { ...headers, [name]: value }))),
  [{}],
);

interface Exception {
  reason: string;
  /** The request that nginx answers as we answer `ask`, where the exception concerns it. */
  asIf: (ask: Ask) => Ask | null;
  example: Ask;
  nginx: number;
  ours: number;
}

const EXCEPTIONS: Exception[] = [
  {
    reason: "Range is defined for GET alone (RFC 9110 14.2)",
    asIf: ({ method, headers: { Range, "If-Range": _, ...headers } }) =>
      method === "HEAD" && Range !== undefined ? { method, headers } : null,
    example: { method: "HEAD", headers: { Range: "bytes=0-9" } },
    ...{ nginx: 206, ours: 200 },
  },
  {
    reason: "a tab is white space in a list as a space is (RFC 9110 5.6.3)",
    asIf: (ask) => withRange(ask, (range) => range.replaceAll("\t", " ")),
    example: { method: "GET", headers: { Range: "bytes=0-9,\t20-29" } },
    ...{ nginx: 416, ours: 206 },
  },
  {
    reason: "a list may have empty elements (RFC 9110 5.6.1.2)",
    asIf: (ask) => withRange(ask, withoutEmptyElements),
    example: { method: "GET", headers: { Range: "bytes=0-9,,20-29," } },
    ...{ nginx: 416, ours: 206 },
  },
  {
    reason: "a position past the end means the end, however far past it (RFC 9110 14.1.2)",
    asIf: (ask) => withRange(ask, (range) => range.replace(/\d{20,}/g, NUMBER_MAX)),
    example: { method: "GET", headers: { Range: "bytes=0-99999999999999999999" } },
    ...{ nginx: 416, ours: 206 },
  },
  {
    reason: "If-None-Match decides alone, whatever If-Modified-Since says (RFC 9110 13.1.3)",
    asIf: (ask) => withoutBeside(ask, "If-Modified-Since", "If-None-Match"),
    example: { method: "GET", headers: { "If-None-Match": "{etag}", "If-Modified-Since": "{earlier}" } },
    ...{ nginx: 200, ours: 304 },
  },
  {
    reason: "If-Match decides alone, whatever If-Unmodified-Since says (RFC 9110 13.1.4)",
    asIf: (ask) => withoutBeside(ask, "If-Unmodified-Since", "If-Match"),
    example: { method: "GET", headers: { "If-Match": "{etag}", "If-Unmodified-Since": "{earlier}" } },
    ...{ nginx: 412, ours: 200 },
  },
  {
    reason: "If-Unmodified-Since without a date is ignored (RFC 9110 13.1.4)",
    asIf: ({ method, headers: { "If-Unmodified-Since": since = "{date}", ...headers } }) =>
      ["{iso}", "yesterday", "0", "{time}"].includes(since) ? { method, headers } : null,
    example: { method: "GET", headers: { "If-Unmodified-Since": "yesterday" } },
    ...{ nginx: 412, ours: 200 },
  },
];

function ranges(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i * 150_000}-${i * 150_000 + 9}`).join(",");
}

function withRange(ask: Ask, change: (range: string) => string): Ask | null {
  const { Range: range } = ask.headers;
  if (range === undefined || change(range) === range) return null;
  return { ...ask, headers: { ...ask.headers, Range: change(range) } };
}

/** A list of nothing but empty elements stays what it is. */
function withoutEmptyElements(range: string): string {
  const [unit = "", list] = range.split("=");
  const kept = list?.split(",").filter((entry) => entry.trim() !== "");
  return kept === undefined || kept.length === 0 ? range : `${unit}=${kept.join(",")}`;
}

function withoutBeside(ask: Ask, dropped: string, beside: string): Ask | null {
  if (!(dropped in ask.headers && beside in ask.headers)) return null;
  return {
    ...ask,
    headers: Object.fromEntries(Object.entries(ask.headers).filter(([name]) => name !== dropped)),
  };
}

function normalized(ask: Ask): Ask {
  return EXCEPTIONS.reduce((current, { asIf }) => asIf(current) ?? current, ask);
}

function titleOf({ method, headers }: Ask): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value.slice(0, 70)}`);
  return [method, ...lines].join(" | ").replaceAll("%", "%%");
}

/** What a server says of a file, to be put into the places of a header. */
type Places = Record<string, string>;

async function placesOf(url: string, sizeBytes: number): Promise<Places> {
  const { headers } = await exchange("HEAD", url);
  const etag = headers.etag ?? "";
  const ms = Date.parse(headers["last-modified"] ?? "");
  const date = new Date(ms);
  const [, day = "", month = "", year = "", time = ""] =
    /^\w+, (\d\d) (\w+) (\d+) ([\d:]+) GMT$/.exec(date.toUTCString()) ?? [];
  const long = date.toLocaleDateString("en-US", { weekday: "long", timeZone: "UTC" });
  return {
    ...{ etag, tag: etag.replaceAll('"', ""), date: date.toUTCString(), iso: date.toISOString() },
    ...{ rfc850: `${long}, ${day}-${month}-${year.slice(2)} ${time} GMT`, time: String(ms / 1000) },
    asctime: `${long.slice(0, 3)} ${month} ${day.replace(/^0/, " ")} ${time} ${year}`,
    earlier: new Date(ms - MINUTE_MS).toUTCString(),
    later: new Date(ms + MINUTE_MS).toUTCString(),
    ...{
      size: String(sizeBytes),
      last: String(Math.max(0, sizeBytes - 1)),
      beyond: String(sizeBytes + 1000),
    },
  };
}

function filled(headers: Headers, places: Places): Headers {
  const fill = (text: string) => text.replace(/\{(\w+)\}/g, (place, name: string) => places[name] ?? place);
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fill(value)]));
}

interface Subject {
  ours: string;
  theirs: string;
  ourPlaces: Places;
  theirPlaces: Places;
}

describe.skipIf(withoutNginx)("/obj answers as nginx does", () => {
  const subjects = new Map<FileName, Subject>();
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx(FILES);
    const publisher = await Publisher.create(network);
    for (const name of NAMES) {
      const file = await publisher.writeFile(name, FILES[name]);
      expect(await publisher.publish(file, name)).toMatchObject({ code: 0 });
      const [ours, theirs] = [publisher.objectUrl(name), `${nginx.url}/${name}`];
      const size = FILES[name].length;
      const [ourPlaces, theirPlaces] = await Promise.all([placesOf(ours, size), placesOf(theirs, size)]);
      subjects.set(name, { ours, theirs, ourPlaces, theirPlaces });
    }
  });

  afterAll(() => nginx.stop());

  function subject(name: FileName): Subject {
    const found = subjects.get(name);
    if (found === undefined) throw new Error(`${name} was not published`);
    return found;
  }

  const askUs = ({ ours, ourPlaces }: Subject, { method, headers }: Ask) =>
    exchange(method, ours, filled(headers, ourPlaces));
  const askNginx = ({ theirs, theirPlaces }: Subject, { method, headers }: Ask) =>
    exchange(method, theirs, filled(headers, theirPlaces));

  async function expectAlike(name: FileName, ask: Ask): Promise<void> {
    const of = subject(name);
    const [ours, theirs] = await Promise.all([askUs(of, ask), askNginx(of, normalized(ask))]);
    expect(essenceOf(ours)).toEqual(essenceOf(theirs));
  }

  const asks = (rows: Headers[], methods: Ask["method"][]) =>
    rows
      .flatMap((headers) => methods.map((method) => ({ method, headers })))
      .map((ask) => [titleOf(ask), ask] as const);

  describe.each(NAMES)("for the file %s", (name) => {
    test.each(asks([{}], ["GET", "HEAD"]))("%s", (_, ask) => expectAlike(name, ask));

    test.each(
      asks(
        [...RANGES, ...OTHER_UNITS].map((Range) => ({ Range })),
        ["GET"],
      ),
    )("%s", (_, ask) => expectAlike(name, ask));

    test.each(asks(CONDITIONS, ["GET", "HEAD"]))("%s", (_, ask) => expectAlike(name, ask));
  });

  describe("for combined conditions", () => {
    test.each(asks(COMBINATIONS, ["GET"]))("%s", (_, ask) => expectAlike("byte", ask));

    const withoutRanges = COMBINATIONS.filter((headers) => !("Range" in headers));
    test.each(asks(withoutRanges, ["HEAD"]))("%s", (_, ask) => expectAlike("byte", ask));
  });

  test.each(EXCEPTIONS)("except that $reason: $nginx there, $ours here", async (exception) => {
    const [ours, theirs] = await Promise.all([
      askUs(subject("large"), exception.example),
      askNginx(subject("large"), exception.example),
    ]);
    expect({ ours: ours.status, nginx: theirs.status }).toEqual({
      ours: exception.ours,
      nginx: exception.nginx,
    });
    expect(exception.asIf(exception.example)).not.toBeNull();
  });

  test("a page of another origin may read what an answer's headers say of its range", async () => {
    const { headers } = await askUs(subject("large"), { method: "GET", headers: { Range: "bytes=0-9" } });
    expect(headers["access-control-expose-headers"]).toContain("Content-Range");
    expect(headers).toMatchObject({ "accept-ranges": "bytes", vary: "Accept" });
  });
});
