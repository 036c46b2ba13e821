// Who holds the chunks of a Version: how many home nodes each chunk has, and how many of those are online.

import { ask } from "./edge.js";

/** @import { LocateAnswer } from "../lib/wire/chunks.ts" */
/** @import { Manifest } from "../lib/manifest.ts" */
/** @typedef {{ least: number, typical: number }} Spread */
/** @typedef {{ chunks: number, ofChunks: number, nodes: number, held: Spread, online: Spread }} Holding */

const CHUNKS_PER_LOCATE = 256;
/** Chunks of a Version that are asked about: the first ones, its Manifest among them. */
const CHUNKS_ASKED_MAX = 1024;
/** An edge lists no more holders of a chunk than it would try. */
export const HOLDERS_LISTED = 8;

/** @param {string} manifestHash @param {Manifest} manifest @param {AbortSignal} signal @returns {Promise<Holding>} */
export async function askHolders(manifestHash, manifest, signal) {
  const listed = "chunks" in manifest ? manifest.chunks : manifest.parts;
  const hashes = [...new Set([manifestHash, ...listed.map(({ hash }) => `${hash}`)])];
  const asked = hashes.slice(0, CHUNKS_ASKED_MAX);
  const { holders, online } = await locate(asked, signal);
  const counts = asked.map((hash) => holders.get(hash) ?? []);
  return {
    chunks: asked.length,
    ofChunks: hashes.length,
    nodes: new Set(counts.flat()).size,
    held: spreadOf(counts.map((nodes) => nodes.length)),
    online: spreadOf(counts.map((nodes) => nodes.filter((node) => online.has(node)).length)),
  };
}

/** @param {string[]} hashes @param {AbortSignal} signal */
async function locate(hashes, signal) {
  /** @type {Map<string, string[]>} */
  const holders = new Map();
  /** @type {Set<string>} */
  const online = new Set();
  for (let from = 0; from < hashes.length; from += CHUNKS_PER_LOCATE) {
    const body = JSON.stringify({ chunks: hashes.slice(from, from + CHUNKS_PER_LOCATE) });
    const headers = { "Content-Type": "application/json" };
    /** @type {LocateAnswer} */
    const answer = await ask("/chunk/locate", { method: "POST", headers, body, signal });
    for (const { hash, holders: nodes } of answer.chunks) holders.set(hash, nodes);
    for (const node of answer.online ?? []) online.add(node);
  }
  return { holders, online };
}

/** The least, and the one in the middle. @param {number[]} counts @returns {Spread} */
function spreadOf(counts) {
  const sorted = counts.toSorted((a, b) => a - b);
  return { least: sorted[0] ?? 0, typical: sorted[Math.floor(sorted.length / 2)] ?? 0 };
}
