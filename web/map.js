// The map of the 1,024 partitions: how many home nodes keep chunks in each, and which are closest to one.

import { ask, attempt } from "./edge.js";
import { at, el, linkOut, say, setText, shortId } from "./elements.js";
import { counted, formatCount } from "./format.js";

/** @import { ClosestAnswer } from "../lib/wire/nodes.ts" */
/** @import { EdgeStatus } from "../lib/wire/status.ts" */

const MAP_SIDE = 32;
/** The smallest number of home nodes of each colour. */
const LEVELS = [0, 1, 2, 3, 4, 8, 16];

/** @type {EdgeStatus | null} */
let latest = null;
/** @type {HTMLElement[]} */
const cells = [];

/** @param {number} holders */
const levelOf = (holders) => LEVELS.findLastIndex((least) => holders >= least);

/** @param {HTMLElement} element @param {number} level */
function paint(element, level) {
  element.style.background = `var(--level-${level})`;
}

/** The bounds of a partition's hashes in their first four hex digits. @param {number} partition */
function hashBounds(partition) {
  return [partition << 6, (partition << 6) | 63].map((bits) => bits.toString(16).padStart(4, "0"));
}

/** @param {number} partition */
function describePartition(partition) {
  const [first, last] = hashBounds(partition);
  const { chunks = [], holders = [] } = latest?.partitions ?? {};
  const kept = `${counted(chunks[partition] ?? 0, "chunk")} on ${counted(holders[partition] ?? 0, "home node")}`;
  return `Partition ${formatCount(partition)}, hashes ${first}… to ${last}…: ${kept}`;
}

export function buildMap() {
  const map = at("map");
  map.role = "grid";
  map.setAttribute("aria-labelledby", "map-title");
  map.setAttribute("aria-describedby", "map-help");
  for (let row = 0; row < MAP_SIDE; row += 1) {
    const first = row * MAP_SIDE;
    const line = el("div", ...Array.from({ length: MAP_SIDE }, (_, column) => makeCell(first + column)));
    line.role = "row";
    map.append(line);
  }
  cells[0]?.setAttribute("tabindex", "0");
  map.addEventListener("click", ({ target }) => choose(partitionOf(target)));
  map.addEventListener("pointerover", ({ target }) => read(partitionOf(target)));
  map.addEventListener("pointerleave", () => read(chosen));
  map.addEventListener("focusin", ({ target }) => read(partitionOf(target)));
  map.addEventListener("keydown", onMapKey);
}

/** @param {number} partition */
function makeCell(partition) {
  const cell = el("div");
  cell.role = "gridcell";
  cell.tabIndex = -1;
  paint(cell, 0);
  cells[partition] = cell;
  return cell;
}

export function buildLegend() {
  const entries = LEVELS.map((least, level) => {
    const swatch = el("i");
    paint(swatch, level);
    const next = LEVELS[level + 1];
    const range = next === undefined ? `${least} or more` : next - 1 > least ? `${least}–${next - 1}` : least;
    return el("li", swatch, `${range}`);
  });
  at("legend").append(...entries);
}

/** @param {EdgeStatus} status */
export function paintMap(status) {
  const { partitions } = status;
  latest = status;
  cells.forEach((cell, partition) => {
    paint(cell, levelOf(partitions.holders[partition] ?? 0));
    const label = describePartition(partition);
    if (cell.ariaLabel !== label) cell.ariaLabel = label;
  });
  read(shown);
}

let chosen = -1;
let shown = -1;
let choices = new AbortController();

/** @param {EventTarget | null} target */
const partitionOf = (target) => (target instanceof HTMLElement ? cells.indexOf(target) : -1);

/** @param {number} partition */
function read(partition) {
  shown = partition;
  setText(at("map-readout"), partition < 0 ? "" : describePartition(partition));
}

/** @param {KeyboardEvent} event */
function onMapKey(event) {
  const from = partitionOf(event.target);
  if (from < 0) return;
  const to = neighbour(from, event.key);
  if (event.key === "Enter" || event.key === " ") void choose(from);
  else if (to !== undefined) moveTo(to);
  else return;
  event.preventDefault();
}

/** The cell that a key leads to, at the edges the same one; undefined for other keys. @param {number} from @param {string} key */
function neighbour(from, key) {
  const column = from % MAP_SIDE;
  const last = MAP_SIDE - 1;
  const steps = {
    ArrowLeft: column > 0 ? -1 : 0,
    ArrowRight: column < last ? 1 : 0,
    ArrowUp: from > last ? -MAP_SIDE : 0,
    ArrowDown: from < cells.length - MAP_SIDE ? MAP_SIDE : 0,
    Home: -column,
    End: last - column,
  };
  const step = new Map(Object.entries(steps)).get(key);
  return step === undefined ? undefined : from + step;
}

/** Only one cell is in the tab order: the last one used. @param {number} partition */
function moveTo(partition) {
  for (const other of cells) other.tabIndex = -1;
  const cell = cells[partition];
  if (cell === undefined) return;
  cell.tabIndex = 0;
  cell.focus();
}

/** @param {number} partition */
async function choose(partition) {
  if (partition < 0) return;
  cells[chosen]?.removeAttribute("aria-selected");
  chosen = partition;
  cells[partition]?.setAttribute("aria-selected", "true");
  moveTo(partition);
  read(partition);
  setText(at("detail-title"), `Partition ${formatCount(partition)}`);
  const state = at("detail-state");
  say(state, "Asking for the closest home nodes…");
  at("detail-nodes").replaceChildren();
  choices.abort();
  choices = new AbortController();
  const { signal } = choices;
  await attempt(state, signal, () => showClosest(partition, signal));
}

/** @param {number} partition @param {AbortSignal} signal */
async function showClosest(partition, signal) {
  const [first = ""] = hashBounds(partition);
  /** @type {ClosestAnswer} */
  const { nodes } = await ask(`/closest/${first.padEnd(64, "0")}`, { signal });
  const online = new Map(latest?.members.map((member) => [`${member.id}`, member.online]));
  const rows = nodes.map(({ id, url }) => {
    const state = online.get(id) === false ? "offline" : url === null ? "through the relay" : linkOut(url);
    return el("li", shortId(id), " ", state);
  });
  at("detail-nodes").replaceChildren(...rows);
  const closest = nodes.length === 0 ? "No home node is known." : "The closest home nodes, nearest first:";
  say(at("detail-state"), `${describePartition(partition)}. ${closest}`);
}
