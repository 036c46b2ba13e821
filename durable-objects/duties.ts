// What a Durable Object has to do later, on the one alarm that it has: each duty is a row with the time when it is due,
// so that an eviction forgets none. Alarms come at least once, and late: a duty must stand being done twice.

import { orAfter } from "./patience.ts";

/** A duty that failed is tried again after this long. */
export const DUTY_RETRY_MS = 30_000;
/** While a duty takes long, what else is due is begun beside it after this long at most. */
export const DUTY_TICK_MS = 1_000;
/** One call begins nothing after this long: the platform ends an alarm after 15 minutes. */
export const DUTY_RUN_MAX_MS = 5 * 60_000;
/** A duty that is under way is due again after this long: so an eviction does not forget it. */
export const DUTY_LOOK_MS = 60_000;

/** Does the work; returns when it is due again (milliseconds), or null where something has to ask for it anew. */
export type DoDuty = (nowMs: number) => Promise<number | null>;

interface UnderWay {
  done: Promise<void>;
  /** What its row says meanwhile: when it is due again, should this object be evicted. */
  lookMs: number;
  /** For when it was asked for meanwhile, as far as alarms have seen that. */
  askedMs: number | null;
}

export class Duties<Name extends string> {
  readonly #storage: DurableObjectStorage;
  readonly #doers: Readonly<Record<Name, DoDuty>>;
  /** None is done twice at a time. */
  readonly #underWay = new Map<Name, UnderWay>();

  constructor(storage: DurableObjectStorage, doers: Readonly<Record<Name, DoDuty>>) {
    this.#storage = storage;
    this.#doers = doers;
  }

  /** Has `name` done at `dueMs`; where it is asked for already, at the earlier of both. */
  async ask(name: Name, dueMs: number): Promise<void> {
    if (this.isAsked(name, dueMs)) return;
    this.#write(name, dueMs);
    await this.#setAlarm();
  }

  /** True where `name` is due by `dueMs`; left out: some time. One that is under way has to be asked for anew. */
  isAsked(name: Name, dueMs = Number.POSITIVE_INFINITY): boolean {
    const asked = this.#askedOf(name);
    return asked !== null && asked <= dueMs;
  }

  /** For when it is asked, beside what is under way; null: it is not. */
  #askedOf(name: Name): number | null {
    const begun = this.#underWay.get(name);
    const due = this.#dueOf(name);
    if (begun === undefined) return due;
    const dues = [begun.askedMs, due === begun.lookMs ? null : due].filter((ms) => ms !== null);
    return dues.length === 0 ? null : Math.min(...dues);
  }

  /**
   * Does all that is due; of an alarm that comes early, what it was set for. One that fails does not keep the others from
   * being done, and one that takes long keeps none waiting: what comes to be due meanwhile is done in the same call, because
   * there is one alarm at a time, and without one the object may be evicted with the duty half done.
   */
  async run(nowMs: number): Promise<void> {
    const startedMs = Date.now();
    const [earliest = nowMs] = this.#dues();
    let atMs = Math.max(nowMs, earliest);
    do {
      if (Date.now() - startedMs < DUTY_RUN_MAX_MS)
        for (const name of this.#dueBy(atMs)) this.#begin(name, atMs);
      const underWay = [...this.#underWay.values()].map(({ done }) => done);
      if (underWay.length > 0) await orAfter(Promise.race(underWay), DUTY_TICK_MS);
      atMs = nowMs + Date.now() - startedMs;
    } while (this.#underWay.size > 0);
    await this.#setAlarm();
  }

  #begin(name: Name, nowMs: number): void {
    const begun = this.#underWay.get(name);
    const askedMs = begun === undefined ? null : this.#askedOf(name);
    const lookMs = nowMs + DUTY_LOOK_MS;
    const underWay: UnderWay = { done: begun?.done ?? Promise.resolve(), lookMs, askedMs };
    this.#underWay.set(name, underWay);
    this.#write(name, lookMs);
    if (begun === undefined) underWay.done = this.#do(name, nowMs);
  }

  /** Rejects only where the storage does: the alarm is then repeated. */
  async #do(name: Name, nowMs: number): Promise<void> {
    const next = await this.#doers[name](nowMs).catch((error: unknown) => {
      console.error(`the duty ${name} failed: ${error}`);
      return nowMs + DUTY_RETRY_MS;
    });
    this.#end(name, next);
    await this.#setAlarm();
  }

  #end(name: Name, next: number | null): void {
    const dues = [next, this.#askedOf(name)].filter((ms) => ms !== null);
    this.#underWay.delete(name);
    if (dues.length === 0) this.#storage.sql.exec("DELETE FROM duties WHERE name = ?", name);
    else this.#write(name, Math.min(...dues));
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
