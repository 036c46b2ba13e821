// A Debian archive as dpkg-deb, apt-ftparchive and gpg make one: signed, and its indices under their hashes alone, so
// that who does not ask by hash finds none.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run } from "../publisher.ts";

export const ARCHIVE_PROGRAMS = {
  "dpkg-deb": "dpkg",
  "apt-ftparchive": "apt-utils",
  gpg: "gpg",
  "gpg-agent": "gpg-agent",
};
const INDEX = "dists/stable/main/binary-amd64";
const SIGNER = "archive@example.org";
const RELEASE_FIELDS = ["Codename=stable", "Components=main", "Architectures=amd64 all"];

export interface Package {
  name: string;
  version: string;
  /** By path in the installed system. */
  files: Readonly<Record<string, string | Uint8Array>>;
}

export class DebianArchive {
  /** What is published. */
  readonly root: string;
  /** The public key that signs the archive. */
  readonly keyring: string;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(folder: string) {
    this.root = join(folder, "archive");
    this.keyring = join(folder, "archive.gpg");
    this.#folder = folder;
    this.#env = { ...process.env, GNUPGHOME: join(folder, "gnupg") };
  }

  async start(): Promise<void> {
    await mkdir(join(this.#folder, "gnupg"), { recursive: true, mode: 0o700 });
    await this.#gpg("--passphrase", "", "--quick-generate-key", SIGNER, "ed25519", "sign", "never");
    await this.#gpg("--output", this.keyring, "--export", SIGNER);
  }

  /** Ends the agent that gpg has started. */
  async stop(): Promise<void> {
    await run("gpgconf", ["--kill", "gpg-agent"], { env: this.#env });
  }

  /** Builds a package into the pool; gives its path inside the archive. */
  async add({ name, version, files }: Package): Promise<string> {
    const tree = join(this.#folder, "tree");
    const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: ${SIGNER}\nDescription: test\n`;
    for (const [path, content] of Object.entries({ ...files, "DEBIAN/control": control })) {
      await mkdir(dirname(join(tree, path)), { recursive: true });
      await writeFile(join(tree, path), content);
    }
    const file = `pool/main/${name}/${name}_${version}_all.deb`;
    await mkdir(dirname(join(this.root, file)), { recursive: true });
    await run("dpkg-deb", ["--build", "-Znone", tree, join(this.root, file)]);
    await rm(tree, { recursive: true });
    return file;
  }

  /** Writes the index of all packages in the pool, and signs it. */
  async index(): Promise<void> {
    const packages = join(this.root, INDEX, "Packages");
    await mkdir(dirname(packages), { recursive: true });
    await writeFile(packages, await this.#ftparchive("packages", "pool"));
    await run("gzip", ["--keep", packages]);
    await this.#writeRelease(join(this.root, "dists/stable"));
    for (const name of [packages, `${packages}.gz`]) await rm(name);
  }

  async #writeRelease(suite: string): Promise<void> {
    const fields = RELEASE_FIELDS.flatMap((field) => ["-o", `APT::FTPArchive::Release::${field}`]);
    await rm(join(suite, "InRelease"), { force: true }); // it would be listed in itself
    const release = join(this.#folder, "Release");
    const options = ["-o", "APT::FTPArchive::DoByHash=true", ...fields];
    await writeFile(release, await this.#ftparchive(...options, "release", "dists/stable"));
    await this.#gpg("--output", join(suite, "InRelease"), "--clear-sign", release);
  }

  async #ftparchive(...args: string[]): Promise<string> {
    return (await run("apt-ftparchive", args, { cwd: this.root })).stdout;
  }

  async #gpg(...args: string[]): Promise<void> {
    await run("gpg", ["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", ...args], {
      env: this.#env,
    });
  }
}
