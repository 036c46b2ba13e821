// The part of k-bucket 5 that the routing table uses.

declare module "k-bucket" {
  export default class KBucket<Contact extends { id: Uint8Array }> {
    constructor(options: {
      localNodeId: Uint8Array;
      numberOfNodesPerKBucket: number;
      distance: (a: Uint8Array, b: Uint8Array) => number;
      /** Which of two entries of one id stays. */
      arbiter: (incumbent: Contact, candidate: Contact) => Contact;
    });
    /** A full bucket that may not be split: `oldest` are those that were not heard from for the longest time. */
    on(event: "ping", listener: (oldest: Contact[], newcomer: Contact) => void): this;
    add(contact: Contact): this;
    get(id: Uint8Array): Contact | null;
    remove(id: Uint8Array): this;
    toArray(): Contact[];
    closest(id: Uint8Array, count: number): Contact[];
  }
}
