// Figures as Markdown tables, each between its markers in docs/scale.md.

import { formatCount } from "../lib/format.ts";
import type { Figures } from "./scenario.ts";

type Column = readonly [head: string, cell: (figures: Figures) => string];

const NODE_COLUMNS: readonly Column[] = [
  ["nodes", ({ nodes }) => formatCount(nodes)],
  ["tables", ({ tables }) => tables],
  ["look-ups", ({ reads }) => formatCount(reads.lookups)],
  ["found", ({ reads }) => percent(reads.found, 2)],
  [
    "hops: mean, 99.9 %, most",
    ({ reads }) => `${reads.hopsMean.toFixed(1)}, ${reads.hopsOfMost}, ${reads.hopsMax}`,
  ],
  ["calls: mean, most", ({ reads }) => `${reads.callsMean.toFixed(0)}, ${reads.callsMax}`],
  ["seconds", ({ reads }) => reads.secondsMedian.toFixed(1)],
  ["records at the closest 20", ({ reads }) => reads.records.toFixed(1)],
  ["contacts", ({ table }) => table.contacts.toFixed(0)],
  ["hostile, gone", ({ table }) => `${percent(table.hostile)}, ${percent(table.gone)}`],
  ["calls to join", ({ joinCalls }) => joinCalls?.toFixed(0) ?? ""],
  ["tables written", ({ introductions }) => introductions?.toFixed(0) ?? ""],
  ["calls to announce", ({ announceCalls }) => announceCalls.toFixed(0)],
];

const EDGE_COLUMNS: readonly Column[] = [
  ["nodes", ({ nodes }) => formatCount(nodes)],
  ["calls: mean, most", ({ edge }) => `${edge.callsMean.toFixed(2)}, ${edge.callsMax}`],
  ["exact", ({ edge }) => percent(edge.exact)],
  ["calls, rows a join", ({ edge }) => `${edge.joinCalls.toFixed(1)}, ${edge.joinRows.toFixed(1)}`],
  ["fullest leaf", ({ edge }) => formatCount(edge.leafMembers)],
  ["root", ({ edge }) => formatCount(edge.rootMembers)],
  ["busiest shard: of joins", ({ edge }) => percent(edge.joinShare)],
  ["of look-ups", ({ edge }) => percent(edge.lookupShare, 1)],
];

export const nodeTable = (figures: readonly Figures[]): string => markdownTable(NODE_COLUMNS, figures);
export const edgeTable = (figures: readonly Figures[]): string => markdownTable(EDGE_COLUMNS, figures);

/** Puts `text` between the markers `name` of a document. Throws where they are not there. */
export function replaceBetween(document: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [first, last] = [document.indexOf(begin), document.indexOf(end)];
  if (first < 0 || last < first) throw new Error(`the document has no markers ${name}`);
  return `${document.slice(0, first + begin.length)}\n${text}\n${document.slice(last)}`;
}

function markdownTable(columns: readonly Column[], figures: readonly Figures[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  const head = line(columns.map(([name]) => name)) + line(columns.map(() => "---"));
  return head + figures.map((one) => line(columns.map(([, cell]) => cell(one)))).join("");
}

function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)} %`;
}
