// Agent networks: a task is split over agents that hold a connection each, and comes back as one.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, includesKeys, isTime, story } from './lib/story.mjs';
import { startWorker } from './lib/worker.mjs';

const PATH = '/api/v1/agents/networks';

let hub;
before(async () => {
  hub = await startHub({ config: { agents: { reconnect_grace: '1s' }, tasks: { lease: '3s' } } });
});
after(() => hub?.stop());

const double = (data) => data.items.map((n) => 2 * n);

async function workers(n, make = double, more = {}) {
  return Promise.all(Array.from({ length: n }, () => startWorker(hub, fresh('bee'), { make, ...more })));
}

async function network(bees, coordination_strategy) {
  const made = await hub.post(PATH, {
    name: fresh('net'), agents: bees.map((bee) => bee.id), ...(coordination_strategy && { coordination_strategy }),
  });
  assert.equal(made.status, 201, made.text);
  return made.body;
}

async function execute(net, task, priority) {
  const begun = await hub.post(`${PATH}/${net.id}/execute`, { task, ...(priority && { priority }) });
  assert.equal(begun.status, 200, begun.text);
  return begun.body;
}

const ended = (net, execution, timeout = 20_000) =>
  until(async () => {
    const { body } = await hub.get(`${PATH}/${net.id}/executions/${execution.execution_id}`);
    return body.status === 'running' ? null : body;
  }, { what: `the end of ${execution.execution_id}`, timeout });

const stopAll = (bees) => Promise.all(bees.map((bee) => bee.stop()));

story('a network is made, shown, listed and deleted as the contract says', async () => {
  const bees = await workers(2);
  const made = await network(bees);
  includesKeys(made, ['id', 'name', 'description', 'agents', 'coordination_strategy', 'status', 'created_at', 'owner_id']);
  assert.deepEqual(made.agents, bees.map((bee) => bee.id));
  assert.equal(made.coordination_strategy, 'round-robin');
  assert.equal(made.status, 'active');
  isTime(made.created_at);
  assert.deepEqual((await hub.get(`${PATH}/${made.id}`)).body, made);
  const listed = (await hub.get(`${PATH}?limit=1`)).body;
  assert.deepEqual(listed.networks, [made]);
  const missing = await hub.post(PATH, { name: 'x', agents: [bees[0].id, 'nobody'] });
  assert.equal(missing.status, 404);
  assert.equal(missing.body.detail, 'Agent nobody not found');
  assert.equal((await hub.post(PATH, { agents: [] })).status, 422);
  assert.equal((await hub.delete(`${PATH}/${made.id}`)).status, 200);
  assert.equal((await hub.get(`${PATH}/${made.id}`)).status, 404);
  assert.equal((await hub.post(`${PATH}/${made.id}/execute`, { task: {} })).status, 404);
  await stopAll(bees);
});

story('each strategy does the work in its own way', async () => {
  const bees = await workers(3);
  const items = [1, 2, 3, 4, 5, 6, 7];
  const doubled = items.map((n) => 2 * n);
  const outputs = {
    'round-robin': doubled.map((n) => [n]),
    'a word of the caller’s own': doubled.map((n) => [n]),
    distributed: doubled.map((n) => [n]),
    parallel: doubled,
    sequential: [14],
  };
  for (const [strategy, output] of Object.entries(outputs)) {
    const net = await network(bees, strategy);
    const begun = await execute(net, { items }, 'HIGH');
    includesKeys(begun, ['id', 'execution_id', 'network_id', 'task', 'status', 'started_at', 'results']);
    assert.equal(begun.id, begun.execution_id);
    assert.deepEqual(begun.task, { items });
    const end = await ended(net, begun);
    assert.equal(end.status, 'completed', JSON.stringify(end));
    assert.deepEqual(end.results.output, output, strategy);
    assert.equal(end.progress, 100);
  }
  await stopAll(bees);
});

story('all agents answer a broadcast, and who fails is named', async () => {
  const bees = await workers(3, (data) => data.coordination.part);
  const broken = await startWorker(hub, fresh('bee'), { make: () => { throw new Error('out of wax'); } });
  const net = await network([...bees, broken], 'broadcast');
  const end = await ended(net, await execute(net, { ask: 'part' }));
  assert.deepEqual(end.results.output, [0, 1, 2]);
  assert.equal(end.state, 'partial');
  const failed = end.results.parts.filter((part) => part.status === 'failed');
  assert.deepEqual(failed.map((part) => [part.agent_id, part.error]), [[broken.id, 'out of wax']]);
  await stopAll([...bees, broken]);
});

