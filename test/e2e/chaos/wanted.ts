// Which chunks there have to be for what was acknowledged, and on how many nodes each: read from the Manifests themselves,
// as they lie on the nodes' disks.

import type { Hash } from "../../../lib/hash.ts";
import { type Manifest, parseManifest, parseManifestPart } from "../../../lib/manifest.ts";
import type { Acknowledged } from "./acknowledged.ts";
import type { Survey } from "./disks.ts";

export interface Shortage {
  /** Chunks that have to be there. */
  wanted: number;
  /** Of them, those that lie on fewer nodes than they should. */
  short: Hash[];
  /** Of those, the ones that lie nowhere. */
  nowhere: Hash[];
}

export class Wanted {
  /** Chunks with the number of nodes that each has to be on. */
  readonly #copies = new Map<Hash, number>();
  /** Manifests of which what they list is known. */
  readonly #read = new Set<Hash>();
  readonly #replicas: number;

  constructor(replicas: number) {
    this.#replicas = replicas;
  }

  /** Compares what was acknowledged with what there is. */
  compare(acknowledged: readonly Acknowledged[], survey: Survey): Shortage {
    for (const { manifest } of acknowledged) this.#note(manifest, survey);
    const all = [...this.#copies];
    const short = all.filter(([hash, copies]) => survey.copiesOf(hash) < copies).map(([hash]) => hash);
    return { wanted: all.length, short, nowhere: short.filter((hash) => survey.copiesOf(hash) === 0) };
  }

  #note(manifest: Hash, survey: Survey): void {
    if (this.#read.has(manifest)) return;
    this.#copies.set(manifest, this.#replicas);
    const bytes = survey.read(manifest);
    if (bytes === null) return;
    if (this.#noteListed(parseManifest(bytes), survey)) this.#read.add(manifest);
  }

  /** False where a part could not be read yet. */
  #noteListed(manifest: Manifest, survey: Survey): boolean {
    if ("chunks" in manifest) {
      for (const { hash } of manifest.chunks) this.#copies.set(hash, this.#replicas);
      return true;
    }
    return manifest.parts.map(({ hash }) => this.#notePart(hash, survey)).every(Boolean);
  }

  #notePart(part: Hash, survey: Survey): boolean {
    this.#copies.set(part, this.#replicas);
    const bytes = survey.read(part);
    if (bytes === null) return false;
    for (const { hash } of parseManifestPart(bytes).chunks) this.#copies.set(hash, this.#replicas);
    return true;
  }
}
