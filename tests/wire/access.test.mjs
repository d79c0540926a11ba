// Who may do what: every operation of the table × whoever has no right to it, over REST and over `call`.
//
// One owner has one of everything, each thing marked with a word that nobody else knows. `rows` says of each
// operation what others find there; an operation without a row fails the first story.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub } from './lib/hub.mjs';
import { HubError } from './lib/native.mjs';
import { operations } from './lib/operations.mjs';
import { fresh, story } from './lib/story.mjs';

const MARK = 'nectar7c41';
const ROLES = ['guest', 'viewer', 'agent', 'operator', 'admin'];
const EVERYBODY = ['other owner', 'other viewer', 'other operator', 'other app'];

let hub, ops, own, actors;

/** A caller that REST and `call` both know. */
async function actor({ token, sub, role }) {
  return { token, sub, role, socket: await hub.connect({ token }) };
}

/** One of each kind of object, the owner's. */
async function makeThings() {
  const owner = await actor(await hub.mint({ sub: fresh('owner'), role: 'agent' }));
  const call = (method, params) => owner.socket.call(method, params);
  const [agent_id, peer_id] = [fresh('bee'), fresh('peer')];
  for (const id of [agent_id, peer_id]) {
    await call('agents.register', {
      agent_id: id, agent_type: 'worker', slots: 0, services: ['s-own'], capabilities: ['c-own'], metadata: { MARK },
    });
  }
  const { task_id } = await call('tasks.submit', { task_data: { MARK }, requirements: { capabilities: [`nobody-${MARK}`] } });
  const { task_id: dead } = await call('tasks.submit', { task_data: { MARK }, total_seconds: 0.001 });
  const { task_id: plain } = await call('tasks.create', { task_data: { MARK }, requirements: { capabilities: [`nobody-${MARK}`] } });
  const network = await call('networks.create', { name: MARK, agents: [agent_id] });
  const execution = await call('networks.execute', { network_id: network.id, task: { MARK } });
  const joined = await call('swarm.join', { role: 'monitor', capability: MARK, region: MARK, agent_id });
  const coordinated = await call('swarm.coordinate', {
    task_id: fresh('work'), strategy: 'broadcast', parameters: { MARK }, swarm_id: joined.swarm_id,
  });
  const round = await call('consensus.open', { question: MARK, options: ['a', 'b'], electorate: [agent_id, peer_id] });
  const { message_id } = await call('messages.send', {
    receiver_id: agent_id, sender_id: peer_id, message_type: 'direct', payload: { MARK },
  });
  await call('peers.add', { agent_id, peer_id });
  await call('hierarchy.add', { master_id: agent_id, sub_id: peer_id });
  const admin = await actor({ token: hub.adminKey });
  const channel = 'private-own';
  await admin.socket.publish(channel, 'made', { MARK });
  await admin.socket.subscribe({ channel, cursor: 'own', since: 0 });
  const app = 'other';
  await admin.socket.call('apps.create', { id: app });
  const key = await admin.socket.call('auth.keys.create', { name: MARK, role: 'viewer' });
  await admin.socket.call('namespaces.set', { namespace: 'ours', latest: true });
  await admin.socket.call('auth.revoke', { sub: `gone-${MARK}` });
  return {
    owner, admin, app,
    agent_id, peer_id, task_id, dead, plain, network_id: network.id, execution_id: execution.execution_id,
    swarm_id: joined.swarm_id, member_id: joined.member_id, coordinated: coordinated.task_id, round_id: round.round_id,
    message_id, channel, cursor: 'own', namespace: 'ours', key_id: key.id, service: 's-own', capability: 'c-own',
  };
}

/** A key and a token that worked, and do no longer. */
async function revoked() {
  const { id, key } = await own.admin.socket.call('auth.keys.create', { name: fresh('gone'), role: 'admin' });
  const minted = await hub.mint({ sub: fresh('gone'), role: 'admin' });
  for (const token of [key, minted.token]) assert.equal((await hub.get('/api/v1/auth/whoami', { token })).status, 200);
  await own.admin.socket.call('auth.keys.revoke', { id });
  await own.admin.socket.call('auth.revoke', { jti: minted.jti });
  await sleep(1_000); // within a second every thread has heard
  return { 'a revoked key': key, 'a revoked token': minted.token };
}

