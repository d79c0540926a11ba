// The hub in a network namespace of its own, its clients in another, a veth between them: the
// kernel itself partitions, drops, resets and narrows the line. For root; run.sh starts it in the
// clients' namespace. After every fault clients resume with nothing missed and nothing doubled.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before } from 'node:test';
import { sleep, startHub, until } from '../wire/lib/hub.mjs';
import { LONG, fresh, story } from '../wire/lib/story.mjs';
import { Steadfast } from './lib/steadfast.mjs';

const HUB = '10.231.77.2', CLIENT = '10.231.77.1';
const ns = process.env.WAGGLE_HUB_NETNS; // made by run.sh, which has joined it to this one
const skip = ns ? false : 'no namespaces: run.sh says why';
const FAULT_MS = LONG ? 20_000 : 3_000;

const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
const inHub = (...words) => run('ip', 'netns', 'exec', ns, ...words);
const works = (...words) => {
  try {
    inHub(...words);
    return true;
  } catch (error) {
    console.log(`namespace: ${words.join(' ')}: ${error.stderr?.toString().trim() || error.message}`);
    return false;
  }
};
const says = (what, how) => console.log(`namespace: ${what}: ${how}`);

let hub, nft = false, tbf = false;
before(async () => {
  if (skip) return;
  nft = works('nft', 'add', 'table', 'inet', 'fault') &&
    works('nft', 'add', 'chain', 'inet', 'fault', 'in', '{ type filter hook input priority 0; }') &&
    works('nft', 'add', 'chain', 'inet', 'fault', 'out', '{ type filter hook output priority 0; }');
  tbf = works('tc', 'qdisc', 'add', 'dev', 'hub0', 'root', 'tbf', 'rate', '100mbit', 'burst', '64kb', 'latency', '50ms') &&
    works('tc', 'qdisc', 'del', 'dev', 'hub0', 'root');
  hub = await startHub({
    within: ['ip', 'netns', 'exec', ns],
    listen: `${HUB}:0`,
    config: { limits: { heartbeat: '500ms' }, agents: { heartbeat_timeout: '60s' } },
  });
});
after(() => hub?.stop());

/** While `fault` holds, and after it. */
async function under(t, what, begin, end) {
  const steady = new Steadfast(hub.ws, hub.adminKey, fresh('line')).start(t);
  await steady.more(20);
  const before = steady.acknowledged.length;
  let during;
  try {
    await begin();
    await sleep(FAULT_MS);
    during = steady.acknowledged.length - before;
  } finally {
    await end(); // or the next story would meet it too
  }
  await steady.more(20, 30_000);
  says(what, `${await steady.whole()}; ${during} of them during ${FAULT_MS} ms of it`);
  return during;
}

const rule = (chain, ...words) => inHub('nft', 'add', 'rule', 'inet', 'fault', chain, ...words);
const lift = () => inHub('nft', 'flush', 'table', 'inet', 'fault');
const needs = (what, has, t) => {
  if (!has) t.skip(`this kernel has no ${what}; line.test.mjs does the same by a proxy`);
  return has;
};

story('a partition: nothing passes, neither a packet nor a word about it', async (t) => {
  if (!needs('nft', nft, t)) return;
  const during = await under(t, 'partition', () => (rule('in', 'drop'), rule('out', 'drop')), lift);
  assert.ok(during <= 1, 'nothing is acknowledged over a line that is cut');
}, { skip, timeout: 120_000 });

story('one way only: the hub hears and is not heard', async (t) => {
  if (!needs('nft', nft, t)) return;
  await under(t, 'one way', () => rule('out', 'drop'), lift);
}, { skip, timeout: 120_000 });

story('the link itself goes down and comes back', async (t) => {
  await under(t, 'link down', () => inHub('ip', 'link', 'set', 'hub0', 'down'), () => inHub('ip', 'link', 'set', 'hub0', 'up'));
}, { skip, timeout: 120_000 });

for (const percent of [5, 20]) {
  story(`${percent} % of all packets are dropped at random`, async (t) => {
    if (!needs('nft', nft, t)) return;
    const dropped = ['numgen', 'random', 'mod', '100', '<', String(percent), 'drop'];
    const during = await under(t, `${percent} % dropped`, () => (rule('in', ...dropped), rule('out', ...dropped)), lift);
    assert.ok(percent > 5 || during > 0, 'a line that loses a little still carries');
  }, { skip, timeout: 120_000 });
}

story('every connection is reset, again and again', async (t) => {
  if (!needs('nft', nft, t)) return;
  const resets = async () => {
    for (let i = 0; i < 6; i++) {
      rule('in', 'meta', 'l4proto', 'tcp', 'reject', 'with', 'tcp', 'reset');
      await sleep(60);
      lift();
      await sleep(150);
    }
  };
  await under(t, 'resets', resets, lift);
}, { skip, timeout: 120_000 });

story('a narrow link: 256 kbit a second', async (t) => {
  if (!needs('tbf', tbf, t)) return;
  const narrow = () => inHub('tc', 'qdisc', 'add', 'dev', 'hub0', 'root', 'tbf', 'rate', '256kbit', 'burst', '4kb', 'latency', '200ms');
  await under(t, '256 kbit/s', narrow, () => inHub('tc', 'qdisc', 'del', 'dev', 'hub0', 'root'));
}, { skip, timeout: 120_000 });

story('half-open peers: clients whose machine is gone are found and let go', async (t) => {
  if (!needs('nft', nft, t)) return;
  const bees = [];
  for (let i = 0; i < 20; i++) bees.push(await hub.connect());
  t.after(lift);
  rule('in', 'ip', 'saddr', CLIENT, 'drop');
  const page = `fetch('${hub.url}/metrics').then((answer) => answer.text()).then(console.log)`;
  const open = () => Number(/^waggle_connections\{wire="native"\} (\d+)/m.exec(inHub(process.execPath, '-e', page))?.[1] ?? NaN);
  await until(() => open() === 0, { timeout: 20_000, every: 200, what: 'the hub to let half-open peers go' });
  says('half-open', '20 peers that fell silent were let go');
  for (const bee of bees) bee.terminate();
}, { skip, timeout: 60_000 });
