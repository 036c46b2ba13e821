// A Debian system as apt and dpkg see one, with every path inside a folder: the sources, lists and packages of the
// machine that runs the tests are neither read nor written, and it takes no root.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../publisher.ts";

export const MACHINE_PROGRAMS = { "apt-get": "apt", dpkg: "dpkg" };
const FOLDERS = [
  ...["etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d"],
  ...["var/lib/apt/lists/partial", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"],
  ...["var/cache/apt/archives/partial", "var/log/apt"],
];

export class DebianMachine {
  readonly root: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(root: string) {
    this.root = root;
    // dpkg wants the programs of an administrator to be there.
    const PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
    this.#env = { ...process.env, PATH, LC_ALL: "C", APT_CONFIG: this.path("apt.conf") };
  }

  path(inside: string): string {
    return join(this.root, inside);
  }

  /** `source` is a line of sources.list. */
  async create(source: string): Promise<void> {
    for (const folder of FOLDERS) await mkdir(this.path(folder), { recursive: true });
    await writeFile(this.path("var/lib/dpkg/status"), "");
    await writeFile(this.path("etc/apt/sources.list"), `${source}\n`);
    await writeFile(this.path("apt.conf"), this.#configuration());
  }

  /** Runs apt-get; gives what it said, its debug output included. */
  async apt(...args: string[]): Promise<string> {
    const { stdout, stderr } = await run("apt-get", ["--yes", ...args], { env: this.#env });
    return stdout + stderr;
  }

  /** The installed version of a package. */
  async versionOf(name: string): Promise<string> {
    const { stdout } = await run("dpkg-query", ["--root", this.root, "--show", name], { env: this.#env });
    return stdout.trimEnd().split("\t")[1] ?? "";
  }

  #configuration(): string {
    const dpkgOptions = [`--root=${this.root}`, "--force-not-root", "--log=/dev/null"];
    return `Dir "${this.root}";
Dir::Bin::methods "/usr/lib/apt/methods";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::State::status "${this.path("var/lib/dpkg/status")}";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::http::Proxy "DIRECT";
Debug::Acquire::http "true";
${dpkgOptions.map((option) => `Dpkg::Options { "${option}"; };`).join("\n")}
`;
  }
}
