// Named cursors: a durable position with acks, shared by connections, kept over kill -9.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub } from './lib/hub.mjs';
import { fresh, story } from './lib/story.mjs';

const CONFIG = {
  hub: { threads: 3 }, // consumers of one cursor sit on several
  'namespace jobs': { ack_wait: '700ms', max_deliver: 2 },
  'namespace few': { ack_wait: '20s', max_in_flight: 4 },
  'namespace wide': { ack_wait: '20s', max_in_flight: 64 },
};

let hub;
before(async () => {
  hub = await startHub({ config: CONFIG });
});
after(() => hub?.stop());

const attach = async (client, channel, cursor, more = {}) =>
  (await client.subscribe({ channel, cursor, ...more }))[0];
const ack = (client, event, more = {}) =>
  client.send({ type: 'ack', channel: event.channel, cursor: event.cursor, offset: event.offset, ...more });
const durable = (client, type, event, more = {}) =>
  client.request({ type, channel: event.channel, cursor: event.cursor, offset: event.offset, ...more });

async function publish(client, channel, from, to) {
  for (let n = from; n <= to; n++) await client.publish(channel, 'job', { n });
}

story('a cursor delivers each event until it is acknowledged, and goes on where it stood', async () => {
  const boss = await hub.connect();
  await publish(boss, 'wide.a', 1, 3);
  const one = await hub.connect();
  const at = await attach(one, 'wide.a', 'work', { since: 0 });
  assert.deepEqual([at.created, at.offset, at.settled, at.cursor], [true, 3, 0, 'work']);
  const events = await one.events(3, 'wide.a');
  assert.deepEqual(events.map((e) => [e.offset, e.deliveries, e.cursor, e.data.n]),
    [[1, 1, 'work', 1], [2, 1, 'work', 2], [3, 1, 'work', 3]]);
  assert.equal((await durable(one, 'ack', events[2])).type, 'acked'); // in any order
  await durable(one, 'ack', events[0]);
  await publish(boss, 'wide.a', 4, 4);
  await durable(one, 'ack', (await one.events(1))[0]);
  await one.close();
  const two = await hub.connect();
  const again = await attach(two, 'wide.a', 'work', { since: 0 });
  assert.deepEqual([again.created, again.settled], [false, 1]);
  const [back] = await two.events(1, 'wide.a', { timeout: 5_000 });
  assert.deepEqual([back.offset, back.deliveries], [2, 2]);
  await durable(two, 'ack', back);
  await durable(two, 'ack', back); // again: no harm
  await sleep(300);
  assert.equal(two.drain('event').length, 0);
});

story('a new cursor begins with what comes, or as far back as it asks', async () => {
  const boss = await hub.connect();
  await publish(boss, 'wide.b', 1, 5);
  const bee = await hub.connect();
  await attach(bee, 'wide.b', 'fresh');
  await attach(bee, 'wide.b', 'rewound', { rewind: 2 });
  await publish(boss, 'wide.b', 6, 6);
  const events = await bee.events(4);
  assert.deepEqual(events.filter((e) => e.cursor === 'fresh').map((e) => e.offset), [6]);
  assert.deepEqual(events.filter((e) => e.cursor === 'rewound').map((e) => e.offset), [4, 5, 6]);
});

story('connections on one cursor share the work: each event goes to one of them', async () => {
  const boss = await hub.connect();
  const bees = [await hub.connect(), await hub.connect(), await hub.connect()];
  for (const bee of bees) await attach(bee, 'wide.c', 'crew');
  await publish(boss, 'wide.c', 1, 30);
  const got = await Promise.all(bees.map((bee) => bee.events(10, 'wide.c')));
  assert.deepEqual(got.flat().map((e) => e.offset).sort((a, b) => a - b), Array.from({ length: 30 }, (_, i) => i + 1));
  for (const [i, events] of got.entries()) for (const event of events) ack(bees[i], event);
  for (const bee of bees) await bee.barrier();
});

story('a connection that goes gives its events to the others', async () => {
  const boss = await hub.connect();
  const [lost, other] = [await hub.connect(), await hub.connect()];
  await attach(lost, 'wide.d', 'crew');
  await publish(boss, 'wide.d', 1, 3);
  await lost.events(3);
  await attach(other, 'wide.d', 'crew');
  lost.terminate();
  const events = await other.events(3, 'wide.d', { timeout: 5_000 });
  assert.deepEqual(events.map((e) => [e.offset, e.deliveries]), [[1, 2], [2, 2], [3, 2]]);
});

story('no more than max_in_flight are out, and an ack makes room', async () => {
  const boss = await hub.connect();
  const bee = await hub.connect();
  await attach(bee, 'few.a', 'w');
  await publish(boss, 'few.a', 1, 6);
  const events = await bee.events(4);
  await bee.barrier();
  assert.equal(bee.drain('event').length, 0);
  ack(bee, events[1]);
  assert.equal((await bee.events(1))[0].offset, 5);
});

