// Real BIND 9 on loopback ports: an authoritative server for a few zones under `test.`, and a validating resolver with
// static trust anchors for some of them. The resolver's own DoH speaks only HTTP/2; nghttpx stands in front of it,
// so that the global fetch can ask it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "./requires.ts";

export const BIND_PROGRAMS = {
  named: "bind9",
  "dnssec-keygen": "bind9-utils",
  "dnssec-signzone": "bind9-utils",
  nghttpx: "nghttp2-proxy",
};

const START_ATTEMPTS = 100;
const START_PAUSE_MS = 100;

export interface Zone {
  origin: string;
  /** Master-file lines; SOA and NS are added. */
  lines: string[];
  /** Signed with fresh keys. */
  signed: boolean;
  /** What the resolver holds to be the zone's key: its own, another zone's, or nothing. */
  anchor: "own" | "foreign" | "none";
  /** `lame`: delegated to the authority, which does not have it. `silent`: to a server that never answers. */
  authority?: "lame" | "silent";
  /** Changes the zone after it was signed. */
  tamper?: (zoneFile: string) => string;
}

export interface BindServers {
  /** DoH over HTTP/1.1. */
  dohUrl: string;
  /** Stops the authoritative server: the resolver then has nobody to ask. */
  stopAuthority(): Promise<void>;
  stop(): Promise<void>;
}

/** Of a zone and one delegated from it, the delegated one comes first: the other's signer needs its DS record. */
export async function startBind(zones: readonly Zone[]): Promise<BindServers> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-bind-"));
  const ports = await takePorts(4);
  const [authorityPort = 0, resolverPort = 0, dohPort = 0, proxyPort = 0] = ports;
  const silent = createSocket("udp4").bind(0, "127.0.0.1");
  await once(silent, "listening");
  const silentPort = silent.address().port;
  const anchors = new Map<string, string>();
  const served = zones.filter(({ authority }) => authority === undefined);
  for (const zone of served) anchors.set(zone.origin, await writeZone(folder, zone));
  await writeFile(join(folder, "authority.conf"), authorityConfig(folder, served, authorityPort));
  await writeFile(
    join(folder, "resolver.conf"),
    resolverConfig(folder, zones, anchors, { authorityPort, silentPort, resolverPort, dohPort }),
  );
  const authority = run("named", ["-g", "-n", "1", "-c", join(folder, "authority.conf")]);
  const resolver = run("named", ["-g", "-n", "1", "-c", join(folder, "resolver.conf")]);
  const proxy = run("nghttpx", [
    "--conf=/dev/null",
    `--frontend=127.0.0.1,${proxyPort};no-tls`,
    `--backend=127.0.0.1,${dohPort};;proto=h2`,
    "--workers=1",
  ]);
  const servers = {
    dohUrl: `http://127.0.0.1:${proxyPort}/dns-query`,
    stopAuthority: () => end(authority),
    stop: async () => {
      await Promise.all([end(proxy), end(resolver), end(authority), close(silent)]);
      await rm(folder, { recursive: true });
    },
  };
  try {
    await untilAnswering([authority, resolver], ["authority", "resolver"], proxyPort);
  } catch (error) {
    await servers.stop();
    throw error;
  }
  return servers;
}

/** Writes, signs and tampers with a zone's file. Returns the DNSKEY of its key-signing key, or "". */
async function writeZone(folder: string, zone: Zone): Promise<string> {
  const file = zoneFilePath(folder, zone);
  const head = [
    "$TTL 60",
    `@ IN SOA ns.${zone.origin}. admin.${zone.origin}. 1 60 60 600 20`,
    `@ IN NS ns.${zone.origin}.`,
    "ns IN A 127.0.0.1",
  ];
  await writeFile(file, [`$ORIGIN ${zone.origin}.`, ...head, ...zone.lines, ""].join("\n"));
  if (!zone.signed) return "";
  const keyName = generateKey(folder, zone.origin, ["-f", "KSK"]);
  generateKey(folder, zone.origin, []);
  execute("dnssec-signzone", [
    "-q",
    "-S",
    "-g",
    "-K",
    folder,
    "-d",
    folder,
    "-o",
    zone.origin,
    "-f",
    file,
    file,
  ]);
  const signed = await readFile(file, "utf8");
  await writeFile(file, zone.tamper?.(signed) ?? signed);
  return readFile(join(folder, `${keyName}.key`), "utf8");
}

