// The power goes: a log of every write, sync and telling of a hub's life is replayed up to each of
// them, with what was not synced lost, kept, or there in part, torn at sectors (fault_power.c).
//
// WAGGLE_SUBSETS says how many random parts are tried at each point (1; 20 with WAGGLE_LONG=1).

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startHub } from '../wire/lib/hub.mjs';
import { LONG, inOrder, numbers, story } from '../wire/lib/story.mjs';
import { Faults, readAll, run, seedOf, withFolder } from './lib.mjs';

const SUBSETS = process.env.WAGGLE_SUBSETS ?? (LONG ? '20' : '1');
const ROUNDS = LONG ? 60 : 6;
const CHANNELS = ['orders', 'orders.eu', 'swarm-log'];

/** A life from the first start on, with what makes a store work: blocks, trimming, a restart. */
async function live(folder, log) {
  const faults = new Faults(folder);
  const config = {
    store: { journal_records: 1024 },
    ...Object.fromEntries(['orders', 'swarm-log'].map((ns) => [`namespace ${ns}`, { history_events: 1_000_000, history_age: '24h' }])),
  };
  const hub = await startHub({ dir: folder, config, env: { ...faults.env, WAGGLE_FAULT_LOG: log } });
  let n = 0;
  for (const half of [0, 1]) {
    const bee = await hub.connect();
    const reader = await hub.connect();
    await reader.subscribe(...CHANNELS);
    for (const round of numbers(ROUNDS)) {
      await Promise.all(numbers(24).map((i) => {
        const id = `ack-${half}-${round}-${n++}`;
        const frame = { type: 'publish', id, key: id, channel: CHANNELS[i % 3], event: 'made', data: { id, pad: 'x'.repeat((i * 37) % 700) } };
        return bee.request(frame);
      }));
    }
    if (half === 0) {
      await hub.kill9();
      await hub.restart();
    }
  }
  await hub.kill9();
  await hub.stop();
  faults.close();
  return n;
}

story('everything told survives a power cut at any point', async (t) => {
  const seed = seedOf(t);
  await withFolder(async (folder) => {
    const log = join(folder, 'tap');
    const work = join(folder, 'work');
    mkdirSync(work);
    await live(folder, log);
    const keep = LONG ? 60 : 10;
    const { code, signal, stdout, stderr } = await run('fault_power', [log, work, seed, SUBSETS, String(keep)]);
    assert.equal(code, 0, `exit ${code ?? signal}\n${stderr}${stdout}`);
    t.diagnostic(stdout.trim().split('\n').at(-1));

    // Some of the images in the hub's own hands: it starts, and goes on.
    const kept = new Map();
    for (const [, dir, channel, last] of stdout.matchAll(/^kept (\S+) (\S+) (\d+)$/gm)) {
      if (!kept.has(dir)) kept.set(dir, []);
      if (channel !== '-') kept.get(dir).push([channel, Number(last)]);
    }
    let looked = 0;
    for (const [dir, channels] of kept) {
      const hub = await startHub({ dir });
      const bee = await hub.connect();
      for (const [channel, last] of channels) {
        const events = await readAll(bee, channel);
        inOrder(events, 1);
        assert.ok(events.length >= last, `${dir}: ${channel} has ${events.length} of ${last}`);
        looked += events.length;
      }
      assert.ok((await bee.publish('orders', 'after', 1)).offset > 0);
      await hub.kill9();
      await hub.stop();
    }
    t.diagnostic(`the hub started on ${kept.size} of the images, ${looked} events read`);
  });
}, { timeout: 3_600_000 });
