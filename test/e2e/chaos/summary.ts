// What came of a chaos run, as a table for people.

import { formatSize, formatTable } from "../../../cli/format.ts";
import type { ChaosFigures } from "./chaos-site.ts";
import type { Harm } from "./faults.ts";

const KINDS: readonly Harm["kind"][] = ["destroy", "flip", "delete"];
const LOST_SHOWN_MAX = 20;

export function formatSummary(figures: ChaosFigures): string {
  const { readBack, reasons } = figures;
  const causes = Object.entries(reasons).map(([reason, times]) => `${reason} ${times}`);
  return formatTable([
    ["acknowledged", `${figures.acknowledged} Versions, ${formatSize(figures.acknowledgedBytes)}`],
    ["publishes failed", String(figures.publishesFailed)],
    ["reads under way", `${figures.reads}, of them failed ${figures.readsFailed}`],
    ["reasons", causes.length === 0 ? "none" : causes.join(", ")],
    ["nodes destroyed", String(figures.destroyed)],
    ["files flipped, deleted", `${figures.flippedFiles}, ${figures.deletedFiles}`],
    ["nodes paused", String(figures.pauses)],
    ["edge killed", String(figures.edgeKills)],
    ...KINDS.map((kind) => [`rounds, back on target: ${kind}`, formatRounds(figures, kind)]),
    ["read back", `curl ${readBack.byCurl}, get ${readBack.byGet}, holdfast get ${readBack.byCommand}`],
    ["chunks wanted", String(figures.wantedChunks)],
    ["chunks below target", `${figures.shortChunks}, by the edge's word ${figures.edgeShort}`],
    ["chunks on no node", String(figures.lostChunks)],
    ["wrong answers", String(figures.wrong.length)],
    ["LOST", String(readBack.lost.length)],
    ...[...figures.wrong, ...readBack.lost].slice(0, LOST_SHOWN_MAX).map((line) => ["", line]),
  ]);
}

function formatRounds({ rounds, repairs }: ChaosFigures, kind: Harm["kind"]): string {
  const its = rounds.filter(({ harm }) => harm === kind);
  if (!repairs) return `${its.length} rounds, nothing repairs`;
  const times = its.flatMap(({ backAfterMs }) => backAfterMs ?? []).sort((a, b) => a - b);
  const [median = Number.NaN] = times.slice(times.length >> 1);
  const late = its.length - times.length;
  const spread =
    times.length === 0 ? "" : `, median ${toSeconds(median)}, longest ${toSeconds(times.at(-1) ?? 0)}`;
  return `${its.length} rounds${spread}${late === 0 ? "" : `, not in time ${late}`}`;
}

function toSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
