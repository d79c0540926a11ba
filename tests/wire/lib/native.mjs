// tests/wire/lib/native.mjs: a client of the native protocol that hides nothing.
//
// Frames wait in the order they came until somebody takes them: next() takes the first that fits,
// so a story may look for an answer first and for the event that overtook it afterwards.

import WebSocket from 'ws';
import { patient } from './hub.mjs';

const WAIT_MS = 10_000;

/** What the hub answered with type "error". */
export class HubError extends Error {
  constructor(frame) {
    super(`${frame.code}: ${frame.message ?? ''}`);
    this.frame = frame;
    this.code = frame.code;
    this.status = frame.status;
  }
}

export class Native {
  #frames = [];
  #waiting = [];
  #id = 0;

  /** via: how the token travels: 'header' | 'query' | 'frame'. */
  constructor(url, { token = null, via = 'header', headers = {}, query = {}, options = {} } = {}) {
    const target = new URL(url);
    for (const [key, value] of Object.entries(query)) target.searchParams.set(key, value);
    if (token && via === 'query') target.searchParams.set('token', token);
    const sent = { ...headers };
    if (token && via === 'header') sent.authorization = `Bearer ${token}`;
    this.socket = new WebSocket(target, { headers: sent, perMessageDeflate: false, ...options });
    this.firstToken = token && via === 'frame' ? token : null;
    this.welcome = null;

    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', resolve);
      this.socket.once('unexpected-response', (_request, response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (bytes) => (text += bytes));
        response.on('end', () => {
          const refused = new Error(`the upgrade was answered ${response.statusCode}`);
          refused.status = response.statusCode;
          refused.headers = response.headers;
          refused.body = text;
          this.socket.terminate();
          reject(refused);
        });
      });
      this.socket.once('error', reject);
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#settle();
      });
    });
    this.socket.on('error', () => {}); // closed tells
    this.socket.on('message', (bytes, binary) => {
      this.#frames.push(binary ? { type: '(binary)', bytes } : { ...JSON.parse(bytes.toString()), raw: bytes.toString() });
      this.#settle();
    });
  }

  /** The welcome frame; authenticates first where the token travels as a frame. */
  async ready() {
    await this.opened;
    if (this.firstToken) this.send({ type: 'auth', token: this.firstToken });
    this.welcome = await this.next((frame) => frame.type === 'welcome' || frame.type === 'error');
    if (this.welcome.type === 'error') throw new HubError(this.welcome);
    return this.welcome;
  }

  send(frame) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  #settle() {
    for (let i = 0; i < this.#waiting.length; ) {
      const wait = this.#waiting[i];
      const at = this.#frames.findIndex(wait.fits);
      if (at >= 0) {
        this.#waiting.splice(i, 1);
        clearTimeout(wait.timer);
        wait.resolve(this.#frames.splice(at, 1)[0]);
      } else if (this.socket.readyState === WebSocket.CLOSED) {
        this.#waiting.splice(i, 1);
        clearTimeout(wait.timer);
        wait.reject(new Error(`the connection closed while waiting for ${wait.what}`));
      } else {
        i++;
      }
    }
  }

  /** Takes the first frame that fits: a type, or a predicate. */
  next(fits = () => true, { timeout = WAIT_MS, what } = {}) {
    const predicate = typeof fits === 'string' ? (frame) => frame.type === fits : fits;
    return new Promise((resolve, reject) => {
      const wait = { fits: predicate, resolve, reject, what: what ?? (typeof fits === 'string' ? fits : fits.toString()) };
      wait.timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(wait), 1);
        const seen = this.#frames.slice(-10).map((frame) => frame.raw).join('\n  ');
        reject(new Error(`no frame for ${wait.what} within ${patient(timeout)} ms; waiting were:\n  ${seen}`));
      }, patient(timeout));
      this.#waiting.push(wait);
      this.#settle();
    });
  }

  /** The next n events (of one channel, if given), in order. */
  async events(n, channel, options = {}) {
    const taken = [];
    while (taken.length < n) {
      taken.push(await this.next(
        (frame) => frame.type === 'event' && (!channel || frame.channel === channel),
        { what: `event ${taken.length + 1} of ${n} on ${channel ?? 'any channel'}`, ...options },
      ));
    }
    return taken;
  }

  /** Frames that wait and fit, taken without waiting. */
  drain(fits = () => true) {
    const predicate = typeof fits === 'string' ? (frame) => frame.type === fits : fits;
    const taken = this.#frames.filter(predicate);
    this.#frames = this.#frames.filter((frame) => !predicate(frame));
    return taken;
  }

  /** Sends with an id of its own and waits for the answer; an error frame throws HubError. */
  async request(frame, options = {}) {
    const id = frame.id ?? ++this.#id;
    this.send({ ...frame, id });
    const answer = await this.next((came) => came.id === id, { what: `the answer to ${frame.type} ${id}`, ...options });
    if (answer.type === 'error') throw new HubError(answer);
    return answer;
  }

  /** A ping and its pong: all that was sent before has been read by the hub. */
  barrier() {
    return this.request({ type: 'ping' });
  }

  async subscribe(...channels) {
    return (await this.request({ type: 'subscribe', channels })).channels;
  }

  unsubscribe(...channels) {
    return this.request({ type: 'unsubscribe', channels });
  }

  publish(channel, event, data, more = {}) {
    return this.request({ type: 'publish', channel, event, data, ...more });
  }

  history(channel, more = {}) {
    return this.request({ type: 'history', channel, ...more });
  }

  async call(method, params, options) {
    return (await this.request({ type: 'call', method, params }, options)).result;
  }

  close(code = 1000, reason = '') {
    this.socket.close(code, reason);
    return this.closed;
  }

  /** Without a closing handshake, as a crashed process leaves. */
  terminate() {
    this.socket.terminate();
  }
}
