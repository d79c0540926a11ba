// The client: one connection that is kept up, subscriptions that resume, requests that find their
// answers.
//
// What a reconnection does: subscribe again, each from its own position; send again every publish
// that has no answer yet, under the key it had, so the hub takes it once; fail the calls that were
// under way, unless they were said to be idempotent.

import { Backoff } from './backoff';
import { ConnectionLost, HubError, TimedOut } from './errors';
import {
  CLOSE,
  type ErrorFrame,
  type Gap,
  type HistoryPage,
  type HubEvent,
  type Json,
  type Member,
  type Position,
  type PresenceChange,
  type Published,
  type SubscribedChannel,
  type Welcome,
} from './protocol';
import { Subscription, type Handlers, type SubscribeOptions } from './subscription';

/** What the client needs of a WebSocket: the browser's, Node's own, or that of the package ws. */
export interface SocketLike {
  readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: { data: any }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}
export type SocketConstructor = new (url: string) => SocketLike;

export type State =
  | 'idle' // connect() was not called, or close() was
  | 'connecting'
  | 'open'
  | 'waiting' // between two attempts
  | 'failed'; // the hub does not want us: bad credentials, or superseded

export interface Options {
  /** The hub: http(s)://host:port, or the ws(s) address of the endpoint itself. */
  url: string | URL;
  /** A token or API key, or how to get one: asked before every attempt and before expiry. */
  token?: string | (() => string | Promise<string>);
  WebSocket?: SocketConstructor;
  /** First and longest pause between attempts. */
  reconnectMinMs?: number;
  reconnectMaxMs?: number;
  /** How long a request waits for its answer, reconnections included. */
  timeoutMs?: number;
  /** How long an attempt may take until the hub has let us in. */
  connectTimeoutMs?: number;
  random?: () => number;
}

export interface PublishOptions {
  /** Idempotency key; one is minted when none is given. */
  key?: string;
  ttl?: number;
  expect?: number;
  conflate?: string;
  echo?: boolean;
  headers?: Record<string, string>;
  timeoutMs?: number;
}

export interface CallOptions {
  /** Send it again after a reconnection instead of failing: only what may be done twice. */
  idempotent?: boolean;
  timeoutMs?: number;
}

interface StateChange {
  state: State;
  /** Why the connection ended, where it did. */
  code?: number;
  reason?: string;
  /** The pause before the next attempt. */
  retryMs?: number;
}

interface ClientEvents {
  state: StateChange;
  welcome: Welcome;
  /** An error frame that answers nothing in particular. */
  error: HubError;
  /** Round trip of the last ping in ms and the hub's clock less ours. */
  latency: { ms: number; skewMs: number };
}

interface Pending {
  frame: Record<string, unknown>;
  what: string;
  again: boolean;
  sent: boolean;
  timer: ReturnType<typeof setTimeout>;
  resolve: (answer: any) => void;
  reject: (error: Error) => void;
}

const OPEN = 1;
const SUBSCRIBE_CHUNK = 100;

export class Waggle {
  state: State = 'idle';
  welcome: Welcome | undefined;

  private readonly options: Required<Omit<Options, 'token' | 'url' | 'WebSocket'>> & Pick<Options, 'token'>;
  private readonly endpoint: string;
  private readonly Socket: SocketConstructor;
  private readonly backoff: Backoff;
  private readonly listeners = new Map<keyof ClientEvents, Set<(value: any) => void>>();
  private readonly subscriptions = new Map<string, Set<Subscription<any>>>();
  private readonly pending = new Map<string, Pending>();
  private readonly asked = new Map<string, Set<string>>(); // subscribe id → channels not settled
  private toSubscribe = new Set<string>();
  private socket: SocketLike | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private pinger: ReturnType<typeof setTimeout> | undefined;
  private goodbyeMs: number | undefined;
  private attempt = 0;
  private ids = 0;
  private readonly keyStem: string;

