// kill -9 at random moments under several publishers. Every acknowledgement is noted outside the hub;
// after each restart all that was acknowledged is there, in order, once, and offsets have no holes.
//
// WAGGLE_ROUNDS says how many kills (20; 200 with WAGGLE_LONG=1); WAGGLE_SEED repeats a run's pauses.

import assert from 'node:assert/strict';
import { sleep, startHub, until } from './lib/hub.mjs';
import { LONG, inOrder, numbers, story } from './lib/story.mjs';

const ROUNDS = Number(process.env.WAGGLE_ROUNDS ?? (LONG ? 200 : 20));
const CHANNELS = ['orders', 'orders.eu', 'swarm-log'];
const PUBLISHERS = 4;
const OUTSTANDING = 8;

/** mulberry32: small, seeded, good enough to spread pauses. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** All events of a channel by paging through its history. */
async function readAll(hub, channel) {
  const bee = await hub.connect();
  const events = [];
  let epoch;
  try {
    [{ epoch }] = await bee.subscribe(channel);
    for (;;) {
      const page = await bee.history(channel, { since: { epoch, offset: events.at(-1)?.offset ?? 0 }, limit: 1000 });
      if (page.events.length === 0) return { events, epoch };
      events.push(...page.events);
    }
  } finally {
    await bee.close();
  }
}

class Publisher {
  constructor(name) {
    this.name = name;
    this.next = 0;
    this.acknowledged = []; // { channel, offset, epoch, id, n }
    this.sent = new Map(); // id → what was sent and is not answered yet
  }

  /** Keeps a few publishes under way until the hub dies under it. */
  async run(hub) {
    const bee = await hub.connect();
    bee.socket.on('message', (text) => {
      const frame = JSON.parse(text);
      if (frame.type !== 'published' || !this.sent.has(frame.id)) return;
      const { channel, n } = this.sent.get(frame.id);
      this.sent.delete(frame.id);
      this.acknowledged.push({ channel, offset: frame.offset, epoch: frame.epoch, id: frame.id, n });
      this.publish(bee);
    });
    // What was under way when the hub died is sent again with the same key: at most once in the log.
    for (const [id, { channel, n }] of this.sent) this.send(bee, id, channel, n);
    while (this.sent.size < OUTSTANDING) this.publish(bee);
    await bee.closed;
  }

  publish(bee) {
    const n = this.next++;
    const id = `${this.name}-${n}`;
    const channel = CHANNELS[n % CHANNELS.length];
    this.sent.set(id, { channel, n });
    this.send(bee, id, channel, n);
  }

  send(bee, id, channel, n) {
    if (bee.socket.readyState !== bee.socket.OPEN) return;
    bee.send({ type: 'publish', id, key: id, channel, event: 'order', data: { by: this.name, n, pad: 'x'.repeat(n % 300) } });
  }
}

story(`what was acknowledged survives ${ROUNDS} kills`, async (t) => {
  const seed = Number(process.env.WAGGLE_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`WAGGLE_SEED=${seed}`);
  const random = randomFrom(seed);
  // Nothing is to be trimmed here: holes would hide behind it.
  const hub = await startHub({
    config: Object.fromEntries(['orders', 'swarm-log'].map((ns) => [`namespace ${ns}`, { history_events: 10_000_000, history_age: '24h' }])),
  });
  const publishers = numbers(PUBLISHERS).map((i) => new Publisher(`p${i}`));
  const epochs = new Map();
  let checked = 0;
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      const running = publishers.map((publisher) => publisher.run(hub));
      const enough = publishers.reduce((sum, one) => sum + one.acknowledged.length, 0) + 1;
      await until(() => publishers.reduce((sum, one) => sum + one.acknowledged.length, 0) >= enough, { what: 'an acknowledgement' });
      await sleep(random() * 120);
      await hub.kill9();
      await Promise.allSettled(running);
      await hub.restart();

      // Every round looks at one channel in full, the last at all of them.
      const looked = round === ROUNDS ? CHANNELS : [CHANNELS[round % CHANNELS.length]];
      for (const channel of looked) {
        const { events, epoch } = await readAll(hub, channel);
        assert.equal(epoch, epochs.get(channel) ?? epoch, `round ${round}: ${channel} keeps its epoch`);
        epochs.set(channel, epoch);
        inOrder(events, 1);
        const seen = new Map();
        for (const event of events) {
          const id = `${event.data.by}-${event.data.n}`;
          assert.ok(!seen.has(id), `round ${round}: ${id} stands twice in ${channel}`);
          seen.set(id, event.offset);
        }
        for (const publisher of publishers) {
          for (const note of publisher.acknowledged) {
            if (note.channel !== channel) continue;
            assert.equal(seen.get(note.id), note.offset, `round ${round}: ${note.id} stands at its offset in ${channel}`);
            assert.equal(note.epoch, epoch);
            checked++;
          }
        }
      }
    }
    t.diagnostic(`${publishers.reduce((sum, one) => sum + one.acknowledged.length, 0)} acknowledged, ${checked} looked up`);
  } finally {
    await hub.stop();
  }
}, { timeout: ROUNDS * 15_000 + 60_000 });

