// Swarms: agents join, work is shared out among them, and it has one outcome whatever dies meanwhile.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, includesKeys, isTime, numbers, story } from './lib/story.mjs';
import { startWorker } from './lib/worker.mjs';

const config = { agents: { reconnect_grace: '1s' }, tasks: { lease: '3s' } };

let hub;
before(async () => {
  hub = await startHub({ config });
});
after(() => hub?.stop());

const double = (data) => data.items.map((n) => 2 * n);

/** n agents of their own, in a swarm of their own. */
async function swarm(n, make = double, { on = hub, ...more } = {}) {
  const bees = [];
  let swarm_id;
  for (let i = 0; i < n; i++) {
    const bee = await startWorker(on, fresh('bee'), { make, ...more });
    const joined = await bee.call('swarm.join', { role: 'worker', capability: 'count', ...(swarm_id && { swarm_id }) });
    swarm_id ??= joined.swarm_id;
    assert.equal(joined.swarm_id, swarm_id);
    bee.member_id = joined.member_id;
    bees.push(bee);
  }
  return { swarm_id, bees };
}

async function coordinate(swarm_id, strategy, parameters = {}, on = hub) {
  const task_id = fresh('task');
  const begun = await on.post('/swarm/coordinate', { task_id, strategy, parameters, swarm_id });
  assert.equal(begun.status, 200, begun.text);
  assert.equal(begun.body.task_id, task_id);
  return begun.body;
}

const ended = (task_id, on = hub, timeout = 30_000) =>
  until(async () => {
    const { body } = await on.get(`/swarm/tasks/${task_id}/status`).catch(() => ({}));
    return ['completed', 'failed', 'cancelled'].includes(body?.status) ? body : null;
  }, { what: `the end of ${task_id}`, timeout });

const stopAll = (bees) => Promise.all(bees.map((bee) => bee.stop()));

story('join, list, status and leave answer as the contract says, on all three roots', async () => {
  const { token } = await hub.mint({ sub: fresh('caller'), role: 'agent' });
  const joined = await hub.post('/swarm/join', { role: 'load-balancer', capability: 'gpu-processing', region: 'eu' }, { token });
  assert.equal(joined.status, 201);
  includesKeys(joined.body, ['swarm_id', 'member_id', 'role', 'status', 'joined_at', 'capability', 'region', 'priority']);
  assert.match(joined.body.swarm_id, /^swarm_[0-9a-f]{16}$/);
  assert.equal(joined.body.status, 'active');
  isTime(joined.body.joined_at);
  const { swarm_id, member_id } = joined.body;
  const again = await hub.post('/v1/swarm/join', { role: 'load-balancer', capability: 'gpu-processing' }, { token });
  assert.equal(again.status, 200);
  assert.equal(again.body.member_id, member_id);
  const bad = await hub.post('/api/v1/swarm/join', { role: 'queen', capability: 'x' }, { token });
  assert.equal(bad.status, 400);
  assert.match(bad.body.detail, /^Invalid role\. Must be one of: /);
  for (const root of ['', '/v1', '/api/v1']) {
    const list = (await hub.get(`${root}/swarm/list`, { token })).body;
    assert.equal(list.total_count, 1);
    assert.equal(list.swarms[0].swarm_id, swarm_id);
    includesKeys(list.swarms[0].members[0], ['member_id', 'role', 'capability', 'region', 'priority']);
    const [status] = (await hub.get(`${root}/swarm/status?swarm_id=${swarm_id}`, { token })).body;
    includesKeys(status, ['swarm_id', 'member_count', 'active_tasks', 'coordination_status', 'performance_metrics']);
    includesKeys(status.performance_metrics, ['avg_task_time', 'success_rate', 'coordination_efficiency']);
  }
  const left = await hub.post(`/swarm/${swarm_id}/leave`, undefined, { token });
  assert.equal(left.status, 200);
  assert.deepEqual([left.body.swarm_id, left.body.member_id, left.body.status], [swarm_id, member_id, 'left']);
  assert.equal((await hub.post('/swarm/leave', { swarm_id }, { token })).status, 404);
  assert.equal((await hub.get('/swarm/list', { token })).body.total_count, 0);
});

