// tests/network/lib/steadfast.mjs: a publisher and a subscriber that do not give up.
//
// Whatever happens to their connections, they come back: the publisher repeats what was not
// answered, with its key, and the subscriber resumes from where it is. When the fault is over, what
// was acknowledged must be there once, in order: whole() asks for that. They end with their story,
// whether it came so far or not.

import assert from 'node:assert/strict';
import { sleep } from '../../wire/lib/hub.mjs';
import { Native } from '../../wire/lib/native.mjs';

const SILENT_MS = 1_500; // longer than this without an answer: a new connection

/** Opens a connection, or throws within SILENT_MS. */
async function open(url, token) {
  const client = new Native(url, { token, options: { handshakeTimeout: SILENT_MS } });
  try {
    await client.opened;
    await client.next('welcome', { timeout: SILENT_MS });
    return client;
  } catch (error) {
    client.terminate();
    throw error;
  }
}

export class Steadfast {
  #said = false; // nothing more is published
  #stopped = false;
  #clients = new Set();
  connections = 0;
  seen = []; // offsets in the order they came
  data = [];
  acknowledged = []; // [data, offset]

  constructor(url, token, channel) {
    Object.assign(this, { url, token, channel });
  }

  /** t: the story that they end with. */
  start(t) {
    t.after(() => this.#abandon());
    this.publishing = this.#publish();
    this.subscribing = this.#subscribe();
    return this;
  }

  async #open() {
    const client = await open(this.url, this.token);
    this.#clients.add(client);
    client.closed.then(() => this.#clients.delete(client));
    return client;
  }

  /** After a story that failed they would go on for ever, and its file with them. */
  async #abandon() {
    this.#said = this.#stopped = true;
    for (const client of this.#clients) client.terminate();
    await Promise.all([this.publishing, this.subscribing]);
  }

  async #publish() {
    let client = null;
    for (let n = 0; !this.#said; ) {
      try {
        client ??= await this.#open();
        const answer = await client.request(
          { type: 'publish', channel: this.channel, event: 'x', data: n, key: `k${n}` },
          { timeout: SILENT_MS },
        );
        this.acknowledged.push([n, answer.offset]);
        n++;
        await sleep(5);
      } catch {
        client?.terminate();
        client = null;
        await sleep(50);
      }
    }
    client?.terminate();
  }

  async #subscribe() {
    while (!this.#stopped) {
      let client = null;
      try {
        client = await this.#open();
        this.connections++;
        const since = { offset: this.seen.at(-1) ?? 0 };
        await client.request({ type: 'subscribe', channels: [{ channel: this.channel, since }] }, { timeout: SILENT_MS });
        while (!this.#stopped) {
          const event = await client.next('event', { timeout: SILENT_MS });
          this.seen.push(event.offset);
          this.data.push(event.data);
        }
      } catch {
        await sleep(50);
      } finally {
        client?.terminate();
      }
    }
  }

  /** Until so many more are acknowledged: the fault is over, or was survived. */
  async more(count, timeout = 20_000) {
    const goal = this.acknowledged.length + count, deadline = Date.now() + timeout;
    while (this.acknowledged.length < goal) {
      assert.ok(Date.now() < deadline, `${count} more acknowledged within ${timeout} ms: ${this.acknowledged.length} of ${goal}`);
      await sleep(20);
    }
  }

  /** Stops, and judges. Returns a sentence of what was. */
  async whole() {
    this.#said = true;
    await this.publishing; // an answer may come before the event that it is about
    const last = this.acknowledged.at(-1)[1], deadline = Date.now() + 20_000;
    while ((this.seen.at(-1) ?? 0) < last) {
      assert.ok(Date.now() < deadline, `the subscriber stands at ${this.seen.at(-1)} of ${last}`);
      await sleep(20);
    }
    this.#stopped = true;
    await this.subscribing;
    assert.deepEqual(this.seen, this.seen.map((_, i) => i + 1), 'each event once, in order');
    assert.deepEqual(this.data, this.data.map((_, i) => i), 'a publish that was repeated stands once');
    for (const [data, offset] of this.acknowledged) assert.equal(this.data[offset - 1], data, 'what was acknowledged is there');
    return `${this.acknowledged.length} acknowledged, ${this.seen.length} received in order over ${this.connections} connections`;
  }
}