function generateKey(folder: string, origin: string, flags: string[]): string {
  return execute("dnssec-keygen", ["-q", "-K", folder, "-a", "ECDSAP256SHA256", ...flags, origin]).trim();
}

function authorityConfig(folder: string, zones: readonly Zone[], port: number): string {
  const statements = zones.map(
    (zone) => `zone "${zone.origin}" { type primary; file "${zoneFilePath(folder, zone)}"; };`,
  );
  const options = `${commonOptions(folder)} listen-on port ${port} { 127.0.0.1; }; recursion no; dnssec-validation no;`;
  return [`options { ${options} };`, "controls { };", ...statements, ""].join("\n");
}

function resolverConfig(
  folder: string,
  zones: readonly Zone[],
  anchors: ReadonlyMap<string, string>,
  ports: { authorityPort: number; silentPort: number; resolverPort: number; dohPort: number },
): string {
  const listeners = `listen-on port ${ports.resolverPort} { 127.0.0.1; }; listen-on port ${ports.dohPort} tls none http local { 127.0.0.1; };`;
  const options = `${commonOptions(folder)} ${listeners} recursion yes; allow-recursion { 127.0.0.1; }; dnssec-validation yes;`;
  const forwards = zones.map(({ origin, authority }) => {
    const port = authority === "silent" ? ports.silentPort : ports.authorityPort;
    return `zone "${origin}" { type forward; forward only; forwarders { 127.0.0.1 port ${port}; }; };`;
  });
  const trusted = zones.filter(({ anchor }) => anchor !== "none").map((zone) => trustAnchor(zone, anchors));
  return [
    `http local { endpoints { "/dns-query"; }; };`,
    `options { ${options} };`,
    "controls { };",
    `trust-anchors { ${trusted.join(" ")} };`,
    ...forwards,
    "",
  ].join("\n");
}

function trustAnchor({ origin, anchor }: Zone, anchors: ReadonlyMap<string, string>): string {
  const foreign = [...anchors].find(([other, key]) => other !== origin && key !== "")?.[1];
  const text = anchor === "own" ? anchors.get(origin) : foreign;
  const [, key] = /\sIN\s+DNSKEY\s+257 3 13 (.+)/.exec(text ?? "") ?? [];
  if (key === undefined) throw new Error(`no key to anchor ${origin} with`);
  return `"${origin}" static-key 257 3 13 "${key.replace(/\s/g, "")}";`;
}

function commonOptions(folder: string): string {
  return `directory "${folder}"; pid-file none; session-keyfile none; lock-file none; listen-on-v6 { none; };`;
}

function zoneFilePath(folder: string, zone: Zone): string {
  return join(folder, `${zone.origin}.zone`);
}

function programPath(program: string): string {
  const path = findProgram(program);
  if (path === null) throw new Error(`${program} is not installed`);
  return path;
}

function execute(program: string, args: string[]): string {
  return execFileSync(programPath(program), args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

interface Running {
  child: ChildProcess;
  output: string[];
}

function run(program: string, args: string[]): Running {
  const child = spawn(programPath(program), args, { stdio: ["ignore", "pipe", "pipe"] });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (piece: Buffer) => output.push(piece.toString()));
  }
  return { child, output };
}

async function close(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.close();
  await closed;
}

async function end({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** named says `running` once its zones are loaded; the proxy is ready when it passes an answer on. */
async function untilAnswering(named: Running[], names: string[], proxyPort: number): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt += 1) {
    const running = named.every(({ output }) => /\brunning\b/.test(output.join("")));
    if (running && (await isAnswering(proxyPort))) return;
    await delay(START_PAUSE_MS);
  }
  const logs = named.map(({ output }, index) => `--- ${names[index]}\n${output.join("")}`);
  throw new Error(`BIND did not start:\n${logs.join("\n")}`);
}

async function isAnswering(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/dns-query`);
    return response.status === 400; // the query is missing, says BIND
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

async function takePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
