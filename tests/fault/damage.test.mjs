// A data file with altered bits, with pages or sectors zeroed, exchanged, full of noise, or cut
// short: the store names what is damaged, gives everything else as it was, and never ends by a signal.
//
// WAGGLE_ROUNDS says how many images (1,000; 5,000 and the sanitizer build with WAGGLE_LONG=1).

import assert from 'node:assert/strict';
import { copyFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runBinary, startHub } from '../wire/lib/hub.mjs';
import { LONG, numbers, story } from '../wire/lib/story.mjs';
import { furnish, programs, readAll, run, seedOf, withFolder } from './lib.mjs';

const ROUNDS = process.env.WAGGLE_ROUNDS ?? (LONG ? '5000' : '1000');
const CHANNELS = ['orders', 'orders.eu', 'swarm-log', 'long.tail'];

story(`${ROUNDS} damaged images: nothing damaged is served, nothing ends by a signal`, async (t) => {
  const seed = seedOf(t);
  await withFolder(async (folder) => {
    await furnish(folder);
    const judges = [programs, LONG && join(programs, '../../asan/tests')].filter(Boolean);
    for (const where of judges) {
      if (!existsSync(join(where, 'fault_damage'))) continue;
      const args = [join(folder, 'data/data.mdb'), join(folder, 'work'), seed, ROUNDS];
      const { code, signal, stdout, stderr } = await run('fault_damage', args, { where });
      assert.equal(code, 0, `exit ${code ?? signal}\n${stderr}${stdout}`);
      t.diagnostic(stdout.trim());
    }
  });
}, { timeout: 3_600_000 });

story('the hub itself serves a damaged file rightly, or says which page it is', async (t) => {
  const images = LONG ? 200 : 24;
  let state = Number(seedOf(t));
  const below = (n) => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 4) % n;
  await withFolder(async (folder) => {
    await furnish(folder, { rounds: 25 });
    const whole = readFileSync(join(folder, 'data/data.mdb'));
    const before = new Map();
    const sound = await startHub({ dir: folder });
    const reader = await sound.connect();
    for (const channel of CHANNELS) {
      for (const event of await readAll(reader, channel)) before.set(`${channel} ${event.offset}`, JSON.stringify(event.data));
    }
    await sound.stop();
    const keys = join(folder, 'keys');
    cpSync(join(folder, 'data/keys'), keys, { recursive: true });

    const seen = { refused: 0, served: 0, events: 0 };
    for (const round of numbers(images)) {
      const image = Buffer.from(whole);
      const page = below(image.length / 4096) * 4096;
      if (round % 4 === 3) image.fill(0, page, page + 4096);
      else image[page + below(round % 2 ? 4096 : 120)] ^= 1 << below(8);
      rmSync(join(folder, 'data'), { recursive: true });
      cpSync(keys, join(folder, 'data/keys'), { recursive: true });
      writeFileSync(join(folder, 'data/data.mdb'), image);
      const said = await runBinary(['--verify', join(folder, 'data')]);
      assert.equal(said.signal, null, `round ${round}: --verify ended by ${said.signal}`);

      let hub;
      try {
        hub = await startHub({ dir: folder });
      } catch (error) {
        assert.match(error.message, /before it was ready \(exit 1\)/, `round ${round}`);
        assert.match(error.message, /data\.mdb/, `round ${round} names the file`);
        assert.notEqual(said.code, 0, `round ${round}: --verify found it whole`);
        seen.refused++;
        continue;
      }
      assert.equal((await hub.get('/health')).status, 200);
      const bee = await hub.connect();
      for (const channel of CHANNELS) {
        const events = await readAll(bee, channel).catch((error) => {
          assert.equal(error.code, 'store_damaged', `round ${round}: ${error.message}`);
          return [];
        });
        for (const event of events) {
          assert.equal(JSON.stringify(event.data), before.get(`${channel} ${event.offset}`), `round ${round}: ${channel} ${event.offset}`);
          seen.events++;
        }
      }
      seen.served++;
      await hub.kill9();
      await hub.stop();
    }
    t.diagnostic(`${images} images: ${seen.refused} refused by name, ${seen.served} served, ${seen.events} events as they were`);
  });
}, { timeout: 1_200_000 });
