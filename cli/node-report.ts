// A home node's status as text for a terminal: sections of lines, none wider than `width` but for ids and URLs.

import { plainText } from "../lib/client/request.ts";
import { formatAge, formatCount, formatSize, formatTime, plural } from "../lib/format.ts";
import {
  describeCare,
  describeOverlay,
  describeRecord,
  describeRelaying,
  type EdgeReport,
  formatStanding,
  isLocal,
  type LocalNodeStatus,
  type PublicNodeStatus,
  type TrafficFlows,
} from "../lib/node-status.ts";
import { formatHours, isServingAt } from "../lib/pledge.ts";
import { formatColumns, formatTable, wrapText } from "./format.ts";

const BAR_CELLS = 30;
const DATE_LENGTH = "2026-01-02".length;
const DOMAINS_SHOWN = 20;
/** Of the labels before a section's lines. */
const INDENT = "           ";

export function formatNodeStatus(
  status: PublicNodeStatus | LocalNodeStatus,
  nowMs: number,
  width: number,
): string {
  const sections = [head(status, nowMs)];
  if (isLocal(status)) {
    const care = describeCare(status, nowMs);
    if (care.length > 0) sections.push(section(care.flatMap(([label, text]) => wrapped(label, text, width))));
    sections.push(space(status, width), ...overlay(status, width), domains(status), traffic(status));
    sections.push(...edgeSections(status, nowMs, width));
    const relaying = describeRelaying(status, nowMs);
    if (relaying.length > 0)
      sections.push(section(relaying.flatMap(([label, text]) => wrapped(label, text, width))));
  } else {
    sections.push(
      section([["space", `${formatSize(status.usedBytes)} used, ${formatSize(status.freeBytes)} free`]]),
    );
  }
  return sections.join("\n");
}

/** Lines of a label and a text. */
function section(rows: [label: string, text: string][]): string {
  return rows.map(([label, text]) => `${label.padEnd(INDENT.length)}${text}\n`).join("");
}

/** `text` under a label, in as many lines as it takes. */
function wrapped(label: string, text: string, width: number): [string, string][] {
  return wrapText(plainText(text), width - INDENT.length).map((line, i) => [i === 0 ? label : "", line]);
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, INDENT);
}

function head(status: PublicNodeStatus | LocalNodeStatus, nowMs: number): string {
  const page: [string, string][] =
    isLocal(status) && status.page !== null ? [["page", plainText(status.page)]] : [];
  return section([
    ["home node", status.id],
    ["software", plainText(status.software)],
    ["online", since(status.onlineSince, nowMs)],
    ["url", plainText(status.url ?? "none: reached through its edges")],
    ...page,
    ...(isLocal(status) ? offer(status, nowMs) : []),
    ["keeps", `${plural(status.chunks, "chunk")} and ${plural(status.versions, "Version")}`],
  ]);
}

/** What the pledge says beside bytes and domains, where it says more. */
function offer({ name, pledge: { hours } }: LocalNodeStatus, nowMs: number): [string, string][] {
  const named: [string, string][] = name === null ? [] : [["name", plainText(name)]];
  if (hours === undefined) return named;
  const now = isServingAt(hours, nowMs) ? "now as well" : "not now";
  return [...named, ["serves", `${formatHours(hours)} UTC each day, ${now}`]];
}

function since(iso: string, nowMs: number): string {
  return `for ${formatAge(nowMs - Date.parse(iso))}, since ${formatTime(iso)}`;
}

function space({ pledge, usedBytes, freeBytes, disk }: LocalNodeStatus, width: number): string {
  const filled = Math.min(1, usedBytes / Math.max(pledge.bytes, 1));
  const cells = Math.ceil(filled * BAR_CELLS);
  const bar = `[${"#".repeat(cells)}${".".repeat(BAR_CELLS - cells)}]`;
  const isDiskLimit = freeBytes < pledge.bytes - usedBytes;
  const diskText = `the disk has ${formatSize(disk.freeBytes)} free and keeps ${formatSize(disk.reserveBytes)} in reserve${isDiskLimit ? "; that, not the pledge, is what limits the room" : ""}`;
  return section([
    ["space", `${bar} ${formatSize(usedBytes)} of ${formatSize(pledge.bytes)} pledged`],
    ["", `room for ${formatSize(freeBytes)} more`],
    ...wrapped("", diskText, width),
  ]);
}

