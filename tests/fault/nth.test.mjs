// The first, the second, the third … write or sync of the hub fails, until a life passes without a
// fault. Out of room: 507 and nothing changed, reads and /health go on. An input/output error: the
// hub says so and exits. After either, a start without faults finds everything that was
// acknowledged, in order, once, and nothing that was refused. Never a signal.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startHub, until } from '../wire/lib/hub.mjs';
import { LONG, inOrder, numbers, story } from '../wire/lib/story.mjs';
import { Faults, furnish, readAll, withFolder } from './lib.mjs';

const CHANNELS = ['orders', 'swarm-log'];
const PUBLISHES = LONG ? 24 : 5;

/** One life under a fault. Returns what was acknowledged and refused, and how it ended. */
async function life(folder, faults, n, error, stays) {
  const life = { acknowledged: new Map(), refused: new Set(), end: 'served', start: '' };
  faults.arm(n, error, { stays });
  let hub;
  try {
    hub = await startHub({ dir: folder, env: faults.env });
  } catch (failure) {
    assert.match(failure.message, /exit 1\)/, `${error} at ${n}: a start that fails exits 1`);
    assert.match(failure.message, /waggled: \S+.*\S|event=panic/, `${error} at ${n}: and says why`);
    return { ...life, end: 'not started', start: failure.message };
  }
  const exited = hub.exited();
  try {
    const bee = await hub.connect();
    for (const i of numbers(PUBLISHES)) {
      const [channel, id] = [CHANNELS[i % 2], `n-${n}-${i}`];
      try {
        const { offset } = await bee.request({ type: 'publish', id, key: id, channel, event: 'made', data: { id } });
        life.acknowledged.set(id, { channel, offset });
      } catch (failure) {
        if (failure.code !== 'store_full') throw failure;
        life.refused.add(id);
      }
    }
    const answer = await hub.post('/agents/register', {
      agent_id: `n-${n}`, agent_type: 'worker', endpoint: 'http://127.0.0.1:9000', capabilities: ['dig'],
    });
    assert.ok([200, 201, 507].includes(answer.status), `registering answered ${answer.status}`);
    assert.equal((await hub.get('/health')).status, 200);
    assert.equal((await hub.get('/agents')).status, 200);
    for (const channel of CHANNELS) inOrder(await readAll(bee, channel), 1);
    if (stays && life.refused.size > 0 && (LONG || n % 8 === 0)) { // it takes a second: some of them
      faults.clear(); // somebody made room
      await until(async () => (await hub.get('/ready')).status === 200, { timeout: 10_000, what: 'room' });
      const { offset } = await bee.request({ type: 'publish', channel: CHANNELS[0], event: 'made', data: { id: `room-${n}` } });
      life.acknowledged.set(`room-${n}`, { channel: CHANNELS[0], offset });
    }
    await hub.kill9(); // the end that asks nothing of the disk
    await hub.stop();
  } catch (failure) {
    faults.clear();
    hub.signal('SIGKILL'); // where it has ended by itself, this says nothing
    const { code, signal } = await exited;
    assert.equal(signal ?? 'exit', 'exit', `${error} at ${n}: ${failure.message}\n${hub.logs}`);
    assert.equal(code, 1, `${error} at ${n}: exit ${code}: ${failure.message}\n${hub.logs}`);
    assert.match(hub.logs, /event=panic detail="\S.*" action=exit/, `${error} at ${n} says why it ends`);
    await hub.stop().catch(() => {});
    life.end = 'exited';
  }
  return life;
}

async function audit(folder, lives, what) {
  const hub = await startHub({ dir: folder });
  const bee = await hub.connect();
  const found = new Map();
  for (const channel of CHANNELS) {
    const events = await readAll(bee, channel);
    inOrder(events, 1);
    for (const { data, offset } of events) {
      if (!data.id) continue;
      assert.ok(!found.has(data.id), `${what}: ${data.id} stands twice`);
      found.set(data.id, { channel, offset });
    }
  }
  for (const { acknowledged, refused } of lives) {
    for (const [id, place] of acknowledged) assert.deepEqual(found.get(id), place, `${what}: ${id} is where it was acknowledged`);
    for (const id of refused) assert.ok(!found.has(id), `${what}: ${id} was refused, and is there`);
  }
  await hub.kill9();
  await hub.stop();
  return found.size;
}

for (const [error, stays] of [['ENOSPC', true], ['EIO', false], ...(LONG ? [['ENOSPC', false]] : [])]) {
  const manner = error === 'EIO' ? 'fails' : stays ? 'finds the disk full until room is made' : 'finds the disk full once';
  story(`the n-th operation ${manner}: for every n, nothing acknowledged is lost`, async (t) => {
    await withFolder(async (folder) => {
      const sums = { lives: 0, faults: 0, ends: {}, acknowledged: 0, refused: 0 };
      const furnished = join(folder, 'furnished');
      mkdirSync(furnished);
      await furnish(furnished, { rounds: 3 });
      for (const first of [true, false]) {
        const home = join(folder, 'home');
        for (let n = 1, passed = false; !passed; n++) {
          assert.ok(n < 1000, 'a life passes without a fault in the end');
          rmSync(home, { recursive: true, force: true });
          if (first) mkdirSync(home);
          else cpSync(furnished, home, { recursive: true });
          const faults = new Faults(home);
          const one = await life(home, faults, n, error, stays);
          passed = faults.state().faults === 0;
          sums.lives++;
          sums.faults += faults.state().faults;
          sums.ends[one.end] = (sums.ends[one.end] ?? 0) + 1;
          sums.acknowledged += one.acknowledged.size;
          sums.refused += one.refused.size;
          faults.close();
          await audit(home, [one], `${error} at ${n}`);
        }
      }
      t.diagnostic(`${error}: ${sums.lives} lives, ${sums.faults} faults; ${JSON.stringify(sums.ends)}; ` +
        `${sums.acknowledged} acknowledged and found, ${sums.refused} refused and not there`);
    });
  }, { timeout: 900_000 });
}
