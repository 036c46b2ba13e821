// A name's Versions side by side: who made each and when, what it shares with the one before, and who holds it.

import { ask, attempt, explain, Problem } from "./edge.js";
import { button, classed, el, hashElement, link, shortId, table, tableRow, timeElement } from "./elements.js";
import { counted, formatBytes, formatCount, formatPercent, visible } from "./format.js";
import { decodeBase64, decodeJson, encodeBase64, fingerprintOf, hexHash, keyOfSignature } from "./hashes.js";
import { askHolders, HOLDERS_LISTED } from "./holders.js";
import { encodePath } from "./names.js";

/** @import { NameAnswer, ObjectReferral } from "../lib/wire/names.ts" */
/** @import { Manifest } from "../lib/manifest.ts" */
/** @import { Version } from "../lib/version.ts" */
/** @import { ObjectId } from "./names.js" */
/** @import { Holding, Spread } from "./holders.js" */
/** @typedef {NameAnswer["versions"][number]} SignedVersion */
/** @typedef {Awaited<ReturnType<typeof readVersion>>} ShownVersion */

const REFERRAL_TYPE = "application/vnd.holdfast.referral+json";
/** Versions that are compared at once: each costs the edge a few look-ups. */
const COMPARED_AT_ONCE = 10;
const COLUMNS = ["Version", "Signed", "Size", "Shared with previous", "Holders of a chunk"];

/** @param {ObjectId} object @param {string | null} before @param {AbortSignal} signal @returns {Promise<NameAnswer>} */
export function askName({ nameHash, domain }, before, signal) {
  const query = new URLSearchParams({ domain, ...(before === null ? {} : { before }) });
  return ask(`/name/${nameHash}?${query}`, { signal });
}

/** A page of Versions as they are shown. @param {NameAnswer} answer */
export function readVersions({ versions, removed = [] }) {
  return Promise.all(versions.map((version) => readVersion(version, removed)));
}

/** From its statement, its id; from its signature, the key. @param {SignedVersion} signed @param {string[]} removed */
async function readVersion({ statement, signature, witnesses }, removed) {
  const bytes = decodeBase64(statement);
  const blob = keyOfSignature(signature);
  const [id, fingerprint] = await Promise.all([hexHash(bytes), fingerprintOf(blob)]);
  /** @type {Version} */
  const body = decodeJson(bytes);
  return {
    id,
    body,
    fingerprint,
    keyText: `ssh-ed25519 ${encodeBase64(blob)}`,
    witnesses: witnesses.length,
    isRemoved: removed.includes(id),
  };
}

/** Throws a Problem for bytes that are not the Manifest of the Version. @param {string} base64 @param {ShownVersion} version @returns {Promise<Manifest>} */
export async function readManifest(base64, { body }) {
  const bytes = decodeBase64(base64);
  if ((await hexHash(bytes)) !== body.manifest) {
    throw new Problem("bad-answer", "The Manifest is not the one that the Version names.");
  }
  return decodeJson(bytes);
}

/** @param {ObjectId} object @param {ShownVersion[]} versions newest first @param {string | null} next @param {AbortSignal} signal */
export function versionSection(object, versions, next, signal) {
  const comparison = new Comparison(object, versions, next, signal);
  comparison.showMore();
  return [el("h3", "Versions, newest first"), comparison.table, comparison.state, comparison.more];
}

/** The table, and the Versions that are not in it yet. */
class Comparison {
  table = classed("listing versions", table("Versions, newest first", COLUMNS, []));
  state = classed("quiet", el("p"));
  more = button("Older Versions", () => this.showMore());
  /** @type {Map<string, Promise<Manifest | null>>} */
  #manifests = new Map();
  #shown = 0;

  /** @param {ObjectId} object @param {ShownVersion[]} versions @param {string | null} next @param {AbortSignal} signal */
  constructor(object, versions, next, signal) {
    this.object = object;
    this.versions = [...versions];
    this.next = next;
    this.signal = signal;
  }

