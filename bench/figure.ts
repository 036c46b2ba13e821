// What the bench says: rows of figures, each beside the limit that was measured in the same runs, and the aim that
// the project has set itself.

import type { Rig } from "./rig.ts";

export type Unit = "MB/s" | "/s" | "MiB";

/** The best that the same machine does for the same job without Holdfast. Samples in the unit of the figure. */
export interface Limit {
  what: string;
  samples: number[];
}

/** `missing` names the programs for want of which the limit was not measured. */
export interface MissingLimit {
  what: string;
  missing: string[];
}

export type Aim = { ratioAtLeast: number } | { atLeast: number } | { below: number };

export interface Figure {
  /** The row's id, or below it. */
  id: string;
  what: string;
  unit: Unit;
  samples: number[];
  limit: Limit | MissingLimit | null;
  aim: Aim | null;
}

export interface Row {
  /** What `--only` matches, such as `fetch/direct-1`. */
  id: string;
  /** Why this machine cannot have the row, in words; null where it can. */
  obstacle(): Promise<string | null>;
  measure(rig: Rig): Promise<Figure[]>;
}

export type Outcome =
  | { id: string; state: "measured"; figures: Figure[] }
  | { id: string; state: "skipped" | "failed"; reason: string };

/** A figure for orientation: no limit, no aim. */
export function plainFigure(id: string, what: string, unit: Unit, samples: number[]): Figure {
  return { id, what, unit, samples, limit: null, aim: null };
}

/** Whether `glob` (with * for any text) names the row, or a group that it is in: `fetch`, `fetch/*`, `*-3`. */
export function isSelected(id: string, glob: string): boolean {
  const pattern = glob
    .split("*")
    .map((text) => text.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${pattern}(/.*)?$`).test(id);
}