story('members share what is to be mapped, and the result has the order of the input', async () => {
  const { swarm_id, bees } = await swarm(4, async (data) => { await sleep(Math.random() * 30); return double(data); });
  const items = numbers(23);
  const begun = await coordinate(swarm_id, 'map-reduce', { items, shards: 8 });
  assert.equal(begun.swarm_id, swarm_id);
  assert.deepEqual([...begun.assigned_members].sort(), bees.map((bee) => bee.member_id).sort());
  const end = await ended(begun.task_id);
  assert.deepEqual(end.result, items.map((n) => 2 * n));
  assert.equal(end.progress, 100);
  assert.equal(end.total_collaborators, 4);
  assert.equal(end.active_collaborators, 0);
  assert.equal(end.shards.length, 8);
  for (const shard of end.shards) includesKeys(shard, ['part', 'member_id', 'agent_id', 'task_id', 'attempt', 'result']);
  await stopAll(bees);
});

story('a caller with words alone is answered 202 and finds the end by polling', async () => {
  const { bees } = await swarm(3, () => 'yes', {});
  const { token } = bees[0];
  const begun = await hub.post('/swarm/coordinate', { task: 'shall we swarm?', collaborators: 3, strategy: 'consensus', timeout_seconds: 60 }, { token });
  assert.equal(begun.status, 202, begun.text);
  includesKeys(begun.body, ['task_id', 'swarm_id', 'coordination_strategy', 'status', 'assigned_members', 'started_at', 'task', 'collaborators', 'strategy', 'timeout_seconds']);
  assert.match(begun.body.task_id, /^task_[0-9a-f]{16}$/);
  const end = await ended(begun.body.task_id);
  assert.deepEqual(end.result.votes, { yes: 3 });
  await stopAll(bees);
});

story('broadcast, race, pipeline, vote, election and hierarchy come to their own outcomes', async () => {
  const name = (data) => data.coordination.part;
  const { swarm_id, bees } = await swarm(3, (data) => {
    if (data.results) return data.results.length;
    if (data.stages || data.context !== undefined || data.chain) return `${data.context ?? ''}x`;
    return data.vote ?? name(data);
  });
  assert.deepEqual((await ended((await coordinate(swarm_id, 'broadcast')).task_id)).result.sort(), [0, 1, 2]);
  const race = await ended((await coordinate(swarm_id, 'race')).task_id);
  assert.equal(race.parts.done, 1);
  assert.equal((await ended((await coordinate(swarm_id, 'pipeline', { chain: true })).task_id)).result, 'xxx');
  assert.equal((await ended((await coordinate(swarm_id, 'scatter-vote', { vote: 'left' })).task_id)).result.winner, 'left');
  assert.equal((await ended((await coordinate(swarm_id, 'leader-election', { vote: bees[1].member_id })).task_id)).status, 'completed');
  const [status] = (await hub.get(`/swarm/status?swarm_id=${swarm_id}`)).body;
  assert.equal(status.leader, bees[1].member_id);
  assert.equal((await ended((await coordinate(swarm_id, 'hierarchical', { items: [1, 2] })).task_id)).result, 2);
  await stopAll(bees);
});

