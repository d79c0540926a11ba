// No room: on a real file system that is full, past the quota, at the end of the map. Ordinary writes
// are refused with 507 and change nothing, reads and /health go on, /ready says no; a start finds the
// store as it was; and with room the hub goes on by itself.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, startHub, until } from '../wire/lib/hub.mjs';
import { inOrder, numbers, story } from '../wire/lib/story.mjs';
import { readAll, withFolder } from './lib.mjs';

const MAX = 20_000;

/** Publishes until it is refused. Returns the ids that were acknowledged, by offset. */
async function fill(bee, bytes) {
  const acknowledged = new Map();
  for (let n = 0; n < MAX; n += 20) {
    const answers = await Promise.allSettled(numbers(20, n).map(async (i) => {
      const { offset } = await bee.publish('orders', 'made', { i, pad: 'x'.repeat(bytes) });
      acknowledged.set(offset, i);
    }));
    const refusals = answers.filter((answer) => answer.status === 'rejected');
    for (const { reason } of refusals) assert.equal(reason.code, 'store_full', reason.message);
    if (refusals.length > 0) return acknowledged;
  }
  assert.fail(`${MAX} events of ${bytes} bytes found room`);
}

async function audit(hub, acknowledged, what) {
  const bee = await hub.connect();
  const events = await readAll(bee, 'orders');
  inOrder(events, 1);
  assert.equal(events.filter((event) => 'i' in event.data).length, acknowledged.size, `${what}: as many as were acknowledged`);
  for (const event of events) if ('i' in event.data) assert.equal(event.data.i, acknowledged.get(event.offset), `${what}: ${event.offset}`);
  await bee.close();
}

async function refuses(hub) {
  assert.equal((await hub.get('/health')).body.store, 'full');
  assert.equal((await hub.get('/ready')).status, 503);
  assert.equal((await hub.get('/agents')).status, 200);
  const answer = await hub.post('/api/v1/events', { events: [{ channel: 'orders', name: 'more', data: 1 }] });
  if (answer.status !== 507) assert.equal(answer.body?.results?.[0]?.error?.status ?? answer.body?.errors?.[0]?.status ?? 507, 507, answer.text);
  const agent = { agent_id: 'late', agent_type: 'worker', endpoint: 'http://127.0.0.1:9000', capabilities: ['dig'] };
  assert.equal((await hub.post('/agents/register', agent)).status, 507);
  assert.equal((await hub.get('/agents/late')).status, 404, 'nothing was changed');
}

const ready = (hub) => until(async () => (await hub.get('/ready')).status === 200, { timeout: 30_000, every: 200, what: 'room' });
const keep = { 'namespace orders': { history_events: 10_000_000, history_age: '24h' } };

story('a full file system: refused with 507, reads go on, and room is noticed', async (t) => {
  if (process.getuid() !== 0) return t.skip('needs root, to mount a small tmpfs');
  await withFolder(async (folder) => {
    const home = join(folder, 'home');
    mkdirSync(home);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', home], { stdio: 'pipe' });
    } catch (error) {
      return t.skip(`a tmpfs cannot be mounted here: ${error.stderr}`);
    }
    try {
      writeFileSync(join(home, 'ballast'), Buffer.alloc(24 << 20));
      const hub = await startHub({ dir: home, config: keep });
      const acknowledged = await fill(await hub.connect(), 2000);
      await refuses(hub);
      await audit(hub, acknowledged, 'while full');
      await hub.kill9();
      await hub.restart();
      await audit(hub, acknowledged, 'started while full');
      rmSync(join(home, 'ballast'));
      await ready(hub);
      const bee = await hub.connect();
      assert.equal((await bee.publish('orders', 'after', { room: true })).offset, acknowledged.size + 1);
      await audit(hub, acknowledged, 'with room');
      await hub.kill9();
      await hub.stop();
      t.diagnostic(`${acknowledged.size} acknowledged before the disk was full, all there`);
    } finally {
      execFileSync('umount', ['-l', home]);
    }
  });
}, { timeout: 120_000 });

for (const [what, store] of [['the quota', { quota_bytes: '4MiB' }], ['the end of the map', { map_bytes: '4MiB' }]]) {
  story(`${what}: refused with 507, reads go on, and room is noticed`, async (t) => {
    await withFolder(async (folder) => {
      const config = { store: { ...store, journal_records: 1024, key_window: '1s' }, ...keep };
      const hub = await startHub({ dir: folder, config });
      const acknowledged = await fill(await hub.connect(), 1000);
      await refuses(hub);
      assert.equal(hub.logs.match(/level=warn event=writer detail="the store is full/g)?.length, 1, 'said once, not at each refusal');
      await audit(hub, acknowledged, 'while full');
      await hub.kill9();
      await hub.restart();
      await audit(hub, acknowledged, 'started while full');
      await sleep(1000);
      // Room is made by keeping less: the hub trims while it is full.
      hub.writeConfig({ ...config, 'namespace orders': { history_events: 100, history_age: '24h' } });
      hub.signal('SIGHUP');
      await ready(hub);
      const bee = await hub.connect();
      assert.equal((await bee.publish('orders', 'after', { room: true })).offset, acknowledged.size + 1);
      const events = await readAll(bee, 'orders');
      assert.ok(events.length >= 100 && events.length < acknowledged.size);
      inOrder(events, events[0].offset);
      await hub.kill9();
      await hub.stop();
      t.diagnostic(`${acknowledged.size} acknowledged up to ${what}, all there; ${events.length} kept afterwards`);
    });
  }, { timeout: 120_000 });
}
