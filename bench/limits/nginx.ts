// Fetching has to bring bytes over a socket and hash them. This is what stock tools take for that: a file that nginx
// serves on loopback, read by curl, hashed by openssl. Nothing is written to a disk on either side.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../cli/local/free-port.ts";
import { Contestant } from "../measure.ts";
import { answers, run, startProcess } from "../processes.ts";
import { programPath } from "../requires.ts";
import type { Rig } from "../rig.ts";

export const NGINX = "nginx, curl | openssl";
export const NGINX_NEEDS = ["nginx", "curl", "openssl"];
const ANY_PORT = 0;

/** Serves the row's folder; returns its URL. */
export async function startNginx(rig: Rig): Promise<string> {
  const port = await freePort(ANY_PORT);
  const url = `http://127.0.0.1:${port}`;
  const config = join(rig.dir, "nginx.conf");
  await writeFile(config, configOf(rig.dir, port));
  const args = ["-p", rig.dir, "-c", config, "-e", "stderr"];
  const command = programPath("nginx");
  await startProcess(rig, { name: "nginx", command, args }, () => answers(`${url}/nginx.conf`));
  return url;
}

export interface Download {
  url: string;
  /** SHA-256 of what has to come, in hex. */
  digest: string;
}

/** `curl | openssl` of what `current` says when it is run; throws where the digest is another. */
export function curlAndHash(rig: Rig, current: () => Download): Contestant {
  return new Contestant(async () => {
    const { url, digest } = current();
    const { stdout, seconds } = await run(rig, "sh", ["-c", 'curl -sSf "$0" | openssl dgst -sha256 -r', url]);
    if (!stdout.startsWith(digest)) throw new Error(`${url} gave other bytes than were published`);
    return seconds;
  });
}

/** The hash alone, of a file: what no reader can be faster than. */
export function opensslAlone(rig: Rig, file: string): Contestant {
  return new Contestant(async () => (await run(rig, "openssl", ["dgst", "-sha256", "-r", file])).seconds);
}

// One process in the foreground, as whoever runs the bench: no worker of another user, nothing outside the folder.
function configOf(dir: string, port: number): string {
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  ${folders.map((name) => `${name}_temp_path ${dir}/nginx-${name};`).join("\n  ")}
  server { listen 127.0.0.1:${port}; root ${dir}; }
}
`;
}
