// holdfast status: the network in numbers, as one edge reports it.

import { Command } from "commander";
import { plainText } from "../../lib/client/request.ts";
import type { EdgeStatus } from "../../lib/wire/status.ts";
import { formatAge, formatCount, formatSize, formatTable } from "../format.ts";
import { withEdge } from "../options.ts";
import { printData, printJson } from "../output.ts";
import { type CommonOptions, edgeOf, loadSettings } from "../settings.ts";

export function statusCommand(): Command {
  return withEdge(
    new Command("status")
      .summary("the network in numbers")
      .description("What the edge knows: home nodes, names, chunks and the newest objects."),
  )
    .addHelpText("after", EXAMPLES)
    .action((options: CommonOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast status
  holdfast status --edge https://edge.example.org --json | jq .nodes.online
`;

async function run(options: CommonOptions): Promise<void> {
  const edge = edgeOf(await loadSettings(options));
  const status = await edge.status();
  if (options.json === true) return printJson(status);
  await printData(formatStatus(edge.url, status, Date.now()));
}

function formatStatus(url: string, status: EdgeStatus, nowMs: number): string {
  const sections = [formatTable(totals(url, status, nowMs))];
  if (status.members.length > 0) sections.push(formatTable([NODE_HEADINGS, ...nodeRows(status, nowMs)]));
  if (status.domains.length > 0) sections.push(formatTable([DOMAIN_HEADINGS, ...domainRows(status)]));
  if (status.recent.length > 0) sections.push(formatTable([OBJECT_HEADINGS, ...objectRows(status, nowMs)]));
  return sections.join("\n");
}

const NODE_HEADINGS = ["NODE", "STATE", "SINCE", "FREE", "PLEDGED", "URL"];
/** COVERED: what is pledged to it, of what its copies take. */
const DOMAIN_HEADINGS = ["DOMAIN", "KEPT", "PLEDGED TO IT", "BY NODES", "COVERED"];
const COVERED_SHOWN_MAX = 9;
const OBJECT_HEADINGS = ["OBJECT", "SEQ", "SIZE", "AGE", "AUTHOR"];

function totals(
  url: string,
  { id, software, nodes, index, repairs, partitions, reportedAt }: EdgeStatus,
  nowMs: number,
): string[][] {
  const held = partitions.holders.filter((count) => count > 0).length;
  return [
    ["edge", `${url} (${software})`],
    ["id", id],
    ["home nodes", `${formatCount(nodes.online)} online of ${formatCount(nodes.known)} known`],
    ["room", `${formatSize(nodes.freeBytes)} free of ${formatSize(nodes.pledgedBytes)} pledged`],
    ["names", `${formatCount(index.names)} with ${formatCount(index.versions)} Versions`],
    [
      "chunks",
      `${formatCount(index.chunks)} (${formatSize(index.chunkBytes)}) in ${formatCount(index.replicas)} copies`,
    ],
    ...(repairs === undefined ? [] : [["repairs", repairsText(repairs)]]),
    ["partitions", `${formatCount(held)} of ${formatCount(partitions.holders.length)} have holders`],
    ["reported", reportedAt === null ? "not yet" : `${formatAge(nowMs - Date.parse(reportedAt))} ago`],
  ];
}

function repairsText({
  short,
  unreadable,
  copiesToday,
  bytesToday,
}: NonNullable<EdgeStatus["repairs"]>): string {
  const lost = unreadable === 0 ? "" : `, ${formatCount(unreadable)} of them unreadable now`;
  const today = `${formatCount(copiesToday)} copies (${formatSize(bytesToday)}) made today`;
  return `${formatCount(short)} chunks below target${lost}; ${today}`;
}

function nodeRows({ members }: EdgeStatus, nowMs: number): string[][] {
  return members.map(({ id, online, since, freeBytes, pledgedBytes, url, name }) => [
    id.slice(0, 16),
    online ? "online" : "offline",
    formatAge(nowMs - Date.parse(since)),
    formatSize(freeBytes),
    formatSize(pledgedBytes),
    `${url ?? "through the edge"}${name === null ? "" : ` (${plainText(name)})`}`,
  ]);
}

function domainRows({ domains }: EdgeStatus): string[][] {
  return domains.map(({ domain, bytes, pledgedBytes, supporters, ratio }) => [
    domain,
    formatSize(bytes),
    formatSize(pledgedBytes),
    formatCount(supporters),
    ratio >= COVERED_SHOWN_MAX ? `over ${COVERED_SHOWN_MAX * 100} %` : `${Math.floor(ratio * 100)} %`,
  ]);
}

function objectRows({ recent }: EdgeStatus, nowMs: number): string[][] {
  return recent.map(({ domain, name, sequence, size, time, author }) => [
    `${domain}/${name}`,
    String(sequence),
    formatSize(size),
    formatAge(nowMs - Date.parse(time)),
    author,
  ]);
}
