// Rounds of voting from the command line.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { Cli } from './lib/cli.mjs';
import { story } from './lib/story.mjs';

let hub;
let cli;

before(async () => {
  hub = await startHub();
  cli = new Cli(hub);
});
after(() => hub.stop());

story('a round is opened, voted in, followed to its close and certified', async () => {
  const round = await cli.ask("consensus open 'Ship version 2?' --electorate a,b,c --for 5m --reference v2");
  const run = cli.start(['consensus', 'watch', round.round_id, '--within', '30', '-o', 'ndjson']);
  await until(() => run.lines.length > 0, { what: 'the first event' });
  assert.equal((await cli.ask(`consensus vote ${round.round_id} yes --voter a --confidence 0.9`)).ballot, 'taken');
  assert.equal((await cli.run(`consensus vote ${round.round_id} no --voter a`)).code, 4, 'one ballot a voter');
  assert.equal((await cli.run(`consensus vote ${round.round_id} yes --voter stranger`)).code, 5);
  await cli.ask(`consensus vote ${round.round_id} yes --voter b`);
  await cli.ask(`consensus vote ${round.round_id} no --voter c`);
  const end = await run.end;
  assert.equal(end.code, 0, end.err);
  const closed = JSON.parse(end.lines.at(-1));
  assert.equal(closed.status, 'decided');
  assert.equal(closed.winner, 'yes');
  assert.ok((await cli.run('consensus ls --status decided -o id')).lines.includes(round.round_id));
  assert.ok((await cli.ask(`consensus certificate ${round.round_id}`)).signature);
  assert.ok((await cli.ask(`trace ${round.round_id}`)).length >= 4);
});

story('a cancelled round ends its followers with 1, and has no certificate', async () => {
  const { round_id } = await cli.ask('consensus open Which? --electorate a,b --option red,blue --rule plurality');
  const run = cli.start(['consensus', 'watch', round_id]);
  await until(() => run.out !== '', { what: 'the first event' });
  assert.equal((await cli.ask(`consensus show ${round_id}`)).status, 'open');
  assert.equal((await cli.run(`consensus cancel ${round_id} --yes`)).code, 0);
  assert.equal((await run.end).code, 1);
  assert.notEqual((await cli.run(`consensus show no-such-round`)).code, 0);
});

story('ballots are committed to first and shown later, each with the nonce that its file kept', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-votes-'));
  const file = (voter) => join(dir, voter);
  const { token } = await hub.mint({ sub: 'c', role: 'agent' });
  const itself = new Cli(hub, { key: null, env: { WAGGLE_TOKEN: token } });
  const open = await cli.ask('consensus open Which? --electorate a,b,c --option red,green,blue --rule approval --commit-for 4m --for 5m');
  const { round_id, reveal_at } = await cli.ask(`consensus show ${open.round_id}`);
  assert.ok(reveal_at > open.opened_at && reveal_at < open.deadline);
  assert.match((await cli.run('consensus ls -o wide')).out, new RegExp(`${round_id} .*commit.*${reveal_at.slice(0, 19)}`));
  const commit = (more, by = cli) => by.ask(`consensus commit ${round_id} ${more}`);

  assert.equal((await commit(`--approve blue,red --voter a --confidence 0.25 --nonce-file ${file('a')}`)).commitment, 'taken');
  assert.equal(statSync(file('a')).mode & 0o777, 0o600);
  assert.match(readFileSync(file('a'), 'utf8'), /^[0-9a-f]{64}\n$/);
  assert.equal((await commit(`--approve red,blue --voter a --confidence 0.25 --nonce-file ${file('a')}`)).commitment, 'unchanged');
  assert.equal((await cli.run(`consensus commit ${round_id} green --voter a --nonce-file ${file('a')}`)).code, 4);
  assert.equal((await cli.run(`consensus commit ${round_id} yellow --voter b --nonce-file ${file('b')}`)).code, 2);
  assert.equal((await cli.run(`consensus vote ${round_id} red --voter a --nonce-file ${file('a')}`)).code, 4, 'not yet');
  await commit(`--abstain --voter b --nonce-file ${file('b')}`);
  await commit(`blue --nonce-file ${file('c')}`, itself); // its own name is what the hub says
  assert.equal((await cli.ask(`consensus show ${round_id}`)).phase, 'reveal', 'all have committed');

  assert.notEqual((await cli.run(`consensus vote ${round_id} red --voter a --nonce-file ${file('a')}`)).code, 0, 'another ballot');
  await cli.ask(`consensus vote ${round_id} --approve red,blue --voter a --confidence 0.25 --nonce-file ${file('a')}`);
  await cli.ask(`consensus vote ${round_id} --abstain --voter b --nonce ${readFileSync(file('b'), 'utf8').trim()}`);
  await itself.ask(`consensus vote ${round_id} blue --nonce-file ${file('c')}`);
  const { phase, winner } = await cli.ask(`consensus show ${round_id}`);
  assert.deepEqual([phase, winner], ['closed', 'blue']);
  rmSync(dir, { recursive: true, force: true });
});

story('bench measures rounds', async () => {
  for (const load of ['consensus']) {
    const end = await cli.ask(`bench ${load} --for 300ms --connections 3 --outstanding 4`);
    assert.ok(end.count > 0 && end.refused === 0, JSON.stringify(end));
    const { p50, p99, max } = end.latency_ms;
    assert.ok(p50 > 0 && p50 <= p99 && p99 <= max, JSON.stringify(end));
  }
});

