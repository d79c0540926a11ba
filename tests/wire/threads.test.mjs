// Several I/O threads: what one thread's connection publishes reaches the subscribers of all others,
// live and durable, in one order; also on one core, where the threads take turns.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { fresh, inOrder, numbers, story } from './lib/story.mjs';

const THREADS = 3;
const CLIENTS = 12; // the kernel spreads them: the chance that one thread gets all is 3 in 3^12

let hub;
before(async () => {
  hub = await startHub({ args: ['--threads', String(THREADS)] });
});
after(() => hub?.stop());

const events = async (bee, count) => {
  const got = [];
  while (got.length < count) got.push(await bee.next('event'));
  return got;
};

for (const cores of ['all', 'one']) {
  story(`durable events of every thread reach every thread in one order, on ${cores} of the cores`, async () => {
    if (cores === 'one') execFileSync('taskset', ['-apc', '0', String(hub.pid)], { stdio: 'ignore' });
    const channel = fresh('durable');
    const bees = await Promise.all(numbers(CLIENTS).map(() => hub.connect()));
    for (const bee of bees) await bee.subscribe(channel);
    await Promise.all(bees.map(async (bee, n) => {
      for (const i of numbers(20)) await bee.publish(channel, 'x', [n, i]);
    }));
    const streams = await Promise.all(bees.map((bee) => events(bee, CLIENTS * 20)));
    for (const stream of streams) {
      inOrder(stream, 1);
      assert.deepEqual(stream.map((event) => event.data), streams[0].map((event) => event.data));
    }
    await Promise.all(bees.map((bee) => bee.close()));
  });

  story(`live events keep each publisher's order across threads, on ${cores} of the cores`, async () => {
    const channel = `live.${fresh('l')}`;
    const bees = await Promise.all(numbers(CLIENTS).map(() => hub.connect()));
    for (const bee of bees) await bee.subscribe(channel);
    for (const i of numbers(20)) {
      for (const [n, bee] of bees.entries()) bee.send({ type: 'publish', channel, event: 'x', data: [n, i] });
    }
    for (const stream of await Promise.all(bees.map((bee) => events(bee, CLIENTS * 20)))) {
      for (const n of bees.keys()) {
        assert.deepEqual(stream.filter(({ data }) => data[0] === n).map(({ data }) => data[1]), numbers(20));
      }
    }
    await Promise.all(bees.map((bee) => bee.close()));
  });
}

story('an agent that registers over another thread supersedes its older connection', async () => {
  const bees = await Promise.all(numbers(CLIENTS).map(() => hub.connect()));
  for (const bee of bees) await bee.call('agents.register', { agent_id: 'wanderer', agent_type: 'worker' });
  for (const bee of bees.slice(0, -1)) assert.equal((await bee.closed).code, 4010);
  await bees.at(-1).barrier();
  await bees.at(-1).close();
});

story('every tray comes home: threads are not starved after all that', async () => {
  await until(async () => /waggle_tray_starved_total 0\b/.test((await hub.get('/metrics')).text), { what: 'no starved thread' });
});

story('every turn of the loops is in the histogram of turns, and what they did adds up to them', async () => {
  const adds = async () => { // a page is written within a turn that is not over: one of them fits
    const { text } = await hub.get('/metrics');
    const of = (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
    const work = Object.fromEntries([...text.matchAll(/^waggle_loop_work_seconds_total\{work="(\w+)"\} (\S+)$/gm)].map(([, kind, s]) => [kind, Number(s)]));
    for (const kind of ['accept', 'read', 'deliver', 'send', 'close']) assert.ok(work[kind] > 0, kind);
    assert.ok(of('waggle_loop_turns_total') > 0 && of('waggle_loop_turn_seconds_count') >= of('waggle_loop_turns_total'));
    const all = Object.values(work).reduce((sum, s) => sum + s), turns = of('waggle_loop_turn_seconds_sum');
    return all > turns * 0.8 && all < turns * 1.2 + 0.05;
  };
  await until(adds, { what: 'work that adds up to the turns' });
});

story('what one thread has answered about apps, namespaces and tokens holds at once on all others', async () => {
  const hub = await startHub({ args: ['--threads', '4'] });
  const bees = await Promise.all(numbers(12).map(() => hub.connect()));
  for (const _ of numbers(30)) {
    const id = fresh('app');
    assert.equal((await hub.post('/api/v1/apps', { id })).status, 201);
    const lists = await Promise.all(bees.map((bee) => bee.call('apps.list', { limit: 1000 })));
    for (const { apps } of lists) assert.ok(apps.some((app) => app.id === id), `${id} is there`);

    const namespace = fresh('ns');
    assert.ok((await hub.put(`/api/v1/namespaces/${namespace}`, { delivery: 'live' })).status < 300);
    const published = await Promise.all(bees.map((bee) => bee.publish(`${namespace}.x`, 'e', 1)));
    assert.deepEqual(published.filter((answer) => answer.offset !== undefined), [], 'live, on every thread');

    const { token, jti } = await hub.mint({ sub: fresh('me'), role: 'viewer' });
    assert.equal((await hub.get('/agents', { token })).status, 200);
    assert.ok((await hub.post('/api/v1/auth/tokens/revoke', { jti })).status < 300);
    const asked = await Promise.all(numbers(12).map(() => hub.get('/agents', { token })));
    assert.deepEqual(asked.map((answer) => answer.status), Array(12).fill(401));
  }
  for (const bee of bees) await bee.close();
  await hub.stop();
});