story('an execution is told on the network’s channel, step by step', async () => {
  const bees = await workers(2);
  const net = await network(bees, 'parallel');
  const watcher = await hub.connect();
  await watcher.subscribe(`network.${net.id}`);
  const begun = await execute(net, { items: [1, 2] });
  const told = [];
  while (told.at(-1) !== 'completed') {
    const event = await watcher.next('event');
    assert.equal(event.data.execution_id, begun.execution_id);
    told.push(event.event);
  }
  assert.deepEqual(told, ['splitting', 'mapping', 'part_done', 'part_done', 'completed']);
  await watcher.close();
  await stopAll(bees);
});

story('status and optimize tell what happened', async () => {
  const bees = await workers(2, async (data) => { await sleep(20); return data.items; });
  const net = await network(bees, 'parallel');
  const before = (await hub.get(`${PATH}/${net.id}/status`)).body;
  includesKeys(before, ['network_id', 'name', 'status', 'agent_count', 'active_tasks', 'total_executions', 'performance_metrics', 'last_activity']);
  assert.equal(before.total_executions, 0);
  for (let i = 0; i < 5; i++) await ended(net, await execute(net, { items: [1, 2, 3, 4] }));
  const status = (await hub.get(`${PATH}/${net.id}/status?metrics=avg_execution_time,success_rate`)).body;
  assert.equal(status.total_executions, 5);
  assert.equal(status.agent_count, 2);
  assert.equal(status.active_tasks, 0);
  assert.deepEqual(Object.keys(status.performance_metrics), ['avg_execution_time', 'success_rate']);
  assert.equal(status.performance_metrics.success_rate, 1);
  assert.ok(status.performance_metrics.avg_execution_time >= 0.02);
  bees[1].vanish();
  await until(async () => (await hub.get(`/agents/${bees[1].id}`)).body.agent.status !== 'active');
  for (const [method, body] of [['get'], ['post', { objective: 'quality' }]]) {
    const advice = (await hub[method](`${PATH}/${net.id}/optimize`, body)).body;
    includesKeys(advice, ['network_id', 'optimization_type', 'recommendations', 'performance_metrics', 'optimized_at']);
    includesKeys(advice.performance_metrics, ['avg_task_time', 'success_rate', 'resource_utilization']);
    const gone = advice.recommendations.find((one) => one.type === 'availability');
    assert.equal(gone.evidence.agent_id, bees[1].id);
    assert.equal(gone.evidence.executions, 5);
  }
  assert.equal((await hub.post(`${PATH}/${net.id}/optimize`, { objective: 'fame' })).status, 422);
  await bees[0].stop();
});

story('an agent that is killed costs the execution nothing but time', async () => {
  let begun = 0;
  const slow = async (data) => { begun++; await sleep(300); return double(data); };
  const bees = await workers(3, slow, { slots: 2 });
  const net = await network(bees, 'parallel');
  const execution = await execute(net, { items: [1, 2, 3, 4, 5, 6], shards: 6 });
  await until(() => begun >= 3);
  bees[0].vanish();
  const end = await ended(net, execution);
  assert.equal(end.status, 'completed');
  assert.deepEqual(end.results.output, [2, 4, 6, 8, 10, 12]);
  assert.ok(end.results.parts.every((part) => part.agent_id !== bees[0].id || part.status === 'done'));
  await stopAll(bees.slice(1));
});

story('executions are paged, newest first', async () => {
  const bees = await workers(1);
  const net = await network(bees);
  const begun = [];
  for (let i = 0; i < 5; i++) begun.unshift((await execute(net, { items: [i] })).execution_id);
  const seen = [];
  let cursor = null;
  do {
    const page = (await hub.get(`${PATH}/${net.id}/executions?limit=2${cursor ? `&cursor=${cursor}` : ''}`)).body;
    seen.push(...page.executions.map((one) => one.execution_id));
    cursor = page.next_cursor;
  } while (cursor);
  assert.deepEqual(seen, begun);
  await stopAll(bees);
});

story('networks and executions of others are not there', async () => {
  const bees = await workers(1);
  const net = await network(bees);
  const execution = await execute(net, { items: [1] });
  const { token } = await hub.mint({ sub: fresh('other'), role: 'agent' });
  for (const [method, path, body] of [
    ['GET', `${PATH}/${net.id}`], ['DELETE', `${PATH}/${net.id}`], ['GET', `${PATH}/${net.id}/status`],
    ['GET', `${PATH}/${net.id}/optimize`], ['POST', `${PATH}/${net.id}/execute`, { task: {} }],
    ['GET', `${PATH}/${net.id}/executions`], ['GET', `${PATH}/${net.id}/executions/${execution.execution_id}`],
  ]) {
    const answer = await hub.http(method, path, { token, body });
    assert.equal(answer.status, 404, `${method} ${path}`);
    assert.equal(answer.body.detail, `Agent network ${net.id} not found`);
  }
  assert.deepEqual((await hub.get(PATH, { token })).body.networks, []);
  await stopAll(bees);
});