before(async () => {
  hub = await startHub({ config: { audit: { seal_interval: '1h' } } }); // what no app has sealed yet, nobody finds
  ops = await operations(hub);
  own = await makeThings();
  actors = {
    'other owner': await actor(await hub.mint({ sub: fresh('other'), role: 'agent' })),
    // What another owner may not see, its viewers and operators do not see either: that is for admins.
    'other viewer': await actor(await hub.mint({ sub: fresh('looker'), role: 'viewer' })),
    'other operator': await actor(await hub.mint({ sub: fresh('operator'), role: 'operator' })),
    'other app': await actor(await hub.mint({ sub: 'root', role: 'admin', app: own.app })),
  };
  own.view = await ownView();
});
after(() => hub?.stop());

const none = () => ({});
const row = (finds, params = none, elsewhere = finds, operators = finds) => ({
  finds: { 'other owner': finds, 'other viewer': finds, 'other operator': operators, 'other app': elsewhere }, params,
});
const hidden = (params) => row('nothing', params); // 404, as if it were not there
const list = (params) => row('own', params); // an answer in which nothing of the owner's is
const makes = list; // something of the caller's own
const hubs = (params) => row('forbidden', params); // the hub's own affair
const rights = (params) => row('forbidden', params, 'own', 'all'); // 403 here, for operators not; a thing of that name is another one in another app
const lease_id = 'lease-1';

