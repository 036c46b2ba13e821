// What was measured, as a table for people, as Markdown for docs/performance.md, and as JSON with every sample.

import { arch, availableParallelism, cpus, totalmem, type } from "node:os";
import { formatSize, formatTable } from "../cli/format.ts";
import type { Aim, Figure, Limit, MissingLimit, Outcome } from "./figure.ts";
import { median } from "./measure.ts";

const HEAD = ["row", "what", "figure", "limit", "of the limit", "ratio", "aim", ""];
/** From here on a figure is shown without decimals. */
const WHOLE_FROM = 1000;

export function textReport(outcomes: readonly Outcome[]): string {
  return `${formatTable([HEAD, ...figuresOf(outcomes).map(figureCells)])}${formatRest(outcomes)}\n${formatMachine()}\n`;
}

export function markdownReport(outcomes: readonly Outcome[]): string {
  const rows = [HEAD, ...figuresOf(outcomes).map(figureCells)];
  return `${formatMachine()}\n\n${markdownTable(rows)}${formatRest(outcomes)}`;
}

/** Columns padded to their widest cell; the first row is the head. */
function markdownTable(rows: readonly (readonly string[])[]): string {
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = HEAD.map((_, column) => Math.max(3, ...escaped.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[], filler: string) =>
    `| ${widths.map((width, column) => (row[column] ?? "").padEnd(width, filler)).join(" | ")} |\n`;
  const [head, ...body] = escaped.map((row) => line(row, " "));
  return `${head}${line([], "-")}${body.join("")}`;
}

export function jsonReport(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) =>
    outcome.state === "measured" ? { ...outcome, figures: outcome.figures.map(withRatio) } : outcome,
  );
  return `${JSON.stringify({ time: new Date().toISOString(), machine: formatMachine(), rows }, null, 2)}\n`;
}

/** A line for each figure, or one that says why there is none. */
export function formatOutcome(outcome: Outcome): string {
  const lines = figuresOf([outcome]).map((figure) => figureCells(figure).filter((cell) => cell !== ""));
  return `${lines.map((cells) => `${cells.join("  ")}\n`).join("")}${formatRest([outcome])}`;
}

function figuresOf(outcomes: readonly Outcome[]): Figure[] {
  return outcomes.flatMap((outcome) => (outcome.state === "measured" ? outcome.figures : []));
}

/** The rows without figures, and why. */
function formatRest(outcomes: readonly Outcome[]): string {
  return outcomes
    .flatMap((outcome) => (outcome.state === "measured" ? [] : [outcome]))
    .map(({ id, state, reason }) => `\n${id} ${state}: ${reason.trim().replace(/\s+/g, " ")}\n`)
    .join("");
}

function figureCells(figure: Figure): string[] {
  const { id, what, unit, samples, limit, aim } = figure;
  const ratio = ratioOf(figure);
  return [
    id,
    what,
    `${formatNumber(median(samples))} ${unit}`,
    limit?.what ?? "",
    limit === null ? "" : limitValue(limit, unit),
    ratio === null ? "" : ratio.toFixed(2),
    aim === null ? "" : formatAim(aim, unit),
    aim === null ? "" : verdict(aim, median(samples), ratio),
  ];
}

function limitValue(limit: Limit | MissingLimit, unit: string): string {
  if ("missing" in limit) return `needs ${limit.missing.join(", ")}`;
  return `${formatNumber(median(limit.samples))} ${unit}`;
}

/** The figure's median over the limit's; null where there is no limit. */
function ratioOf({ samples, limit }: Figure): number | null {
  if (limit === null || "missing" in limit) return null;
  return median(samples) / median(limit.samples);
}

function withRatio(figure: Figure): Figure & { median: number; ratio: number | null } {
  return { ...figure, median: median(figure.samples), ratio: ratioOf(figure) };
}

function formatAim(aim: Aim, unit: string): string {
  if ("ratioAtLeast" in aim) return `>= ${aim.ratioAtLeast} of it`;
  if ("atLeast" in aim) return `>= ${aim.atLeast} ${unit}`;
  return `< ${aim.below} ${unit}`;
}

function verdict(aim: Aim, value: number, ratio: number | null): string {
  if ("atLeast" in aim) return value >= aim.atLeast ? "met" : "missed";
  if ("below" in aim) return value < aim.below ? "met" : "missed";
  if (ratio === null) return "unknown";
  return ratio >= aim.ratioAtLeast ? "met" : "missed";
}

function formatNumber(value: number): string {
  return value >= WHOLE_FROM ? String(Math.round(value)) : value.toFixed(1);
}

function formatMachine(): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  const memory = formatSize(totalmem());
  return `${availableParallelism()} x ${model}, ${memory}, ${type()} ${arch()}, Node.js ${process.versions.node}`;
}
