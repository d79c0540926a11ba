// tests/wire/lib/raw.mjs: bytes as they are, for what no client library would send.
//
//     const { answers, closed } = await exchange(hub, bytes);           // until the hub closes
//     const { answers } = await exchange(hub, bytes, { step: 1 });      // byte after byte
//
// An exchange ends when the hub closes the connection; bytes that are well received must therefore
// end in a request with `Connection: close`. What was answered is parsed strictly: whatever is no
// HTTP/1.1 answer throws.

import { createConnection } from 'node:net';
import { readdirSync, readFileSync } from 'node:fs';
import { patient } from './hub.mjs';

const WAIT_MS = 15_000;

export const latin1 = (text) => Buffer.from(text, 'latin1');
const bytesOf = (part) => (typeof part === 'string' ? latin1(part) : part);
export const joined = (...parts) => Buffer.concat(parts.flat().map(bytesOf));

const pass = () => new Promise((done) => setImmediate(done));

/** A socket to the hub: sends anything, keeps all that comes. */
export class Raw {
  received = Buffer.alloc(0);
  ended = false; // the hub said it is done
  error = null;
  #wake = () => {};

  constructor(hub) {
    const { hostname, port } = new URL(hub.url);
    this.socket = createConnection({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
    this.socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.#wake();
    });
    this.socket.on('end', () => {
      this.ended = true;
      this.socket.end();
      this.#wake();
    });
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.closed = new Promise((done) => {
      this.socket.on('close', () => {
        this.ended = true;
        this.#wake();
        done();
      });
    });
    this.connected = new Promise((done) => {
      this.socket.once('connect', done);
      this.socket.once('close', done);
    });
  }

  write(bytes) {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(bytesOf(bytes));
  }

  /** All at once (step 0), or in pieces of `step` bytes, each in a turn of its own. */
  async send(bytes, { step = 0 } = {}) {
    await this.connected;
    const all = bytesOf(bytes);
    if (!step) {
      this.write(all);
      return;
    }
    for (let at = 0; at < all.length && !this.ended; at += step) {
      this.write(all.subarray(at, at + step));
      await pass();
    }
  }

  /** Waits until `done(received)` is truthy or the hub has closed. */
  async until(done, { timeout = WAIT_MS, what = 'bytes' } = {}) {
    const deadline = Date.now() + patient(timeout);
    for (;;) {
      const value = done(this.received);
      if (value || this.ended) return value;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`waited ${patient(timeout)} ms for ${what}; came: ${JSON.stringify(this.received.toString('latin1').slice(-600))}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  end() {
    this.socket.end();
  }

  /** Without a word: a reset where the system lets us send one. */
  reset() {
    if (this.socket.resetAndDestroy) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  destroy() {
    this.socket.destroy();
    return this.closed;
  }
}

/** The answers in a stream. heads: which of them (counted without 1xx) have no body by their request. */
export function answersOf(bytes, heads = []) {
  const answers = [];
  let at = 0;
  let counted = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n\r\n', at);
    const text = bytes.subarray(at, end < 0 ? undefined : end).toString('latin1');
    const [first, ...lines] = text.split('\r\n');
    const found = /^HTTP\/1\.1 (\d{3}) [\x20-\x7e]+$/.exec(first);
    if (end < 0 || !found) throw new Error(`no HTTP answer: ${JSON.stringify(text.slice(0, 300))}`);
    const answer = { status: Number(found[1]), headers: {}, text: '' };
    for (const line of lines) {
      const pair = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x20-\x7e]*)$/.exec(line);
      if (!pair) throw new Error(`no header: ${JSON.stringify(line)}`);
      const name = pair[1].toLowerCase();
      if (name in answer.headers && name !== 'vary') throw new Error(`${name} stands twice`);
      answer.headers[name] = pair[2];
    }
    at = end + 4;
    if (answer.status >= 200 && answer.status !== 204 && answer.status !== 304) {
      const length = answer.headers['content-length'];
      if (!/^\d+$/.test(length ?? '')) throw new Error(`an answer without a length: ${text}`);
      if (!heads.includes(counted)) {
        const body = bytes.subarray(at, at + Number(length));
        if (body.length < Number(length)) throw new Error(`an answer that is cut: ${text}`);
        answer.text = body.toString();
        at += Number(length);
      }
    }
    if (answer.status >= 200) counted++;
    if (/json/.test(answer.headers['content-type'] ?? '') && answer.text) answer.body = JSON.parse(answer.text);
    answers.push(answer);
  }
  return answers;
}

/** One connection from its first byte to its end. half: our side is shut after the last byte. */
export async function exchange(hub, bytes, { step = 0, half = false, heads = [], timeout = WAIT_MS } = {}) {
  const raw = new Raw(hub);
  try {
    await raw.send(bytes, { step });
    if (half) raw.end();
    await raw.until(() => false, { timeout, what: 'the end of the connection' });
    return { answers: answersOf(raw.received, heads), bytes: raw.received };
  } finally {
    await raw.destroy();
  }
}

/** Open descriptors of the hub. */
export const descriptors = (hub) => readdirSync(`/proc/${hub.pid}/fd`).length;

/** CPU time that the hub has used so far, in milliseconds. */
export function cpuMs(hub) {
  const fields = readFileSync(`/proc/${hub.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10; // clock ticks, a hundred a second
}

/** Resident memory of the hub, in bytes. */
export const residentBytes = (hub) => Number(readFileSync(`/proc/${hub.pid}/statm`, 'utf8').split(' ')[1]) * 4096;

/** Numbers below n that look random and are the same for the same seed. */
export function seeded(seed) {
  let state = (Number(seed) ^ 0x9e3779b9) >>> 0 || 1;
  return (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % n;
  };
}
