// Statements as a shard keeps them, in the JSON of answers.

import type { StoredVersion } from "../durable-objects/versions-table.ts";
import { formatSigned, type ListedJson } from "../lib/wire/signed.ts";

/** A Version or a Removal, with its witness, and the delegation that it rests on. */
export function formatStored(
  stored: Pick<StoredVersion, "bytes" | "signature" | "witness" | "delegation">,
): ListedJson {
  return {
    ...formatSigned(stored),
    witnesses: [formatSigned(stored.witness)],
    ...(stored.delegation === null ? {} : { delegation: formatSigned(stored.delegation) }),
  };
}
