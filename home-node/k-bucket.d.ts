// The part of k-bucket 5 that the routing table uses.

declare module "k-bucket" {
  export default class KBucket<Contact extends { id: Uint8Array }> {
    constructor(options: {
      localNodeId: Uint8Array;
      numberOfNodesPerKBucket: number;
      distance: (a: Uint8Array, b: Uint8Array) => number;
    });
    /** A full bucket that is not split has something to say of the oldest in it. */
    on(event: "ping", listener: (oldest: Contact[], newcomer: Contact) => void): this;
    add(contact: Contact): this;
    remove(id: Uint8Array): this;
    count(): number;
    toArray(): Contact[];
    closest(id: Uint8Array, count: number): Contact[];
  }
}