story('members follow their agents: suspended in silence, evicted when they are gone', async () => {
  const { swarm_id, bees } = await swarm(2);
  const watcher = await hub.connect();
  await watcher.subscribe(`swarm.${swarm_id}`);
  bees[1].vanish();
  const suspended = await watcher.next((frame) => frame.event === 'suspended');
  assert.equal(suspended.data.member_id, bees[1].member_id);
  const evicted = await watcher.next((frame) => frame.event === 'evicted', { timeout: 10_000 });
  assert.equal(evicted.data.member_id, bees[1].member_id);
  assert.equal(evicted.data.member_count, 1);
  const [only] = (await hub.get(`/swarm/list?swarm_id=${swarm_id}`)).body.swarms;
  assert.deepEqual(only.members.map((member) => member.member_id), [bees[0].member_id]);
  await watcher.close();
  await bees[0].stop();
});

story('a drained agent that stays away loses its seat, one that comes back in time does not', async () => {
  const own = await startHub({ config: { swarms: { absence_ms: 600 } } });
  try {
    const [gone, back] = [fresh('gone'), fresh('back')];
    const seats = {};
    for (const agent_id of [gone, back]) {
      await own.post('/agents/register', { agent_id, agent_type: 'worker' });
      seats[agent_id] = (await own.post('/swarm/join', { role: 'worker', capability: 'x', agent_id })).body;
    }
    const { swarm_id } = seats[gone];
    const watcher = await own.connect();
    await watcher.subscribe(`swarm.${swarm_id}`);
    for (const id of [gone, back]) await own.put(`/agents/${id}/status`, { status: 'draining' });
    await own.put(`/agents/${back}/status`, { status: 'active' });
    const evicted = await watcher.next((frame) => frame.event === 'evicted', { timeout: 10_000 });
    assert.equal(evicted.data.member_id, seats[gone].member_id);
    assert.equal(evicted.data.reason, 'its agent did not come back');
    await sleep(700);
    const [only] = (await own.get(`/swarm/list?swarm_id=${swarm_id}`)).body.swarms;
    assert.deepEqual(only.members.map((member) => member.member_id), [seats[back].member_id]);
    await watcher.close();
  } finally {
    await own.stop();
  }
});

story('a straggler’s part is given to another member and the first result counts', async () => {
  let slow = null;
  const make = async (data) => {
    slow ??= data.coordination.part;
    if (data.coordination.part === slow && slow !== 'woken') {
      slow = 'woken';
      await sleep(8_000);
      return 'too late';
    }
    await sleep(100);
    return double(data);
  };
  const { swarm_id, bees } = await swarm(3, make, { slots: 1 });
  const started = Date.now();
  const end = await ended((await coordinate(swarm_id, 'map-reduce', { items: [1, 2, 3] })).task_id);
  assert.deepEqual(end.result, [2, 4, 6]);
  assert.ok(Date.now() - started < 8_000);
  assert.equal(end.shards.filter((shard) => shard.copied).length, 1);
  await stopAll(bees);
});

story('cancel ends the work and its tasks, and time does too', async () => {
  const { swarm_id, bees } = await swarm(2, async () => { await sleep(1_500); return 1; });
  const begun = await coordinate(swarm_id, 'broadcast');
  const cancelled = await hub.post(`/swarm/tasks/${begun.task_id}/cancel`);
  assert.equal(cancelled.status, 200);
  assert.equal(cancelled.body.status, 'cancelled');
  const timed = await coordinate(swarm_id, 'broadcast', { timeout_seconds: 0.3 });
  const end = await ended(timed.task_id);
  assert.equal(end.status, 'failed');
  assert.equal(end.stop_reason, 'timeout');
  await stopAll(bees);
});

story('kill -9 of the hub in the midst of a map-reduce changes nothing but the time', async () => {
  const own = await startHub({ config });
  const results = new Map();
  const make = async (data) => {
    await sleep(100);
    results.set(data.coordination.part, (results.get(data.coordination.part) ?? 0) + 1);
    return double(data);
  };
  const { swarm_id, bees } = await swarm(3, make, { on: own, slots: 2 });
  const items = numbers(24);
  const begun = await coordinate(swarm_id, 'map-reduce', { items, shards: 24 }, own);
  await until(() => results.size >= 4);
  await own.kill9();
  await own.restart();
  await until(() => results.size >= 12, { timeout: 30_000 });
  await own.kill9();
  await own.restart();
  const end = await ended(begun.task_id, own, 45_000);
  assert.equal(end.status, 'completed', JSON.stringify(end));
  assert.deepEqual(end.result, items.map((n) => 2 * n));
  assert.equal(end.parts.done, 24);
  await stopAll(bees);
  await own.stop();
}, { timeout: 120_000 });

