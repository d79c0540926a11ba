// REST as rest-contract.md has it: the rules for every route, the agents of section 3, channels.

import assert from 'node:assert/strict';
import { connect as tcp } from 'node:net';
import { after, before } from 'node:test';
import Ajv2020 from 'ajv/dist/2020.js';
import { startHub, until } from './lib/hub.mjs';
import { operations } from './lib/operations.mjs';
import { exchange as rawExchange } from './lib/raw.mjs';
import { fresh, hasKeys, inOrder, includesKeys, isTime, numbers, story } from './lib/story.mjs';

let hub;
before(async () => {
  hub = await startHub();
});
after(() => hub?.stop());

const AGENT_KEYS = [
  'agent_id', 'agent_type', 'status', 'capabilities', 'services', 'endpoints', 'metadata', 'last_heartbeat',
  'registration_time', 'load_metrics', 'health_score', 'version', 'tags',
];

async function register(more = {}) {
  const agent_id = more.agent_id ?? fresh('agent');
  const answer = await hub.post('/agents/register', { agent_id, agent_type: 'worker', ...more });
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

/** The error of the coordinator routes: JSON with status "error". */
function isCoordinatorError(answer, status) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  includesKeys(answer.body, ['status', 'message', 'detail', 'timestamp'], 'error');
  assert.equal(answer.body.status, 'error');
  isTime(answer.body.timestamp, 'timestamp');
}

/** The error of every other route: RFC 9457 and the keys that callers read. */
function isProblem(answer, status) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers['content-type'], /^application\/problem\+json/);
  includesKeys(answer.body, ['type', 'title', 'status', 'detail', 'message', 'timestamp'], 'problem');
  assert.equal(answer.body.status, status);
  isTime(answer.body.timestamp, 'timestamp');
}

/** 422 as the callers' client libraries read it. */
function isInvalid(answer, field) {
  assert.equal(answer.status, 422, answer.text);
  assert.ok(Array.isArray(answer.body.detail), answer.text);
  for (const one of answer.body.detail) {
    hasKeys(one, ['loc', 'msg', 'type'], 'detail');
    assert.equal(one.loc[0], 'body');
    assert.ok(one.msg.length > 0);
  }
  if (field) assert.ok(answer.body.detail.some((one) => one.loc[1] === field), `${answer.text} names ${field}`);
}

// --- the service -------------------------------------------------------------------------------

story('GET / says what runs here', async () => {
  const { status, body } = await hub.get('/', { token: null });
  assert.equal(status, 200);
  includesKeys(body, ['service', 'description', 'version', 'status', 'endpoints']);
  assert.equal(body.status, 'running');
  for (const path of ['/ws/v1/events', '/agents', '/tasks/submit', '/messages/send', '/swarm/join', '/api/v1/agents/networks', '/api/v1/consensus']) {
    assert.equal(body.endpoints.filter((one) => one === path).length, 1, path);
  }
});

