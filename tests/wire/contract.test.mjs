// The rows of the contract of swarms and networks, of the coordinator and of its second form, each asked once as a
// caller does: status, every field of the answer, defaults, the words of errors, and every root it is served under.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { operations } from './lib/operations.mjs';
import { fresh, hasKeys, includesKeys, isTime, story } from './lib/story.mjs';
import { startWorker } from './lib/worker.mjs';

let hub, ops;
before(async () => {
  hub = await startHub({ config: { agents: { reconnect_grace: '1s' } } });
  ops = await operations(hub);
});
after(() => hub?.stop());

const worker = (make) => startWorker(hub, fresh('bee'), { make });

// Section 3 is the coordinator's: its roots, and the shape of its errors.
const COORDINATOR = ['', '/api/v1'];
const SWARM = ['', '/v1', '/api/v1'];

/** One request under each of its roots; the last answer. `made` gives each its own body. */
async function each(roots, method, path, status, body) {
  let answer;
  for (const root of roots) {
    answer = await hub.http(method, root + path, { body: typeof body === 'function' ? body() : body });
    assert.equal(answer.status, status, `${method} ${root}${path}: ${answer.text}`);
  }
  return answer.body;
}

/** A success of the coordinator: status, these keys, and one time that is now. */
async function coordinator(method, path, body, keys, time) {
  const answer = await each(COORDINATOR, method, path, 200, body);
  assert.equal(answer.status, 'success', path);
  includesKeys(answer, keys, `${method} ${path}`);
  isTime(answer[time], `${path} ${time}`);
  return answer;
}

/** An error of the coordinator, in these words. */
async function refusal(method, path, status, words, body) {
  for (const root of COORDINATOR) {
    const answer = await hub.http(method, root + path, { body });
    const at = `${method} ${root}${path}: ${answer.text}`;
    assert.equal(answer.status, status, at);
    assert.match(answer.headers['content-type'], /^application\/json/, at);
    includesKeys(answer.body, ['status', 'message', 'detail', 'timestamp'], at);
    assert.equal(answer.body.status, 'error', at);
    if (words) assert.equal(answer.body.detail, words, at);
    isTime(answer.body.timestamp, at);
  }
}

/** Any other error: RFC 9457, in these words. */
async function problem(roots, method, path, status, words, body) {
  for (const root of roots) {
    const answer = await hub.http(method, root + path, { body });
    const at = `${method} ${root}${path}: ${answer.text}`;
    assert.equal(answer.status, status, at);
    assert.match(answer.headers['content-type'], /^application\/problem\+json/, at);
    includesKeys(answer.body, ['type', 'title', 'status', 'detail', 'message', 'timestamp'], at);
    assert.equal(answer.body.status, status, at);
    if (words) assert.equal(answer.body.detail, words, at);
  }
}

const AGENT_KEYS = [
  'agent_id', 'agent_type', 'status', 'capabilities', 'services', 'endpoints', 'metadata', 'last_heartbeat',
  'registration_time', 'load_metrics', 'health_score', 'version', 'tags',
];
const TYPES = [
  'worker', 'provider', 'consumer', 'general', 'coordinator', 'specialist', 'monitor', 'gateway', 'orchestrator',
  'inference', 'training', 'processing',
];
const STATUSES = ['active', 'inactive', 'busy', 'stale', 'maintenance', 'error', 'draining'];
const STRATEGIES = [
  'least_connections', 'round_robin', 'weighted_round_robin', 'resource_based', 'geographic', 'random',
  'least_response_time', 'capability_based', 'predictive', 'consistent_hash',
];
const MESSAGE_TYPES = [
  'direct', 'broadcast', 'hierarchical', 'peer_to_peer', 'coordination', 'task_assignment', 'status_update',
  'heartbeat', 'discovery', 'consensus',
];
const TASK_PRIORITIES = ['urgent', 'critical', 'high', 'normal', 'low'];
const NETWORKS = '/api/v1/agents/networks';

const register = async (more = {}) => {
  const agent_id = fresh('bee');
  await each([''], 'POST', '/agents/register', 200, { agent_id, agent_type: 'worker', ...more });
  return agent_id;
};

// --- section 1 ---------------------------------------------------------------------------------

