// How far a domain's change of key has come, as DNS shows it, and what its owner does next. Pure judgement: the command
// prints it. A record is only ever added first, and the old one removed last, so that nobody is left without a key.

import { type DomainKeys, KEYS_TTL_SECONDS_MAX } from "../domain-keys.ts";
import { formatKeyRecords, formatRotationRecord, parseDomainRecords } from "../domain-records.ts";
import { HoldfastError } from "../error.ts";
import { fingerprintOf } from "../openssh-key.ts";
import {
  followRotations,
  type RotationStep,
  stepOf,
  type VerifiedRotation,
  verifyRotations,
} from "../rotation.ts";

/**
 * `publish`: records are to be added. `overlap`: all are there, and the old key's may go when caches have run out.
 * `remove`: of a compromised key, what is to go at once. `done`.
 */
export type RotationStage = "publish" | "overlap" | "remove" | "done";

export interface RotationPlan {
  stage: RotationStage;
  /** TXT texts to publish. */
  add: string[];
  /** TXT texts, as they stand, to take out: at `overlap` not before `removeAfter`. */
  remove: string[];
  /** ISO 8601; null where there is nothing to wait for. */
  removeAfter: string | null;
}

export interface RotationRequest {
  keys: DomainKeys;
  old: Uint8Array;
  next: Uint8Array;
  /** Whose the new key is; null: the addresses of the old one. */
  emails: readonly string[] | null;
  nowMs: number;
}

/** Makes the statement by which the old key names the new one, where it is needed. */
export type MakeRotation = () => Promise<VerifiedRotation>;

/** Throws `key-not-authorized` where neither key stands in DNS. */
export async function planRotation(request: RotationRequest, make: MakeRotation): Promise<RotationPlan> {
  const { keys, old, next, nowMs } = request;
  const { hasOld, hasNext, steps } = await standOf(request);
  if (!hasOld && !hasNext) throw neither(keys, old, next);
  const add = hasNext ? [] : newKeyRecords(request);
  // A chain counts too: the old key's successor may have had one of its own already.
  if (!followRotations([fingerprintOf(old)], steps).has(fingerprintOf(next)))
    add.push(formatRotationRecord(await make()));
  if (add.length > 0) return { stage: "publish", add, remove: [], removeAfter: null };
  if (!hasOld) return { stage: "done", add, remove: [], removeAfter: null };
  const keptSeconds = Math.max(KEYS_TTL_SECONDS_MAX, keys.evidence.ttlSeconds);
  const removeAfter = new Date(nowMs + keptSeconds * 1000).toISOString();
  return { stage: "overlap", add, remove: keyRecords(request), removeAfter };
}

/** For an old key that somebody else has: it names nobody, and everything that it is named in goes. */
export async function planReplacement(request: RotationRequest): Promise<RotationPlan> {
  const { keys, old, next } = request;
  const { hasOld, hasNext } = await standOf(request);
  if (!hasOld && !hasNext) throw neither(keys, old, next);
  const add = hasNext ? [] : newKeyRecords(request);
  const remove = [...keyRecords(request), ...(await rotationRecords(request))];
  const stage = add.length > 0 ? "publish" : remove.length > 0 ? "remove" : "done";
  return { stage, add, remove, removeAfter: null };
}

async function standOf({ keys, old, next }: RotationRequest) {
  const holds = (blob: Uint8Array) => keys.keys.some((key) => key.fingerprint === fingerprintOf(blob));
  const { rotations } = await verifyRotations(keys.domain, keys.rotations);
  return { hasOld: holds(old), hasNext: holds(next), steps: rotations.map(stepOf) };
}

function newKeyRecords({ keys, old, next, emails }: RotationRequest): string[] {
  const known = keys.keys.find(({ fingerprint }) => fingerprint === fingerprintOf(old));
  return formatKeyRecords({ blob: next, emails: emails ?? known?.emails ?? [] });
}

/** The published records that make the old key a key of the domain. */
function keyRecords({ keys, old }: RotationRequest): string[] {
  const fingerprint = fingerprintOf(old);
  return keys.evidence.records.filter((text) =>
    parseDomainRecords([text]).keys.some((key) => key.fingerprint === fingerprint),
  );
}

/** The published records of rotations that lead from or to the old key. */
async function rotationRecords({ keys, old }: RotationRequest): Promise<string[]> {
  const fingerprint = fingerprintOf(old);
  const names = ({ from, to }: RotationStep) => from === fingerprint || to === fingerprint;
  const found: string[] = [];
  for (const text of keys.evidence.records) {
    const { rotations } = await verifyRotations(keys.domain, parseDomainRecords([text]).rotations);
    if (rotations.map(stepOf).some(names)) found.push(text);
  }
  return found;
}

function neither({ domain }: DomainKeys, old: Uint8Array, next: Uint8Array): HoldfastError {
  return new HoldfastError(
    "key-not-authorized",
    `neither ${fingerprintOf(old)} nor ${fingerprintOf(next)} stands in DNS for ${domain}: see holdfast domain show ${domain}`,
  );
}
