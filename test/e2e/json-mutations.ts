// Every way in which one field of a JSON answer can be made wrong, one at a time: each field is dropped, retyped, flipped,
// cut, doubled, or replaced by another's.

export type JsonPath = readonly (string | number)[];

export interface Mutation {
  path: JsonPath;
  /** What is done to the value there. */
  kind: string;
  /** What stands there then. */
  value: unknown;
}

/** In place of a value: nothing. */
const DROPPED = Symbol("dropped");
const LONG_TEXT = 70_000;
const MANY = 300;

const RETYPED: Record<string, unknown> = {
  drop: DROPPED,
  null: null,
  true: true,
  number: 7,
  text: "x",
  "empty-text": "",
  array: [],
  object: {},
  nested: [[[[]]]],
};

/** All mutations of `answer`; with `other`, also each field in exchange for the one at its place there. */
export function mutationsOf(answer: unknown, other?: unknown): Mutation[] {
  return pathsOf(answer).flatMap((path) => {
    const value = at(answer, path);
    const theirs = at(other, path);
    const swapped = theirs === undefined || Object.is(theirs, value) ? {} : { swap: theirs };
    const values = { ...RETYPED, ...byType(value), ...swapped };
    return Object.entries(values).map(([kind, changed]) => ({ path, kind, value: changed }));
  });
}

/** A copy of `answer` with the mutation made; unchanged where it has no such place. */
export function mutate(answer: unknown, { path, value }: Mutation): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value === DROPPED ? undefined : value;
  if (typeof answer !== "object" || answer === null || !(key in answer)) return answer;
  if (Array.isArray(answer)) {
    const changed = answer.map((item, i) =>
      i === key ? mutate(item, { path: rest, kind: "", value }) : item,
    );
    return changed.filter((item) => item !== undefined);
  }
  const entries = Object.entries(answer).map(([name, item]) => [
    name,
    name === key ? mutate(item, { path: rest, kind: "", value }) : item,
  ]);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

function pathsOf(value: unknown, path: JsonPath = []): JsonPath[] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [path, ...keys.flatMap((key) => pathsOf(at(value, [key]), [...path, key]))];
}

function at(value: unknown, path: JsonPath): unknown {
  return path.reduce<unknown>(
    (found, key) => (typeof found === "object" && found !== null ? Reflect.get(found, key) : undefined),
    value,
  );
}

function byType(value: unknown): Record<string, unknown> {
  if (typeof value === "string") return ofText(value);
  if (typeof value === "number")
    return { less: value - 1, more: value + 1, huge: 2 ** 53, half: value + 0.5, negative: -1 };
  if (typeof value === "boolean") return { opposite: !value };
  if (Array.isArray(value)) {
    return {
      doubled: [...value, ...value],
      reversed: [...value].reverse(),
      many: Array(MANY).fill(value[0] ?? null),
    };
  }
  return value === null ? {} : { "more-fields": { ...value, more: 1 } };
}

function ofText(text: string): Record<string, unknown> {
  const middle = text.length >> 1;
  const flip = (i: number) => text.slice(0, i) + (text[i] === "A" ? "B" : "A") + text.slice(i + 1);
  return {
    ...{ "flip-first": flip(0), "flip-middle": flip(middle), "flip-last": flip(text.length - 1) },
    ...{
      half: text.slice(0, middle),
      doubled: text + text,
      spaced: ` ${text}`,
      "upper-case": text.toUpperCase(),
    },
    ...{ controls: `${text}\r\n\u001b[2J`, long: text.padEnd(LONG_TEXT, text === "" ? "x" : text) },
  };
}
