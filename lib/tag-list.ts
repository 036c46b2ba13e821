// Tag lists as DKIM writes them (RFC 6376 3.2): `v=hf1; k=ssh-ed25519; p=AAAA`. Syntax only; which tags
// there are, and what they mean, is domain-records.ts.

import { HoldfastError } from "./error.ts";

export type TagList = ReadonlyMap<string, string>;

const TAG = /^[ \t]*([A-Za-z][A-Za-z0-9_]*)[ \t]*=([\t\x20-\x3a\x3c-\x7e]*)$/;
const BLANK = /^[ \t]*$/;

/** Tags by name, both case-sensitive, white space around values taken off. Throws `invalid-record`. */
export function parseTagList(text: string): TagList {
  const tags = new Map<string, string>();
  for (const segment of splitSegments(text)) {
    const [, name, value] = TAG.exec(segment) ?? [];
    if (name === undefined || value === undefined) {
      throw new HoldfastError("invalid-record", `${quote(segment)} is not tag=value`);
    }
    // RFC 6376 3.2: "if a tag name does occur more than once, the entire tag-list is invalid".
    if (tags.has(name)) throw new HoldfastError("invalid-record", `the tag ${name}= occurs twice`);
    tags.set(name, value.trim());
  }
  return tags;
}

/** White space after the final semicolon is let pass, as DKIM verifiers do. */
function splitSegments(text: string): string[] {
  const segments = unfold(text).split(";");
  const last = segments.at(-1);
  if (segments.length > 1 && last !== undefined && BLANK.test(last)) segments.pop();
  return segments;
}

/** Folding white space may hold a line break, if a space or tab follows it (RFC 5322 3.2.2). */
function unfold(text: string): string {
  return text.replace(/\r\n(?=[ \t])/g, "");
}

function quote(text: string): string {
  return JSON.stringify(text.trim().slice(0, 40));
}
