// Valibot schemas of the fields that statements and messages share. Parsers built from them reject, never coerce;
// objects are strict, because a field that one reader ignores is a field that two readers understand differently.

import * as v from "valibot";
import { type ErrorCode, HoldfastError } from "./error.ts";
import { type Hash, isHash, type NodeId } from "./hash.ts";
import { type Domain, type ObjectName, parseDomain, parseName } from "./names.ts";
import { parsePublicKeyText } from "./openssh-key.ts";

export const EMAIL_BYTES_MAX = 254;
export const TIME_TEXT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const EMAIL = /^[^\s@<>"(),:;\\[\]\p{Cc}]{1,64}@[a-z0-9.-]{1,253}$/u;

export const hashSchema = v.custom<Hash>(isHash, "expected 64 lower-case hex digits");
export const nodeIdSchema = v.custom<NodeId>(isHash, "expected a node id: 64 lower-case hex digits");
export const domainSchema = v.custom<Domain>((text) => accepts(parseDomain, text), "expected a domain");
export const nameSchema = v.custom<ObjectName>((text) => accepts(parseName, text), "expected an object name");
export const keyTextSchema = v.custom<string>(
  (text) => accepts(parsePublicKeyText, text),
  "expected a public key blob in base64",
);
export const emailSchema = v.pipe(
  v.string(),
  v.maxLength(EMAIL_BYTES_MAX),
  v.regex(EMAIL, "expected an e-mail address"),
);
/** A time as `Date.prototype.toISOString` writes it: UTC, milliseconds. */
export const timeSchema = v.pipe(
  v.string(),
  v.regex(TIME_TEXT),
  v.check(isRealTime, "expected a real date and time"),
);
export const shardPrefixSchema = v.pipe(v.string(), v.regex(/^[01]{0,10}$/));
export const countSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const positiveSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
/** Of a whole. */
export const shareSchema = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

type Schema = v.GenericSchema<unknown, unknown>;

/** Parses `value`, or throws `code` with the first thing wrong and where it is. */
export function parseWith<S extends Schema>(schema: S, value: unknown, code: ErrorCode): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const where = v.getDotPath(issue);
  throw new HoldfastError(code, where === null ? issue.message : `${where}: ${issue.message}`);
}

function isRealTime(text: string): boolean {
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && time.toISOString() === text;
}

function accepts(parse: (text: string) => unknown, text: unknown): boolean {
  if (typeof text !== "string") return false;
  try {
    parse(text);
    return true;
  } catch (error) {
    if (error instanceof HoldfastError) return false;
    throw error;
  }
}