story('agents vote by themselves, with ballots that their own keys sign', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-votes-'));
  const early = await cli.ask("consensus open 'Who was here first?' --electorate ant-1,ant-2 --option yes --for 5m");
  const { token } = await hub.mint({ sub: 'ant-1', role: 'agent' });
  const itself = new Cli(hub, { key: null, env: { WAGGLE_TOKEN: token } }); // with no more rights than an agent has
  const agent = (id, how) => (id === 'ant-1' ? itself : cli).start(['agent', 'run', '--id', id, '--signing-key', join(dir, id), '--vote', how]);
  const agents = [agent('ant-1', 'first'), agent('ant-2', 'random'), agent('ant-3', 'grep -q Which && echo blue')];
  try {
    await until(() => agents.every(({ err }) => /beating/.test(err)), { what: 'the first beats', timeout: 15_000 });
    const before = (await cli.run(`consensus watch ${early.round_id} --within 30 -o ndjson`)).lines.at(-1);
    assert.equal(JSON.parse(before).status, 'decided', 'a round that was open before is voted in');
    assert.ok(JSON.parse(before).ballots.every(({ signature }) => !signature), 'and not signed for: it froze no keys');

    const end = await cli.run("consensus open 'Which?' --electorate ant-1,ant-2,ant-3 --option red,blue --rule plurality --signed --follow --within 30 -o ndjson");
    assert.equal(end.code, 0, end.err);
    const { round_id, ballots } = JSON.parse(end.lines.at(-1));
    assert.equal(ballots.find(({ voter }) => voter === 'ant-1').choice, 'red');
    assert.equal(ballots.find(({ voter }) => voter === 'ant-3').choice, 'blue');
    const paper = join(dir, 'certificate.json');
    writeFileSync(paper, (await cli.run(`consensus certificate ${round_id} -o json`)).out);
    const { verdict, signed_ballots } = await cli.ask(`verify ${paper}`);
    assert.deepEqual([verdict, signed_ballots], ['valid', 3]);
  } finally {
    for (const { child } of agents) child.kill('SIGTERM');
    await Promise.all(agents.map(({ end }) => end));
    rmSync(dir, { recursive: true, force: true });
  }
});

story('agents show what they committed to when the round reveals; who started again meanwhile cannot, and is named', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-votes-'));
  const agent = (id) => cli.start(['agent', 'run', '--id', id, '--signing-key', join(dir, id), '--vote', 'first']);
  const agents = ['moth-1', 'moth-2', 'moth-3'].map(agent);
  try {
    await until(() => agents.every(({ err }) => /beating/.test(err)), { what: 'the first beats', timeout: 15_000 });
    const open = 'consensus open Where? --option left,right --rule plurality';
    const { round_id } = await cli.ask(`${open} --electorate moth-1,moth-2,moth-3,clara --commit-for 16s --for 20s`);
    const end = cli.run(`consensus watch ${round_id} --within 60 -o ndjson`);
    await until(async () => (await cli.ask(`consensus show ${round_id}`)).committed === 3, { what: 'three commitments', timeout: 15_000 });
    const killed = agents.pop();
    killed.child.kill('SIGKILL');
    await killed.end;
    agents.push(agent('moth-3'));
    const other = await cli.run(`${open} --electorate moth-1,moth-2 --follow --within 30 -o ndjson`);
    assert.equal(JSON.parse(other.lines.at(-1)).winner, 'left', 'others are voted in meanwhile');
    await until(() => /its ballot cannot be shown/.test(agents[2].err), { what: 'an agent that says what it lacks', timeout: 15_000 });
    await cli.ask(`consensus commit ${round_id} right --voter clara --nonce-file ${join(dir, 'clara')}`); // all have: it reveals
    await cli.ask(`consensus vote ${round_id} right --voter clara --nonce-file ${join(dir, 'clara')}`);

    const { status, winner, outcome, ballots } = JSON.parse((await end).lines.at(-1));
    assert.deepEqual([status, winner, outcome.unrevealed], ['decided', 'left', ['moth-3']]);
    assert.deepEqual(ballots.map(({ voter, choice }) => [voter, choice]), [['moth-1', 'left'], ['moth-2', 'left'], ['clara', 'right']]);
    const paper = join(dir, 'certificate.json');
    writeFileSync(paper, (await cli.run(`consensus certificate ${round_id} -o json`)).out);
    const said = await cli.ask(`verify ${paper}`);
    assert.deepEqual([said.verdict, said.signed_ballots, said.outcome.unrevealed], ['valid', 2, ['moth-3']]);
  } finally {
    for (const { child } of agents) child.kill('SIGTERM');
    await Promise.all(agents.map(({ end }) => end));
    rmSync(dir, { recursive: true, force: true });
  }
}, { timeout: 120_000 });

story('a command that fails, or prints no option, is no ballot', async () => {
  const agents = [['wasp-1', 'exit 3'], ['wasp-2', 'echo perhaps']].map(([id, how]) => cli.start(['agent', 'run', '--id', id, '--vote', how]));
  const { round_id } = await cli.ask('consensus open Which? --electorate wasp-1,wasp-2');
  await until(() => /no ballot: the command failed/.test(agents[0].err) && /is no ballot: perhaps/.test(agents[1].err), { what: 'two that do not vote', timeout: 15_000 });
  assert.equal((await cli.ask(`consensus show ${round_id}`)).voted, 0);
  for (const { child } of agents) child.kill('SIGTERM');
  for (const { end } of agents) assert.equal((await end).code, 0);
});

story('an agent does not start with a key that others may read', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-votes-'));
  writeFileSync(join(dir, 'key'), `${Buffer.alloc(32, 1).toString('base64url')}\n`, { mode: 0o644 });
  const end = await cli.run(['agent', 'run', '--id', 'ant-9', '--signing-key', join(dir, 'key')]);
  assert.equal(end.code, 2);
  assert.match(end.err, /may be read by others/);
  rmSync(dir, { recursive: true, force: true });
});