  constructor(options: Options) {
    const Socket = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
    if (!Socket) throw new TypeError('no WebSocket here: pass one as options.WebSocket (Node.js before 22 has none of its own)');
    this.Socket = Socket;
    this.endpoint = endpointOf(options.url);
    this.options = {
      token: options.token,
      reconnectMinMs: options.reconnectMinMs ?? 500,
      reconnectMaxMs: options.reconnectMaxMs ?? 20_000,
      timeoutMs: options.timeoutMs ?? 30_000,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      random: options.random ?? Math.random,
    };
    this.backoff = new Backoff(this.options.reconnectMinMs, this.options.reconnectMaxMs, this.options.random);
    this.keyStem = randomText();
  }

  // --- life ------------------------------------------------------------------------------------

  /** Connects and stays connected. Resolves once the hub has let us in, rejects when it refuses. */
  connect(): Promise<Welcome> {
    if (this.state === 'open' && this.welcome) return Promise.resolve(this.welcome);
    const entered = new Promise<Welcome>((resolve, reject) => {
      const off = this.on('state', ({ state, reason }) => {
        if (state === 'open') resolve(this.welcome!);
        else if (state === 'failed' || state === 'idle') reject(new ConnectionLost(reason ?? 'closed'));
        else return;
        off();
      });
    });
    if (this.state === 'idle' || this.state === 'failed') this.open();
    return entered;
  }

  /** Ends it. What waits for an answer is rejected; subscriptions are kept for another connect(). */
  close(): void {
    const { socket } = this;
    this.dropSocket();
    clearTimeout(this.retry);
    socket?.close(CLOSE.normal);
    for (const pending of [...this.pending.values()]) pending.reject(new ConnectionLost('the client was closed'));
    this.move({ state: 'idle' });
  }

  on<K extends keyof ClientEvents>(event: K, listener: (value: ClientEvents[K]) => void): () => void {
    let set = this.listeners.get(event);
    if (!set) this.listeners.set(event, (set = new Set()));
    set.add(listener);
    return () => set.delete(listener);
  }

  // --- channels --------------------------------------------------------------------------------

  /** Subscribes to a channel or pattern, now and after every reconnection. */
  subscribe<T = Json>(
    channel: string,
    handlers: Handlers<T> | ((event: HubEvent<T>) => void),
    options: SubscribeOptions = {},
  ): Subscription<T> {
    const subscription = new Subscription<T>(
      channel,
      options,
      typeof handlers === 'function' ? { onEvent: handlers } : handlers,
      (one) => this.leave(one),
    );
    let set = this.subscriptions.get(channel);
    if (!set) this.subscriptions.set(channel, (set = new Set()));
    set.add(subscription);
    this.askFor(channel);
    return subscription;
  }