story('a browser at / is led to the dashboard, an API caller is not', async () => {
  const browser = await hub.get('/', { token: null, headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
  assert.ok([302, 303, 307].includes(browser.status), `status ${browser.status}`);
  assert.match(browser.headers.location, /\/dashboard\/$/);
  assert.match(browser.headers.vary ?? '', /accept/i);
  assert.equal((await hub.get('/', { token: null, headers: { accept: '*/*' } })).status, 200);
});

story('health, readiness and metrics need no credentials', async () => {
  const health = await hub.get('/health', { token: null });
  assert.equal(health.status, 200);
  includesKeys(health.body, ['status', 'service', 'version', 'timestamp', 'active_workflows', 'uptime_seconds']);
  assert.equal(health.body.status, 'healthy');
  assert.equal(health.body.service, 'agent-coordinator');
  isTime(health.body.timestamp);
  assert.equal((await hub.get('/ready', { token: null })).status, 200);
  const metrics = await hub.get('/metrics', { token: null });
  assert.match(metrics.headers['content-type'], /^text\/plain/);
  for (const line of metrics.text.trim().split('\n')) {
    assert.match(line, /^(# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? (-?[0-9.eE+-]+|\+Inf|NaN))$/);
  }
  assert.match(metrics.text, /^# TYPE \w+ histogram$/m);
});

story('openapi.json is OpenAPI 3.1, its schemas are sound and it names the agents', async () => {
  const { status, body } = await hub.get('/openapi.json', { token: null });
  assert.equal(status, 200);
  assert.match(body.openapi, /^3\.1\./);
  for (const [path, method] of [
    ['/agents/register', 'post'], ['/agents/discover', 'post'], ['/agents', 'get'], ['/agents/{agent_id}', 'get'],
    ['/agents/{agent_id}/status', 'put'], ['/agents/{agent_id}/heartbeat', 'post'], ['/registry/stats', 'get'],
  ]) {
    const anyName = Object.keys(body.paths).find((known) => known.replace(/\{\w+\}/g, '{}') === path.replace(/\{\w+\}/g, '{}'));
    assert.ok(anyName && body.paths[anyName][method], `${method} ${path}`);
  }
  const ajv = new Ajv2020({ strict: false });
  const ids = new Set();
  for (const [path, item] of Object.entries(body.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (!['get', 'put', 'post', 'delete', 'patch'].includes(method)) continue;
      assert.ok(operation.summary, `${method} ${path} has a summary`);
      assert.ok(operation.responses, `${method} ${path} has responses`);
      assert.ok(!ids.has(operation.operationId), `operationId ${operation.operationId} is unique`);
      ids.add(operation.operationId);
      const schema = operation.requestBody?.content?.['application/json']?.schema;
      if (schema && !schema.$ref) ajv.compile({ ...schema, $id: undefined, components: body.components });
    }
  }
});

// --- who asks ----------------------------------------------------------------------------------

story('without credentials a route answers 401 and says how to bring them', async () => {
  for (const headers of [{}, { authorization: 'Bearer wrong' }, { 'x-api-key': 'wrong' }, { authorization: 'Basic eDp5' }]) {
    const answer = await hub.get('/agents', { token: null, headers });
    assert.equal(answer.status, 401);
    assert.match(answer.headers['www-authenticate'], /^Bearer/);
  }
});

story('a key comes in X-API-Key of any case or as a bearer', async () => {
  for (const headers of [{ 'X-API-Key': hub.adminKey }, { 'x-api-KEY': hub.adminKey }, { authorization: `bearer ${hub.adminKey}` }]) {
    assert.equal((await hub.get('/agents', { token: null, headers })).status, 200);
  }
});

story('?token= opens the event endpoints only', async () => {
  assert.equal((await hub.get(`/agents?token=${hub.adminKey}`, { token: null })).status, 401);
});

story('with anonymous_role admin the whole API is open, and the hub says so loudly', async () => {
  const open = await startHub({ anonymousRole: 'admin' });
  try {
    assert.equal((await open.get('/agents', { token: null })).status, 200);
    assert.equal((await open.get('/agents', { token: 'wrong' })).status, 401);
    assert.match(open.logs, /anonymous/i);
  } finally {
    await open.stop();
  }
});

// --- agents ------------------------------------------------------------------------------------

story('register answers what the agent needs to live', async () => {
  const agent_id = fresh('agent');
  const { status, body } = await hub.post('/agents/register', {
    agent_id, agent_type: 'worker', capabilities: ['forage'], services: ['honey'],
    endpoints: { http: 'http://localhost:9999' }, metadata: { hive: 7 }, tags: ['blue'], region: 'meadow', slots: 3,
  });
  assert.equal(status, 200);
  includesKeys(body, ['status', 'message', 'agent_id', 'registered_at', 'heartbeat_interval', 'lease_seconds', 'session']);
  assert.equal(body.status, 'success');
  assert.equal(body.message, `Agent ${agent_id} registered successfully`);
  assert.equal(body.agent_id, agent_id);
  isTime(body.registered_at);
  assert.ok(body.heartbeat_interval > 0);
  assert.ok(body.lease_seconds > 0);

  const got = await hub.get(`/agents/${agent_id}`);
  assert.equal(got.status, 200);
  includesKeys(got.body, ['status', 'agent', 'timestamp']);
  const { agent } = got.body;
  includesKeys(agent, AGENT_KEYS, 'agent');
  assert.equal(agent.agent_id, agent_id);
  assert.equal(agent.agent_type, 'worker');
  assert.equal(agent.status, 'active');
  assert.deepEqual(agent.capabilities, ['forage']);
  assert.deepEqual(agent.services, ['honey']);
  assert.deepEqual(agent.endpoints, { http: 'http://localhost:9999' });
  assert.deepEqual(agent.metadata, { hive: 7 });
  assert.deepEqual(agent.tags, ['blue']);
  assert.ok(agent.health_score >= 0 && agent.health_score <= 1);
  isTime(agent.last_heartbeat);
  isTime(agent.registration_time);
});

story('registering again overwrites and answers 200 with a new session', async () => {
  const first = await register({ capabilities: ['old'] });
  const second = await register({ agent_id: first.agent_id, agent_type: 'monitor', capabilities: ['new'] });
  assert.notEqual(second.session, first.session);
  const { agent } = (await hub.get(`/agents/${first.agent_id}`)).body;
  assert.deepEqual(agent.capabilities, ['new']);
  assert.equal(agent.agent_type, 'monitor');
  const { agents } = (await hub.get('/agents?limit=1000')).body;
  assert.equal(agents.filter((one) => one.agent_id === first.agent_id).length, 1);
});

story('every agent type of the contract is known, another is named', async () => {
  for (const agent_type of ['worker', 'provider', 'consumer', 'general', 'coordinator', 'specialist', 'monitor', 'gateway',
    'orchestrator', 'inference', 'training', 'processing']) {
    await register({ agent_type });
  }
  const answer = await hub.post('/agents/register', { agent_id: fresh('agent'), agent_type: 'queen' });
  isCoordinatorError(answer, 422);
  assert.equal(answer.body.detail, "'queen' is not a valid AgentType");
});

story('register without its fields, or with wrong ones, names them', async () => {
  isInvalid(await hub.post('/agents/register', { agent_type: 'worker' }), 'agent_id');
  isInvalid(await hub.post('/agents/register', { agent_id: 'x' }), 'agent_type');
  const both = await hub.post('/agents/register', {});
  isInvalid(both, 'agent_id');
  isInvalid(both, 'agent_type');
  isInvalid(await hub.post('/agents/register', { agent_id: 7, agent_type: 'worker' }), 'agent_id');
  isInvalid(await hub.post('/agents/register', { agent_id: 'x', agent_type: 'worker', capabilities: 'forage' }), 'capabilities');
  isInvalid(await hub.post('/agents/register', { agent_id: 'x', agent_type: 'worker', endpoints: { a: 1 } }), 'endpoints');
  isInvalid(await hub.post('/agents/register', '{"agent_id":'));
  isInvalid(await hub.post('/agents/register', '[]'));
});

story('the list has everyone, with count', async () => {
  const mine = [await register(), await register()].map((one) => one.agent_id);
  const { status, body } = await hub.get('/agents?limit=1000');
  assert.equal(status, 200);
  includesKeys(body, ['status', 'agents', 'count']);
  assert.equal(body.count, body.agents.length);
  for (const id of mine) assert.ok(body.agents.some((one) => one.agent_id === id));
  for (const agent of body.agents) includesKeys(agent, AGENT_KEYS, 'agent');
});

story('the list is paged by limit and cursor without loss or repetition', async () => {
  await Promise.all(numbers(7).map(() => register()));
  const all = (await hub.get('/agents?limit=1000')).body.agents.map((one) => one.agent_id);
  const paged = [];
  let cursor = '';
  do {
    const { body } = await hub.get(`/agents?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    assert.ok(body.agents.length <= 3);
    paged.push(...body.agents.map((one) => one.agent_id));
    cursor = body.next_cursor;
  } while (cursor);
  assert.deepEqual(paged, all);
  for (const limit of ['0', '-1', '1001', 'many']) {
    assert.equal((await hub.get(`/agents?limit=${limit}`)).status, 422, `limit ${limit}`);
  }
});

story('discover takes any of its keys, all must hold, {} is everybody', async () => {
  const tag = fresh('tag');
  const a = await register({ tags: [tag], agent_type: 'inference', capabilities: ['x', 'y'], services: ['s1', 's2'], region: 'north' });
  const b = await register({ tags: [tag], agent_type: 'training', capabilities: ['y'], services: ['s2'], region: 'south' });
  const find = async (query) => {
    const { status, body } = await hub.post('/agents/discover', { tags: [tag], ...query });
    assert.equal(status, 200);
    includesKeys(body, ['status', 'query', 'agents', 'count', 'timestamp']);
    assert.deepEqual(body.query, { tags: [tag], ...query });
    assert.equal(body.count, body.agents.length);
    for (let i = 1; i < body.agents.length; i++) {
      assert.ok(body.agents[i - 1].health_score >= body.agents[i].health_score, 'best health first');
    }
    return body.agents.map((one) => one.agent_id).sort();
  };
  const both = [a.agent_id, b.agent_id].sort();
  assert.deepEqual(await find({}), both);
  assert.deepEqual(await find({ agent_type: 'inference' }), [a.agent_id]);
  assert.deepEqual(await find({ status: 'active' }), both);
  assert.deepEqual(await find({ capabilities: ['y'] }), both);
  assert.deepEqual(await find({ capabilities: ['x', 'y'] }), [a.agent_id]);
  assert.deepEqual(await find({ services: ['s2'] }), both);
  assert.deepEqual(await find({ services: ['s1', 's2'] }), [a.agent_id]);
  assert.deepEqual(await find({ region: 'south' }), [b.agent_id]);
  assert.deepEqual(await find({ min_health_score: 0 }), both);
  assert.equal((await find({ limit: 1 })).length, 1);
  assert.deepEqual(await find({ agent_type: 'queen' }), []);
  assert.deepEqual(await find({ status: 'asleep' }), []);
  assert.deepEqual(await find({ colour: 'ignored' }), both);
  const everybody = await hub.post('/agents/discover', {});
  assert.ok(everybody.body.count >= 2);
});

story('by service and by capability', async () => {
  const service = fresh('service');
  const capability = fresh('capability');
  const { agent_id } = await register({ services: [service], capabilities: [capability] });
  for (const [path, key, value] of [[`/agents/service/${service}`, 'service', service], [`/agents/capability/${capability}`, 'capability', capability]]) {
    const { status, body } = await hub.get(path);
    assert.equal(status, 200);
    includesKeys(body, ['status', key, 'agents', 'count', 'timestamp']);
    assert.equal(body[key], value);
    assert.equal(body.count, 1);
    assert.equal(body.agents[0].agent_id, agent_id);
  }
  const none = await hub.get(`/agents/service/${fresh('nobody')}`);
  assert.equal(none.status, 200);
  assert.deepEqual(none.body.agents, []);
});

story('status is set and load metrics are merged', async () => {
  const { agent_id } = await register();
  const first = await hub.put(`/agents/${agent_id}/status`, { status: 'busy', load_metrics: { cpu: 0.5, memory: 0.2 } });
  assert.equal(first.status, 200);
  includesKeys(first.body, ['status', 'message', 'agent_id', 'new_status', 'updated_at']);
  assert.equal(first.body.new_status, 'busy');
  isTime(first.body.updated_at);
  await hub.put(`/agents/${agent_id}/status`, { status: 'maintenance', load_metrics: { cpu: 0.9 } });
  const { agent } = (await hub.get(`/agents/${agent_id}`)).body;
  assert.equal(agent.status, 'maintenance');
  assert.deepEqual(agent.load_metrics, { cpu: 0.9, memory: 0.2 });

  assert.equal((await hub.put(`/agents/${agent_id}/status`, { status: 'asleep' })).status, 422);
  isInvalid(await hub.put(`/agents/${agent_id}/status`, {}), 'status');
  isInvalid(await hub.put(`/agents/${agent_id}/status`, { status: 'active', load_metrics: { cpu: 'much' } }), 'load_metrics');
  isCoordinatorError(await hub.put('/agents/nobody/status', { status: 'active' }), 404);
});

story('a heartbeat moves last_heartbeat, with or without a body', async () => {
  const { agent_id } = await register();
  const before = (await hub.get(`/agents/${agent_id}`)).body.agent.last_heartbeat;
  await until(() => Date.now() > Date.parse(before) + 5);
  let answer;
  for (const body of [undefined, {}, { load_metrics: { cpu: 0.25 } }]) {
    answer = await hub.post(`/agents/${agent_id}/heartbeat`, body);
    assert.equal(answer.status, 200, answer.text);
    includesKeys(answer.body, ['status', 'message', 'agent_id', 'heartbeat_at']);
    isTime(answer.body.heartbeat_at);
  }
  const { agent } = (await hub.get(`/agents/${agent_id}`)).body;
  assert.ok(Date.parse(agent.last_heartbeat) > Date.parse(before));
  assert.equal(agent.last_heartbeat, answer.body.heartbeat_at);
  assert.equal(agent.load_metrics.cpu, 0.25);
  isCoordinatorError(await hub.post('/agents/nobody/heartbeat'), 404);
});

story('deregister ends it; again is 404; every 404 has one shape', async () => {
  const { agent_id } = await register();
  const answer = await hub.delete(`/agents/${agent_id}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.status, 'success');
  for (const gone of [
    await hub.get(`/agents/${agent_id}`), await hub.delete(`/agents/${agent_id}`), await hub.post(`/agents/${agent_id}/heartbeat`),
  ]) {
    isCoordinatorError(gone, 404);
    assert.match(gone.body.message, /not found$/);
  }
  assert.ok(!(await hub.get('/agents?limit=1000')).body.agents.some((one) => one.agent_id === agent_id));
  await register({ agent_id });
  assert.equal((await hub.get(`/agents/${agent_id}`)).body.agent.status, 'active');
});

story('registry stats count what is there', async () => {
  const was = (await hub.get('/registry/stats')).body.stats;
  await register({ agent_type: 'gateway', services: [fresh('service')], capabilities: [fresh('capability')] });
  const { status, body } = await hub.get('/registry/stats');
  assert.equal(status, 200);
  const { stats } = body;
  includesKeys(stats, ['total_agents', 'status_counts', 'type_counts', 'service_count', 'capability_count', 'last_cleanup']);
  assert.equal(stats.total_agents, was.total_agents + 1);
  assert.equal(stats.type_counts.gateway, (was.type_counts.gateway ?? 0) + 1);
  assert.equal(stats.service_count, was.service_count + 1);
  assert.equal(stats.capability_count, was.capability_count + 1);
  const sum = Object.values(stats.status_counts).reduce((a, b) => a + b, 0);
  assert.equal(sum, stats.total_agents);
});

story('section 3 answers under /api/v1 too', async () => {
  const agent_id = fresh('alias');
  assert.equal((await hub.post('/api/v1/agents/register', { agent_id, agent_type: 'worker' })).status, 200);
  assert.equal((await hub.get(`/api/v1/agents/${agent_id}`)).body.agent.agent_id, agent_id);
  assert.equal((await hub.post('/api/v1/agents/discover', {})).status, 200);
  assert.equal((await hub.put(`/api/v1/agents/${agent_id}/status`, { status: 'busy' })).status, 200);
  assert.equal((await hub.post(`/api/v1/agents/${agent_id}/heartbeat`)).status, 200);
  assert.equal((await hub.get('/api/v1/registry/stats')).status, 200);
  assert.equal((await hub.get('/api/v1/agents/capability/none')).status, 200);
  assert.equal((await hub.delete(`/api/v1/agents/${agent_id}`)).status, 200);
});

story("another owner's agent is not found and not listed", async () => {
  const { token: mine } = await hub.mint({ sub: fresh('owner'), role: 'agent' });
  const { token: theirs } = await hub.mint({ sub: fresh('owner'), role: 'agent' });
  const agent_id = fresh('owned');
  assert.equal((await hub.post('/agents/register', { agent_id, agent_type: 'worker' }, { token: mine })).status, 200);
  assert.equal((await hub.get(`/agents/${agent_id}`, { token: mine })).status, 200);
  assert.equal((await hub.delete(`/agents/${agent_id}`, { token: theirs })).status, 404);
  assert.equal((await hub.put(`/agents/${agent_id}/status`, { status: 'error' }, { token: theirs })).status, 404);
  assert.equal((await hub.get(`/agents/${agent_id}`)).status, 200, 'an admin sees all of the app');
});

// --- rules of every route ------------------------------------------------------------------------

story('an unknown route is a 404 of the coordinator shape', async () => {
  for (const path of ['/nowhere', '/agents/x/y/z', '/api/v2/agents']) {
    const answer = await hub.get(path);
    assert.equal(answer.status, 404);
    includesKeys(answer.body, ['status', 'message', 'detail', 'timestamp']);
    assert.match(answer.body.message, /not found/i);
  }
});

story('a wrong method is 405 with what is allowed', async () => {
  for (const [method, path, allowed] of [
    ['PATCH', '/agents', ['GET']], ['GET', '/agents/register/', null], ['DELETE', '/agents/register', ['POST']],
    ['POST', '/health', ['GET']], ['PUT', '/api/v1/channels', ['GET']],
  ]) {
    const answer = await hub.http(method, path);
    if (!allowed) continue;
    assert.equal(answer.status, 405, `${method} ${path}`);
    const allow = answer.headers.allow.split(/\s*,\s*/);
    for (const one of allowed) assert.ok(allow.includes(one), `Allow of ${path}: ${answer.headers.allow}`);
    assert.ok(!allow.includes(method));
  }
});

story('an id may hold a slash: escaped in a path it belongs to the id', async () => {
  const [agent_id, peer_id] = [`${fresh('hive')}/1`, `/${fresh('hive')}//é/`];
  await register({ agent_id });
  await register({ agent_id: peer_id });
  for (const id of [agent_id, peer_id]) {
    const path = `/agents/${encodeURIComponent(id)}`;
    assert.equal((await hub.get(path)).body.agent.agent_id, id);
    assert.equal((await hub.get(path.replaceAll('%2F', '%2f'))).body.agent.agent_id, id);
    assert.equal((await hub.post(`${path}/heartbeat`)).body.agent_id, id);
    assert.equal((await hub.put(`${path}/status`, { status: 'busy' })).body.new_status, 'busy');
    assert.equal((await hub.get(`/api/v1${path}`)).status, 200);
    assert.equal((await hub.get(`/agents/${id.split('/').map(encodeURIComponent).join('/')}`)).status, id === agent_id ? 404 : 400, 'slashes that were not escaped divide');
  }
  assert.equal((await hub.http('POST', `/peers/add?${new URLSearchParams({ agent_id, peer_id })}`)).status, 200);
  assert.deepEqual((await hub.get(`/peers/${encodeURIComponent(agent_id)}`)).body.peers, [peer_id]);
  const task_id = `${fresh('task')}/a/b`;
  assert.equal((await hub.post('/tasks/submit', { task_data: { task_id } })).body.task_id, task_id);
  assert.equal((await hub.post(`/tasks/${encodeURIComponent(task_id)}/cancel`)).status, 200);
  assert.equal((await hub.get(`/tasks/${encodeURIComponent(task_id)}`)).body.task.task_id, task_id);
  for (const id of [agent_id, peer_id]) assert.equal((await hub.http('DELETE', `/agents/${encodeURIComponent(id)}`)).status, 200);
});

story('every path with an id takes one with an escaped slash', async () => {
  const paths = (await operations(hub)).filter((op) => op.path.includes('{'));
  assert.ok(paths.length > 40, `${paths.length} operations`);
  for (const op of paths) {
    const answer = await hub.http('OPTIONS', op.path.replace(/\{\w+\}/g, 'no%2Fsuch%2Fid'));
    assert.equal(answer.status, 204, `${op}`);
    assert.ok(answer.headers.allow.split(', ').includes(op.method), `${op}: ${answer.headers.allow}`);
  }
});

story('HEAD answers as GET does, without the body', async () => {
  for (const path of ['/agents', '/health', '/openapi.json']) {
    const get = await hub.get(path);
    const head = await hub.http('HEAD', path);
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    assert.equal(head.headers['content-type'], get.headers['content-type']);
  }
  assert.equal((await hub.http('HEAD', '/agents/nobody')).status, 404);
});

story('OPTIONS and CORS let the configured origins in and no others', async () => {
  const origin = 'http://localhost:3000';
  const preflight = await hub.http('OPTIONS', '/agents/register', {
    token: null,
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-api-key' },
  });
  assert.ok([200, 204].includes(preflight.status));
  assert.equal(preflight.headers['access-control-allow-origin'], origin);
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  assert.match(preflight.headers['access-control-allow-headers'], /x-api-key/i);
  assert.match(preflight.headers.vary ?? '', /origin/i);

  const simple = await hub.get('/agents', { headers: { origin } });
  assert.equal(simple.headers['access-control-allow-origin'], origin);
  const refused = await hub.get('/agents', { token: null, headers: { origin } });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['access-control-allow-origin'], origin, 'a page may read why');

  const other = await hub.get('/agents', { headers: { origin: 'http://evil.example' } });
  assert.equal(other.headers['access-control-allow-origin'], undefined);

  const plain = await hub.http('OPTIONS', '/agents', { token: null });
  assert.match(plain.headers.allow, /GET/);
});

story('a request id is echoed, or minted where none or a bad one came', async () => {
  assert.equal((await hub.get('/health', { headers: { 'request-id': 'abc-123' } })).headers['request-id'], 'abc-123');
  const one = (await hub.get('/health')).headers['request-id'];
  const two = (await hub.get('/health')).headers['request-id'];
  assert.ok(one && two && one !== two);
  const long = (await hub.get('/health', { headers: { 'request-id': 'x'.repeat(500) } })).headers['request-id'];
  assert.ok(long.length < 200);
});

const RATE_HEADERS = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'ratelimit-policy'];
const ratesOf = ({ headers }) => RATE_HEADERS.filter((name) => name in headers);

/** Answers of every kind: by name, what asks for one. */
const answersOfAllKinds = (hub) => ({
  'an operation': () => hub.get('/agents'),
  'one that is not counted': () => hub.get('/health', { token: null }),
  metrics: () => hub.get('/metrics'),
  'a head': () => hub.http('HEAD', '/agents'),
  'what is not there': () => hub.get('/agents/nobody'),
  'no path of ours': () => hub.get('/nothing/here', { token: null }),
  'a body that does not fit': () => hub.post('/agents/register', {}),
  'another method': () => hub.http('PUT', '/health', { token: null }),
  'what methods there are': () => hub.http('OPTIONS', '/agents', { token: null }),
  'a preflight': () => hub.http('OPTIONS', '/agents', { token: null, headers: { origin: 'http://localhost:3000', 'access-control-request-method': 'GET' } }),
  'no credential': () => hub.get('/agents', { token: null }),
  'a wrong one': () => hub.get('/agents', { token: 'guess' }),
  'no WebSocket': () => hub.get('/ws/v1/events'),
  'a path that is none': () => oneAnswer(hub, 'GET /%zz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'),
  'a method that is none': () => oneAnswer(hub, 'BREW /agents HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'),
  'the server as a whole': () => oneAnswer(hub, 'OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'),
  'a head that is broken': () => oneAnswer(hub, 'GET /agents HTTP/1.1\r\nbroken\r\n\r\n'),
});
const oneAnswer = async (hub, bytes) => (await rawExchange(hub, bytes)).answers[0];

story('rate-limit headers are on every answer', async () => {
  for (const [kind, ask] of Object.entries(answersOfAllKinds(hub))) {
    const answer = await ask();
    assert.deepEqual(ratesOf(answer), RATE_HEADERS, `${kind}: ${answer.status}`);
    const [limit, remaining, reset] = RATE_HEADERS.map((name) => Number(answer.headers[name]));
    assert.ok(remaining <= limit && reset >= 0 && reset <= 60, kind);
    assert.match(answer.headers['ratelimit-policy'], new RegExp(`^\\d+;w=60;burst=${limit}$`), kind);
  }
});

story('rate-limit headers say what is left of whom: of a name, or of an address; what is not counted takes nothing', async () => {
  const counting = await startHub({ config: { rates: { address_per_minute: 30, requests_per_minute: 50 } } }); // a bucket of twenty each, a token in a second or two
  const left = async (path, options) => {
    const { headers } = await counting.get(path, options);
    return [headers['ratelimit-policy'], Number(headers['ratelimit-remaining'])];
  };
  const stranger = { token: null };
  const { token } = await counting.mint({ sub: 'quiet', role: 'agent' });
  assert.deepEqual(await left('/health', { token }), ['50;w=60;burst=20', 20]);
  assert.deepEqual(await left('/health', stranger), ['30;w=60;burst=20', 20]);
  assert.deepEqual(await left('/agents', { token }), ['50;w=60;burst=20', 19]);
  assert.deepEqual(await left('/agents', stranger), ['30;w=60;burst=20', 19]);
  for (const _ of numbers(25)) {
    assert.equal((await counting.http('OPTIONS', '/agents', stranger)).status, 204);
    assert.equal((await counting.get('/health', stranger)).status, 200);
  }
  const statuses = [];
  for (const _ of numbers(25)) statuses.push((await counting.get('/agents', stranger)).status);
  assert.deepEqual(statuses.slice(0, 19), Array(19).fill(401));
  assert.ok(statuses.includes(429), statuses.join(' '));
  const looked = await counting.get('/health', stranger);
  assert.equal(looked.status, 200, 'not counted, so never too much');
  await counting.stop();
});

story('a hub without a limit says none', async () => {
  const open = await startHub({ config: { rates: { address_per_minute: 0, requests_per_minute: 0 } } });
  for (const [kind, ask] of Object.entries(answersOfAllKinds(open))) assert.deepEqual(ratesOf(await ask()), [], kind);
  await open.stop();
});

story('the same idempotency key and body answer with the first result, another body with 409', async () => {
  const key = fresh('key');
  const channel = fresh('idem');
  const path = `/api/v1/channels/${channel}/events`;
  const body = { event: 'x', data: { n: 1 } };
  const first = await hub.post(path, body, { headers: { 'idempotency-key': key } });
  assert.ok([200, 201].includes(first.status), first.text);
  assert.equal(first.headers['idempotency-replayed'], undefined);
  const again = await hub.post(path, body, { headers: { 'idempotency-key': key } });
  assert.equal(again.status, first.status);
  assert.deepEqual(again.body, first.body);
  assert.equal(again.headers['idempotency-replayed'], 'true');
  isProblem(await hub.post(path, { event: 'x', data: { n: 2 } }, { headers: { 'idempotency-key': key } }), 409);
  assert.equal((await hub.get(`/api/v1/channels/${channel}/history`)).body.events.length, 1);
});

story('the idempotency key of a registration survives a restart', async () => {
  const own = await startHub();
  try {
    const headers = { 'idempotency-key': 'reg-1' };
    const body = { agent_id: 'bee-1', agent_type: 'worker' };
    const first = await own.post('/agents/register', body, { headers });
    assert.equal(first.status, 200);
    await own.kill9();
    await own.restart();
    const again = await own.post('/agents/register', body, { headers });
    assert.equal(again.headers['idempotency-replayed'], 'true');
    assert.deepEqual(again.body, first.body);
  } finally {
    await own.stop();
  }
});

story('a body of another content type is 415 or read as the JSON it is; never a crash', async () => {
  const answer = await hub.post('/agents/register', '<agent/>', { type: 'application/xml' });
  assert.ok([415, 422].includes(answer.status), `status ${answer.status}`);
});

story('malformed JSON, bad UTF-8, too deep and duplicate keys answer 422', async () => {
  const path = '/agents/register';
  for (const body of [
    '{', '{"agent_id":"x",}', 'nil', '{"agent_id":"x","agent_id":"y","agent_type":"worker"}',
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    `{"agent_id":"x","agent_type":"worker","metadata":${'{"a":'.repeat(100)}1${'}'.repeat(100)}}`,
  ]) {
    assert.equal((await hub.post(path, body)).status, 422, String(body).slice(0, 60));
  }
});

story('a body past the bound is 413', async () => {
  const answer = await hub.post('/agents/register', { agent_id: 'x', agent_type: 'worker', metadata: { pad: 'x'.repeat(32 << 20) } })
    .catch((error) => ({ status: error.code }));
  assert.ok([413, 'UND_ERR_SOCKET', 'EPIPE', 'ECONNRESET'].includes(answer.status), `status ${answer.status}`);
  assert.equal((await hub.get('/health')).status, 200);
});

/** Bytes as given on a socket of their own; resolves with all that came back until it closes or rests. */
async function exchange(bytes, { wait = 1_500 } = {}) {
  const { hostname, port } = new URL(hub.url);
  const socket = tcp(Number(port), hostname);
  socket.on('error', () => {});
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (more) => (text += more));
  socket.write(bytes);
  await Promise.race([new Promise((resolve) => socket.once('close', resolve)), new Promise((resolve) => setTimeout(resolve, wait))]);
  socket.destroy();
  return text;
}

const head = (line, ...lines) => `${[line, ...lines].join('\r\n')}\r\n\r\n`;

for (const [what, bytes, status] of [
  ['no Host', head('GET /health HTTP/1.1'), 400],
  ['two Hosts', head('GET /health HTTP/1.1', 'Host: a', 'Host: b'), 400],
  ['a bare line feed', 'GET /health HTTP/1.1\nHost: a\n\n', 400],
  ['a folded header', head('GET /health HTTP/1.1', 'Host: a', 'X: a', ' b'), 400],
  ['a space before the colon', head('GET /health HTTP/1.1', 'Host : a'), 400],
  ['two lengths', `${head('POST /agents/register HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Content-Length: 3')}{}`, 400],
  ['a length and chunks', head('POST /agents/register HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Transfer-Encoding: chunked') + '0\r\n\r\n', 400],
  ['a length that is no number', head('POST /agents/register HTTP/1.1', 'Host: a', 'Content-Length: +2'), 400],
  ['a coding nobody knows', head('POST /agents/register HTTP/1.1', 'Host: a', 'Transfer-Encoding: gzip'), [400, 501]],
  ['HTTP/2.0', head('GET /health HTTP/2.0', 'Host: a'), 505],
  ['a target of 100 KB', head(`GET /${'x'.repeat(100_000)} HTTP/1.1`, 'Host: a'), 414],
  ['a header of 100 KB', head('GET /health HTTP/1.1', 'Host: a', `X: ${'x'.repeat(100_000)}`), 431],
  ['a POST without length', head('POST /agents/register HTTP/1.1', 'Host: a', 'Connection: close'), [411, 401, 422]],
]) {
  story(`${what} is answered with ${status} and the connection ends`, async () => {
    const text = await exchange(bytes);
    const got = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
    assert.ok([status].flat().includes(got), `${got}: ${text.slice(0, 200)}`);
    assert.equal((await hub.get('/health')).status, 200);
  });
}

story('two requests in one segment are answered in order on one connection', async () => {
  const text = await exchange(
    head('GET /health HTTP/1.1', 'Host: a', 'Request-Id: first') + head('GET /nowhere HTTP/1.1', 'Host: a', 'Request-Id: second', 'Connection: close'),
  );
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((one) => one[1]);
  assert.equal(statuses[0], '200');
  assert.equal(statuses.length, 2);
  assert.ok(text.indexOf('first') < text.indexOf('second'));
});

story('a chunked body is decoded, split anywhere', async () => {
  const { hostname, port } = new URL(hub.url);
  const socket = tcp(Number(port), hostname);
  let text = '';
  socket.on('data', (more) => (text += more));
  const body = JSON.stringify({ agent_id: fresh('chunked'), agent_type: 'worker' });
  const bytes =
    head('POST /agents/register HTTP/1.1', 'Host: a', `X-API-Key: ${hub.adminKey}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked', 'Connection: close') +
    `5;ext=1\r\n${body.slice(0, 5)}\r\n${(body.length - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\nTrailer: x\r\n\r\n`;
  for (let at = 0; at < bytes.length; at += 7) {
    socket.write(bytes.slice(at, at + 7));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => text.includes('registered successfully'), { what: 'the answer' });
  socket.destroy();
});

story('Expect: 100-continue is answered before the body', async () => {
  const { hostname, port } = new URL(hub.url);
  const socket = tcp(Number(port), hostname);
  let text = '';
  socket.on('data', (more) => (text += more));
  const body = JSON.stringify({ agent_id: fresh('expect'), agent_type: 'worker' });
  socket.write(head('POST /agents/register HTTP/1.1', 'Host: a', `X-API-Key: ${hub.adminKey}`, `Content-Length: ${body.length}`, 'Expect: 100-continue'));
  await until(() => /^HTTP\/1\.1 100 /.test(text), { what: '100 Continue' });
  socket.write(body);
  await until(() => / 200 /.test(text), { what: 'the answer' });
  socket.destroy();
});

// --- channels --------------------------------------------------------------------------------------

story('a channel is published to, read, listed and described over REST', async () => {
  const channel = fresh('rest');
  const path = `/api/v1/channels/${channel}`;
  for (const i of numbers(5, 1)) {
    const { status, body } = await hub.post(`${path}/events`, { event: 'n', data: i });
    assert.ok([200, 201].includes(status), JSON.stringify(body));
    assert.equal(body.channel, channel);
    assert.equal(body.offset, i);
    assert.equal(typeof body.epoch, 'string');
  }
  const history = await hub.get(`${path}/history`);
  assert.equal(history.status, 200);
  assert.deepEqual(history.body.events.map((event) => event.data).sort(), numbers(5, 1));
  includesKeys(history.body.events[0], ['channel', 'event', 'data', 'offset', 'time'], 'event');

  const one = await hub.get(path);
  assert.equal(one.status, 200);
  assert.equal(one.body.channel, channel);
  assert.equal(one.body.offset, 5);
  const list = await hub.get('/api/v1/channels?limit=1000');
  assert.equal(list.status, 200);
  assert.ok(list.body.channels.some((entry) => entry.channel === channel));
  isProblem(await hub.get(`/api/v1/channels/${fresh('nothing')}`), 404);
  assert.equal((await hub.get(`${path}/members`)).status, 200);
});

story('one publish over REST reaches WebSocket subscribers, and the other way round', async () => {
  const channel = fresh('doors');
  const bee = await hub.connect();
  await bee.subscribe(channel);
  await hub.post(`/api/v1/channels/${channel}/events`, { event: 'rest', data: { a: 1 } });
  assert.equal((await bee.next('event')).event, 'rest');
  await bee.publish(channel, 'ws', { a: 2 });
  const { body } = await hub.get(`/api/v1/channels/${channel}/history`);
  assert.equal(body.events.length, 2);
  await bee.close();
});

story('a batch of events is one request, and each says what became of it', async () => {
  const [a, b] = [fresh('batch'), fresh('batch')];
  const events = [{ channel: a, event: 'x', data: 1 }, { channel: b, event: 'x', data: 2 }, { channel: a, event: 'x', data: 3 }];
  const { status, body } = await hub.post('/api/v1/events', { events });
  assert.ok([200, 201].includes(status), JSON.stringify(body));
  const results = body.results ?? body.events;
  assert.deepEqual(results.map((one) => one.offset), [1, 1, 2]);
  inOrder((await hub.get(`/api/v1/channels/${a}/events?since=0`)).body.events, 1);
});

story('a bad name, a bad body and a forbidden channel are refused in the shape of the contract', async () => {
  isProblem(await hub.post('/api/v1/channels/a%20b/events', { event: 'x', data: 1 }), 400);
  isInvalid(await hub.post(`/api/v1/channels/${fresh('c')}/events`, { data: 1 }), 'event');
  isProblem(await hub.post('/api/v1/channels/agents/events', { event: 'x', data: 1 }), 403);
  const { token } = await hub.mint({ sub: 'looker', role: 'viewer' });
  isProblem(await hub.post(`/api/v1/channels/${fresh('c')}/events`, { event: 'x', data: 1 }, { token }), 403);
});

story('a long poll waits for what is not there yet, and answers empty when its time is up', async () => {
  const channel = fresh('poll');
  await hub.post(`/api/v1/channels/${channel}/events`, { event: 'x', data: 1 });
  const path = `/api/v1/channels/${channel}/events`;
  const at = (await hub.get(`${path}?since=0`)).body;
  inOrder(at.events, 1);
  const waiting = hub.get(`${path}?since=1&wait=10`);
  const started = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await hub.post(path, { event: 'x', data: 2 });
  const { body } = await waiting;
  assert.ok(Date.now() - started < 8_000);
  inOrder(body.events, 2);
  const empty = await hub.get(`${path}?since=2&wait=1`);
  assert.equal(empty.status, 200);
  assert.deepEqual(empty.body.events, []);
});

// --- JSON Schema as a service ------------------------------------------------------------------------

story('a schema is checked against an instance on request', async () => {
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', required: ['n'], properties: { n: { type: 'integer', minimum: 1 } } };
  const good = await hub.post('/api/v1/schemas/validate', { schema, instance: { n: 1 } });
  assert.equal(good.status, 200);
  assert.equal(good.body.valid, true);
  const bad = await hub.post('/api/v1/schemas/validate', { schema, instance: { n: 0 } });
  assert.equal(bad.body.valid, false);
  includesKeys(bad.body.errors[0], ['instance', 'keyword', 'schema', 'message'], 'error');
  assert.equal(bad.body.errors[0].instance, '/n');
  const other = await hub.post('/api/v1/schemas/validate', {
    schema: { $ref: 'urn:other' }, resources: { 'urn:other': { type: 'string', format: 'date' } }, instance: 'nonsense', assert_formats: true,
  });
  assert.equal(other.body.valid, false);
});
