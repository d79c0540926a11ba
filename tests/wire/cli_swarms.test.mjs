// Networks and swarms from the command line, with agent processes that do the work: the lines of the
// programs that came before, as they type them.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { Cli } from './lib/cli.mjs';
import { story } from './lib/story.mjs';

const dir = mkdtempSync(join(tmpdir(), 'waggle-swarms-'));
const agents = [];
let hub;
let cli;

before(async () => {
  hub = await startHub();
  cli = new Cli(hub);
  for (const id of ['agent1', 'agent2', 'agent3']) {
    const agent = cli.start(['agent', 'run', '--id', id, '--capability', 'gpu-processing', '--slots', '4', '--exec', 'cat >/dev/null; echo 5']);
    await until(() => /beating/.test(agent.err), { what: 'the first beat' });
    agents.push(agent);
  }
});
after(async () => {
  for (const agent of agents) agent.child.kill('SIGTERM');
  await Promise.all(agents.map(({ end }) => end));
  await hub.stop();
  rmSync(dir, { recursive: true, force: true });
});

story('a swarm that is not there is not found', async () => {
  const { code, err } = await cli.run('swarm show swarm_0000000000000000');
  assert.equal(code, 3);
  assert.match(err, /swarm_0000000000000000 not found/);
});

story('a network is made, works, and is described, its id left out', async () => {
  const task = join(dir, 'task.json');
  writeFileSync(task, '{"items":[1,2,3,4]}');
  const network = await cli.ask('agent network create --name test-network --agents agent1,agent2');
  assert.deepEqual(network.agents, ['agent1', 'agent2']);
  const end = await cli.run(['agent', 'network', 'execute', '--task', task, '--follow', '--within', '30', '-o', 'ndjson']);
  assert.equal(end.code, 0, end.err);
  const execution = JSON.parse(end.lines.at(-1));
  assert.equal(execution.network_id, network.id);
  assert.equal(execution.status, 'completed');
  assert.equal(JSON.parse(end.lines.at(-2)).event, 'completed');
  assert.equal((await cli.ask('agent network status')).total_executions, 1);
  assert.equal((await cli.ask('agent network optimize')).network_id, network.id);
  assert.equal((await cli.ask(`network execution ${network.id} ${execution.execution_id}`)).status, 'completed');
  assert.deepEqual((await cli.run('network ls -o id')).lines, [network.id]);
  assert.equal((await cli.run(`network rm ${network.id} --yes`)).code, 0);
  assert.equal((await cli.run('network status')).code, 3, 'there is no newest any more');
  assert.match((await cli.run('agent network create --name n --agents nobody')).err, /Agent nobody not found/);
});

story('agents join a swarm, work together and leave', async () => {
  const joined = [];
  for (const agent of ['agent1', 'agent2', 'agent3']) {
    joined.push(await cli.ask(`swarm join --role load-balancer --capability gpu-processing --agent-id ${agent}`));
  }
  const { swarm_id } = joined[0];
  assert.ok(joined.every((one) => one.swarm_id === swarm_id), 'the same swarm for the same capability');
  assert.deepEqual((await cli.run('swarm list -o id')).lines, [swarm_id]);
  assert.equal((await cli.ask('swarm status'))[0].member_count, 3);
  const end = await cli.run(['swarm', 'coordinate', '--task-id', 'task123', '--strategy', 'map-reduce', '--parameters', '{"items":[1,2,3],"reduce":"sum"}', '--follow', '--within', '30', '-o', 'ndjson']);
  assert.equal(end.code, 0, end.err);
  assert.equal(JSON.parse(end.lines.at(-1)).status, 'completed');
  assert.equal((await cli.ask('swarm task task123')).status, 'completed');
  const traced = await cli.run('trace task123 -o ndjson');
  assert.deepEqual([0, -1].map((at) => JSON.parse(traced.lines.at(at)).event), ['splitting', 'completed'], traced.err);
  const other = await cli.run(['swarm', 'coordinate', '--task-id', 'member', '--strategy', 'broadcast', '--follow', '--within', '30', '-o', 'ndjson']);
  const events = other.lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'event');
  assert.ok(events.length > 2 && events.every(({ data }) => data.task_id === 'member'), 'what is followed is told of, and nothing else of the swarm');
  assert.equal((await cli.run('swarm task no-such-task')).code, 3);
  const round = await cli.run('swarm consensus --task-id task123 --options yes,no --timeout-seconds 1 --follow --within 30 -o ndjson');
  assert.deepEqual([round.code, JSON.parse(round.lines.at(-1)).status], [1, 'no_quorum'], round.err);
  assert.equal((await cli.ask(`swarm leave --swarm-id ${swarm_id}`)).status, 'left');
  assert.equal((await cli.run(`swarm leave --swarm-id ${swarm_id}`)).code, 3);
});

story('the strategy of the load balancer is changed while it works', async () => {
  assert.equal((await cli.ask('lb strategy ROUND_ROBIN')).strategy, 'ROUND_ROBIN');
  assert.equal((await cli.ask('lb stats')).stats.strategy, 'round_robin');
  const wrong = await cli.run('lb strategy by-feel');
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /Invalid strategy: by-feel/);
});
