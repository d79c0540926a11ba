// What a hub has signed, checked with no hub at hand: `waggle verify` on certificates and on the audit trail of a
// data directory, before and after somebody changed it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program } from './lib/cli.mjs';
import { startHub, until } from './lib/hub.mjs';
import { numbers, story } from './lib/story.mjs';

/** Without a hub, a context or a credential: the network is not asked. */
function verify(...args) {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', WAGGLE_URL: 'http://127.0.0.1:1' };
  const { status, stdout, stderr } = spawnSync(program, ['verify', '-o', 'json', ...args], { env, encoding: 'utf8' });
  return { status, stderr, body: stdout ? JSON.parse(stdout) : null };
}

async function decidedRound(hub) {
  const ids = numbers(4).map((i) => `seat-${i}`);
  const { body } = await hub.post('/api/v1/consensus', { question: 'Go?', electorate: ids });
  for (const voter of ids) await hub.post(`/api/v1/consensus/${body.round_id}/votes`, { voter, choice: 'yes' });
  return (await hub.get(`/api/v1/consensus/${body.round_id}/certificate`)).text;
}

story('a certificate is valid under the keys of its hub, and under no others', async () => {
  assert.ok(existsSync(program), `${program} is not there`);
  const hub = await startHub();
  const other = await startHub();
  const text = await decidedRound(hub);
  const file = join(hub.dir, 'certificate.json');
  const jwks = join(hub.dir, 'keys.json');
  const others = join(hub.dir, 'others.json');
  writeFileSync(file, text);
  writeFileSync(jwks, (await hub.get('/.well-known/jwks.json')).text);
  writeFileSync(others, (await other.get('/.well-known/jwks.json')).text);
  await other.stop();

  const good = verify(file, '--jwks', jwks);
  assert.equal(good.status, 0, good.stderr);
  assert.equal(good.body.verdict, 'valid');
  assert.equal(good.body.outcome.winner, 'yes');
  assert.equal(verify(file, '--kid', JSON.parse(text).kid).status, 0);
  assert.equal(verify(file, '--kid', 'A'.repeat(43)).status, 5);
  assert.equal(verify(file, '--jwks', others).status, 5);
  const alone = verify(file); // nobody there to ask for keys
  assert.equal(alone.status, 7);
  assert.match(alone.stderr, /with --jwks or --kid nobody is/);

  for (const [from, to] of [['"Go?"', '"No?"'], ['"yes"', '"no"'], ['seat-2', 'seat-9'], ['"decided"', '"tied"']]) {
    writeFileSync(file, text.replace(from, to));
    const bad = verify(file, '--jwks', jwks);
    assert.equal(bad.status, 5);
    assert.match(bad.stderr, /not valid/);
  }
  await hub.stop();
});

story('the audit trail of a stopped hub verifies, and names what was altered in it', async () => {
  const hub = await startHub({ config: { audit: { seal_interval_ms: 200 } } });
  for (const i of numbers(30)) await hub.post('/agents/register', { agent_id: `bee-${i}`, agent_type: 'worker', tags: ['mark'] });
  const jwks = join(hub.dir, 'keys.json');
  writeFileSync(jwks, (await hub.get('/.well-known/jwks.json')).text);
  await until(() => {
    const live = verify('--log', hub.data, '--jwks', jwks); // beside the running hub
    assert.ok(live.status === 0, live.stderr);
    return live.body.events >= 60;
  }, { what: 'the seals', every: 100 });
  await hub.kill9();
  const found = verify('--log', hub.data, '--jwks', jwks);
  assert.equal(found.status, 0, found.stderr);
  assert.equal(found.body.verdict, 'unaltered');
  assert.equal(found.body.events, 60);
  assert.equal(verify('--log', join(hub.data, 'data.mdb'), '--jwks', jwks).status, 0);

  // A byte of a stored event; the store's own checksum does not fit either, and that is said too. The
  // file also has pages that are not in use any more, and in them nothing is altered that anybody reads.
  const copy = join(hub.dir, 'copy');
  cpSync(hub.data, copy, { recursive: true });
  const file = join(copy, 'data.mdb');
  const stored = readFileSync(file);
  let named = 0;
  for (let at = stored.indexOf('"agent_id":"bee-7"'); at >= 0; at = stored.indexOf('"agent_id":"bee-7"', at + 1)) {
    const bytes = Buffer.from(stored);
    bytes[at + 13] ^= 1;
    writeFileSync(file, bytes);
    const altered = verify('--log', copy, '--jwks', jwks);
    if (altered.status === 0) {
      assert.equal(altered.body.events, 60);
      continue;
    }
    named++;
    assert.equal(altered.status, 5);
    assert.match(altered.body.first_fault.channel, /^agent(s|\.bee-7)$/);
    assert.match(altered.stderr, /damaged|altered/);
  }
  assert.equal(named, 2, 'the event of each of its two channels');

  await hub.restart();
  assert.equal((await hub.get('/agents')).body.count, 30);
  await hub.stop();
});
