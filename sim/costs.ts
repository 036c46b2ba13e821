// `npm run sim:costs`: what an edge costs on Cloudflare, from what was measured and from the public prices. docs/scale.md has
// the table, and says where the figures come from.

import { HASH_BYTES } from "../lib/hash.ts";
import { K } from "../lib/overlay/distance.ts";

/** US dollars, Workers Paid, beyond what the plan includes; as developers.cloudflare.com had them in 2026. */
const PRICES = {
  workerRequest: 0.3e-6,
  workerCpuMs: 0.02e-6,
  objectRequest: 0.15e-6,
  objectGbSecond: 12.5e-6,
  rowRead: 0.001e-6,
  rowWritten: 1e-6,
  storedGbMonth: 0.2,
};
/** Memory that an object is billed for while it is awake. */
const OBJECT_GB = 0.128;
/** Messages of a WebSocket that are billed as one request. */
const MESSAGES_PER_REQUEST = 20;

/** test/edge/index-cost.test.ts measures these. */
const MEASURED = {
  chunkBytes: 886,
  chunkRows: 5,
  versionBytes: 5773,
  versionRows: 5,
  lookupCalls: 2,
  closestCalls: 1,
};

/** What a local runtime cannot show. */
const ASSUMED = {
  /** Milliseconds of a Worker's processor by a request, and that an object is awake by a call. */
  requestCpuMs: 2,
  callAwakeMs: 5,
  rowsReadByCall: 10,
  /** SHA-256 of what passes the Worker. */
  hashedBytesPerMs: 1e6,
  chunkSizeBytes: 1024 ** 2,
  messageBytes: 256 * 1024,
  uplinkBytesPerSecond: 100e6 / 8,
  /** Of a step of the sweep (durable-objects/sweep.ts): its chunks; the alarm and its duty, the cursor; holders and references of each chunk. */
  sweepChunks: 256,
  sweepRowsWritten: 5,
  sweepRowsReadByChunk: 5,
};

const GIB = 1024 ** 3;
const MONTH_SECONDS = 30 * 24 * 3600;
const MILLION = 1e6;

function callPrice(): number {
  const { callAwakeMs, rowsReadByCall } = ASSUMED;
  const awake = (callAwakeMs / 1000) * OBJECT_GB * PRICES.objectGbSecond;
  return PRICES.objectRequest + awake + rowsReadByCall * PRICES.rowRead;
}

function requestPrice(calls: number): number {
  return PRICES.workerRequest + ASSUMED.requestCpuMs * PRICES.workerCpuMs + calls * callPrice();
}

function relayedGibPrice(): number {
  const requests = GIB / ASSUMED.chunkSizeBytes;
  const messages = GIB / ASSUMED.messageBytes / MESSAGES_PER_REQUEST;
  const awakeSeconds = GIB / ASSUMED.uplinkBytesPerSecond;
  return (
    requests * (PRICES.workerRequest + PRICES.objectRequest) +
    messages * PRICES.objectRequest +
    (GIB / ASSUMED.hashedBytesPerMs) * PRICES.workerCpuMs +
    awakeSeconds * OBJECT_GB * PRICES.objectGbSecond
  );
}

function storedPrice(bytes: number): number {
  return (bytes / 1e9) * PRICES.storedGbMonth;
}

/** A chunk's part of the sweeps of a month. */
function sweptPrice(sweepSeconds: number): number {
  const { sweepRowsWritten, sweepRowsReadByChunk } = ASSUMED;
  const step = PRICES.objectRequest + sweepRowsWritten * PRICES.rowWritten;
  const byChunk = step / ASSUMED.sweepChunks + sweepRowsReadByChunk * PRICES.rowRead;
  return (MONTH_SECONDS / sweepSeconds) * byChunk;
}

const { chunkBytes, chunkRows, versionBytes, versionRows, lookupCalls, closestCalls } = MEASURED;
const ROWS: readonly [what: string, dollars: number][] = [
  ["a million look-ups of chunks (referrals)", MILLION * requestPrice(lookupCalls)],
  ["a million look-ups of closest nodes", MILLION * requestPrice(closestCalls)],
  ["a GiB relayed, from an uplink of 100 Mbit/s", relayedGibPrice()],
  ["writing a million chunks, once", MILLION * chunkRows * PRICES.rowWritten],
  ["writing a million Versions, once", MILLION * versionRows * PRICES.rowWritten],
  ["keeping a million chunks, a month", storedPrice(MILLION * chunkBytes)],
  ["keeping a million Versions, a month", storedPrice(MILLION * versionBytes)],
  ["sweeping a million chunks every 10 minutes, a month", MILLION * sweptPrice(600)],
  ["the same once a day", MILLION * sweptPrice(24 * 3600)],
];

/** Of a home node that announces what it keeps once a day. */
const ANNOUNCING = {
  /** Calls of a look-up, as `npm run sim` has them, and bytes of one: the question, and twenty contacts. */
  callsByLookup: 53,
  bytesByCall: 300 + K * 250,
  /** Of the nodes, one look-up finds the keepers of so many ids' neighbourhoods. */
  nodesByLookup: K / 2,
  recordBytes: 50,
};

/** Megabytes that a node sends and is sent a day by looking up and announcing; calls a second; records that come to it. */
function announcing(chunks: number, nodes: number): string[] {
  const { callsByLookup, bytesByCall, nodesByLookup, recordBytes } = ANNOUNCING;
  const lookups = Math.min(chunks, Math.ceil(nodes / nodesByLookup));
  const posted = chunks * K * HASH_BYTES * (4 / 3);
  const records = chunks * K;
  return [
    `${((lookups * callsByLookup * bytesByCall) / 1e6).toFixed(0)} MB`,
    `${(posted / 1e6).toFixed(0)} MB`,
    ((lookups * callsByLookup) / (24 * 3600)).toFixed(2),
    records.toLocaleString("en"),
    `${((records * recordBytes) / 1e6).toFixed(0)} MB`,
  ];
}

console.log("| what | US dollars |\n| --- | --- |");
for (const [what, dollars] of ROWS) console.log(`| ${what} | ${dollars.toPrecision(2)} |`);

console.log(
  "\n| chunks a node | nodes | looking up | announcing | calls a second | records kept | in memory |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const chunks of [1e4, 1e6]) {
  for (const nodes of [1e3, 1e5]) {
    const cells = [chunks.toLocaleString("en"), nodes.toLocaleString("en"), ...announcing(chunks, nodes)];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
