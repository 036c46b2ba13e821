// The page of an edge: the network in numbers, a map of the partitions, and a look-up of objects and folders. It shows
// what this edge says and proves nothing, because the edge serves these scripts too. Names, authors and URLs are
// strangers' input: text nodes only, links only to http(s), commands quoted.

import { ask, explain } from "./edge.js";
import { at, say } from "./elements.js";
import { startLookUps } from "./lookup.js";
import { buildLegend, buildMap, paintMap } from "./map.js";
import { freshness, showNetwork } from "./network.js";

/** @import { EdgeStatus } from "../lib/wire/status.ts" */

const REFRESH_MS = 10_000;

async function refresh() {
  const note = at("freshness");
  try {
    /** @type {EdgeStatus} */
    const status = await ask("/status", { cache: "no-store", signal: AbortSignal.timeout(REFRESH_MS) });
    showNetwork(status);
    paintMap(status);
    note.removeAttribute("role");
    say(note, freshness(status.reportedAt));
  } catch (error) {
    note.role = "alert";
    say(note, `${explain(error)} The next attempt is in ${REFRESH_MS / 1000} seconds.`, true);
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Asks now and then again and again, as long as somebody can see it. */
async function keepFresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(keepFresh, REFRESH_MS);
}

buildMap();
buildLegend();
document.addEventListener("visibilitychange", keepFresh);
startLookUps();
void keepFresh();
