// The look-up: an object, a folder or a domain that somebody typed, or that the address names behind its `#`.

import { lookUpDomain } from "./domain.js";
import { attempt, Problem } from "./edge.js";
import { at, byId, say } from "./elements.js";
import { decodePath, encodePath, parseAddress, stripOrigin } from "./names.js";
import { lookUpObject } from "./object.js";
import { lookUpFolder } from "./tree.js";

/** @import { Address } from "./names.js" */

const input = byId("lookup-name", HTMLInputElement);
const result = at("lookup-result");
const state = at("lookup-state");
let lookUps = new AbortController();

export function startLookUps() {
  byId("lookup-form", HTMLFormElement).addEventListener("submit", onSubmit);
  addEventListener("hashchange", followAddress);
  followAddress();
}

/** Shows what the address names after `#`, if anything. */
async function followAddress() {
  const text = decodePath(location.hash.slice(1)).replace(/^\//, "");
  lookUps.abort();
  lookUps = new AbortController();
  const { signal } = lookUps;
  document.title = text === "" ? "Holdfast edge" : `${text} · Holdfast edge`;
  if (text === "") return show([], "");
  input.value = text;
  at("lookup-title").focus();
  say(state, "Asking the edge…");
  result.ariaBusy = "true"; // what is there stays, so that nothing below it jumps
  await attempt(state, signal, async () => {
    const parts = await lookUp(parseAddress(text), signal);
    signal.throwIfAborted();
    show(parts, "What this edge says. Only a verifying client proves it.");
  });
  if (!signal.aborted && result.ariaBusy === "true") show([]);
}

/** @param {Node[]} parts @param {string} [words] */
function show(parts, words) {
  result.replaceChildren(...parts);
  result.ariaBusy = null;
  if (words !== undefined) say(state, words);
}

/** @param {Address} address @param {AbortSignal} signal */
async function lookUp(address, signal) {
  if (address.path === "") return lookUpDomain(address, signal);
  if (address.isFolder) return lookUpFolder(address, signal);
  try {
    return await lookUpObject(address, signal);
  } catch (error) {
    const isUnknown = error instanceof Problem && error.code === "not-found";
    if (!isUnknown || signal.aborted) throw error;
    // A folder without its slash, perhaps; if it is none, what counts is that there is no such object.
    return lookUpFolder(address, signal).catch(() => {
      throw error;
    });
  }
}

/** @param {SubmitEvent} event */
function onSubmit(event) {
  event.preventDefault();
  const hash = `#/${encodePath(stripOrigin(input.value.trim()))}`;
  if (location.hash === hash) void followAddress();
  else location.hash = hash;
}
