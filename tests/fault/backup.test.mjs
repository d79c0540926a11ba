// A backup is made while publishers write; it is verified, restored into a new folder and audited:
// everything up to the moment of the backup is there as it was, and the log has begun a new life.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runBinary, startHub, until } from '../wire/lib/hub.mjs';
import { inOrder, refused, story } from '../wire/lib/story.mjs';
import { furnish, readAll, withFolder } from './lib.mjs';

const CHANNELS = ['orders', 'orders.eu', 'swarm-log', 'long.tail'];

async function everything(hub) {
  const bee = await hub.connect();
  const events = new Map();
  for (const channel of CHANNELS) events.set(channel, await readAll(bee, channel));
  const agents = (await hub.get('/agents')).body;
  return { events, agents };
}

/** One agent, to whom the one task that waits for it is offered. */
async function keeper(hub) {
  const bee = await hub.connect();
  await bee.subscribe('agent.keeper');
  await bee.call('agents.register', { agent_id: 'keeper', agent_type: 'worker', capabilities: ['keeping'] });
  const { data: { task_id, lease_id } } = await bee.next((frame) => frame.event === 'task_offered');
  return { bee, lease: { task_id, lease_id } };
}

const ids = (answer) => answer.agents.map((agent) => agent.agent_id).sort();

story('a backup made while publishers write is restored as of its moment', async (t) => {
  await withFolder(async (folder) => {
    const home = join(folder, 'home');
    mkdirSync(home);
    await furnish(home, { rounds: 20 });
    const hub = await startHub({ dir: home });
    const bee = await hub.connect();
    await bee.call('tasks.submit', { task_data: {}, requirements: { capabilities: ['keeping'] } });
    const before = await everything(hub);

    let writing = true;
    let written = 0;
    const acknowledged = [];
    const publisher = (async () => {
      while (writing) {
        const n = written++;
        const { offset } = await bee.publish('orders', 'during', { n });
        acknowledged.push({ n, offset, at: Date.now() });
      }
    })();
    await until(() => acknowledged.length > 50, { what: 'writing' });
    const began = acknowledged.length; // all of these were answered before the backup was asked for
    const answer = await hub.post('/api/v1/admin/backups', { name: 'tuesday' });
    assert.equal(answer.status, 202);
    assert.equal(answer.body.state, 'running');
    const list = await until(async () => {
      const { body } = await hub.get('/api/v1/admin/backups');
      return !body.running && body;
    }, { timeout: 20_000, what: 'the backup' });
    assert.equal(list.backups[0].name, 'tuesday');
    assert.equal(list.backups[0].status, 'completed', list.backups[0].error);
    const during = acknowledged.length - began;
    writing = false;
    await publisher;
    assert.equal((await hub.post('/api/v1/admin/backups', { name: '../x' })).status, 422);
    const token = await hub.mint({ sub: 'anna', role: 'operator', expires_in: 60 });
    assert.equal((await hub.post('/api/v1/admin/backups', {}, { token: token.token })).status, 403);
    const [{ epoch }] = await bee.subscribe('orders');
    const after = await everything(hub);
    const given = await keeper(hub); // after the backup, which knows nothing of it

    const backup = join(home, 'data/backups/tuesday');
    assert.equal(statSync(join(backup, 'data.mdb')).mode & 0o077, 0, 'nobody else may read it');
    assert.equal(statSync(join(backup, 'keys/server.secret')).mode & 0o077, 0);
    const verified = await runBinary(['--verify', backup]);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match(verified.stderr, /is whole: \d+ channels, \d+ events/);
    await hub.kill9();
    await hub.stop();

    const copy = join(folder, 'copy');
    mkdirSync(copy);
    const restored = await runBinary(['--restore', backup, '--data', join(copy, 'data')]);
    assert.equal(restored.code, 0, restored.stderr);
    const again = await runBinary(['--restore', backup, '--data', join(copy, 'data')]);
    assert.equal(again.code, 1, 'a store is not overwritten');

    const second = await startHub({ dir: copy });
    const found = await everything(second);
    assert.deepEqual(ids(found.agents), ids(before.agents));
    let audited = 0;
    for (const channel of CHANNELS) {
      const [was, is] = [after.events.get(channel), found.events.get(channel)];
      inOrder(is, is[0]?.offset ?? 1);
      assert.ok(is.length >= before.events.get(channel).length, `${channel}: what was there before is there`);
      assert.deepEqual(is.map((event) => [event.offset, event.data]), was.slice(0, is.length).map((event) => [event.offset, event.data]));
      audited += is.length;
    }
    const orders = found.events.get('orders');
    const last = orders.at(-1).offset;
    assert.ok(acknowledged.slice(0, began).every(({ offset }) => offset <= last), 'what was answered before the backup is in it');
    // A position of the life before is not taken for one of this.
    const bee2 = await second.connect();
    const [position] = await bee2.subscribe({ channel: 'orders', since: { epoch, offset: last - 5 } });
    assert.notEqual(position.epoch, epoch);
    assert.equal(position.recovered, false);
    assert.equal((await bee2.publish('orders', 'after', 1)).offset, last + 1);
    // Nor is a lease that was given after the backup, though the same task is offered to the same agent.
    const held = await keeper(second);
    assert.equal(held.lease.task_id, given.lease.task_id);
    await refused(held.bee.call('tasks.accept', given.lease), 'lease_lost', 409);
    await held.bee.call('tasks.accept', held.lease);
    await refused(held.bee.call('tasks.complete', given.lease), 'lease_lost', 409);
    await held.bee.call('tasks.complete', held.lease);
    await second.kill9();
    await second.stop();

    // One altered byte, and it is no backup any more.
    const data = readFileSync(join(backup, 'data.mdb'));
    data[data.length >> 1] ^= 1;
    writeFileSync(join(backup, 'data.mdb'), data);
    rmSync(join(copy, 'data'), { recursive: true });
    const spoiled = await runBinary(['--restore', backup, '--data', join(copy, 'data')]);
    assert.equal(spoiled.code, 1);
    assert.match(spoiled.stderr, /data\.mdb: is not what manifest\.json says/);
    t.diagnostic(`${began} events before the backup, ${during} while it ran; ${audited} audited equal after the restore`);
  });
}, { timeout: 120_000 });
