// What makes an edge's "accepted" an acknowledgement: a witness of this very Version, signed by the edge that it names. An
// edge that throws the Version away after that has left proof of it; one that only says so is not believed.

import { HoldfastError, isHoldfastError } from "../error.ts";
import { nodeIdOf } from "../openssh-key.ts";
import { verifyStatement } from "../statement.ts";
import type { VerifiedVersion } from "../version.ts";
import { type NamesResult, parseSigned, type SignedJson } from "../wire.ts";
import { witnessKind } from "../witness.ts";

type Accepted = Exclude<NamesResult, { status: "refused" }>;

/** The answer's witnesses. Throws `bad-answer` where none of them is of `version`. */
export async function checkAcknowledged(
  url: string,
  version: VerifiedVersion,
  { id, witnesses }: Accepted,
): Promise<SignedJson[]> {
  if (id === version.id) {
    for (const witness of witnesses) if (await isWitnessOf(version, witness)) return witnesses;
  }
  throw new HoldfastError(
    "bad-answer",
    `${url} says that it has accepted the Version, and does not sign for it: look whether it is there, or ask another edge`,
  );
}

async function isWitnessOf(version: VerifiedVersion, witness: SignedJson): Promise<boolean> {
  try {
    const { body, key } = await verifyStatement(witnessKind, parseSigned(witness));
    return body.version === version.id && body.domain === version.body.domain && body.edge === nodeIdOf(key);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
}
