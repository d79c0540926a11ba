// The SDK as it is built, against the real hub: over kills, drains and token renewals.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, inOrder, numbers, story } from './lib/story.mjs';

const built = join(dirname(fileURLToPath(import.meta.url)), '../../build/web/sdk/index.js');

async function sdk() {
  assert.ok(existsSync(built), 'build/web/sdk is not built: sh deploy/web.sh');
  return import(built);
}

async function withHub(options, fn) {
  const hub = await startHub(options);
  const clients = [];
  const { Waggle } = await sdk();
  const client = (more = {}) => {
    const one = new Waggle({ url: hub.url, token: hub.adminKey, WebSocket, reconnectMinMs: 20, reconnectMaxMs: 200, ...more });
    clients.push(one);
    return one;
  };
  try {
    await fn(hub, client);
  } finally {
    for (const one of clients) one.close();
    await hub.stop();
  }
}

story('subscribes, publishes, reads back and calls', () =>
  withHub({}, async (_hub, client) => {
    const one = client();
    await one.connect();
    const channel = fresh('sdk');
    const heard = [];
    const subscription = one.subscribe(channel, (event) => heard.push(event));
    assert.equal((await subscription.ready).offset, 0);
    assert.equal((await one.publish(channel, 'x', { n: 1 })).offset, 1);
    await until(() => heard.length === 1);
    assert.deepEqual(heard[0].data, { n: 1 });
    assert.equal((await one.history(channel)).events.length, 1);
    const id = fresh('bee');
    await one.call('agents.register', { agent_id: id, agent_type: 'worker' });
    assert.equal((await one.call('agents.get', { agent_id: id })).agent.agent_id, id);
    await assert.rejects(one.call('agents.get', { agent_id: 'nobody' }), (error) => error.code === 'not_found' && error.status === 404);
    await assert.rejects(one.publish('a b', 'x', 1), (error) => error.code === 'invalid_name');
  }));

story('over five kills under load every publish stands in the log once, and a subscriber sees each once', () =>
  withHub({}, async (hub, client) => {
    const channel = fresh('sdk');
    const [sender, reader] = [client(), client()];
    await Promise.all([sender.connect(), reader.connect()]);
    const heard = [];
    await reader.subscribe(channel, (event) => heard.push(event)).ready;
    let sent = 0;
    let stop = false;
    const publishing = Promise.all(
      numbers(4).map(async () => {
        while (!stop) {
          const n = sent++;
          await sender.publish(channel, 'n', n);
        }
      }),
    );
    for (let i = 0; i < 5; i++) {
      await sleep(150);
      await hub.kill9();
      await hub.restart();
    }
    await sleep(300);
    stop = true;
    await publishing;
    await until(() => heard.length >= sent, { what: 'every event', timeout: 20_000 });
    assert.equal(heard.length, sent);
    inOrder(heard, 1);
    assert.deepEqual(heard.map((event) => event.data).sort((a, b) => a - b), numbers(sent));
  }));

story('a drain is followed by a return, and nothing is missed', () =>
  withHub({}, async (hub, client) => {
    const channel = fresh('sdk');
    const reader = client();
    await reader.connect();
    const heard = [];
    await reader.subscribe(channel, (event) => heard.push(event.data)).ready;
    await reader.publish(channel, 'x', 'before');
    await hub.terminate();
    assert.notEqual(reader.state, 'open');
    await hub.restart();
    await hub.post(`/api/v1/channels/${channel}/events`, { event: 'x', data: 'while away or after' });
    await until(() => heard.length === 2, { what: 'the second event', timeout: 15_000 });
    assert.deepEqual(heard, ['before', 'while away or after']);
  }));

story('a refused subscription says so, a refused token ends it', () =>
  withHub({}, async (hub, client) => {
    const { token } = await hub.mint({ sub: 'eve', role: 'viewer' });
    const eve = client({ token });
    await eve.connect();
    const [good, bad] = [eve.subscribe(fresh('ok'), {}), eve.subscribe(`private-${fresh('no')}`, {})];
    await good.ready;
    await assert.rejects(bad.ready, (error) => error.code === 'forbidden');
    const nobody = client({ token: 'nonsense' });
    await assert.rejects(nobody.connect());
    assert.equal(nobody.state, 'failed');
  }));

story('members are known and followed', () =>
  withHub({ config: { 'namespace room': { presence_grace_ms: 200 } } }, async (hub, client) => {
    const as = async (sub) => client({ token: (await hub.mint({ sub, role: 'agent' })).token });
    const [ann, bob] = [await as('ann'), await as('bob')];
    await Promise.all([ann.connect(), bob.connect()]);
    const room = ann.subscribe('room.a', {}, { presence: { n: 1 } });
    await room.ready;
    await bob.subscribe('room.a', {}, { presence: { n: 2 } }).ready;
    await until(() => room.members.has('bob'), { what: 'bob' });
    await bob.updatePresence('room.a', { n: 3 });
    await until(() => room.members.get('bob').info.n === 3, { what: 'the change' });
    assert.deepEqual((await ann.members('room.a')).map((one) => one.id).sort(), ['ann', 'bob']);
    bob.close();
    await until(() => !room.members.has('bob'), { what: 'his leave' });
  }));
