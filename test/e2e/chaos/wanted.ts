// Which chunks there have to be for what was acknowledged, and on how many nodes each: read from the Manifests themselves,
// as they lie on the nodes' disks.

import type { Hash } from "../../../lib/hash.ts";
import {
  type ChunkList,
  copiesOf,
  type Manifest,
  parseManifest,
  parseManifestPart,
  type Redundancy,
} from "../../../lib/manifest.ts";
import { matchPositions } from "../../../lib/redundancy/matching.ts";
import { membersOf, stripesOf } from "../../../lib/redundancy/stripes.ts";
import type { Acknowledged } from "./acknowledged.ts";
import type { Survey } from "./disks.ts";

export interface Shortage {
  /** Chunks that have to be there. */
  wanted: number;
  /** Of them, those that lie on fewer nodes than they should, or have none of their own in their stripe. */
  short: Hash[];
  /** Of those, the ones that lie nowhere. */
  nowhere: Hash[];
}

export class Wanted {
  /** Chunks with the number of nodes that each has to be on. */
  readonly #copies = new Map<Hash, number>();
  /** The chunks of each stripe by position: each has to have a node that stands for no other of them. */
  readonly #stripes: Hash[][] = [];
  /** Manifests and parts of which what they list is known. */
  readonly #read = new Set<Hash>();

  /** Compares what was acknowledged with what there is. */
  compare(acknowledged: readonly Acknowledged[], survey: Survey): Shortage {
    for (const { manifest } of acknowledged) this.#noteManifest(manifest, survey);
    const all = [...this.#copies];
    const few = all.filter(([hash, copies]) => survey.copiesOf(hash) < copies).map(([hash]) => hash);
    const short = new Set([...few, ...this.#stripes.flatMap((stripe) => unmatched(stripe, survey))]);
    return {
      wanted: all.length,
      short: [...short],
      nowhere: [...short].filter((hash) => survey.copiesOf(hash) === 0),
    };
  }

  #noteManifest(hash: Hash, survey: Survey): void {
    if (this.#read.has(hash)) return;
    this.#want(hash, 1);
    const bytes = survey.read(hash);
    if (bytes === null) return;
    const manifest = parseManifest(bytes);
    this.#want(hash, copiesOf(manifest.redundancy));
    if (this.#noteListed(manifest, survey)) this.#read.add(hash);
  }

  /** False where a part could not be read yet. */
  #noteListed(manifest: Manifest, survey: Survey): boolean {
    const { redundancy } = manifest;
    if ("parts" in manifest)
      return manifest.parts.map(({ hash }) => this.#notePart(hash, redundancy, survey)).every(Boolean);
    this.#noteList(manifest, redundancy);
    return true;
  }

  #notePart(hash: Hash, redundancy: Redundancy, survey: Survey): boolean {
    if (this.#read.has(hash)) return true;
    this.#want(hash, copiesOf(redundancy));
    const bytes = survey.read(hash);
    if (bytes === null) return false;
    this.#noteList(parseManifestPart(bytes), redundancy);
    this.#read.add(hash);
    return true;
  }

  #noteList({ chunks, parity = [] }: ChunkList, redundancy: Redundancy): void {
    if ("replicas" in redundancy) {
      for (const { hash } of chunks) this.#want(hash, redundancy.replicas);
      return;
    }
    for (const stripe of stripesOf({ chunks, parity, redundancy })) {
      const hashes = membersOf(stripe).map(({ hash }) => hash);
      for (const hash of hashes) this.#want(hash, 1);
      this.#stripes.push(hashes);
    }
  }

  #want(hash: Hash, copies: number): void {
    this.#copies.set(hash, Math.max(copies, this.#copies.get(hash) ?? 0));
  }
}

function unmatched(stripe: readonly Hash[], survey: Survey): Hash[] {
  const matched = matchPositions(stripe.map((hash) => survey.nodesOf(hash)));
  return stripe.filter((_, position) => matched[position] === null);
}
