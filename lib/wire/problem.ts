// Problems (RFC 9457), which every answer may be.

import * as v from "valibot";
import { parseWith } from "../schema.ts";

export const SMALL_ANSWER_MAX = 1024 * 1024;

export const problemSchema = v.object({
  code: v.pipe(v.string(), v.maxLength(64)),
  detail: v.optional(v.pipe(v.string(), v.maxLength(2048)), ""),
});
export const parseProblem = (value: unknown): { code: string; detail: string } =>
  parseWith(problemSchema, value, "bad-answer");