story('an unknown route is 404 in the shape of its neighbours, a wrong method 405 with Allow', async () => {
  await refusal('GET', '/agents/none/such/path', 404);
  await refusal('GET', '/tasks/none', 404, 'Task none not found');
  await refusal('GET', '/no/such/path', 404);
  for (const op of ops) {
    const known = ops.filter((other) => other.path === op.path).map((other) => other.method);
    const unknown = ['PUT', 'DELETE', 'PATCH'].find((method) => !known.includes(method)
      && !ops.some((other) => other.method === method && new RegExp(`^${other.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(op.url({}))));
    const answer = await hub.http(unknown, op.url({}));
    assert.equal(answer.status, 405, `${unknown} ${op.path}: ${answer.text}`);
    for (const method of known) assert.match(answer.headers.allow, new RegExp(`\\b${method}\\b`), op.path);
  }
});

story('every path of the coordinator answers under /api/v1 too, every path of swarms also under /v1', async () => {
  for (const op of ops) {
    const prefixes = [...(op.coordinator ? ['/api/v1'] : []), ...(op.path.startsWith('/swarm/') ? ['/v1', '/api/v1'] : [])];
    const plain = await op.rest(hub, {}, { token: null });
    for (const prefix of prefixes) {
      const answer = await op.rest(hub, {}, { token: null, prefix });
      assert.equal(answer.status, plain.status, `${op} under ${prefix}`);
      assert.equal(answer.body.type, plain.body.type);
    }
  }
});

story('every answer has a Request-Id and says how much of the rate is left', async () => {
  for (const op of ops.filter((one) => one.method === 'GET')) {
    const answer = await op.rest(hub, {}, { headers: { 'request-id': 'asked-1' } });
    assert.equal(answer.headers['request-id'], 'asked-1', String(op));
    assert.match(answer.headers['ratelimit-remaining'] ?? '', /^\d+$/, String(op));
  }
});

// --- section 2: networks -----------------------------------------------------------------------

story('a network is made, listed, shown and deleted', async () => {
  const agents = [await register(), await register()];
  const made = await each([''], 'POST', NETWORKS, 201, { name: 'n', agents });
  includesKeys(made, ['id', 'name', 'description', 'agents', 'coordination_strategy', 'status', 'created_at', 'owner_id']);
  assert.deepEqual([made.name, made.agents, made.coordination_strategy, made.status], ['n', agents, 'round-robin', 'active']);
  isTime(made.created_at);
  const named = await each([''], 'POST', NETWORKS, 201, { name: 'n2', agents, description: 'd', coordination_strategy: 'anything goes' });
  assert.deepEqual([named.description, named.coordination_strategy], ['d', 'anything goes']);
  await problem([''], 'POST', NETWORKS, 404, 'Agent nobody not found', { name: 'n', agents: ['nobody'] });
  const list = await each([''], 'GET', NETWORKS, 200);
  assert.ok((Array.isArray(list) ? list : list.networks).some((one) => one.id === made.id));
  assert.deepEqual((await each([''], 'GET', `${NETWORKS}/${made.id}`, 200)).agents, agents);
  await each([''], 'DELETE', `${NETWORKS}/${named.id}`, 200);
  for (const [method, path] of [
    ['GET', ''], ['DELETE', ''], ['GET', '/executions'], ['GET', '/executions/x'], ['GET', '/optimize'],
    ['POST', '/optimize'], ['GET', '/status'],
  ]) await problem([''], method, `${NETWORKS}/${named.id}${path}`, 404);
  await problem([''], 'POST', `${NETWORKS}/${named.id}/execute`, 404, undefined, { task: {} });
});

story('a network executes, says how far it is, what it does and what would be better', async () => {
  const bee = await worker(() => 'done');
  const { id } = await each([''], 'POST', NETWORKS, 201, { name: 'n', agents: [bee.id] });
  const begun = await each([''], 'POST', `${NETWORKS}/${id}/execute`, 200, { task: { work: 1 } });
  includesKeys(begun, ['id', 'execution_id', 'network_id', 'task', 'status', 'started_at', 'results']);
  assert.deepEqual([begun.id, begun.network_id, begun.task, begun.results], [begun.execution_id, id, { work: 1 }, null]);
  isTime(begun.started_at);
  const end = await until(async () => {
    const one = await each([''], 'GET', `${NETWORKS}/${id}/executions/${begun.id}`, 200);
    return one.status === 'completed' ? one : null;
  }, { timeout: 15_000, what: 'the execution to end' });
  assert.ok(end.results !== null);
  includesKeys(end, ['id', 'execution_id', 'network_id', 'task', 'status', 'started_at', 'results', 'progress']);
  const executions = await each([''], 'GET', `${NETWORKS}/${id}/executions`, 200);
  assert.equal((Array.isArray(executions) ? executions : executions.executions)[0].id, begun.id);
  const status = await each([''], 'GET', `${NETWORKS}/${id}/status`, 200);
  includesKeys(status, ['network_id', 'name', 'status', 'agent_count', 'active_tasks', 'total_executions', 'performance_metrics', 'last_activity']);
  hasKeys(status.performance_metrics, ['avg_execution_time', 'success_rate', 'throughput']);
  assert.deepEqual([status.agent_count, status.active_tasks, status.total_executions, status.performance_metrics.success_rate], [1, 0, 1, 1]);
  const some = await each([''], 'GET', `${NETWORKS}/${id}/status?metrics=success_rate,throughput`, 200);
  hasKeys(some.performance_metrics, ['success_rate', 'throughput']);
  for (const [method, path, body] of [
    ['GET', '', undefined], ['POST', '', undefined],
    ...['efficiency', 'speed', 'cost', 'quality', null].map((objective) => ['POST', '', { objective }]),
    ['GET', '?objective=cost', undefined],
  ]) {
    const advice = await each([''], method, `${NETWORKS}/${id}/optimize${path}`, 200, body);
    hasKeys(advice, ['network_id', 'optimization_type', 'recommendations', 'performance_metrics', 'optimized_at']);
    includesKeys(advice.performance_metrics, ['avg_task_time', 'success_rate', 'resource_utilization']);
    for (const one of advice.recommendations) includesKeys(one, ['type', 'description', 'impact', 'evidence']);
    if (body) assert.equal(advice.optimization_type, body.objective ?? 'efficiency');
    isTime(advice.optimized_at);
  }
  for (const priority of ['low', 'normal', 'high', 'critical', 'urgent']) {
    await each([''], 'POST', `${NETWORKS}/${id}/execute`, 200, { task: {}, priority });
  }
  for (const priority of ['soon', '']) await problem([''], 'POST', `${NETWORKS}/${id}/execute`, 422, undefined, { task: {}, priority });
  await bee.stop();
});

// --- section 2: swarms -------------------------------------------------------------------------

story('a swarm is joined, shown and left', async () => {
  const capability = fresh('skill');
  const agents = {};
  for (const role of ['load-balancer', 'resource-optimizer', 'task-coordinator', 'monitor']) {
    const member = await each(SWARM.slice(0, 1), 'POST', '/swarm/join', 201, { role, capability, agent_id: await register() });
    includesKeys(member, ['swarm_id', 'member_id', 'role', 'status', 'joined_at', 'capability', 'region', 'priority']);
    assert.deepEqual([member.role, member.status, member.capability, member.priority], [role, 'active', capability, 'normal']);
    isTime(member.joined_at);
    assert.match(member.swarm_id, /^swarm_[0-9a-f]{16}$/);
    agents[role] = member;
  }
  const { swarm_id, member_id } = agents.monitor;
  for (const root of SWARM) {
    const answer = await hub.post(`${root}/swarm/join`, { role: 'queen', capability });
    assert.equal(answer.status, 400);
    assert.match(answer.body.detail, /^Invalid role\. Must be one of: load-balancer, resource-optimizer, task-coordinator, monitor/);
  }
  const list = await each(SWARM, 'GET', `/swarm/list?swarm_id=${swarm_id}`, 200);
  assert.equal(list.total_count, 1);
  includesKeys(list.swarms[0], ['swarm_id', 'members', 'created_at', 'coordination_status']);
  for (const one of list.swarms[0].members) includesKeys(one, ['member_id', 'role', 'capability', 'region', 'priority']);
  assert.equal((await each(SWARM, 'GET', `/swarm/list?status=active&limit=1`, 200)).swarms.length, 1);
  const status = await each(SWARM, 'GET', `/swarm/status?swarm_id=${swarm_id}`, 200);
  assert.ok(Array.isArray(status));
  includesKeys(status[0], ['swarm_id', 'member_count', 'active_tasks', 'coordination_status', 'performance_metrics']);
  assert.equal(status[0].member_count, 4);
  includesKeys(status[0].performance_metrics, ['avg_task_time', 'success_rate', 'coordination_efficiency']);
  const left = await each([''], 'POST', '/swarm/leave', 200, { swarm_id, member_id });
  includesKeys(left, ['swarm_id', 'member_id', 'left_at', 'status']);
  assert.deepEqual([left.member_id, left.status], [member_id, 'left']);
  const bare = await each([''], 'POST', `/swarm/${swarm_id}/leave`, 200);
  includesKeys(bare, ['swarm_id', 'member_id', 'left_at', 'status']);
  await problem(SWARM, 'POST', '/swarm/leave', 404, undefined, { swarm_id: 'swarm_0000000000000000' });
  await problem(SWARM, 'POST', '/swarm/swarm_0000000000000000/leave', 404);
});

story('work is coordinated in both forms, and asked after until it ends', async () => {
  const bee = await worker(() => 'yes');
  const { swarm_id } = await bee.call('swarm.join', { role: 'monitor', capability: fresh('skill') });
  const task_id = fresh('task');
  const begun = await each([''], 'POST', '/swarm/coordinate', 200, { task_id, swarm_id });
  includesKeys(begun, ['task_id', 'swarm_id', 'coordination_strategy', 'status', 'assigned_members', 'started_at']);
  assert.deepEqual([begun.task_id, begun.swarm_id, begun.coordination_strategy], [task_id, swarm_id, 'map-reduce']);
  const { token } = bee;
  for (const root of SWARM) {
    const answer = await hub.post(`${root}/swarm/coordinate`, { task: 'shall we?' }, { token });
    assert.equal(answer.status, 202, answer.text);
    includesKeys(answer.body, [
      'task_id', 'swarm_id', 'coordination_strategy', 'status', 'assigned_members', 'started_at',
      'task', 'collaborators', 'strategy', 'timeout_seconds',
    ]);
    assert.deepEqual([answer.body.task, answer.body.strategy, answer.body.timeout_seconds], ['shall we?', 'consensus', 3600]);
    assert.equal(answer.body.collaborators, 1, 'at most five, of those that are there');
    assert.match(answer.body.task_id, /^task_[0-9a-f]{16}$/);
  }
  const end = await until(async () => {
    const one = await each(SWARM, 'GET', `/swarm/tasks/${task_id}/status`, 200);
    return ['completed', 'failed', 'cancelled'].includes(one.status) ? one : null;
  }, { timeout: 15_000, what: 'the work to end' });
  includesKeys(end, ['task_id', 'status', 'progress', 'active_collaborators', 'total_collaborators']);
  await problem(SWARM, 'GET', '/swarm/tasks/none/status', 404, 'Task none not found');
  await problem(SWARM, 'POST', '/swarm/coordinate', 404, undefined, { task_id: fresh('t'), swarm_id: 'swarm_0000000000000000' });
  const round = await each([''], 'POST', '/swarm/consensus', 200, { task_id, options: ['a', 'b'] });
  includesKeys(round, [
    'task_id', 'swarm_id', 'consensus_algorithm', 'result', 'confidence_score', 'participating_members',
    'consensus_reached_at', 'round_id', 'consensus_reached', 'status',
  ]);
  hasKeys(round.result, ['final_answer', 'votes']);
  assert.equal(round.consensus_algorithm, 'majority-vote');
  assert.deepEqual([round.status === 'open', round.consensus_reached], [true, false], 'nothing is invented');
  const second = await each([''], 'POST', '/swarm/coordinate', 200, { task_id: fresh('task'), swarm_id }); // a task has one open round
  const threshold = await each([''], 'POST', `/swarm/tasks/${second.task_id}/consensus`, 200, { consensus_threshold: 0.75, options: ['a', 'b'] });
  includesKeys(threshold, ['task_id', 'round_id', 'result', 'consensus_threshold']);
  assert.equal(threshold.consensus_threshold, 0.75);
  await problem(SWARM, 'POST', '/swarm/consensus', 404, 'Task none not found', { task_id: 'none' });
  await problem(SWARM, 'POST', '/swarm/tasks/none/consensus', 404, 'Task none not found', { consensus_threshold: 0.75 });
  for (const word of ['smoke', '']) {
    await problem(SWARM, 'POST', '/swarm/coordinate', 422, undefined, { task_id: fresh('t'), swarm_id, strategy: word });
    await problem(SWARM, 'POST', '/swarm/coordinate', 422, undefined, { task_id: fresh('t'), swarm_id, priority: word });
    await problem(SWARM, 'POST', '/swarm/consensus', 422, undefined, { task_id, consensus_algorithm: word });
  }
  await bee.stop();
});

story('a round is opened, listed, voted on, certified and cancelled', async () => {
  const voter = await register();
  const terms = { question: 'q', options: ['a', 'b'], electorate: [voter] };
  const round = await each([''], 'POST', '/api/v1/consensus', 201, terms);
  assert.equal(round.status, 'open');
  const list = await each([''], 'GET', '/api/v1/consensus', 200);
  assert.ok(Object.values(list).find(Array.isArray).some((one) => one.round_id === round.round_id));
  await problem([''], 'GET', `/api/v1/consensus/${round.round_id}/certificate`, 409);
  await each([''], 'POST', `/api/v1/consensus/${round.round_id}/votes`, 200, { voter, choice: 'a' });
  assert.equal((await each([''], 'GET', `/api/v1/consensus/${round.round_id}`, 200)).status, 'decided');
  for (const word of ['smoke', '']) {
    for (const field of ['rule', 'tie']) await problem([''], 'POST', '/api/v1/consensus', 422, undefined, { ...terms, [field]: word });
  }
  assert.ok(await each([''], 'GET', `/api/v1/consensus/${round.round_id}/certificate`, 200));
  const other = await each([''], 'POST', '/api/v1/consensus', 201, terms);
  assert.equal((await each([''], 'POST', `/api/v1/consensus/${other.round_id}/cancel`, 200)).status, 'cancelled');
  for (const [method, path] of [['GET', ''], ['GET', '/certificate'], ['POST', '/cancel']]) {
    await problem([''], method, `/api/v1/consensus/none${path}`, 404);
  }
});

// --- section 3: agents -------------------------------------------------------------------------

story('agents register with every type, are found and leave', async () => {
  const words = { capabilities: ['c'], services: ['s'], endpoints: { http: 'http://x' }, metadata: { a: 1 }, tags: ['t'] };
  let agent_id;
  for (const agent_type of TYPES) {
    agent_id = fresh('bee');
    const answer = await coordinator('POST', '/agents/register', { agent_id, agent_type, ...words },
      ['message', 'agent_id', 'registered_at', 'heartbeat_interval', 'lease_seconds', 'session'], 'registered_at');
    assert.equal(answer.message, `Agent ${agent_id} registered successfully`);
    assert.equal(answer.agent_id, agent_id);
  }
  await refusal('POST', '/agents/register', 422, "'drone' is not a valid AgentType", { agent_id, agent_type: 'drone' });
  const type = await hub.post('/agents/register', { agent_id, agent_type: 'drone' });
  assert.match(type.body.advice, /^Use worker, provider, .*training or processing\.$/);
  for (const body of [{ agent_type: 'worker' }, { agent_id }]) await refusal('POST', '/agents/register', 422, undefined, body);
  const { agent } = await coordinator('GET', `/agents/${agent_id}`, undefined, ['agent'], 'timestamp');
  includesKeys(agent, AGENT_KEYS, 'agent');
  assert.deepEqual({ ...words }, Object.fromEntries(Object.keys(words).map((key) => [key, agent[key]])));
  isTime(agent.last_heartbeat);
  isTime(agent.registration_time);
  const list = await each(COORDINATOR, 'GET', '/agents', 200);
  assert.equal(list.count, list.agents.length);
  assert.ok(list.count >= TYPES.length);
  for (const query of [{}, { agent_type: 'processing' }, { status: 'active' }, { capabilities: ['c'] }, { services: ['s'] }, { tags: ['t'] },
    { min_health_score: 0.1 }, { nonsense: 1, limit: 5 }]) {
    const found = await coordinator('POST', '/agents/discover', query, ['query', 'agents', 'count'], 'timestamp');
    assert.deepEqual(found.query, query);
    assert.ok(found.count > 0 && found.count === found.agents.length, JSON.stringify(query));
    const scores = found.agents.map((one) => one.health_score);
    assert.deepEqual(scores, [...scores].sort((a, b) => b - a), 'best health first');
  }
  for (const query of [{ agent_type: 'drone' }, { status: 'asleep' }, { capabilities: ['c', 'none'] }, { region: 'mars' }]) {
    assert.deepEqual((await each(COORDINATOR, 'POST', '/agents/discover', 200, query)).agents, [], JSON.stringify(query));
  }
  for (const [path, key, value] of [['service', 'service', 's'], ['capability', 'capability', 'c']]) {
    const found = await coordinator('GET', `/agents/${path}/${value}`, undefined, [key, 'agents', 'count'], 'timestamp');
    assert.equal(found[key], value);
    assert.ok(found.count >= TYPES.length);
    assert.equal((await each(COORDINATOR, 'GET', `/agents/${path}/none`, 200)).count, 0);
  }
  await each([''], 'DELETE', `/agents/${agent_id}`, 200);
  for (const [method, path, body] of [
    ['GET', ''], ['DELETE', ''], ['POST', '/heartbeat'], ['PUT', '/status', { status: 'active' }],
  ]) await refusal(method, `/agents/${agent_id}${path}`, 404, `Agent ${agent_id} not found`, body);
});

story('an agent says every status, and beats', async () => {
  const agent_id = await register();
  for (const status of [...STATUSES, 'active']) { // whoever drains and holds nothing is inactive, and beats in vain
    const answer = await coordinator('PUT', `/agents/${agent_id}/status`, { status, load_metrics: { [status]: 0.5 } },
      ['message', 'agent_id', 'new_status'], 'updated_at');
    assert.deepEqual([answer.agent_id, answer.new_status], [agent_id, status]);
  }
  await refusal('PUT', `/agents/${agent_id}/status`, 422, "'asleep' is not a valid AgentStatus", { status: 'asleep' });
  await refusal('PUT', `/agents/${agent_id}/status`, 422, undefined, {});
  for (const body of [undefined, { load_metrics: { cpu: 0.25 } }]) {
    const beat = await coordinator('POST', `/agents/${agent_id}/heartbeat`, body, ['message', 'agent_id'], 'heartbeat_at');
    assert.equal(beat.agent_id, agent_id);
  }
  const { agent } = await each([''], 'GET', `/agents/${agent_id}`, 200);
  assert.equal(agent.load_metrics.cpu, 0.25);
  assert.equal(agent.load_metrics.busy, 0.5, 'merged');
  const { stats } = await each(COORDINATOR, 'GET', '/registry/stats', 200);
  includesKeys(stats, ['total_agents', 'status_counts', 'type_counts', 'service_count', 'capability_count', 'last_cleanup']);
});

// --- section 3: tasks --------------------------------------------------------------------------

const waiting = { capabilities: ['nobody has this'] };

story('tasks are submitted with every priority in any case, and counted', async () => {
  for (const priority of [...TASK_PRIORITIES, 'URGENT', 'High']) {
    const answer = await coordinator('POST', '/tasks/submit', { task_data: { n: 1 }, priority, requirements: waiting },
      ['message', 'task_id', 'priority'], 'submitted_at');
    assert.equal(answer.priority, priority);
  }
  const task_id = fresh('own');
  const plain = await coordinator('POST', '/tasks/submit', { task_data: { task_id }, requirements: waiting }, ['task_id'], 'submitted_at');
  assert.deepEqual([plain.task_id, plain.priority], [task_id, 'normal']);
  await refusal('POST', '/tasks/submit', 400, 'Invalid priority: soon', { task_data: {}, priority: 'soon' });
  await refusal('POST', '/tasks/submit', 400, 'Invalid priority: ', { task_data: {}, priority: '' });
  await refusal('POST', '/tasks/submit', 422, undefined, {});
  const { stats } = await coordinator('GET', '/tasks/status', undefined, ['stats'], 'timestamp');
  includesKeys(stats, ['tasks_distributed', 'tasks_completed', 'tasks_failed', 'avg_distribution_time', 'load_balancer_stats', 'queue_sizes']);
  hasKeys(stats.queue_sizes, TASK_PRIORITIES);
  const queues = await each(COORDINATOR, 'GET', '/tasks/queues', 200);
  hasKeys(queues.queue_sizes, TASK_PRIORITIES);
  includesKeys(await each(COORDINATOR, 'GET', '/tasks/queues/stats', 200), ['queue_sizes', 'distribution_stats']);
  assert.ok(queues.queue_sizes.urgent >= 4 && queues.queue_sizes.high >= 4);
  const cleared = await each([''], 'POST', '/tasks/queues/URGENT/clear', 200);
  includesKeys(cleared, ['message', 'priority', 'cleared_count', 'timestamp']);
  assert.equal(cleared.cleared_count, queues.queue_sizes.urgent);
  await refusal('POST', '/tasks/queues/soon/clear', 400, 'Invalid priority: soon');
  const list = await each(COORDINATOR, 'GET', '/tasks?limit=3', 200);
  assert.equal(list.tasks.length, 3);
  assert.equal((await each(COORDINATOR, 'GET', `/tasks/${task_id}`, 200)).task.task_id, task_id);
});

story('a task goes through its steps over REST, and an old lease is 409 at each', async () => {
  const agent_id = await register({ capabilities: ['step'] });
  const take = async () => {
    const { task_id } = (await hub.post('/tasks/submit', { task_data: {}, requirements: { agents: [agent_id] } })).body;
    const lease_id = await until(async () => (await hub.get(`/tasks/${task_id}`)).body.task.lease_id, { what: 'a lease' });
    return { task_id, lease_id };
  };
  const step = (task, name, body = {}) => each([''], 'POST', `/tasks/${task.task_id}/${name}`, 200, { lease_id: task.lease_id, ...body });
  const one = await take();
  for (const name of ['accept', 'progress', 'renew', 'complete', 'fail']) {
    await refusal('POST', `/tasks/${one.task_id}/${name}`, 409, undefined, { lease_id: '1-99999' });
    await refusal('POST', `/tasks/none/${name}`, 404, 'Task none not found', { lease_id: '1-1' });
  }
  await step(one, 'accept');
  await step(one, 'progress', { percent: 50 });
  await step(one, 'renew');
  await step(one, 'complete', { result: { ok: true } });
  const done = (await hub.get(`/tasks/${one.task_id}`)).body.task;
  assert.deepEqual([done.status, done.result], ['completed', { ok: true }]);
  const two = await take();
  await step(two, 'accept');
  await step(two, 'fail', { error: 'no', non_retryable: true });
  assert.equal((await hub.get(`/tasks/${two.task_id}`)).body.task.status, 'failed');
  const three = await take();
  await each([''], 'POST', `/tasks/${three.task_id}/cancel`, 200);
  assert.equal((await hub.get(`/tasks/${three.task_id}`)).body.task.status, 'cancelled');
  await refusal('POST', '/tasks/none/cancel', 404, 'Task none not found');
  await each([''], 'DELETE', `/agents/${agent_id}`, 200);
});

// --- section 3: messages, peers, balance -------------------------------------------------------

story('messages of every type, priority and protocol are sent, listed and shown', async () => {
  const receiver_id = await register();
  const send = (more = {}) => ({ receiver_id, message_type: 'direct', payload: { n: 1 }, ...more });
  const sent = await coordinator('POST', '/messages/send', send(), ['message', 'message_id', 'receiver_id', 'protocol'], 'sent_at');
  assert.deepEqual([sent.message, sent.receiver_id, sent.protocol], ['Message sent successfully', receiver_id, 'hierarchical']);
  for (const message_type of MESSAGE_TYPES) await each([''], 'POST', '/messages/send', 200, send({ message_type }));
  for (const priority of ['low', 'normal', 'high', 'critical']) await each([''], 'POST', '/messages/send', 200, send({ priority }));
  for (const protocol of ['hierarchical', 'peer_to_peer', 'broadcast']) {
    assert.equal((await each([''], 'POST', '/messages/send', 200, send({ protocol }))).protocol, protocol);
  }
  const early = await each([''], 'POST', '/messages/send', 200, { ...send(), receiver_id: fresh('late') });
  assert.equal(early.receiver_known, false);
  await refusal('POST', '/messages/send', 400, 'Invalid protocol: smoke. Valid protocols: hierarchical, peer_to_peer, broadcast', send({ protocol: 'smoke' }));
  await refusal('POST', '/messages/send', 400, 'Invalid message type: whisper', send({ message_type: 'whisper' }));
  await refusal('POST', '/messages/send', 400, 'Invalid priority: soon', send({ priority: 'soon' }));
  for (const [field, what] of [['priority', 'priority: '], ['protocol', 'protocol: . Valid protocols: hierarchical, peer_to_peer, broadcast']]) {
    await refusal('POST', '/messages/send', 400, `Invalid ${what}`, send({ [field]: '' }));
  }
  await refusal('POST', '/messages/send', 422, undefined, { receiver_id });
  const cast = await coordinator('POST', '/messages/broadcast', { message_type: 'broadcast', payload: {} }, ['message', 'recipients', 'count'], 'broadcast_at');
  assert.ok(cast.count > 0 && cast.recipients.includes(receiver_id));
  const nobody = await each(COORDINATOR, 'POST', '/messages/broadcast', 200, { message_type: 'broadcast', payload: {}, capabilities: ['none'] });
  assert.deepEqual([nobody.message, nobody.count, nobody.recipients], ['No matching agents found', 0, []]);
  await refusal('POST', '/messages/broadcast', 400, 'Invalid message type: whisper', { message_type: 'whisper', payload: {} });
  await refusal('POST', '/messages/broadcast', 400, 'Invalid priority: soon', { message_type: 'broadcast', payload: {}, priority: 'soon' });
  const history = await coordinator('GET', `/messages/history?receiver_id=${receiver_id}`, undefined,
    ['messages', 'count', 'total', 'limit', 'offset'], 'timestamp');
  assert.deepEqual([history.limit, history.offset, history.count], [100, 0, history.messages.length]);
  for (const one of history.messages) {
    includesKeys(one, ['message_id', 'sender_id', 'receiver_id', 'message_type', 'priority', 'payload', 'protocol', 'timestamp']);
  }
  const times = history.messages.map((one) => one.timestamp);
  assert.deepEqual(times, [...times].sort().reverse(), 'newest first');
  assert.equal(history.messages.at(-1).sender_id, 'agent-coordinator');
  const second = await each([''], 'GET', `/messages/history?receiver_id=${receiver_id}&limit=1&offset=1`, 200);
  assert.equal(second.messages[0].message_id, history.messages[1].message_id);
  await each([''], 'GET', `/messages/history?receiver_id=&sender_id=`, 200); // nobody in particular
  const both = await each([''], 'GET', `/messages/history?receiver_id=none&sender_id=agent-coordinator`, 200);
  assert.ok(both.count > 0, 'the sender wins');
  const shown = await coordinator('GET', `/messages/${sent.message_id}`, undefined, ['message'], 'timestamp');
  assert.equal(shown.message.message_id, sent.message_id);
  await refusal('GET', '/messages/none', 404, 'Message none not found');
});

story('peers are linked one way, and listed', async () => {
  const [a, p] = [await register(), await register()];
  const link = `agent_id=${a}&peer_id=${p}`;
  const added = await coordinator('POST', `/peers/add?${link}`, undefined, ['message', 'agent_id', 'peer_id'], 'connected_at');
  assert.deepEqual([added.message, added.agent_id, added.peer_id], [`Peer ${p} added for agent ${a}`, a, p]);
  const peers = await each(COORDINATOR, 'GET', `/peers/${a}`, 200);
  assert.deepEqual([peers.agent_id, peers.peers, peers.count], [a, [p], 1]);
  assert.deepEqual((await each(COORDINATOR, 'GET', `/peers/${p}`, 200)).peers, [], 'one direction');
  const all = await each(COORDINATOR, 'GET', '/peers', 200);
  assert.deepEqual([all.connections[a], all.total_agents >= 1, all.total_peers >= 1], [[p], true, true]);
  const removed = await coordinator('POST', `/peers/remove?${link}`, undefined, ['message', 'agent_id', 'peer_id'], 'removed_at');
  assert.equal(removed.message, `Peer ${p} removed for agent ${a}`);
  for (const query of ['', `?agent_id=${a}`, `?peer_id=${p}`]) {
    await refusal('POST', `/peers/add${query}`, 422);
    await refusal('POST', `/peers/remove${query}`, 422);
  }
});

story('the balance takes every strategy in any case, and says what it did', async () => {
  const { stats } = await each(COORDINATOR, 'GET', '/load-balancer/stats', 200);
  includesKeys(stats, [
    'strategy', 'total_assignments', 'successful_assignments', 'failed_assignments', 'success_rate', 'active_agents',
    'agent_weights', 'avg_agent_load',
  ]);
  assert.equal(stats.strategy, 'least_connections');
  for (const strategy of [...STRATEGIES, 'ROUND_ROBIN', 'Least_Connections']) {
    const answer = await coordinator('PUT', `/load-balancer/strategy?strategy=${strategy}`, undefined, ['message', 'strategy'], 'updated_at');
    assert.equal(answer.strategy, strategy);
    assert.equal((await hub.get('/load-balancer/stats')).body.stats.strategy, strategy.toLowerCase());
  }
  await refusal('PUT', '/load-balancer/strategy?strategy=luck', 400, 'Invalid strategy: luck');
  await refusal('PUT', '/load-balancer/strategy', 422);
});

// --- section 6 ---------------------------------------------------------------------------------

story('tasks and agents in their second form', async () => {
  const made = await each([''], 'POST', '/v1/tasks', 201, { task_data: { n: 1 }, requirements: waiting });
  includesKeys(made, ['task_id', 'status']);
  assert.match(made.task_id, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  const seen = await each([''], 'GET', `/v1/tasks/${made.task_id}/status`, 200);
  includesKeys(seen, ['id', 'status', 'progress', 'result']);
  assert.equal(seen.id, made.task_id);
  await problem([''], 'GET', '/v1/tasks/17/status', 422);
  await problem([''], 'GET', '/v1/tasks/01890000-0000-7000-8000-000000000000/status', 404);
  const agent_id = fresh('bee');
  const agent = await each([''], 'POST', '/v1/agents', 201, { agent_id });
  includesKeys(agent, ['agent_id', 'token']);
  assert.equal(agent.agent_id, agent_id);
  assert.equal((await hub.get('/api/v1/auth/whoami', { token: agent.token })).body.sub, agent_id);
  assert.equal((await hub.post('/v1/agents', { agent_id: fresh('bee') }, { token: agent.token })).status, 403, 'admins make agents');
});
