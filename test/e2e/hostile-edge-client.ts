// Reads chunks 0 to COUNT - 1 from the edge at URL, each as the command would, and prints how many it got.

import { httpFetch } from "../../cli/http-fetch.ts";
import { chunkSourceOf } from "../../cli/settings.ts";
import { Server } from "../../lib/client/server.ts";
import { isHoldfastError } from "../../lib/error.ts";
import { hashBytes } from "../../lib/hash.ts";
import { chunkBytes } from "./hostile-edge.ts";

const [, , url = "", count = ""] = process.argv;
const source = chunkSourceOf([new Server(url, httpFetch)], () => undefined);
let got = 0;
for (let n = 0; n < Number(count); n++) {
  const bytes = chunkBytes(n);
  try {
    await source.get({ hash: hashBytes(bytes), sizeBytes: bytes.length });
    got += 1;
  } catch (error) {
    if (!isHoldfastError(error, "no-holder")) throw error;
  }
}
console.log(got);
process.exit(0);
