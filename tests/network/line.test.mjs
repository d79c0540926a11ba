// Bad lines, made by a proxy of our own: a byte at a time, narrow, cut, silent. They need no root.
// After every fault clients resume with nothing missed and nothing doubled.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub, until } from '../wire/lib/hub.mjs';
import { LONG, fresh, story } from '../wire/lib/story.mjs';
import { badLine } from './lib/proxy.mjs';
import { Steadfast } from './lib/steadfast.mjs';

let hub;
before(async () => {
  hub = await startHub({ config: { limits: { heartbeat: '500ms', head: '2s' } } });
});
after(() => hub?.stop());

const port = () => Number(new URL(hub.url).port);
/** A bad line to the hub, for as long as the story lasts. */
const lineFor = async (t, manner) => {
  const line = await badLine(port(), manner);
  t.after(() => line.close());
  return line;
};
// So many events need their time, a byte or 20 kB a second at a time.
const MORE_MS = LONG ? 600_000 : 20_000, timeout = LONG ? 900_000 : 60_000;
const says = (what, how) => console.log(`line: ${what}: ${how}`);

story('a byte at a time is as good as all at once', async (t) => {
  const line = await lineFor(t, { bytes: 1 });
  const answer = await fetch(`${line.http}/api/v1/channels/bytes/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${hub.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'x', data: 'ü'.repeat(50) }),
  });
  assert.equal(answer.status, 201, await answer.text());
  const steady = new Steadfast(line.url, hub.adminKey, fresh('bytes')).start(t);
  await steady.more(LONG ? 2000 : 150, MORE_MS);
  says('a byte at a time', await steady.whole());
  assert.equal(steady.connections, 1, 'nobody had to come again');
}, { timeout });

story('a narrow line is slow, and loses nothing', async (t) => {
  const line = await lineFor(t, { bytes: 500, rate: 20_000 });
  const steady = new Steadfast(line.url, hub.adminKey, fresh('narrow')).start(t);
  await steady.more(LONG ? 1000 : 60, MORE_MS);
  says('20 kB a second', await steady.whole());
}, { timeout });

story('connections reset at any moment resume', async (t) => {
  const seed = Number(process.env.WAGGLE_SEED ?? Math.floor(Math.random() * 2 ** 31)) | 1;
  let state = seed; // xorshift
  const random = (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  const line = await lineFor(t);
  const steady = new Steadfast(line.url, hub.adminKey, fresh('reset')).start(t);
  const resets = LONG ? 300 : 30;
  for (let i = 0; i < resets; i++) {
    await sleep(random(250));
    line.manner.refuse = random(4) === 0;
    line.reset();
  }
  line.manner.refuse = false;
  await steady.more(20);
  says(`${resets} resets, seed ${seed}`, await steady.whole());
  assert.ok(steady.connections > resets / 5, 'they came again and again');
}, { timeout });

story('a peer that is gone without a word is found by its silence, and what it held is let go', async (t) => {
  const line = await lineFor(t);
  const steady = new Steadfast(line.url, hub.adminKey, fresh('gone')).start(t);
  await steady.more(10);
  const open = async () => Number(/^waggle_connections\{wire="native"\} (\d+)/m.exec((await hub.get('/metrics')).text)?.[1] ?? NaN);
  assert.ok((await open()) >= 2, 'publisher and subscriber are connected');
  const held = [];
  for (let i = 0; i < 20; i++) held.push(await hub.connect({ url: line.url }));
  line.manner.swallow = true;
  await until(async () => (await open()) === 0, { timeout: 15_000, what: 'the hub to let silent peers go' });
  line.manner.swallow = false;
  line.reset();
  await steady.more(20);
  says('22 half-open peers', await steady.whole());
  for (const bee of held) bee.terminate();
});