const rows = {
  'hub.root': list(), 'hub.health': list(), 'hub.ready': list(), 'hub.metrics': list(), 'hub.openapi': list(), 'hub.errors': list(),
  'auth.jwks': list(), 'auth.whoami': list(), 'schemas.validate': makes(() => ({ schema: true, instance: 1 })),

  'auth.mint': makes((o, who) => ({ sub: who.sub, role: 'viewer' })),
  'auth.revoke': makes(() => ({ jti: fresh('jti') })),
  'auth.revocations': row('own', none, 'own', 'all'), // the app's, for its operators
  'auth.keys.create': makes(() => ({ name: fresh('key') })),
  'auth.keys.list': list(),
  'auth.keys.revoke': hidden((o) => ({ id: o.key_id })),
  'auth.rotate': hubs(),
  'apps.create': hubs(() => ({ id: fresh('app') })),
  'apps.list': list(),
  'apps.get': hidden(() => ({ id: 'main' })),
  'apps.update': hubs(() => ({ id: 'main', name: 'mine' })),
  'backups.create': hubs(),
  'backups.list': hubs(),
  'audit.head': hidden(), // each app has a trail of its own: nothing is sealed yet

  // A private channel is its readers'; one of the same name in another app is another channel.
  'channels.publish': rights((o) => ({ channel: o.channel, event: 'x', data: 1 })),
  'channels.poll': rights((o) => ({ channel: o.channel, since: 0 })),
  'channels.get': rights((o) => ({ channel: o.channel })),
  'channels.members': rights((o) => ({ channel: o.channel })),
  'channels.history': rights((o) => ({ channel: o.channel })),
  'channels.cursors': rights((o) => ({ channel: o.channel })),
  'channels.cursor_delete': row('nothing', (o) => ({ channel: o.channel, cursor: o.cursor }), 'nothing', 'busy'),
  'channels.publish_batch': rights((o) => ({ events: [{ channel: o.channel, event: 'x', data: 1 }] })),
  'channels.list': list(),
  // Namespaces are an app's, set by its operators and read by all in it.
  'namespaces.list': row('all', none, 'own'),
  'namespaces.get': row('all', () => ({ namespace: 'plain' }), 'own'),
  'namespaces.set': makes(() => ({ namespace: 'plain', latest: true })),
  'namespaces.reset': hidden((o, who) => ({ namespace: who.role === 'operator' ? fresh('ns') : o.namespace })),

  'agents.register': makes(() => ({ agent_id: fresh('agent'), agent_type: 'worker' })),
  'agents.create': makes(() => ({ agent_id: fresh('made') })),
  'agents.discover': list(),
  'agents.list': list(),
  'agents.by_service': list((o) => ({ service: o.service })),
  'agents.by_capability': list((o) => ({ capability: o.capability })),
  'agents.registry_stats': list(),
  'agents.get': hidden((o) => ({ agent_id: o.agent_id })),
  'agents.status': hidden((o) => ({ agent_id: o.agent_id, status: 'maintenance' })),
  'agents.heartbeat': hidden((o) => ({ agent_id: o.agent_id })),
  'agents.deregister': hidden((o) => ({ agent_id: o.agent_id })),

  'tasks.submit': makes(() => ({ task_data: {} })),
  'tasks.create': makes(() => ({ task_data: {} })),
  'tasks.list': list(),
  'tasks.dead_letters': list(),
  'tasks.stats': list(),
  'tasks.queues': list(),
  'tasks.queue_stats': list(),
  'tasks.clear': list(() => ({ priority: 'normal' })),
  'tasks.queue_pause': makes(() => ({ priority: 'low' })),
  'tasks.queue_resume': makes(() => ({ priority: 'low' })),
  'tasks.replay_many': list(), 'tasks.purge': list(),
  'tasks.get': hidden((o) => ({ task_id: o.task_id })),
  'tasks.short_status': hidden((o) => ({ task_id: o.plain })),
  'tasks.accept': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'tasks.reject': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'tasks.progress': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'tasks.complete': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'tasks.fail': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'tasks.ask': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'tasks.input': hidden((o) => ({ task_id: o.task_id, input: {} })),
  'tasks.cancel': hidden((o) => ({ task_id: o.task_id })),
  'tasks.replay': hidden((o) => ({ task_id: o.dead })),
  'tasks.renew': hidden((o) => ({ task_id: o.task_id, lease_id })),
  'load_balancer.stats': list(),
  'load_balancer.bottlenecks': list(),
  'load_balancer.strategy': makes(() => ({ strategy: 'random' })),

  'networks.create': hidden((o) => ({ name: 'mine', agents: [o.agent_id] })),
  'networks.list': list(),
  'networks.get': hidden((o) => ({ network_id: o.network_id })),
  'networks.delete': hidden((o) => ({ network_id: o.network_id })),
  'networks.execute': hidden((o) => ({ network_id: o.network_id, task: {} })),
  'networks.executions': hidden((o) => ({ network_id: o.network_id })),
  'networks.execution': hidden((o) => ({ network_id: o.network_id, execution_id: o.execution_id })),
  'networks.status': hidden((o) => ({ network_id: o.network_id })),
  'networks.optimize': hidden((o) => ({ network_id: o.network_id })),

  'swarm.join': hidden((o) => ({ role: 'monitor', capability: 'mine', agent_id: o.agent_id })),
  'swarm.leave': hidden((o) => ({ swarm_id: o.swarm_id, member_id: o.member_id })),
  'swarm.list': list(),
  'swarm.status': list(),
  'swarm.coordinate': hidden((o) => ({ task_id: fresh('t'), swarm_id: o.swarm_id })),
  'swarm.task': hidden((o) => ({ task_id: o.coordinated })),
  'swarm.cancel': hidden((o) => ({ task_id: o.coordinated })),
  'swarm.consensus': hidden((o) => ({ task_id: o.coordinated })),
  'swarm.task_consensus': hidden((o) => ({ task_id: o.coordinated, consensus_threshold: 0.75 })),

  'consensus.open': makes( // whoever is asked to vote may, whatever else of it is hidden
    (o) => ({ question: 'mine', options: ['a', 'b'], electorate: [o.agent_id] })),
  'consensus.list': list(),
  'consensus.get': hidden((o) => ({ round_id: o.round_id })),
  'consensus.vote': hidden((o) => ({ round_id: o.round_id, voter: o.agent_id, choice: 'a' })),
  'consensus.commit': hidden((o) => ({ round_id: o.round_id, voter: o.agent_id, commitment: '0'.repeat(64) })),
  'consensus.certificate': hidden((o) => ({ round_id: o.round_id })),
  'consensus.cancel': hidden((o) => ({ round_id: o.round_id })),

  'messages.send': row('nothing', (o) => ({ sender_id: o.agent_id, receiver_id: o.peer_id, message_type: 'direct', payload: {} }), 'own'),
  'messages.broadcast': row('nothing', (o) => ({ sender_id: o.agent_id, message_type: 'broadcast', payload: {} }), 'own'),
  'messages.history': list((o) => ({ receiver_id: o.agent_id })),
  'messages.get': hidden((o) => ({ message_id: o.message_id })),
  'messages.ack': hidden((o) => ({ message_id: o.message_id, agent_id: o.agent_id })),
  'messages.nack': hidden((o) => ({ message_id: o.message_id, agent_id: o.agent_id })),
  'messages.progress': hidden((o) => ({ message_id: o.message_id, agent_id: o.agent_id })),
  'messages.term': hidden((o) => ({ message_id: o.message_id, agent_id: o.agent_id })),
  'peers.add': rights((o) => ({ agent_id: o.agent_id, peer_id: o.peer_id })),
  'peers.remove': rights((o, who) => ({ agent_id: o.agent_id, peer_id: who.role === 'operator' ? fresh('peer') : o.peer_id })),
  'peers.list': list(),
  'peers.get': row('nothing', (o) => ({ agent_id: o.agent_id }), 'own'),
  'hierarchy.add': rights((o) => ({ master_id: o.agent_id, sub_id: o.peer_id })),
  'hierarchy.remove': rights((o, who) => ({ master_id: o.agent_id, sub_id: who.role === 'operator' ? fresh('sub') : o.peer_id })),
  'hierarchy.get': row('nothing', (o) => ({ agent_id: o.agent_id }), 'own'),
};

