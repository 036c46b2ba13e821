// A listener on this machine's own addresses that nobody should be led to: whoever connects is counted, whatever he says.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";

export class DoorCanary {
  hits = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => {
      this.hits += 1;
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
    });
  }

  async start(): Promise<void> {
    // Of both families, all addresses: 127.0.0.2 and ::ffff:127.0.0.1 lead here too.
    this.#server.listen(0, "::");
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }
}
