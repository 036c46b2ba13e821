// A picture of how hops and calls grow with the network: SVG, the number of nodes on a logarithmic axis.

import { formatCount } from "../lib/format.ts";
import { HOPS_AT_MOST } from "./expectations.ts";
import type { Figures } from "./scenario.ts";

const PANEL = { width: 380, height: 240, left: 50, top: 40, right: 20, bottom: 50 };
const TICKS = 4;
const COLOURS = ["#0b6e4f", "#c84c09", "#4062bb"];

interface Line {
  name: string;
  of: (figures: Figures) => number;
}

interface Panel {
  title: string;
  lines: readonly Line[];
  /** A level that is not to be passed. */
  bound?: number;
}

const PANELS: readonly Panel[] = [
  {
    title: "hops from the first contact to the answer",
    lines: [
      { name: "99.9 %", of: ({ reads }) => reads.hopsOfMost },
      { name: "mean", of: ({ reads }) => reads.hopsMean },
      { name: "edge: calls, most", of: ({ edge }) => edge.callsMax },
    ],
    bound: HOPS_AT_MOST,
  },
  {
    title: "per look-up, and per table",
    lines: [
      { name: "calls, mean", of: ({ reads }) => reads.callsMean },
      { name: "calls to announce", of: ({ announceCalls }) => announceCalls },
      { name: "contacts", of: ({ table }) => table.contacts },
    ],
  },
];

export function drawChart(figures: readonly Figures[]): string {
  const [width, height] = [PANELS.length * PANEL.width, PANEL.height];
  const panels = PANELS.map(
    (panel, i) => `<g transform="translate(${i * PANEL.width} 0)">\n${drawPanel(panel, figures)}</g>\n`,
  );
  const style = 'font-family="sans-serif" font-size="11"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ${style}>
<title>Hops and calls of look-ups, by the number of nodes</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${panels.join("")}</svg>
`;
}

function drawPanel({ title, lines, bound }: Panel, figures: readonly Figures[]): string {
  const values = lines.flatMap(({ of }) => figures.map(of));
  const x = scaleX(figures.map(({ nodes }) => nodes));
  const y = scaleY(Math.max(...values, bound ?? 0));
  const grid = y.ticks.map(
    (value) =>
      `<path d="M${PANEL.left} ${y.at(value)}H${PANEL.width - PANEL.right}" stroke="#ddd"/>` +
      `<text x="${PANEL.left - 6}" y="${y.at(value) + 4}" text-anchor="end">${value}</text>\n`,
  );
  const sizes = figures.map(
    ({ nodes }) =>
      `<text x="${x(nodes)}" y="${PANEL.height - PANEL.bottom + 16}" text-anchor="middle">${formatCount(nodes)}</text>\n`,
  );
  const limit =
    bound === undefined
      ? ""
      : `<path d="M${PANEL.left} ${y.at(bound)}H${PANEL.width - PANEL.right}" stroke="#999" stroke-dasharray="4 3"/>\n`;
  const drawn = lines.map((line, i) =>
    drawLine(line, i, (one) => `${x(one.nodes)} ${y.at(line.of(one))}`, figures),
  );
  return `<text x="${PANEL.left}" y="16" font-weight="bold">${title}</text>\n${grid.join("")}${sizes.join("")}${limit}${drawn.join("")}`;
}

function drawLine(
  { name }: Line,
  index: number,
  point: (figures: Figures) => string,
  figures: readonly Figures[],
): string {
  const colour = COLOURS[index] ?? "#000";
  const dots = figures.map((one) => {
    const [cx, cy] = point(one).split(" ");
    return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`;
  });
  const label = `<text x="${PANEL.left + index * 110}" y="${PANEL.height - 12}" fill="${colour}">${name}</text>`;
  return `<path d="M${figures.map(point).join("L")}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join("")}${label}\n`;
}

function scaleX(nodes: readonly number[]): (value: number) => number {
  const [first, last] = [Math.log10(Math.min(...nodes)), Math.log10(Math.max(...nodes))];
  const width = PANEL.width - PANEL.left - PANEL.right - 40;
  const share = (value: number) => (last === first ? 0.5 : (Math.log10(value) - first) / (last - first));
  return (value) => round(PANEL.left + 20 + width * share(value));
}

function scaleY(most: number): { ticks: number[]; at: (value: number) => number } {
  const rough = most / TICKS;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * magnitude >= rough) ?? 10) * magnitude;
  const ticks = Array.from({ length: TICKS + 1 }, (_, i) => i * step);
  const height = PANEL.height - PANEL.top - PANEL.bottom;
  return { ticks, at: (value) => round(PANEL.height - PANEL.bottom - (height * value) / (TICKS * step)) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