story('a reader that resumes over a kill misses nothing and sees nothing twice', async () => {
  const hub = await startHub();
  try {
    const sender = await hub.connect();
    const reader = await hub.connect();
    const [{ epoch }] = await reader.subscribe('news');
    for (const i of numbers(20, 1)) await sender.publish('news', 'n', i);
    const seen = (await reader.events(15, 'news')).map((event) => event.offset);
    await hub.kill9();
    await hub.restart();
    const later = await hub.connect();
    for (const i of numbers(5, 21)) await later.publish('news', 'n', i);
    const back = await hub.connect();
    const [position] = await back.subscribe({ channel: 'news', since: { epoch, offset: seen.at(-1) } });
    assert.equal(position.recovered, true);
    assert.equal(position.epoch, epoch);
    const events = await back.events(10, 'news');
    inOrder(events, 16);
    assert.deepEqual(events.map((event) => event.data), numbers(10, 16));
  } finally {
    await hub.stop();
  }
});

story('an idempotency key is remembered over a kill', async () => {
  const hub = await startHub();
  try {
    const before = await hub.connect();
    const first = await before.publish('pay', 'x', 1, { key: 'k' });
    await before.publish('pay', 'x', 2);
    await hub.kill9();
    await hub.restart();
    const after = await hub.connect();
    const again = await after.publish('pay', 'x', 1, { key: 'k' });
    assert.equal(again.offset, first.offset);
    assert.equal(again.epoch, first.epoch);
    assert.equal((await after.publish('pay', 'x', 3)).offset, 3);
  } finally {
    await hub.stop();
  }
});

story('presence has no ghosts after a kill', async () => {
  const hub = await startHub({ config: { 'namespace room': { presence_grace_ms: 500 }, presence: { restart_grace_ms: 1_000 } } });
  try {
    const channel = 'room.kill';
    const token = async (sub) => (await hub.mint({ sub, role: 'agent' })).token;
    const [ann, bob] = [await hub.connect({ token: await token('ann') }), await hub.connect({ token: await token('bob') })];
    await ann.subscribe({ channel, presence: {} });
    await bob.subscribe({ channel, presence: {} });
    await hub.kill9();
    await hub.restart();
    const back = await hub.connect({ token: await token('ann') });
    await back.subscribe({ channel, presence: {} });
    await until(async () => {
      const { members } = await back.request({ type: 'presence', channel });
      return members.length === 1 && members[0].id === 'ann';
    }, { what: 'bob to be gone', timeout: 10_000 });
    await back.close();
  } finally {
    await hub.stop();
  }
});

story('agents and their registration outlive a kill', async () => {
  const hub = await startHub();
  try {
    await hub.post('/agents/register', { agent_id: 'bee-1', agent_type: 'worker', capabilities: ['forage'] });
    await hub.kill9();
    await hub.restart();
    const { status, body } = await hub.get('/agents/bee-1');
    assert.equal(status, 200);
    assert.equal(body.agent.status, 'active', 'known agents get a full grace after a restart');
    assert.deepEqual(body.agent.capabilities, ['forage']);
    assert.equal((await hub.get('/agents/capability/forage')).body.count, 1);
  } finally {
    await hub.stop();
  }
});
