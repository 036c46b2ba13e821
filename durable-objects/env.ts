// The bindings of wrangler.toml, and the settings parsed from them.

import { HoldfastError } from "../lib/error.ts";
import { type Hash, isHash } from "../lib/hash.ts";
import { judgeNodeUrl } from "../lib/node-url.ts";
import { formatPublicKeyText, parsePublicKeyLine } from "../lib/openssh-key.ts";
import type { FailureDomainMode } from "../lib/overlay/failure-domain.ts";
import { SHARD_DEPTH_MAX } from "../lib/overlay/shards.ts";
import { PEERS_MAX } from "../lib/wire/peers.ts";
import type { NodeLink } from "./node-link.ts";
import type { PartitionShard } from "./partition-shard.ts";

export const SOFTWARE = "holdfast/0.1.0";

export interface Env {
  PARTITION_SHARD: DurableObjectNamespace<PartitionShard>;
  NODE_LINK: DurableObjectNamespace<NodeLink>;
  /** The edge's private key: an unencrypted OpenSSH ed25519 key file's text. A deployment secret. */
  EDGE_KEY: string;
  /** RFC 8484 resolvers, separated by white space or commas. */
  DOH_URLS: string;
  /** A domain seen with DNSSEC so lately may not come without. */
  DNSSEC_MEMORY_DAYS: string;
  SHARD_DEPTH: string;
  FAILURE_DOMAIN: string;
  /** "true" permits nodes at http and loopback URLs. */
  ALLOW_LOCAL_NODES: string;
  /** Bytes of an object that one request may stream. */
  STREAM_BYTES_MAX: string;
  /** Public keys of those who may block: lines of OpenSSH .pub files, separated by commas or line ends. */
  OPERATOR_KEYS?: string;
  /** Distinct referenced bytes that a domain may have; `pledged`: as its supporters pledge; empty: no limit. */
  QUOTA_BYTES?: string;
  /** Other quotas for some: `<domain>=<bytes>` or `<domain>=pledged`, separated by white space or commas. */
  DOMAIN_QUOTAS?: string;
  /** A node that is offline for longer no longer counts as a holder: its chunks are repaired. */
  REPAIR_GRACE_SECONDS?: string;
  /** A shard looks over what it holds this often, at most: for audits, repair and what can be let go. 0: never. */
  SWEEP_SECONDS?: string;
  /** Chunks of each node that are read to see whether it keeps them, a day. 0: none. */
  AUDITS_PER_DAY?: string;
  /** A shard that lists so many holders and Versions splits by itself. 0: however many, it does not for them. */
  SPLIT_ROWS?: string;
  /** Ids of edges: what two of them have witnessed stands here too, though its key has left DNS. */
  WITNESS_EDGES?: string;
  /** Origins of other edges that exchange Versions with this one, separated by white space or commas. */
  PEER_EDGES?: string;
  /** "off" leaves the limits below unasked. */
  RATE_LIMITS?: string;
  /** Where one is not bound, nothing is limited. workers/rate-limits.ts says what each is for. */
  READS_LIMIT?: RateLimit;
  LOOKUPS_LIMIT?: RateLimit;
  WRITES_LIMIT?: RateLimit;
  REGISTRATIONS_LIMIT?: RateLimit;
  DNS_LIMIT?: RateLimit;
  DOMAIN_WRITES_LIMIT?: RateLimit;
}

/** Bytes, or as many as the nodes pledge that list the domain. */
export type Quota = number | typeof PLEDGED;
export const PLEDGED = "pledged";

export interface EdgeSettings {
  shardDepth: number;
  failureDomain: FailureDomainMode;
  allowLocalNodes: boolean;
  dohUrls: string[];
  dnssecMemoryMs: number;
  streamBytesMax: number;
  /** SSH public key blobs, base64. */
  operatorKeys: ReadonlySet<string>;
  /** Null: no limit. */
  quotaBytes: Quota | null;
  domainQuotas: ReadonlyMap<string, Quota>;
  repairGraceMs: number;
  /** 0: never. */
  sweepMs: number;
  /** Of each node. */
  auditsPerDay: number;
  /** 0: no number is too many. */
  splitRows: number;
  witnessEdges: ReadonlySet<Hash>;
  /** Origins. */
  peerEdges: readonly string[];
}

const DNSSEC_MEMORY_DAYS_MAX = 3650;
const SECOND_MS = 1000;
const DAY_MS = 24 * 3600 * 1000;

const settingsOf = new WeakMap<Env, EdgeSettings>();

/** Throws `internal` with the name of the setting that is wrong: only the operator can mend it. */
export function parseSettings(env: Env): EdgeSettings {
  // Asked for several times in every call; they stay as they are for as long as the isolate lives.
  const known = settingsOf.get(env);
  if (known !== undefined) return known;
  const settings = parse(env);
  settingsOf.set(env, settings);
  return settings;
}

