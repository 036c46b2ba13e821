// What bad holders do wrong, and how often: one plot is shared by all holders of a test, so that the first ones asked for
// a chunk are bad, whoever they are, and the next is not.

export const WAYS = [
  "flips a bit",
  "truncates",
  "truncates, and declares what it sends",
  "extends, and declares the chunk",
  "extends, and declares what it sends",
  "swaps in another chunk",
  "is silent",
  "stalls midway",
  "refuses",
  "is busy",
  "vanishes midway",
] as const;
export type Way = (typeof WAYS)[number];

/** Those that cost a reader its whole patience. */
export const STALLS: readonly Way[] = ["is silent", "stalls midway"];

/** What is sent beyond a chunk's end. */
export const SURPLUS = Buffer.alloc(5000, "surplus ");

interface Plan {
  way: Way;
  times: number;
  /** The chunk that is sent in its place where the way is to swap. */
  other: string;
}

export class Plot {
  readonly #plans = new Map<string, Plan>();
  readonly #misdeeds: { hash: string; by: "listener" | "tunnel" }[] = [];

  /** The next `times` answers for the chunk are bad so, whoever is asked; from then on all are good. */
  set(hash: string, way: Way, options: { times?: number; other?: string } = {}): void {
    this.#plans.set(hash, { way, times: Number.POSITIVE_INFINITY, other: hash, ...options });
  }

  /** How to answer for the chunk now; null: well. */
  take(hash: string, by: "listener" | "tunnel"): { way: Way; other: string } | null {
    const plan = this.#plans.get(hash);
    if (plan === undefined || plan.times <= 0) return null;
    plan.times -= 1;
    this.#misdeeds.push({ hash, by });
    return plan;
  }

  /** Bad answers for these chunks that nobody has asked for yet. */
  left(hashes: readonly string[]): number {
    return hashes.reduce((sum, hash) => sum + (this.#plans.get(hash)?.times ?? 0), 0);
  }

  /** By which way bad answers for these chunks went out. */
  waysOut(hashes: readonly string[]): string[] {
    return [...new Set(this.#misdeeds.filter(({ hash }) => hashes.includes(hash)).map(({ by }) => by))];
  }
}

export function flipped(bytes: Uint8Array): Buffer {
  const altered = Buffer.from(bytes);
  const at = altered.length >> 1;
  altered[at] = (altered[at] ?? 0) ^ 1;
  return altered;
}
