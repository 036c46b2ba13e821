// A home node's status as text for a terminal: sections of lines, none wider than `width` but for ids and URLs.

import { plainText } from "../lib/client/request.ts";
import { formatAge, formatCount, formatSize, formatTime, plural } from "../lib/format.ts";
import {
  describeRecord,
  type EdgeReport,
  formatStanding,
  isLocal,
  type LocalNodeStatus,
  type PublicNodeStatus,
  type TrafficFlows,
} from "../lib/node-status.ts";
import { formatColumns, formatTable, wrapText } from "./format.ts";

type Leaving = NonNullable<LocalNodeStatus["leaving"]>;
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
    const care = careRows(status, nowMs);
    if (care.length > 0) sections.push(section(care));
    sections.push(space(status, width), domains(status), traffic(status));
    sections.push(...edgeSections(status, nowMs, width));
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
    ["keeps", `${plural(status.chunks, "chunk")} and ${plural(status.versions, "Version")}`],
  ]);
}

/** What the volunteer said that it would do, and how the disk does. */
function careRows(
  { awayUntil, leaving, lostSince, scrub }: LocalNodeStatus,
  nowMs: number,
): [string, string][] {
  const rows: [string, string][] = [];
  if (awayUntil !== null) rows.push(["away", `until ${formatTime(awayUntil)}: it takes nothing new`]);
  if (leaving !== null) rows.push(["leaving", leavingText(leaving)]);
  if (lostSince !== null) rows.push(["lost disk", `found ${since(lostSince, nowMs)}`]);
  if (scrub !== null) rows.push(["disk", scrubText(scrub)]);
  return rows;
}

function leavingText({ since: iso, chunks, asked, short, isSafe, problem }: Leaving): string {
  if (isSafe) return `all ${plural(chunks, "chunk")} kept by others: you can switch it off`;
  const state =
    problem === null
      ? `${formatCount(short)} short of ${formatCount(asked)} asked about`
      : plainText(problem);
  return `since ${formatTime(iso)}: ${state}`;
}

function scrubText({ startedAt, isDone, read, bad }: NonNullable<LocalNodeStatus["scrub"]>): string {
  const found = bad === 0 ? "none bad" : `${formatCount(bad)} bad, reported and deleted`;
  return `${isDone ? "looked through" : "being looked through"} since ${formatTime(startedAt)}: ${plural(read, "chunk")} read, ${found}`;
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

function domains({ pledge, accepted, traffic, receipts }: LocalNodeStatus): string {
  const none = { chunks: 0, bytes: 0 };
  const known = new Set(accepted.domains.map(({ domain }) => domain));
  const unused = pledge.domains === "all" ? [] : pledge.domains.filter((domain) => !known.has(domain));
  const all = [...accepted.domains, ...unused.map((domain) => ({ domain, ...none }))];
  const rows = all.slice(0, DOMAINS_SHOWN).map(({ domain, ...sum }) => sumRow(domain, sum));
  if (accepted.others.chunks > 0) rows.push(sumRow("others", accepted.others));
  if (all.length > DOMAINS_SHOWN) rows.push([`and ${all.length - DOMAINS_SHOWN} more: see --json`]);
  const pledged = pledge.domains === "all" ? "all domains" : plural(pledge.domains.length, "domain");
  return `${section([
    ["domains", `pledged to ${pledged}; ${plural(receipts, "receipt")} given`],
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
  return [row(title, "direct", flows.direct), row(note, "through edges", flows.tunnel)];
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