  /** Resolves when the event is on the hub's disk (at once sent on, for a live channel). Sent again
   * over reconnections under one key, so it stands in the log once. */
  publish(channel: string, event: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    const { timeoutMs, key = `${this.keyStem}-${++this.ids}`, ...more } = options;
    return this.request({ type: 'publish', channel, event, data, key, ...more }, `publish to ${channel}`, {
      again: true,
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
  }

  /** Fire and forget, for live channels: false when there is no connection to send it on. */
  send(channel: string, event: string, data: unknown): boolean {
    return this.write({ type: 'publish', channel, event, data });
  }

  history(
    channel: string,
    query: { since?: Position; before?: number | Position; limit?: number; reverse?: boolean } = {},
  ): Promise<HistoryPage> {
    return this.request({ type: 'history', channel, ...query }, `history of ${channel}`, { again: true });
  }

  async members(channel: string): Promise<Member[]> {
    const answer = await this.request<{ members: Member[] }>({ type: 'presence', channel }, `members of ${channel}`, { again: true });
    return answer.members;
  }

  /** Changes our own info in a channel that was subscribed with presence. */
  async updatePresence(channel: string, info: Json): Promise<void> {
    await this.request({ type: 'presence', channel, info }, `presence in ${channel}`, { again: true });
  }

  // --- operations --------------------------------------------------------------------------------

  /** Any operation of the hub by its name, as `agents.heartbeat`. */
  async call<R = Json>(method: string, params: unknown = {}, options: CallOptions = {}): Promise<R> {
    const answer = await this.request<{ result: R }>({ type: 'call', method, params }, method, {
      again: options.idempotent ?? false,
      ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
    });
    return answer.result;
  }

  async ping(): Promise<number> {
    const started = Date.now();
    const { time } = await this.request<{ time: string }>({ type: 'ping' }, 'ping', { again: false });
    const ms = Date.now() - started;
    this.emit('latency', { ms, skewMs: Math.round(Date.parse(time) + ms / 2 - Date.now()) });
    return ms;
  }

  // --- connection ----------------------------------------------------------------------------------

  private open(): void {
    const attempt = ++this.attempt;
    this.move({ state: 'connecting' });
    this.watchdog = setTimeout(() => {
      if (attempt === this.attempt) this.lost(CLOSE.goingAway, 'the hub did not answer in time');
    }, this.options.connectTimeoutMs);
    Promise.resolve(this.token())
      .then((token) => {
        if (attempt !== this.attempt || this.state !== 'connecting') return;
        this.attach(new this.Socket(this.endpoint), token);
      })
      .catch((error: Error) => {
        if (attempt === this.attempt) this.lost(CLOSE.goingAway, `no token: ${error.message}`);
      });
  }

  private token(): string | undefined | Promise<string> {
    const { token } = this.options;
    return typeof token === 'function' ? token() : token;
  }

  private attach(socket: SocketLike, token: string | undefined): void {
    this.socket = socket;
    const entering: { welcome: Welcome | undefined; admitted: boolean } = { welcome: undefined, admitted: token === undefined };
    const authId = token === undefined ? undefined : `auth-${++this.ids}`;
    const enter = () => {
      if (entering.welcome && entering.admitted && this.state === 'connecting') this.entered(entering.welcome);
    };
    socket.onopen = () => {
      // As a frame, not in the address: addresses end up in logs.
      if (authId) socket.send(JSON.stringify({ type: 'auth', id: authId, token }));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket || typeof data !== 'string') return;
      let frame: any;
      try {
        frame = JSON.parse(data);
      } catch {
        return; // not a frame of this protocol
      }
      this.alive();
      if (frame.type === 'welcome') {
        entering.welcome = frame;
        enter();
      } else if (authId !== undefined && frame.id === authId) {
        if (frame.type === 'error') this.fail(new HubError(frame).message);
        else {
          entering.admitted = true;
          enter();
        }
      } else this.receive(frame);
    };
    socket.onerror = () => {}; // onclose follows and says more
    socket.onclose = ({ code, reason }) => {
      if (socket === this.socket) this.lost(code, reason);
    };
  }

  private entered(welcome: Welcome): void {
    clearTimeout(this.watchdog);
    this.welcome = welcome;
    this.backoff.reset();
    this.goodbyeMs = undefined;
    this.move({ state: 'open' });
    this.emit('welcome', welcome);
    this.asked.clear();
    for (const [channel, set] of this.subscriptions) {
      if ([...set].some((one) => one.state !== 'refused')) this.toSubscribe.add(channel);
    }
    this.flushSubscribe(true);
    for (const pending of this.pending.values()) pending.sent = this.write(pending.frame);
    this.alive();
    this.schedulePing();
  }

  /** Something came: the connection lives. Silence for two and a half heartbeats ends it. */
  private alive(): void {
    if (this.state !== 'open' || !this.welcome) return;
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(
      () => this.lost(CLOSE.noPong, 'the hub fell silent'),
      this.welcome.heartbeat_s * 2_500,
    );
  }

  /** Browsers do not show the hub's pings, so the client asks as often itself. */
  private schedulePing(): void {
    clearTimeout(this.pinger);
    this.pinger = setTimeout(() => {
      this.ping().catch(() => {});
      this.schedulePing();
    }, (this.welcome?.heartbeat_s ?? 25) * 1_000);
  }

  private dropSocket(): void {
    const { socket } = this;
    this.attempt++;
    this.socket = undefined;
    clearTimeout(this.watchdog);
    clearTimeout(this.pinger);
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    if (socket) socket.onerror = () => {};
  }

  private lost(code: number, reason: string): void {
    const { socket } = this;
    this.dropSocket();
    if (socket && socket.readyState <= OPEN) socket.close();
    for (const pending of [...this.pending.values()]) {
      if (pending.sent && !pending.again) pending.reject(new ConnectionLost());
      else pending.sent = false;
    }
    if (code === CLOSE.superseded || code === CLOSE.tlsRequired || (code === CLOSE.unauthorised && typeof this.options.token !== 'function')) {
      this.fail(reason || `closed with ${code}`, code);
      return;
    }
    const retryMs = this.goodbyeMs ?? this.backoff.next();
    this.goodbyeMs = undefined;
    this.move({ state: 'waiting', code, reason, retryMs });
    this.retry = setTimeout(() => this.open(), retryMs);
  }

  private fail(reason: string, code: number = CLOSE.unauthorised): void {
    const { socket } = this;
    this.dropSocket();
    socket?.close();
    for (const pending of [...this.pending.values()]) pending.reject(new ConnectionLost(reason));
    this.move({ state: 'failed', code, reason });
  }

  private write(frame: Record<string, unknown>): boolean {
    if (this.state !== 'open' || !this.socket || this.socket.readyState !== OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  // --- requests ------------------------------------------------------------------------------------

  private request<R>(
    frame: Record<string, unknown>,
    what: string,
    { again, timeoutMs = this.options.timeoutMs }: { again: boolean; timeoutMs?: number },
  ): Promise<R> {
    if (this.state === 'idle' || this.state === 'failed') {
      return Promise.reject(new ConnectionLost('there is no connection: call connect() first'));
    }
    const id = `r${++this.ids}`;
    return new Promise<R>((resolve, reject) => {
      const settle = () => {
        clearTimeout(pending.timer);
        this.pending.delete(id);
      };
      const pending: Pending = {
        frame: { ...frame, id },
        what,
        again,
        sent: false,
        timer: setTimeout(() => pending.reject(new TimedOut(what, timeoutMs)), timeoutMs),
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      this.pending.set(id, pending);
      pending.sent = this.write(pending.frame);
    });
  }

  private receive(frame: any): void {
    switch (frame.type) {
      case 'event':
        for (const one of this.listening((frame as HubEvent).channel)) guard(() => one.event(frame));
        return;
      case 'gap':
        for (const one of this.exact((frame as Gap).channel)) guard(() => one.gap(frame));
        return;
      case 'joined':
      case 'left':
      case 'updated':
        for (const one of this.exact((frame as PresenceChange).channel)) guard(() => one.presence(frame));
        return;
      case 'goodbye':
        this.goodbyeMs = frame.reconnect_after_ms;
        return;
      case 'token_expiring':
        void this.renewToken();
        return;
    }
    const asked = frame.id === undefined ? undefined : this.asked.get(frame.id);
    if (asked) return this.settleSubscribe(frame, asked);
    const pending = frame.id === undefined ? undefined : this.pending.get(frame.id);
    if (pending) {
      if (frame.type === 'error') pending.reject(new HubError(frame));
      else pending.resolve(frame);
    } else if (frame.type === 'error') this.emit('error', new HubError(frame));
  }

  private async renewToken(): Promise<void> {
    if (typeof this.options.token !== 'function') return;
    try {
      const token = await this.token();
      await this.request({ type: 'auth', token }, 'auth', { again: false });
    } catch (error) {
      if (error instanceof HubError) this.emit('error', error);
    }
  }

  // --- subscriptions -------------------------------------------------------------------------------

  private askFor(channel: string): void {
    if (this.toSubscribe.size === 0) queueMicrotask(() => this.flushSubscribe());
    this.toSubscribe.add(channel);
  }

  /** All that was asked for in one turn goes in as few frames as may be. */
  private flushSubscribe(resuming = false): void {
    if (this.state !== 'open') {
      this.toSubscribe.clear(); // entered() asks for everything
      return;
    }
    const channels = [...this.toSubscribe];
    this.toSubscribe.clear();
    for (let at = 0; at < channels.length; at += SUBSCRIBE_CHUNK) {
      const chunk = channels.slice(at, at + SUBSCRIBE_CHUNK);
      const id = `s${++this.ids}`;
      this.asked.set(id, new Set(chunk));
      this.write({ type: 'subscribe', id, channels: chunk.map((channel) => this.mergedRequest(channel, resuming)) });
    }
  }

  /** Several subscriptions of one program to one channel are one on the wire, which must bring what
   * each of them wants; they drop what they have seen. */
  private mergedRequest(channel: string, resuming: boolean): Record<string, unknown> {
    const requests = this.exact(channel).map((one) => one.request());
    const merged: Record<string, unknown> = Object.assign({}, ...requests);
    const since = requests.map((one) => one.since as Position | undefined).filter((one) => one !== undefined);
    if (since.length) merged.since = since.reduce((oldest, one) => (one.offset < oldest.offset ? one : oldest));
    // On a connection that is up the others have all that came: the newcomer's wish decides.
    if (!resuming && (merged.rewind || merged.latest)) delete merged.since;
    return merged;
  }

  private settleSubscribe(frame: any, asked: Set<string>): void {
    if (frame.type === 'error') {
      const error = new HubError(frame as ErrorFrame);
      const channels = frame.channel !== undefined ? [frame.channel as string] : [...asked];
      for (const channel of channels) {
        asked.delete(channel);
        for (const one of this.exact(channel)) guard(() => one.refused(error));
        this.subscriptions.delete(channel);
      }
    } else {
      for (const answer of frame.channels as SubscribedChannel[]) {
        asked.delete(answer.channel);
        for (const one of this.exact(answer.channel)) guard(() => one.accepted(answer));
      }
    }
    if (asked.size === 0) this.asked.delete(frame.id);
  }

  private leave(subscription: Subscription<any>): void {
    const set = this.subscriptions.get(subscription.channel);
    if (!set?.delete(subscription) || set.size > 0) return;
    this.subscriptions.delete(subscription.channel);
    this.toSubscribe.delete(subscription.channel);
    this.write({ type: 'unsubscribe', channels: [subscription.channel] });
  }

  private exact(channel: string): Subscription<any>[] {
    return [...(this.subscriptions.get(channel) ?? [])];
  }

  /** The subscriptions that an event of this channel is for. The hub sends each event once. */
  private listening(channel: string): Subscription<any>[] {
    const found = this.exact(channel);
    for (const set of this.subscriptions.values()) {
      for (const one of set) if (one.isPattern && matches(one.channel, channel)) found.push(one);
    }
    return found;
  }

  // --- telling -------------------------------------------------------------------------------------

  private move(change: StateChange): void {
    this.state = change.state;
    this.emit('state', change);
  }

  private emit<K extends keyof ClientEvents>(event: K, value: ClientEvents[K]): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) guard(() => listener(value));
  }
}

/** A pattern against a name: `*` is one segment, `>` as the last one or more. */
export function matches(pattern: string, name: string): boolean {
  const wanted = pattern.split('.');
  const segments = name.split('.');
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '>' && i === wanted.length - 1) return segments.length > i;
    if (i >= segments.length || (wanted[i] !== '*' && wanted[i] !== segments[i])) return false;
  }
  return wanted.length === segments.length;
}

function endpointOf(url: string | URL): string {
  const target = new URL(url);
  target.protocol = target.protocol.replace(/^http/, 'ws');
  if (target.pathname === '/' || target.pathname === '') target.pathname = '/ws/v1/events';
  return target.href;
}

function randomText(): string {
  const { crypto } = globalThis as { crypto?: Crypto };
  if (crypto?.getRandomValues) {
    return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  return `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
}

/** A listener's own error is its own: reported, and no other listener misses its turn. */
function guard(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
