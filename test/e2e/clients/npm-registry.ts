// An npm registry as a folder of files: for each package a packument under the package's name, and tarballs that npm
// itself has packed. A file and a folder cannot have one name, so the tarballs lie beside, and not below the packument.

import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run } from "../publisher.ts";

interface Dist {
  tarball: string;
  integrity: string;
  shasum: string;
}

interface Packument {
  name: string;
  "dist-tags": { latest: string };
  versions: Record<string, object>;
}

export interface PackageFile {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  /** Of its index.js. */
  source: string;
}

/** Nothing of the machine's configuration, nor of an npm that runs the tests. Never the registry of the world. */
export function npmEnvironment(folder: string, registry: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS)/i.test(name));
  return {
    ...Object.fromEntries(inherited),
    HOME: folder,
    npm_config_registry: registry,
    npm_config_userconfig: join(folder, "user-npmrc"),
    npm_config_globalconfig: join(folder, "global-npmrc"),
    npm_config_cache: join(folder, "npm-cache"),
    npm_config_fetch_retries: "0",
    npm_config_loglevel: "http",
    npm_config_progress: "false",
  };
}

export class NpmRegistry {
  /** What is published. */
  readonly root: string;
  readonly #folder: string;
  readonly #url: string;
  readonly #packuments = new Map<string, Packument>();

  /** `url` is where `root` is published. */
  constructor(folder: string, url: string) {
    this.root = join(folder, "registry");
    this.#folder = folder;
    this.#url = url;
  }

  /** Adds a version of a package, and makes it the latest. */
  async add({ source, ...manifest }: PackageFile): Promise<void> {
    const { name, version } = manifest;
    const packument = this.#packuments.get(name) ?? { name, "dist-tags": { latest: version }, versions: {} };
    packument.versions[version] = { ...manifest, dist: await this.#pack(manifest, source) };
    packument["dist-tags"].latest = version;
    this.#packuments.set(name, packument);
    const file = join(this.root, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, JSON.stringify(packument));
  }

  async #pack(manifest: Omit<PackageFile, "source">, source: string): Promise<Dist> {
    const tree = join(this.#folder, "package");
    const tarballs = join(this.root, "-");
    for (const folder of [tree, tarballs]) await mkdir(folder, { recursive: true });
    await writeFile(join(tree, "package.json"), JSON.stringify(manifest));
    await writeFile(join(tree, "index.js"), source);
    // A cache of its own: npm would find there what it is to fetch.
    const env = {
      ...npmEnvironment(this.#folder, this.#url),
      npm_config_cache: join(this.#folder, "packer"),
    };
    await run("npm", ["pack", "--pack-destination", tarballs, tree], { env });
    await rm(tree, { recursive: true });
    const filename = `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`;
    const bytes = await readFile(join(tarballs, filename));
    return {
      tarball: `${this.#url}/-/${filename}`,
      integrity: `sha512-${createHash("sha512").update(bytes).digest("base64")}`,
      shasum: createHash("sha1").update(bytes).digest("hex"),
    };
  }
}