const isOpen = (op) => op.role === 'none';

/** Over `call`, in the words of REST: { status, text }. */
async function called(op, socket, params) {
  try {
    return { status: 200, text: JSON.stringify(await op.call(socket, params)) };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    return { status: error.status, text: JSON.stringify(error.frame) };
  }
}

/** All the walks' findings at once: a table of what is wrong says more than its first line. */
async function walk(each) {
  const wrong = [];
  for (const op of ops) wrong.push(...((await each(op)) ?? []));
  assert.equal(wrong.join('\n'), '');
}

const short = (answer) => `${answer.status} ${answer.text.slice(0, 160)}`;

story('every operation of the table has its row here, and no row is without its operation', () => {
  assert.deepEqual([...new Set(ops.map((op) => op.name))].filter((name) => !rows[name]), [], 'operations that nobody judged');
  assert.deepEqual(Object.keys(rows).filter((name) => !ops.some((op) => op.name === name)), [], 'rows of no operation');
  for (const op of ops) assert.ok(isOpen(op) || ROLES.includes(op.role), `${op} names its role`);
});

story('without credentials every operation is 401 and says how to come in', async () => {
  const nobody = await hub.connect({ token: null, welcome: false });
  await nobody.opened;
  await walk(async (op) => {
    const answer = await op.rest(hub, {}, { token: null });
    if (isOpen(op)) return answer.status < 300 ? [] : [`${op}: ${short(answer)}`];
    const said = op.callable ? await called(op, nobody, {}) : { status: 401, text: '' };
    const right = answer.status === 401 && answer.headers['www-authenticate']?.startsWith('Bearer') && said.status === 401;
    return right ? [] : [`${op}: ${short(answer)}; ${short(said)}`];
  });
  nobody.terminate();
});

story('a revoked key and a revoked token open nothing, and no connection', async () => {
  for (const [what, token] of Object.entries(await revoked())) {
    await walk(async (op) => {
      const answer = isOpen(op) ? null : await op.rest(hub, {}, { token });
      return !answer || answer.status === 401 ? [] : [`${what}: ${op}: ${short(answer)}`];
    });
    await assert.rejects(hub.connect({ token }), (error) => error.status === 401 || error.code === 'unauthorised', what);
  }
});

story('the role below the one that an operation needs is refused, over REST and over call', async () => {
  const lower = {};
  for (const role of ROLES) lower[role] = await actor(await hub.mint({ sub: fresh(role), role }));
  await walk(async (op) => {
    const below = lower[ROLES[ROLES.indexOf(op.role) - 1]];
    if (!below) return [];
    const answers = [await op.rest(hub, {}, { token: below.token }), await called(op, below.socket, {})];
    return answers.filter((answer) => answer.status !== 403).map((answer) => `${op}: ${short(answer)}`);
  });
});

