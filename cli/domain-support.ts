// What an edge says of a domain beside its keys, as text for a terminal: what it keeps, what is pledged, and who keeps it.
// The edge's word: nothing here can be checked, and names are volunteers' own.

import { plainText } from "../lib/client/request.ts";
import { PLACED_STANDING_MIN } from "../lib/overlay/placement.ts";
import type { DomainSupport, Supporter } from "../lib/wire/status.ts";
import { formatAge, formatSize, formatTable, plural } from "./format.ts";

export interface SupportOn extends DomainSupport {
  url: string;
}

/** Supporters that are shown; --json has all that the edge gave. */
const SHOWN_MAX = 15;
const WHO_MAX = 24;
const SHORT_ID = 8;
/** Names last: in some scripts characters are wider than columns are counted. */
const HEADINGS = ["NODE", "STATE", "KEEPS", "CHUNKS", "PLEDGES", "SINCE", "SUPPORTER"];

export function formatSupport({ url, usage, supporters }: SupportOn, nowMs: number): string {
  const facts = formatTable([
    ["on", `${plainText(url)} (this edge's word)`],
    ["keeps", `${formatSize(usage.bytes)} in ${plural(usage.chunks, "chunk")}`],
    ["quota", usage.quotaBytes === null ? "none set" : formatSize(usage.quotaBytes)],
    ["pledged", pledgedText(usage)],
  ]);
  if (supporters.length === 0) return facts;
  const shown = supporters.slice(0, SHOWN_MAX);
  const more = supporters.length - shown.length;
  const rest = more > 0 ? `and ${more} more: see --json\n` : "";
  const rows = [HEADINGS, ...shown.map((supporter) => rowOf(supporter, nowMs))];
  return `${facts}\n${formatTable(rows)}${rest}`;
}

function pledgedText({ pledgedBytes, supporters }: DomainSupport["usage"]): string {
  if (supporters === 0) return "nothing: it lives on pledges to all domains";
  return `${formatSize(pledgedBytes)} by ${plural(supporters, "node")} that chose it`;
}

function rowOf(supporter: Supporter, nowMs: number): string[] {
  const { id, name, chunks, bytes, pledgedBytes, since } = supporter;
  return [
    id.slice(0, SHORT_ID),
    stateOf(supporter),
    chunks === 0 ? "-" : formatSize(bytes),
    chunks === 0 ? "-" : String(chunks),
    pledgedBytes === 0 ? "-" : formatSize(pledgedBytes),
    since === null ? "-" : formatAge(nowMs - Date.parse(since)),
    shorten(name === null ? "a volunteer" : plainText(name)),
  ];
}

function stateOf({ standing, online }: Supporter): string {
  if (standing < PLACED_STANDING_MIN) return "failing";
  return online ? "online" : "offline";
}

function shorten(text: string): string {
  const characters = [...text];
  return characters.length <= WHO_MAX ? text : `${characters.slice(0, WHO_MAX - 1).join("")}…`;
}