function parse(env: Env): EdgeSettings {
  const shardDepth = Number(env.SHARD_DEPTH);
  if (!Number.isInteger(shardDepth) || shardDepth < 0 || shardDepth > SHARD_DEPTH_MAX) {
    throw new HoldfastError("internal", `SHARD_DEPTH must be 0 to ${SHARD_DEPTH_MAX}`);
  }
  if (env.FAILURE_DOMAIN !== "network" && env.FAILURE_DOMAIN !== "node") {
    throw new HoldfastError("internal", "FAILURE_DOMAIN must be network or node");
  }
  const dohUrls = env.DOH_URLS.split(/[\s,]+/).filter((url) => url !== "");
  if (dohUrls.length === 0)
    throw new HoldfastError("internal", "DOH_URLS must name a DNS-over-HTTPS resolver");
  const dnssecMemoryDays = Number(env.DNSSEC_MEMORY_DAYS);
  if (!(dnssecMemoryDays >= 0 && dnssecMemoryDays <= DNSSEC_MEMORY_DAYS_MAX)) {
    throw new HoldfastError("internal", `DNSSEC_MEMORY_DAYS must be 0 to ${DNSSEC_MEMORY_DAYS_MAX}`);
  }
  const streamBytesMax = Number(env.STREAM_BYTES_MAX);
  if (!Number.isSafeInteger(streamBytesMax) || streamBytesMax < 1) {
    throw new HoldfastError("internal", "STREAM_BYTES_MAX must be a positive number of bytes");
  }
  return {
    shardDepth,
    failureDomain: env.FAILURE_DOMAIN,
    allowLocalNodes: env.ALLOW_LOCAL_NODES === "true",
    dohUrls,
    dnssecMemoryMs: dnssecMemoryDays * DAY_MS,
    streamBytesMax,
    operatorKeys: parseOperatorKeys(env.OPERATOR_KEYS ?? ""),
    quotaBytes: (env.QUOTA_BYTES ?? "") === "" ? null : parseQuota("QUOTA_BYTES", env.QUOTA_BYTES ?? ""),
    domainQuotas: parseDomainQuotas(env.DOMAIN_QUOTAS ?? ""),
    repairGraceMs: parseCount("REPAIR_GRACE_SECONDS", env.REPAIR_GRACE_SECONDS ?? "3600") * SECOND_MS,
    sweepMs: parseCount("SWEEP_SECONDS", env.SWEEP_SECONDS ?? "600") * SECOND_MS,
    auditsPerDay: parseCount("AUDITS_PER_DAY", env.AUDITS_PER_DAY ?? "48"),
    splitRows: parseCount("SPLIT_ROWS", env.SPLIT_ROWS ?? "2000000"),
    witnessEdges: parseWitnessEdges(env.WITNESS_EDGES ?? ""),
    peerEdges: parsePeerEdges(env.PEER_EDGES ?? "", env.ALLOW_LOCAL_NODES === "true"),
  };
}

function parseWitnessEdges(text: string): ReadonlySet<Hash> {
  const ids = text.split(/[\s,]+/).filter((id) => id !== "");
  if (ids.every(isHash)) return new Set(ids);
  throw new HoldfastError("internal", "WITNESS_EDGES must be ids of edges: 64 lower-case hex digits each");
}

function parsePeerEdges(text: string, allowLocal: boolean): readonly string[] {
  const urls = text.split(/[\s,]+/).filter((url) => url !== "");
  const origins = new Set(
    urls.map((url) => {
      const judged = judgeNodeUrl(url, allowLocal);
      if (judged.ok) return judged.origin;
      throw new HoldfastError("internal", `PEER_EDGES must be public https origins: ${judged.detail}`);
    }),
  );
  if (origins.size <= PEERS_MAX) return [...origins];
  throw new HoldfastError("internal", `PEER_EDGES may name ${PEERS_MAX} edges at most`);
}

function parseCount(setting: string, text: string): number {
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new HoldfastError("internal", `${setting} must be a whole number from 0 to 9,999,999`);
}

function parseDomainQuotas(text: string): ReadonlyMap<string, Quota> {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== "");
  return new Map(
    entries.map((entry) => {
      const [domain = "", bytes = ""] = entry.split("=");
      return [domain, parseQuota("DOMAIN_QUOTAS", bytes)];
    }),
  );
}

function parseQuota(setting: string, text: string): Quota {
  if (text === PLEDGED) return PLEDGED;
  const bytes = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new HoldfastError("internal", `${setting} must give numbers of bytes, or ${PLEDGED}`);
}

function parseOperatorKeys(text: string): ReadonlySet<string> {
  const lines = text.split(/[,\n]/).map((line) => line.trim());
  try {
    return new Set(
      lines.filter((line) => line !== "").map((line) => formatPublicKeyText(parsePublicKeyLine(line).blob)),
    );
  } catch (cause) {
    throw new HoldfastError("internal", "OPERATOR_KEYS must be lines of OpenSSH .pub files", { cause });
  }
}
