// Lies about one answer, one field at a time: of the answer itself, and of the statements and Manifests that it carries.

import { base64 } from "@scure/base";
import { type JsonPath, type Mutation, mutate, mutationsOf } from "./json-mutations.ts";
import { type Answer, HONEST, jsonOf, type LyingEdge, withJson } from "./lying-edge.ts";

/** Fields that carry JSON in base64. */
const CARRIERS = ["statement", "manifest"];

/** A lie told in one run. */
export interface Told {
  /** Of the requests that are answered so. */
  kind: string;
  lie: (value: unknown) => unknown;
  text: string;
}

/** The JSON answers that the edge gives while `work` is under way, by the kind of the request. */
export async function answersDuring(
  edge: LyingEdge,
  work: () => Promise<unknown>,
): Promise<Map<string, unknown>> {
  const answers = new Map<string, unknown>();
  edge.lie = (answer, { kind }) => {
    if (answer.headers["content-type"]?.includes("json") === true) answers.set(kind, jsonOf(answer));
    return answer;
  };
  await work();
  edge.lie = HONEST;
  return answers;
}

/** From now on the edge tells this. */
export function tellLie(edge: LyingEdge, { kind, lie }: Told): void {
  edge.lie = (answer, asked) => (asked.kind === kind && answer.status === 200 ? lied(answer, lie) : answer);
}

function lied(answer: Answer, lie: (value: unknown) => unknown): Answer {
  return withJson(answer, lie(jsonOf(answer)));
}

/** Lies about an answer, and about what its statements and Manifests say. */
export function allLies(kind: string, answer: unknown, other: unknown): Told[] {
  const plain = mutationsOf(answer, other).map((mutation) => toldOf(kind, mutation));
  const carried = carriersOf(answer).flatMap(({ path, text }) => {
    const inner = carriedJson(text);
    return mutationsOf(inner).map((mutation) => {
      const value = base64.encode(new TextEncoder().encode(JSON.stringify(mutate(inner, mutation)) ?? ""));
      return toldOf(kind, { path, kind: `${mutation.path.join(".")} ${mutation.kind}`, value });
    });
  });
  return [...plain, ...carried];
}

function toldOf(kind: string, mutation: Mutation): Told {
  const text = `${kind} ${mutation.path.join(".")} ${mutation.kind}`;
  return { kind, lie: (value) => mutate(value, mutation), text };
}

function carriersOf(value: unknown, path: JsonPath = []): { path: JsonPath; text: string }[] {
  if (typeof value === "string") return CARRIERS.includes(String(path.at(-1))) ? [{ path, text: value }] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    carriersOf(item, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

function carriedJson(text: string): unknown {
  return JSON.parse(new TextDecoder().decode(base64.decode(text)));
}
