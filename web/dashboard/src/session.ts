// One session of one tab: the key, the connection, and REST beside it.

import { HubError, Waggle, type State } from '@waggle/sdk';
import { KEY_OF_TAB } from './credential';
import { Store } from './store';

export interface Connection {
  state: State;
  reason: string;
  retryAt: number;
  latencyMs: number | undefined;
  skewMs: number | undefined;
  hubVersion: string;
}

export class RestError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Session {
  readonly hub: Waggle;
  readonly connection = new Store<Connection>({
    state: 'idle', reason: '', retryAt: 0, latencyMs: undefined, skewMs: undefined, hubVersion: '',
  });

  constructor(readonly key: string) {
    this.hub = new Waggle({ url: location.origin, token: key, reconnectMaxMs: 10_000 });
    this.hub.on('state', ({ state, reason, retryMs }) => {
      this.patch({ state, reason: reason ?? '', retryAt: retryMs === undefined ? 0 : Date.now() + retryMs });
      if (state === 'open') this.measure();
    });
    this.hub.on('welcome', ({ version }) => this.patch({ hubVersion: version }));
    this.hub.on('latency', ({ ms, skewMs }) => this.patch({ latencyMs: ms, skewMs }));
  }

  private measuring: ReturnType<typeof setInterval> | undefined;

  private measure(): void {
    clearInterval(this.measuring);
    const ask = () => {
      if (this.hub.state === 'open') this.hub.ping().catch(() => {});
    };
    ask();
    this.measuring = setInterval(ask, 5_000);
  }

  end(): void {
    clearInterval(this.measuring);
    this.hub.close();
    sessionStorage.removeItem(KEY_OF_TAB);
  }

  private patch(change: Partial<Connection>): void {
    this.connection.set({ ...this.connection.value, ...change });
  }

  async rest<R>(method: string, path: string, body?: unknown): Promise<R> {
    const answer = await fetch(location.origin + path, {
      method,
      headers: {
        Accept: 'application/json',
        Authorization: `Bearer ${this.key}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    let value: any;
    try {
      value = text === '' ? undefined : JSON.parse(text);
    } catch {
      value = undefined;
    }
    if (!answer.ok) throw new RestError(answer.status, value?.message ?? value?.title ?? answer.statusText);
    return value as R;
  }
}

/** What to show of any error. */
export function explain(error: unknown): string {
  if (error instanceof HubError) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

/** Tries the key and keeps it for this tab when the hub takes it. */
export async function login(key: string): Promise<Session> {
  const session = new Session(key);
  try {
    await session.hub.connect();
  } catch (error) {
    session.hub.close();
    throw error;
  }
  sessionStorage.setItem(KEY_OF_TAB, key);
  return session;
}

export function keptKey(): string | null {
  return sessionStorage.getItem(KEY_OF_TAB);
}
