// What a Durable Object has to do later, on the one alarm that it has: each duty is a row with the time when it is due,
// so that an eviction forgets none. Alarms come at least once, and late: a duty must stand being done twice.

/** A duty that failed is tried again after this long. */
export const DUTY_RETRY_MS = 30_000;

/** Does the work; returns when it is due again (milliseconds), or null where something has to ask for it anew. */
export type DoDuty = (nowMs: number) => Promise<number | null>;

export class Duties<Name extends string> {
  readonly #storage: DurableObjectStorage;
  readonly #doers: Readonly<Record<Name, DoDuty>>;

  constructor(storage: DurableObjectStorage, doers: Readonly<Record<Name, DoDuty>>) {
    this.#storage = storage;
    this.#doers = doers;
  }

  /** Has `name` done at `dueMs`; where it is due already, at the earlier of both. */
  async ask(name: Name, dueMs: number): Promise<void> {
    const known = this.#dueOf(name);
    if (known !== null && known <= dueMs) return;
    this.#write(name, dueMs);
    await this.#setAlarm();
  }

  /** True where `name` is due by `dueMs`; left out: some time. */
  isAsked(name: Name, dueMs = Number.POSITIVE_INFINITY): boolean {
    const due = this.#dueOf(name);
    return due !== null && due <= dueMs;
  }

  /**
   * Does all that is due; of an alarm that comes early, what it was set for. One that fails does not keep the others from
   * being done, and one that takes long keeps none waiting.
   */
  async run(nowMs: number): Promise<void> {
    const [earliest = nowMs] = this.#dues();
    await Promise.all(this.#dueBy(Math.max(nowMs, earliest)).map((name) => this.#do(name, nowMs)));
    await this.#setAlarm();
  }

  async #do(name: Name, nowMs: number): Promise<void> {
    const due = this.#dueOf(name);
    let next: number | null;
    try {
      next = await this.#doers[name](nowMs);
    } catch (error) {
      console.error(`the duty ${name} failed: ${error}`);
      next = nowMs + DUTY_RETRY_MS;
    }
    // Asked for meanwhile, for an earlier time than the one that was done: that stands.
    const asked = this.#dueOf(name);
    if (asked !== null && asked !== due && (next === null || asked < next)) return;
    if (next === null) this.#storage.sql.exec("DELETE FROM duties WHERE name = ?", name);
    else this.#write(name, next);
  }

  #write(name: Name, dueMs: number): void {
    this.#storage.sql.exec(
      "INSERT INTO duties (name, due) VALUES (?, ?) ON CONFLICT DO UPDATE SET due = excluded.due",
      name,
      dueMs,
    );
  }

  async #setAlarm(): Promise<void> {
    const [earliest] = this.#dues();
    if (earliest !== undefined) await this.#storage.setAlarm(earliest);
  }

  #dueOf(name: Name): number | null {
    const [row] = this.#storage.sql
      .exec<{ due: number }>("SELECT due FROM duties WHERE name = ?", name)
      .toArray();
    return row?.due ?? null;
  }

  #dues(): number[] {
    return this.#rows().map(({ due }) => due);
  }

  #dueBy(nowMs: number): Name[] {
    return this.#rows().flatMap(({ name, due }) => (this.#isKnown(name) && due <= nowMs ? [name] : []));
  }

  #rows(): { name: string; due: number }[] {
    return this.#storage.sql
      .exec<{ name: string; due: number }>("SELECT name, due FROM duties ORDER BY due")
      .toArray();
  }

  #isKnown(name: string): name is Name {
    return Object.hasOwn(this.#doers, name);
  }
}
