// Start, load, stop: readers that stall, clients that are cut and come back, peers that say nothing,
// a publisher at full speed, agents at work, all at once and in the small. tests/load asks the
// release build how well it bears the large; this is for the builds with sanitizers, which judge what
// is done to memory and between threads while it happens, and at the end what was not given back.

import assert from 'node:assert/strict';
import { connect as tcp } from 'node:net';
import { dirname, join } from 'node:path';
import { binary, open, sleep, startHub, until } from './lib/hub.mjs';
import { fresh, inOrder, numbers, story } from './lib/story.mjs';
import { startWorker } from './lib/worker.mjs';

const asan = /asan/.test(process.env.WAGGLED ?? '');
const WITHIN = { timeout: 60_000 };

/** Publishes so many, some under way at once; returns how many were acknowledged. */
async function publishing(bee, channel, count, fill = '') {
  for (let i = 0; i < count; i += 50) {
    await Promise.all(numbers(Math.min(50, count - i), i).map((n) => bee.request({ type: 'publish', channel, event: 'x', data: { n, fill } }, WITHIN)));
  }
  return count;
}

/** Readers that stop reading, for good or for a while. */
async function stalled(hub) {
  const channel = fresh('stalled');
  const bees = await Promise.all(numbers(60).map(() => hub.connect()));
  for (const bee of bees) {
    await bee.subscribe(channel);
    bee.socket.pause();
  }
  const count = await publishing(await hub.connect(), channel, 400, 'x'.repeat(2_000));
  for (const bee of bees.slice(0, 20)) bee.socket.resume();
  for (const bee of bees.slice(0, 20)) inOrder(await bee.events(count, channel, WITHIN), 1);
  for (const bee of bees) bee.terminate();
}

/** All are cut at once and are back at once, where they were. */
async function returning(hub) {
  const channel = fresh('back');
  const publisher = await hub.connect();
  let bees = [], seen = 0;
  for (const round of numbers(3)) {
    for (const bee of bees) bee.terminate();
    bees = await Promise.all(numbers(80).map(() => hub.connect()));
    await Promise.all(bees.map((bee) => bee.request({ type: 'subscribe', channels: [{ channel, since: { offset: seen } }] }, WITHIN)));
    const more = await publishing(publisher, channel, 20);
    for (const bee of bees) inOrder(await bee.events(more + (round ? 20 : 0), channel, WITHIN), seen + 1);
    seen += more + (round ? 20 : 0);
    await publishing(publisher, channel, 20); // what is missed by those who are cut now
  }
  for (const bee of bees) bee.terminate();
}

/** Peers that say nothing, or a byte at a time, until their deadline. */
async function silent(hub) {
  const { hostname, port } = new URL(hub.url);
  const ended = numbers(150).map((n) => new Promise((done) => {
    const socket = tcp(Number(port), hostname);
    const drip = n % 2 ? setInterval(() => socket.write('G'), 300) : null;
    socket.on('error', () => {});
    socket.on('close', () => done(clearInterval(drip)));
    socket.resume();
  }));
  await Promise.all(ended);
}

/** As fast as it goes, live and durable, into many. */
async function firehose(hub) {
  const channels = [fresh('hose'), `live.${fresh('hose')}`];
  const bees = await Promise.all(numbers(40).map(() => hub.connect()));
  await Promise.all(bees.map((bee) => bee.subscribe(...channels)));
  const publisher = await hub.connect();
  const [count] = await Promise.all(channels.map((channel) => publishing(publisher, channel, 1_000)));
  for (const bee of bees) inOrder(await bee.events(count, channels[0], WITHIN), 1);
  for (const bee of bees) bee.terminate();
}

/** Agents that register, beat, do tasks, and leave without a word. */
async function working(hub) {
  const workers = await Promise.all(numbers(20).map((n) => startWorker(hub, `worker-${n}`, { make: (data) => data })));
  const admin = await hub.connect();
  await Promise.all(numbers(200).map((n) => admin.request({ type: 'call', method: 'tasks.submit', params: { task_type: 'count', task_data: { n } } }, WITHIN)));
  const done = () => workers.reduce((sum, worker) => sum + worker.done.length, 0) === 200;
  await until(() => done() || !open.has(hub), { timeout: 60_000, what: 'all tasks to be done' });
  for (const worker of workers) worker.vanish();
}

const crowds = [stalled, returning, silent, firehose, working];
// The deadline for a head is the hub's own: hundreds that come at once from one busy process need some of it.
const crowdedHub = () => startHub({ config: { rates: { address_per_minute: 0 } } });

story('under all of it at once every promise is kept, and the end finds nothing that was not given back', async () => {
  const hub = await crowdedHub();
  await Promise.all(crowds.map((crowd) => crowd(hub)));
  assert.equal((await hub.post('/api/v1/admin/backups', { name: 'crowded' })).status, 202);
  hub.signal('SIGHUP');
  await until(async () => /^waggle_connections\{wire="native"\} \d$/m.test((await hub.get('/metrics')).text), { timeout: 20_000, what: 'the crowds to be gone' });
  await hub.stop();
}, { timeout: 180_000 });

story('stopped in the midst of it, it ends as it should and leaves nothing', async () => {
  const hub = await crowdedHub();
  const cut = crowds.map((crowd) => crowd(hub).then(() => 'done', () => 'cut'));
  await sleep(1_500);
  assert.equal((await hub.terminate()).code, 0, hub.logs);
  await hub.stop();
  await Promise.all(cut); // each was done or was told
}, { timeout: 180_000 });

story('a start that fails, at any of its steps, leaves nothing', async () => {
  for (const args of [['--listen', '127.0.0.1:1:1'], ['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], ['--trust-jwks', '/nowhere'], ['--user', 'nobody-of-this-name']]) {
    await assert.rejects(startHub({ args }), (error) => {
      assert.doesNotMatch(error.message, /Sanitizer/, `${args}`);
      return /ended before it was ready \(exit [12]\)/.test(error.message);
    }, `${args}`);
  }
});

story('what is not given back would be seen: a leak that is planted ends the hub with its report', async () => {
  const hub = await startHub({
    env: { LD_PRELOAD: join(dirname(binary), 'tests/libleak_preload.so'), ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` },
  });
  hub.signal('SIGUSR1');
  await until(() => /^leaked$/m.test(hub.logs), { what: 'the leak' });
  assert.notEqual((await hub.terminate()).code, 0);
  assert.match(hub.logs, /LeakSanitizer: detected memory leaks[^]*4242 byte/);
  await hub.stop();
}, { skip: asan ? false : 'for the build with AddressSanitizer' });