/** What is wrong with an answer that somebody else got; null for nothing. */
function fault(finds, { status, text }) {
  if (finds !== 'all' && text.includes(MARK)) return 'tells what is another\'s';
  const right = { nothing: status === 404, forbidden: status === 403, own: status < 300, all: status < 300, busy: status === 409 }[finds];
  return right ? null : `is not as ${finds} would be`;
}

story('what belongs to others is not found and never shows, over REST and over call', async () => {
  await walk(async (op) => {
    const row = rows[op.name];
    const wrong = [];
    for (const who of EVERYBODY) {
      const me = actors[who];
      const { token, socket } = me;
      const may = ROLES.indexOf(op.role) <= ROLES.indexOf(me.role);
      if (!may) continue; // 403, as the roles' story has it
      const answers = { rest: await op.rest(hub, row.params(own, me), { token }) };
      if (op.callable) answers.call = await called(op, socket, row.params(own, me));
      for (const [wire, answer] of Object.entries(answers)) {
        const found = fault(row.finds[who], answer);
        if (found) wrong.push(`${who}, ${wire}: ${op} ${found}: ${short(answer)}`);
      }
    }
    return wrong;
  });
});

/** All that the owner finds of its own things. */
async function ownView({ token } = own.owner) {
  const paths = [
    '/agents', `/tasks/${own.task_id}`, `/v1/tasks/${own.plain}/status`, `/api/v1/agents/networks/${own.network_id}`,
    `/api/v1/agents/networks/${own.network_id}/executions/${own.execution_id}`, `/swarm/list?swarm_id=${own.swarm_id}`,
    `/swarm/tasks/${own.coordinated}/status`, `/api/v1/consensus/${own.round_id}`, `/messages/${own.message_id}`,
    `/peers/${own.agent_id}`, `/hierarchy/${own.agent_id}`,
  ];
  const answers = await Promise.all(paths.map((path) => hub.get(path, { token })));
  return Object.fromEntries(answers.map((answer, i) => [paths[i], [answer.status, answer.body]]));
}

/** Without what moves by itself. */
const still = (view) => JSON.parse(JSON.stringify(view, (key, value) =>
  /^(timestamp|last_heartbeat|health.*|phi|load_metrics|held)$/.test(key) ? undefined : value));

story('the owner finds what the others did not', async () => {
  await walk(async (op) => {
    const { finds, params } = rows[op.name];
    if (finds['other owner'] !== 'nothing' || op.method !== 'GET' || op.name === 'audit.head') return [];
    const { token } = ['operator', 'admin'].includes(op.role) ? own.admin : own.owner;
    const answer = await op.rest(hub, params(own, own.owner), { token });
    return answer.status === 404 ? [`${op}: ${short(answer)}`] : [];
  });
});

story('after all that, the owner finds everything as it was', async () => {
  assert.deepEqual(still(await ownView()), still(own.view));
  for (const [path, [status]] of Object.entries(own.view)) assert.equal(status, 200, path);
});

story('a viewer of the owner\'s name looks at all that is the owner\'s, and an admin at all of the app', async () => {
  assert.deepEqual(still(await ownView(await hub.mint({ sub: own.owner.sub, role: 'viewer' }))), still(own.view));
  for (const [path, [status]] of Object.entries(await ownView(own.admin))) assert.equal(status, 200, path);
});

story('what refers to another\'s object in passing is refused too', async () => {
  const { token } = actors['other owner'];
  const post = (path, body) => hub.post(path, body, { token });
  assert.equal((await post('/agents/register', { agent_id: own.agent_id, agent_type: 'worker' })).status, 409);
  assert.equal((await post('/tasks/submit', { task_data: { task_id: own.task_id } })).status, 409);
  assert.equal((await post('/swarm/leave', { swarm_id: own.swarm_id })).status, 404);
  assert.equal((await post(`/swarm/${own.swarm_id}/leave`)).status, 404);
  for (const known of [own.agent_id, fresh('nobody')]) {
    const answer = await post('/peers/add', { agent_id: known, peer_id: own.peer_id });
    assert.equal(answer.body.detail.replace(known, 'x'), 'agents of different owners are linked by an operator: x', 'known or not');
  }
  const { body } = await hub.get('/tasks?limit=1000', { token });
  assert.ok(body.tasks.every((task) => ![own.task_id, own.plain, own.dead].includes(task.task_id)));
});
