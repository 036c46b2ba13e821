// The part of k-bucket 5 that the routing table uses: the tree of buckets, not its distances.

declare module "k-bucket" {
  export default class KBucket<Contact extends { id: Uint8Array }> {
    constructor(options: { localNodeId: Uint8Array; numberOfNodesPerKBucket: number });
    add(contact: Contact): this;
    remove(id: Uint8Array): this;
    count(): number;
    toArray(): Contact[];
  }
}