story('what is not acknowledged comes again, and past max_deliver it lies in .dead', async () => {
  const channel = fresh('jobs.p');
  const boss = await hub.connect();
  const bee = await hub.connect();
  await boss.subscribe(`${channel}.dead`);
  await attach(bee, channel, 'w');
  await boss.publish(channel, 'poison', { x: 1 }, { headers: { kept: 'yes' } });
  assert.equal((await bee.events(1))[0].deliveries, 1);
  assert.equal((await bee.events(1, channel, { timeout: 10_000 }))[0].deliveries, 2);
  const [dead] = await boss.events(1, `${channel}.dead`, { timeout: 10_000 });
  assert.deepEqual(dead.data, { x: 1 });
  assert.equal(dead.event, 'poison');
  assert.deepEqual(dead.headers, {
    kept: 'yes', dead_channel: channel, dead_offset: 1, dead_cursor: 'w', dead_deliveries: 2, dead_reason: 'max_deliver',
  });
}, { stall: 200, on: () => hub });

story('nack asks for it later, progress for more time, term gives it up', async () => {
  const channel = fresh('jobs.n');
  const boss = await hub.connect();
  const bee = await hub.connect();
  await boss.subscribe(`${channel}.dead`);
  await attach(bee, channel, 'w');
  await publish(boss, channel, 1, 1);
  const [first] = await bee.events(1);
  const began = Date.now();
  await durable(bee, 'nack', first, { delay: 0.4 });
  const [second] = await bee.events(1);
  assert.ok(Date.now() - began >= 390, 'not before its delay');
  assert.deepEqual([second.offset, second.deliveries], [1, 2]);
  for (let i = 0; i < 4; i++) { // twice as long as ack_wait
    await sleep(350);
    await durable(bee, 'progress', second);
  }
  await durable(bee, 'term', second);
  const [dead] = await boss.events(1, `${channel}.dead`);
  assert.equal(dead.headers.dead_reason, 'term');
  await assert.rejects(durable(bee, 'nack', second), (e) => e.code === 'gone' && e.status === 410);
}, { stall: 200, on: () => hub });

story('kill -9 between delivery and ack loses nothing, and nothing comes after its ack', async () => {
  let boss = await hub.connect();
  let bee = await hub.connect();
  await attach(bee, 'wide.k', 'w');
  await publish(boss, 'wide.k', 1, 6);
  const events = await bee.events(6);
  await durable(bee, 'ack', events[0]);
  await durable(bee, 'ack', events[3]);
  await hub.kill9();
  await hub.restart();
  boss = await hub.connect();
  bee = await hub.connect();
  const at = await attach(bee, 'wide.k', 'w');
  assert.equal(at.settled, 1);
  await publish(boss, 'wide.k', 7, 7);
  const again = await bee.events(5, 'wide.k');
  assert.deepEqual(again.map((e) => [e.offset, e.deliveries]), [[2, 2], [3, 2], [5, 2], [6, 2], [7, 1]]);
});

story('what is wrong with a cursor or an ack is said', async () => {
  const bee = await hub.connect();
  const refused = (frame, code) => assert.rejects(bee.request(frame), (e) => e.code === code, `${JSON.stringify(frame)} → ${code}`);
  const channels = (item) => ({ type: 'subscribe', channels: [item] });
  await refused(channels({ channel: 'live.x', cursor: 'c' }), 'invalid');
  await refused(channels({ channel: 'wide.*', cursor: 'c' }), 'invalid');
  await refused(channels({ channel: 'wide.x', cursor: 'a.b' }), 'invalid');
  await refused(channels({ channel: 'wide.x', cursor: 7 }), 'invalid');
  await refused(channels({ channel: 'wide.x', cursor: 'c', presence: true }), 'invalid');
  await refused(channels({ channel: `wide.${'x'.repeat(158)}`, cursor: 'c' }), 'invalid_name');
  await refused({ type: 'ack', channel: 'wide.x', cursor: 'c', offset: 1 }, 'not_found');
  await attach(bee, 'wide.x', 'c');
  await refused({ type: 'ack', channel: 'wide.x', cursor: 'c', offset: 1 }, 'not_found');
  await refused({ type: 'ack', channel: 'wide.x', cursor: 'c' }, 'invalid');
  await refused({ type: 'nack', channel: 'wide.x', cursor: 'c', offset: 1, delay: -1 }, 'invalid');
  assert.deepEqual((await bee.unsubscribe('wide.x')).channels, ['wide.x']);
  await refused({ type: 'ack', channel: 'wide.x', cursor: 'c', offset: 1 }, 'not_found');
});

story('a reader that stands still holds notes, not events, and gets them when it reads again', async () => {
  const boss = await hub.connect();
  const bee = await hub.connect();
  await attach(bee, 'wide.s', 'w');
  bee.socket.pause();
  for (let n = 1; n <= 60; n++) await boss.publish('wide.s', 'job', { n, fill: 'x'.repeat(50_000) });
  bee.socket.resume();
  const events = await bee.events(60, 'wide.s', { timeout: 15_000 });
  assert.deepEqual(events.map((e) => e.offset), Array.from({ length: 60 }, (_, i) => i + 1));
});
