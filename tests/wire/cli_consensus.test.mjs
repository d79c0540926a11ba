// Rounds of voting from the command line.

import assert from 'node:assert/strict';
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

story('bench measures rounds', async () => {
  for (const load of ['consensus']) {
    const end = await cli.ask(`bench ${load} --for 300ms --connections 3 --outstanding 4`);
    assert.ok(end.count > 0 && end.refused === 0, JSON.stringify(end));
    const { p50, p99, max } = end.latency_ms;
    assert.ok(p50 > 0 && p50 <= p99 && p99 <= max, JSON.stringify(end));
  }
});
