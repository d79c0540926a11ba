// A value that pages look at. Changes are told once a frame, however many there were: an agent table
// under ten thousand beats a second draws as often as one under ten.

import { useEffect, useState } from 'preact/hooks';

export class Store<T> {
  private listeners = new Set<() => void>();
  private frame = 0;
  private held = false;
  private missed = false;

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(value: T): void {
    this.current = value;
    this.touch();
  }

  /** Says that something inside the value has changed. */
  touch(): void {
    if (this.held) {
      this.missed = true;
      return;
    }
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const listener of [...this.listeners]) listener();
    });
  }

  /** A held store goes on changing but tells nobody, until it is let go. */
  hold(held: boolean): void {
    this.held = held;
    if (!held && this.missed) {
      this.missed = false;
      this.touch();
    }
  }

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** Draws again whenever the store tells. */
export function useStore<T>(store: Store<T>): T {
  const [, again] = useState(0);
  useEffect(() => store.listen(() => again((n) => n + 1)), [store]);
  return store.value;
}

/** Draws again every so often: for "12 s ago". */
export function useTick(ms: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}
