// A film whose pictures tell the time: so long each red, green and blue, under a noise that makes the file too large for
// a browser to load it at once.

import { join } from "node:path";
import { run } from "../publisher.ts";

const COLORS = ["red", "lime", "blue"];
const SECONDS_PER_COLOR = 20;
export const FILM_SECONDS = COLORS.length * SECONDS_PER_COLOR;
/** Chromium keeps some 2 MB ahead of what it shows. */
export const FILM_BYTES_MIN = 8_000_000;

const PARTS = COLORS.map((color, i) => `color=c=${color}:s=320x180:r=5:d=${SECONDS_PER_COLOR}[part${i}]`);
const JOINED = `${COLORS.map((_, i) => `[part${i}]`).join("")}concat=n=${COLORS.length}`;
const PICTURES = `${PARTS.join(";")};${JOINED},noise=alls=80:allf=t`;

/** By name of the file. Unasked, ffmpeg writes an MP4's table of contents at the end, where a reader must begin. */
export const FILMS: Readonly<Record<string, string[]>> = {
  "film.webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "40", "-b:v", "0"],
  "film.mp4": ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-crf", "30"],
};

/** A key frame each second: who seeks needs little of what was before. */
export async function makeFilms(folder: string): Promise<void> {
  for (const [name, encoder] of Object.entries(FILMS)) {
    const options = ["-filter_complex", PICTURES, ...encoder, "-g", "5"];
    await run("ffmpeg", ["-v", "error", ...options, join(folder, name)]);
  }
}