story('the balancer’s strategy survives kill -9, and its figures are counted', async () => {
  const own = await startHub({ config });
  const bee = await startWorker(own, fresh('bee'), { make: () => 'done' });
  const set = await own.put('/load-balancer/strategy?strategy=Consistent_Hash');
  assert.equal(set.status, 200, set.text);
  assert.equal(set.body.strategy, 'Consistent_Hash');
  isTime(set.body.updated_at);
  assert.equal((await own.put('/load-balancer/strategy?strategy=luck')).body.detail, 'Invalid strategy: luck');
  assert.equal((await own.put('/load-balancer/strategy')).status, 422);
  for (let i = 0; i < 5; i++) await own.post('/tasks/submit', { task_data: { i } });
  await until(() => bee.done.length === 5);
  const { stats } = (await own.get('/load-balancer/stats')).body;
  includesKeys(stats, ['strategy', 'total_assignments', 'successful_assignments', 'failed_assignments', 'success_rate', 'active_agents', 'agent_weights', 'avg_agent_load']);
  assert.equal(stats.total_assignments, 5);
  assert.equal(stats.success_rate, 1);
  assert.deepEqual(Object.keys(stats.agent_weights), [bee.id]);
  await own.kill9();
  await own.restart();
  assert.equal((await own.get('/load-balancer/stats')).body.stats.strategy, 'consistent_hash');
  await bee.stop();
  await own.stop();
});

story('a swarm agrees on what its members answered, and who waits is answered when it does', async () => {
  let answered = false;
  const { swarm_id, bees } = await swarm(4, async () => {
    await until(() => answered, { timeout: 20_000 });
    return 'yes';
  });
  const begun = await coordinate(swarm_id, 'broadcast', { ask: 'swarm?' });
  const missing = await hub.post('/swarm/consensus', { task_id: 'nothing' });
  assert.equal(missing.status, 404);
  assert.equal(missing.body.detail, 'Task nothing not found');
  const open = (await hub.post('/swarm/consensus', { task_id: begun.task_id, options: ['yes', 'no'] })).body;
  assert.equal(open.status, 'open');
  assert.equal(open.consensus_reached, false);
  assert.equal(open.result.final_answer, null);
  assert.deepEqual(open.result.votes, {});
  assert.equal(open.consensus_reached_at, null);
  const waiting = hub.post('/swarm/consensus', { task_id: begun.task_id, wait: true, timeout_seconds: 20 });
  await sleep(100);
  answered = true;
  const closed = (await waiting).body;
  includesKeys(closed, ['task_id', 'swarm_id', 'consensus_algorithm', 'result', 'confidence_score', 'participating_members', 'consensus_reached_at', 'round_id', 'consensus_reached', 'status']);
  assert.equal(closed.round_id, open.round_id);
  assert.equal(closed.status, 'decided');
  assert.equal(closed.result.final_answer, 'yes');
  assert.deepEqual(closed.result.votes, { yes: 4, no: 0 });
  assert.equal(closed.confidence_score, 1);
  assert.deepEqual([...closed.participating_members].sort(), bees.map((bee) => bee.member_id).sort());
  isTime(closed.consensus_reached_at);
  const threshold = (await hub.post(`/swarm/tasks/${begun.task_id}/consensus`, { consensus_threshold: 0.75 })).body;
  assert.equal(threshold.consensus_threshold, 0.75);
  assert.equal(threshold.consensus_reached, true);
  await stopAll(bees);
});
