// Asks for URLs over a number of connections that are kept alive, one request after the other on each. Every answer
// has to be 200 and is read to its end.

import { Agent, get } from "node:http";
import { inputOf, report, secondsOf } from "./program.ts";

/** Uncounted: the server compiles what it runs often. */
const WARM_UP_SHARE = 0.1;

interface Input {
  /** Asked in turn. */
  urls: string[];
  count: number;
  connections: number;
}

const { urls, count, connections } = inputOf<Input>();
const agent = new Agent({ keepAlive: true, maxSockets: connections });

await ask(Math.ceil(count * WARM_UP_SHARE));
report({ seconds: await secondsOf(() => ask(count)) });
agent.destroy();

async function ask(total: number): Promise<void> {
  let asked = 0;
  const connection = async (): Promise<void> => {
    while (asked < total) await askOnce(urls[asked++ % urls.length] ?? "");
  };
  await Promise.all(Array.from({ length: connections }, connection));
}

function askOnce(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}`));
      response.resume().once("end", resolve).once("error", reject);
    });
    request.once("error", reject);
  });
}