  async showMore() {
    this.more.disabled = true;
    await attempt(this.state, this.signal, () => this.#showPage());
    this.more.disabled = false;
  }

  async #showPage() {
    if (this.#shown + COMPARED_AT_ONCE >= this.versions.length && this.next !== null) await this.#askOlder();
    const page = this.versions.slice(this.#shown, this.#shown + COMPARED_AT_ONCE);
    this.#shown += page.length;
    this.more.hidden = this.#shown === this.versions.length && this.next === null;
    const cells = page.map((version) => ({ version, shared: el("span", "…"), holders: el("span", "…") }));
    const rows = cells.map(({ version, shared, holders }) =>
      versionRow(this.object, version, shared, holders),
    );
    this.table.tBodies[0]?.append(...rows);
    for (const { version, shared, holders } of cells) {
      await fill(shared, this.signal, async () => this.#sharedCell(version));
      await fill(holders, this.signal, async () => this.#holdersCell(version));
    }
  }

  async #askOlder() {
    const page = await askName(this.object, this.next, this.signal);
    this.versions.push(...(await readVersions(page)));
    this.next = page.next;
  }

  /** @param {ShownVersion} version */
  async #sharedCell(version) {
    const { previous } = version.body;
    if (previous === null) return [classed("quiet", el("span", "the first Version"))];
    const before = this.versions.find(({ id }) => id === previous);
    if (before === undefined) return [classed("quiet", el("span", "the one before is not known here"))];
    const [now, then] = [await this.#manifestOf(version), await this.#manifestOf(before)];
    if (now === null || then === null) return [classed("quiet", el("span", "cannot be told here"))];
    return sharedWords(version.body.size, sharedBytes(now, then));
  }

  /** @param {ShownVersion} version */
  async #holdersCell(version) {
    const manifest = await this.#manifestOf(version);
    if (manifest === null) return [classed("quiet", el("span", "cannot be told here"))];
    return holderWords(await askHolders(version.body.manifest, manifest, this.signal), manifest);
  }

  /** Null for a Version that does not say its name, or was taken back: an edge gives no Manifest of it. @param {ShownVersion} version */
  #manifestOf(version) {
    const manifest = this.#manifests.get(version.id) ?? this.#askManifest(version);
    this.#manifests.set(version.id, manifest);
    return manifest;
  }

  /** @param {ShownVersion} version @returns {Promise<Manifest | null>} */
  async #askManifest(version) {
    if (version.body.name === undefined || version.isRemoved) return null;
    const path = `/obj/${encodePath(this.object.full)}?version=${version.id}`;
    /** @type {ObjectReferral} */
    const { manifest } = await ask(path, { headers: { Accept: REFERRAL_TYPE }, signal: this.signal });
    return readManifest(manifest, version);
  }
}

/** @param {HTMLElement} place @param {AbortSignal} signal @param {() => Promise<Node[]>} make */
async function fill(place, signal, make) {
  try {
    place.replaceChildren(...(await make()));
  } catch (error) {
    if (signal.aborted) throw error;
    place.replaceChildren(classed("trouble", el("span", explain(error))));
  }
}

/** @param {ObjectId} object @param {ShownVersion} version @param {Node} shared @param {Node} holders */
function versionRow(object, { id, body, fingerprint, witnesses, isRemoved }, shared, holders) {
  const { sequence, time, size, author, expires } = body;
  const pinned = link(`/obj/${encodePath(object.full)}?version=${id}`, `Version ${formatCount(sequence)}`);
  const statement = link(`/version/${id}`, shortId(id));
  statement.ariaLabel = `Statement of Version ${formatCount(sequence)}`;
  const signature = link(`/version/${id}.sig`, "signature");
  const expiry = expires === undefined ? "does not expire" : el("span", "expires ", timeElement(expires));
  const key = el(
    "span",
    "signed by ",
    hashElement(fingerprint),
    ` · ${counted(witnesses, "witness", "witnesses")}`,
  );
  return tableRow(COLUMNS, [
    el(
      "div",
      isRemoved ? el("span", `Version ${formatCount(sequence)}, taken back`) : pinned,
      detail(statement, " · ", signature),
    ),
    el("div", timeElement(time), " · ", el("bdi", visible(author)), detail(key, " · ", expiry)),
    formatBytes(size),
    shared,
    holders,
  ]);
}

/** @param {...(Node | string)} children */
const detail = (...children) => classed("quiet", el("div", ...children));

/** Bytes of `now` in chunks that `then` has too; null where one lists parts of chunks only. @param {Manifest} now @param {Manifest} then */
function sharedBytes(now, then) {
  if (!("chunks" in now && "chunks" in then)) return null;
  const known = new Set(then.chunks.map(({ hash }) => hash));
  return now.chunks.reduce((sum, { hash, size }) => sum + (known.has(hash) ? size : 0), 0);
}

/** @param {number} size @param {number | null} shared */
function sharedWords(size, shared) {
  if (shared === null) return [classed("quiet", el("span", "too many chunks to compare here"))];
  if (size === 0) return [classed("quiet", el("span", "nothing to share"))];
  const bar = el("meter");
  bar.max = size;
  bar.value = shared;
  bar.ariaLabel = "Shared";
  const fresh = shared === size ? "nothing new" : `${formatBytes(size - shared)} new`;
  return [bar, el("div", `${formatBytes(shared)}, ${formatPercent(shared, size)}`), detail(fresh)];
}

/** @param {Holding} holding @param {Manifest} manifest */
function holderWords({ chunks, ofChunks, nodes, held, online }, { redundancy }) {
  // A chunk of a stripe is kept once; the others of its stripe stand in for it.
  const wanted = "replicas" in redundancy ? redundancy.replicas : 1;
  const each = el("div", spreadText(held));
  const reachable = el("div", `online: ${spreadText(online)}`);
  if (held.least < wanted) each.append(`, fewer than the ${wanted} asked for`);
  each.classList.toggle("trouble", held.least < wanted);
  reachable.classList.toggle("trouble", online.least === 0);
  const asked =
    chunks < ofChunks
      ? `the first ${formatCount(chunks)} of ${formatCount(ofChunks)} chunks`
      : counted(chunks, "chunk");
  return [each, reachable, detail(`${asked}, on ${counted(nodes, "home node")}`)];
}

/** @param {Spread} spread */
function spreadText({ least, typical }) {
  const atMost = typical >= HOLDERS_LISTED ? " or more" : "";
  return `at least ${least}, typically ${typical}${atMost}`;
}
