// Fully qualified names: `<domain>/<name>`, and their Name Hash. Everything that the URL Standard would
// change on the way to a server (`..`, `//`) or a reader could mistake (bidi, controls) is refused here.

import { HoldfastError } from "./error.ts";
import { type Hash, hashBytes } from "./hash.ts";

/** A domain as lower-case A-labels, without a final dot. */
export type Domain = string & { readonly __brand: "Domain" };

/** An object's name inside its domain: 1 to 1,024 bytes of NFC UTF-8 in non-empty segments. */
export type ObjectName = string & { readonly __brand: "ObjectName" };

export const NAME_BYTES_MAX = 1024;
export const DOMAIN_BYTES_MAX = 253;
/** `_holdfast.` and a hashed author label must still fit in front: RFC 1035's 253 bounds the domain itself. */
const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const NUMERIC_LABEL = /^(\d+|0x[0-9a-f]*)$/;
// Cc (controls), Cs (lone surrogates), line separators, and the bidi formatting characters of UAX 9.
const FORBIDDEN = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Throws `invalid-domain`. A domain has two labels or more, in LDH form; IP addresses are not domains. */
export function parseDomain(text: string): Domain {
  const labels = text.split(".");
  const last = labels.at(-1) ?? "";
  const wellFormed =
    text.length <= DOMAIN_BYTES_MAX &&
    labels.length >= 2 &&
    labels.every((label) => LABEL.test(label)) &&
    !NUMERIC_LABEL.test(last);
  if (!wellFormed) {
    throw new HoldfastError(
      "invalid-domain",
      `${JSON.stringify(text.slice(0, 80))} is not a domain in lower-case A-labels (such as example.org)`,
    );
  }
  return text as Domain;
}

/** Throws `invalid-name`, saying which rule the name breaks. */
export function parseName(text: string): ObjectName {
  const problem = problemOfName(text);
  if (problem !== null) throw new HoldfastError("invalid-name", `the name ${problem}`);
  return text as ObjectName;
}

/** `example.org/path/app.iso` as it stands on a command line. */
export function parseFullName(text: string): { domain: Domain; name: ObjectName } {
  const slash = text.indexOf("/");
  if (slash < 1)
    throw new HoldfastError("invalid-name", "expected <domain>/<name>, such as example.org/app.iso");
  return { domain: parseDomain(text.slice(0, slash)), name: parseName(text.slice(slash + 1)) };
}

/** SHA-256 of the fully qualified name's bytes, nothing added. */
export function nameHashOf(domain: Domain, name: ObjectName): Hash {
  return hashBytes(new TextEncoder().encode(`${domain}/${name}`));
}

/** What stands for a domain where a hash is wanted. No name's hash: a fully qualified name has a slash. */
export function domainHashOf(domain: Domain): Hash {
  return hashBytes(new TextEncoder().encode(domain));
}

function problemOfName(text: string): string | null {
  if (FORBIDDEN.test(text)) return "contains a control or bidi character";
  const byteLength = new TextEncoder().encode(text).length;
  if (byteLength < 1 || byteLength > NAME_BYTES_MAX)
    return `has ${byteLength} bytes; 1 to ${NAME_BYTES_MAX} are allowed`;
  if (text.normalize("NFC") !== text) return "is not in Unicode normal form C (NFC)";
  return problemOfSegments(text.split("/"));
}

function problemOfSegments(segments: string[]): string | null {
  if (segments.includes(""))
    return "has an empty segment (it may not start or end with a slash, or contain //)";
  if (segments.some(isDotSegment)) return "has a . or .. segment";
  return null;
}

// The URL Standard also reads %2e as a dot: such a segment would never reach a server as it was published.
function isDotSegment(segment: string): boolean {
  const plain = segment.replace(/%2e/gi, ".");
  return plain === "." || plain === "..";
}
