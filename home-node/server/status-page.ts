// The volunteer's page: all that the node says of itself, as one HTML document without script, made anew for each
// request. What edges say (URLs, reasons) is strangers' text and goes through the template's escaping.

import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import { plainText } from "../../lib/client/request.ts";
import { formatAge, formatCount, formatSize, formatTime, plural } from "../../lib/format.ts";
import {
  DAYS_LISTED_MAX,
  describeCare,
  describeOverlay,
  describeRecord,
  describeRelaying,
  type EdgeReport,
  formatStanding,
  type LocalNodeStatus,
  type TrafficFlows,
} from "../../lib/node-status.ts";
import { formatHours } from "../../lib/pledge.ts";
import { PAGE_STYLE } from "./status-page-style.ts";

const REFRESH_SECONDS = 30;
const DAY_MS = 24 * 60 * 60 * 1000;
const DATE_LENGTH = "2026-01-02".length;
/** Units of the chart's own: a day is 10 wide, of which 8 are its bar. */
const CHART = { dayWidth: 10, barWidth: 8, height: 60 };
const ICON = `data:image/svg+xml,${encodeURIComponent(
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><path fill='#177e89' d='M0 0h3v3H0zM5 0h3v3H5zM0 5h3v3H0zM5 5h3v3H5zM3 3h2v2H3z'/></svg>",
)}`;