function overlay(status: LocalNodeStatus, width: number): string[] {
  const rows = describeOverlay(status).flatMap(([label, text]) => wrapped(label, text, width));
  return rows.length === 0 ? [] : [section(rows)];
}

function domains({ pledge, accepted, traffic, receipts, reclaimed }: LocalNodeStatus): string {
  const none = { chunks: 0, bytes: 0 };
  const known = new Set(accepted.domains.map(({ domain }) => domain));
  const unused = pledge.domains === "all" ? [] : pledge.domains.filter((domain) => !known.has(domain));
  const all = [...accepted.domains, ...unused.map((domain) => ({ domain, ...none }))];
  const rows = all.slice(0, DOMAINS_SHOWN).map(({ domain, ...sum }) => sumRow(domain, sum));
  if (accepted.others.chunks > 0) rows.push(sumRow("others", accepted.others));
  if (all.length > DOMAINS_SHOWN) rows.push([`and ${all.length - DOMAINS_SHOWN} more: see --json`]);
  const pledged = pledge.domains === "all" ? "all domains" : plural(pledge.domains.length, "domain");
  const gone: [string, string][] =
    reclaimed.chunks === 0
      ? []
      : [
          [
            "",
            `deleted, as no edge needs it: ${formatSize(reclaimed.bytes)}, ${plural(reclaimed.chunks, "chunk")}`,
          ],
        ];
  return `${section([
    ["domains", `pledged to ${pledged}; ${plural(receipts, "receipt")} given`],
    ...gone,
    ["", `accepted since ${traffic.since.slice(0, DATE_LENGTH)}:`],
  ])}${indented(formatTable(rows.length === 0 ? [["nothing yet"]] : rows))}`;
}

function sumRow(name: string, { chunks, bytes }: LocalNodeStatus["accepted"]["others"]): string[] {
  return chunks === 0 ? [name, "nothing yet"] : [name, formatSize(bytes), plural(chunks, "chunk")];
}

function traffic({ traffic: { since: iso, today, total } }: LocalNodeStatus): string {
  const rows = [
    ["TRAFFIC", "", "OUT", "REQUESTS", "IN", "REQUESTS"],
    ...flowRows("today (UTC)", "", today),
    ...flowRows("in all", `since ${iso.slice(0, DATE_LENGTH)}`, total),
  ];
  return formatColumns(rows, 2);
}

function flowRows(title: string, note: string, flows: TrafficFlows): string[][] {
  const row = (label: string, way: string, { out, in: into }: TrafficFlows["direct"]) => [
    label,
    way,
    ...[out, into].flatMap(({ bytes, requests }) => [formatSize(bytes), formatCount(requests)]),
  ];
  const others = row("", "for others", flows.relay);
  const own = [row(title, "direct", flows.direct), row(note, "through edges", flows.tunnel)];
  return hasFlow(flows.relay) ? [...own, others] : own;
}

function hasFlow({ in: into, out }: TrafficFlows["relay"]): boolean {
  return into.requests + into.bytes + out.requests + out.bytes > 0;
}

function edgeSections({ edges }: LocalNodeStatus, nowMs: number, width: number): string[] {
  if (edges.length > 0) return edges.map((edge) => edgeSection(edge, nowMs, width));
  return [section([["edge", "none is set: only those who know this node find it"]])];
}

function edgeSection(edge: EdgeReport, nowMs: number, width: number): string {
  const { url, state, since: iso, standing, record } = edge;
  const isLinked = state === "registered";
  return section([
    ["edge", plainText(url)],
    [isLinked ? "linked" : state, since(iso, nowMs)],
    ...routeRows(edge, width),
    ...wrapped("standing", formatStanding(standing), width),
    ...describeRecord(record).flatMap(([label, text]) => wrapped(label, text, width)),
  ]);
}

function routeRows({ state, direct, code, reason, advice }: EdgeReport, width: number): [string, string][] {
  if (state !== "registered") return reason === "" ? [] : wrapped("why", reason, width);
  const why = [reason, code === null || code === "reached" ? "" : `(${code})`].filter((text) => text !== "");
  const route = wrapped("route", [direct ? "direct:" : "relayed:", ...why].join(" "), width);
  return advice === null ? route : [...route, ...wrapped("", `To become direct: ${advice}.`, width)];
}
