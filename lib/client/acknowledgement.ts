// What makes an edge's "accepted" an acknowledgement: a witness of this very statement, signed by the edge that it names. An
// edge that throws the statement away after that has left proof of it; one that only says so is not believed.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { NamesResult } from "../wire/names.ts";
import { parseSigned, type SignedJson } from "../wire/signed.ts";
import { verifyWitness, type Witnessed } from "../witness.ts";

type Accepted = Exclude<NamesResult, { status: "refused" }>;

/** The answer's witnesses. Throws `bad-answer` where none of them is of `statement`. */
export async function checkAcknowledged(
  url: string,
  statement: Witnessed,
  { id, witnesses }: Accepted,
): Promise<SignedJson[]> {
  if (id === statement.id) {
    for (const witness of witnesses) if (await isWitnessOf(statement, witness)) return witnesses;
  }
  throw new HoldfastError(
    "bad-answer",
    `${url} says that it has accepted the statement, and does not sign for it: look whether it is there, or ask another edge`,
  );
}

async function isWitnessOf(statement: Witnessed, witness: SignedJson): Promise<boolean> {
  try {
    await verifyWitness(parseSigned(witness), statement);
    return true;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
}
