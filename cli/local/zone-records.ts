// The zone lines that publish a key for a domain.

import { keyRecordName } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import type { Domain } from "../../lib/names.ts";
import { formatZoneRecord } from "./zone-file.ts";

/** Zone lines, each ended by a line feed. `blob` is an SSH public key blob; no e-mail addresses: anybody's. */
export function formatDomainZone(domain: Domain, blob: Uint8Array, emails: string[]): string {
  const records = formatKeyRecords({ blob, emails });
  return records.map((record) => `${formatZoneRecord(keyRecordName(domain), record)}\n`).join("");
}