/** Nothing is loaded and nothing runs: one style sheet, which is in the page, and an icon. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(PAGE_STYLE).digest("base64")}'`,
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

type Html = ReturnType<typeof html>;

export function renderPage(status: LocalNodeStatus, nowMs: number): Html {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="refresh" content="${REFRESH_SECONDS}">
    <title>Holdfast home node ${status.id.slice(0, 8)}</title>
    <link rel="icon" href="${raw(ICON)}">
    <style>${raw(PAGE_STYLE)}</style>
  </head>
  <body>
    ${header(status, nowMs)}
    <main>
      ${space(status)} ${edges(status, nowMs)} ${relaying(status, nowMs)} ${traffic(status, nowMs)} ${domains(status)}
    </main>
    <footer>
      <p>Only a browser on the node’s own machine sees this page. It is made anew every ${REFRESH_SECONDS} seconds; this is of
      ${formatTime(new Date(nowMs).toISOString())}.</p>
    </footer>
  </body>
</html>`;
}

function header(status: LocalNodeStatus, nowMs: number): Html {
  const { id, software, url, onlineSince, name, pledge } = status;
  return html`<header>
      <h1>Holdfast home node</h1>
      <dl class="facts">
        <dt>id</dt><dd class="hash">${id}</dd>
        <dt>online</dt><dd>${since(onlineSince, nowMs)}</dd>
        <dt>URL</dt><dd>${url ?? "none: reached through its edges"}</dd>
        ${name === null ? "" : html`<dt>name</dt><dd>${name}</dd>`}
        ${pledge.hours === undefined ? "" : html`<dt>serves</dt><dd>${formatHours(pledge.hours)} UTC, each day</dd>`}
        <dt>software</dt><dd>${software}</dd>
        ${[...describeCare(status, nowMs), ...describeOverlay(status)].map(([label, text]) => html`<dt>${label}</dt><dd>${plainText(text)}</dd>`)}
      </dl>
    </header>`;
}

function since(iso: string, nowMs: number): Html {
  return html`for ${formatAge(nowMs - Date.parse(iso))}, <span class="quiet">since <time datetime="${iso}">${formatTime(iso)}</time></span>`;
}

// ---- space

function space(status: LocalNodeStatus): Html {
  const { pledge, usedBytes, freeBytes, disk, chunks, versions, receipts, reclaimed } = status;
  const percent = pledge.bytes === 0 ? 100 : (100 * usedBytes) / pledge.bytes;
  return html`<section aria-labelledby="space">
      <h2 id="space">Space</h2>
      ${spaceBar(pledge.bytes, usedBytes, freeBytes)}
      <p><span class="key used">${formatSize(usedBytes)} of ${formatSize(pledge.bytes)} pledged are used</span>
        (${percent.toFixed(percent < 10 ? 1 : 0)}&nbsp;%). <span class="key free">There is room for ${formatSize(freeBytes)} more.</span></p>
      <p class="quiet">${diskWords(pledge.bytes - usedBytes, freeBytes, disk)}</p>
      <dl class="numbers">
        ${number("chunks", formatCount(chunks))} ${number("Versions", formatCount(versions))}
        ${number("receipts given", formatCount(receipts))}
        ${number("deleted, as no edge needs it", formatSize(reclaimed.bytes))}
      </dl>
    </section>`;
}

function spaceBar(pledgedBytes: number, usedBytes: number, freeBytes: number): Html {
  const share = (bytes: number) => ((100 * bytes) / Math.max(pledgedBytes, 1)).toFixed(2);
  return html`<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img"
        aria-label="${formatSize(usedBytes)} used, ${formatSize(freeBytes)} free of ${formatSize(pledgedBytes)}">
        <rect class="rest" width="100" height="4"/>
        <rect class="free" x="${share(usedBytes)}" width="${share(freeBytes)}" height="4"/>
        <rect class="used" width="${share(usedBytes)}" height="4"/>
      </svg>`;
}

function diskWords(pledgeLeftBytes: number, freeBytes: number, disk: LocalNodeStatus["disk"]): string {
  const words = `The disk has ${formatSize(disk.freeBytes)} free, of which the node leaves ${formatSize(disk.reserveBytes)} free.`;
  return freeBytes < pledgeLeftBytes ? `${words} That, not the pledge, is what limits the room.` : words;
}

function number(name: string, value: string): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

// ---- edges

function edges({ edges: list }: LocalNodeStatus, nowMs: number): Html {
  return html`<section aria-labelledby="edges">
      <h2 id="edges">Edges</h2>
      ${list.length === 0 ? html`<p>None is set: only those who know this node find it.</p>` : list.map((edge) => edgeCard(edge, nowMs))}
    </section>`;
}

function edgeCard(edge: EdgeReport, nowMs: number): Html {
  const { url, state, direct, since: iso, reason, code, advice, standing, record } = edge;
  const isLinked = state === "registered";
  const badge = isLinked ? (direct ? "direct" : "relayed") : state;
  return html`<article>
        <h3>${url} <span class="badge ${badge}">${badge}</span></h3>
        <dl class="facts">
          <dt>${isLinked ? "linked" : state}</dt><dd>${since(iso, nowMs)}</dd>
          ${reason === "" ? "" : html`<dt>why</dt><dd>${plainText(reason)}${code === null || direct ? "" : html` <code>${code}</code>`}</dd>`}
          ${advice === null ? "" : html`<dt>to become direct</dt><dd>${advice}.</dd>`}
          <dt>standing</dt><dd>${formatStanding(standing)}</dd>
          ${describeRecord(record).map(([label, text]) => html`<dt>${label}</dt><dd>${text}</dd>`)}
        </dl>
      </article>`;
}

// ---- relays

function relaying(status: LocalNodeStatus, nowMs: number): Html | "" {
  const rows = describeRelaying(status, nowMs);
  if (rows.length === 0) return "";
  return html`<section aria-labelledby="relays">
      <h2 id="relays">Relays</h2>
      <dl class="facts">${rows.map(([label, text]) => html`<dt>${label}</dt><dd>${plainText(text)}</dd>`)}</dl>
    </section>`;
}

// ---- traffic

function traffic({ traffic: { since: iso, today, total, days } }: LocalNodeStatus, nowMs: number): Html {
  return html`<section aria-labelledby="traffic">
      <h2 id="traffic">Traffic</h2>
      <table>
        <thead>
          <tr><td></td><th colspan="2" scope="colgroup">out, to readers</th><th colspan="2" scope="colgroup">in, from publishers</th></tr>
          <tr><td></td><th scope="col">bytes</th><th scope="col">requests</th><th scope="col">bytes</th><th scope="col">requests</th></tr>
        </thead>
        ${flowRows("today (UTC)", today)} ${flowRows(`in all, since ${iso.slice(0, DATE_LENGTH)}`, total)}
      </table>
      ${chart(days, nowMs)}
    </section>`;
}

function flowRows(title: string, flows: TrafficFlows): Html {
  return html`<tbody>
          <tr><th colspan="5" scope="rowgroup">${title}</th></tr>
          ${flowRow("direct", flows.direct)} ${flowRow("through edges and relays", flows.tunnel)}
          ${flowRow("for nodes that it relays", flows.relay)}
        </tbody>`;
}

function flowRow(title: string, { out, in: into }: TrafficFlows["direct"]): Html {
  const cells = [out, into].map(
    ({ bytes, requests }) => html`<td>${formatSize(bytes)}</td><td>${formatCount(requests)}</td>`,
  );
  return html`<tr><th scope="row">${title}</th>${cells}</tr>`;
}

interface Bar {
  date: string;
  out: number;
  in: number;
}

function chart(days: LocalNodeStatus["traffic"]["days"], nowMs: number): Html {
  const bars = barsOf(days, nowMs);
  const top = Math.max(1, ...bars.map((bar) => bar.out + bar.in));
  const width = DAYS_LISTED_MAX * CHART.dayWidth;
  return html`<figure>
        <svg class="chart" viewBox="0 0 ${width} ${CHART.height}" preserveAspectRatio="none" role="img"
          aria-label="Bytes out and in on each of the last ${DAYS_LISTED_MAX} days">
          ${bars.map((bar, i) => chartBar(bar, i, top))}
        </svg>
        <figcaption class="quiet">The last ${DAYS_LISTED_MAX} days, today at the right: <span class="key out">out</span> and
          <span class="key in">in</span>; the highest is ${formatSize(top === 1 ? 0 : top)}.</figcaption>
      </figure>`;
}

function barsOf(days: LocalNodeStatus["traffic"]["days"], nowMs: number): Bar[] {
  const byDate = new Map(days.map((day) => [day.date, day]));
  return Array.from({ length: DAYS_LISTED_MAX }, (_, i) => {
    const date = new Date(nowMs - (DAYS_LISTED_MAX - 1 - i) * DAY_MS).toISOString().slice(0, DATE_LENGTH);
    const day = byDate.get(date);
    const sum = (direction: "in" | "out") =>
      day === undefined ? 0 : sumOf([day.direct, day.tunnel, day.relay], direction);
    return { date, out: sum("out"), in: sum("in") };
  });
}

function sumOf(flows: TrafficFlows["direct"][], direction: "in" | "out"): number {
  return flows.reduce((sum, flow) => sum + flow[direction].bytes, 0);
}

function chartBar(bar: Bar, index: number, top: number): Html {
  const { dayWidth, barWidth, height } = CHART;
  const [outHeight, inHeight] = [(height * bar.out) / top, (height * bar.in) / top];
  const x = index * dayWidth + (dayWidth - barWidth) / 2;
  const rect = (name: string, y: number, tall: number) =>
    html`<rect class="${name}" x="${x}" y="${y.toFixed(2)}" width="${barWidth}" height="${tall.toFixed(2)}"/>`;
  return html`<g><title>${bar.date}: ${formatSize(bar.out)} out, ${formatSize(bar.in)} in</title>
            ${rect("none", 0, height)} ${rect("out", height - outHeight, outHeight)}
            ${rect("in", height - outHeight - inHeight, inHeight)}</g>`;
}

// ---- domains

type Sum = LocalNodeStatus["accepted"]["others"];

function domains({ pledge, accepted, traffic: { since: iso } }: LocalNodeStatus): Html {
  const known = new Map<string, Sum>(accepted.domains.map((entry) => [entry.domain, entry]));
  const pledged = pledge.domains === "all" ? [] : pledge.domains;
  const names = [...known.keys(), ...pledged.filter((domain) => !known.has(domain))];
  return html`<section aria-labelledby="domains">
      <h2 id="domains">Domains</h2>
      <p>Pledged to ${pledge.domains === "all" ? "all domains" : plural(pledged.length, "domain")}. Accepted for them
        since ${iso.slice(0, DATE_LENGTH)}:</p>
      ${names.length === 0 ? html`<p class="quiet">Nothing yet.</p>` : domainTable(names, known, accepted.others)}
    </section>`;
}

function domainTable(names: string[], known: ReadonlyMap<string, Sum>, others: Sum): Html {
  const row = (name: string, sum: Sum = { chunks: 0, bytes: 0 }) =>
    html`<tr><th scope="row">${name}</th><td>${formatSize(sum.bytes)}</td><td>${formatCount(sum.chunks)}</td></tr>`;
  return html`<table>
        <thead><tr><td></td><th scope="col">bytes</th><th scope="col">chunks</th></tr></thead>
        <tbody>${names.map((name) => row(name, known.get(name)))}${others.chunks === 0 ? "" : row("others", others)}</tbody>
      </table>`;
}
