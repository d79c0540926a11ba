// Every change is told: each operation of the table that changes something is an event on a system channel, in the
// transaction of the change. `tells` says which; an operation that tells nothing stands in `quiet`, with its reason.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { operations } from './lib/operations.mjs';
import { fresh, story } from './lib/story.mjs';

const SYSTEM = ['agents', 'tasks', 'messages', 'auth', 'channels', 'consensus', 'agent.*', 'task.*', 'network.*', 'swarm.*', 'consensus.*'];

let hub, ops, admin, watcher;
before(async () => {
  hub = await startHub();
  ops = await operations(hub);
  admin = await hub.connect();
  watcher = await hub.connect();
  await watcher.subscribe(...SYSTEM);
});
after(() => hub?.stop());

const call = (method, params) => admin.call(method, params);

// --- what is there to be changed -------------------------------------------------------------------

const agent = async (more = {}) => (await call('agents.register', { agent_id: fresh('bee'), agent_type: 'worker', slots: 0, ...more })).agent_id;
const network = async () => (await call('networks.create', { name: fresh('net'), agents: [await agent()] })).id;
const member = async () => call('swarm.join', { role: 'worker', capability: fresh('skill'), agent_id: await agent() });
const work = async () => (await call('swarm.coordinate', { task_id: fresh('work'), strategy: 'broadcast', swarm_id: (await member()).swarm_id })).task_id;
const round = async (more = {}) => {
  const voter = await agent();
  const { round_id } = await call('consensus.open', { question: 'Which?', options: ['a', 'b'], electorate: [voter, await agent()], ...more });
  return { round_id, voter };
};
const nobody = () => ({ capabilities: [fresh('nobody')] });
const waiting = async (more = {}) => (await call('tasks.submit', { task_data: {}, requirements: nobody(), ...more })).task_id;

/** A task of its own agent's: offered, and taken unless it shall only be offered. */
async function leased({ taken = true } = {}) {
  const [agent_id, skill] = [fresh('bee'), fresh('skill')];
  const bee = await hub.connect({ token: (await hub.mint({ sub: agent_id, role: 'agent' })).token });
  await bee.subscribe(`agent.${agent_id}`);
  await bee.call('agents.register', { agent_id, agent_type: 'worker', capabilities: [skill] });
  await call('tasks.submit', { task_data: {}, requirements: { capabilities: [skill] } });
  const { task_id, lease_id } = (await bee.next((frame) => frame.event === 'task_offered')).data;
  if (taken) await bee.call('tasks.accept', { task_id, lease_id });
  return { task_id, lease_id };
}

async function dead() {
  const { task_id, lease_id } = await leased();
  await call('tasks.fail', { task_id, lease_id, non_retryable: true });
  return task_id;
}

async function delivered() {
  const receiver_id = await agent();
  const { message_id } = await call('messages.send', { receiver_id, message_type: 'direct', payload: {} });
  return { message_id, agent_id: receiver_id };
}

async function linked(kind, from, to) {
  const link = { [from]: await agent(), [to]: await agent() };
  await call(`${kind}.add`, link);
  return link;
}

async function cursor() {
  const which = { channel: fresh('chan'), cursor: fresh('mark') };
  const reader = await hub.connect();
  await reader.subscribe({ ...which, since: 0 });
  await reader.unsubscribe(which.channel);
  const isLeft = async () => (await call('channels.cursors', { channel: which.channel })).cursors[0].connections === 0;
  await until(isLeft, { what: 'a cursor without connections' });
  return which;
}

async function namespace() {
  const namespace = fresh('ns');
  await call('namespaces.set', { namespace, latest: true });
  return namespace;
}

// --- what is told ----------------------------------------------------------------------------------

/** Parameters of the operation; on which channel, and as which event, it is told; what that event names. */
const told = (params, channel, event, names = params) => ({ params, channel, event, names });
const made = (key) => (answer) => ({ [key]: answer[key] });

const tells = {
  'auth.mint': () => told({ sub: fresh('bee'), role: 'agent' }, 'auth', 'token_minted', ({ jti, sub, role }) => ({ jti, sub, role })),
  'auth.revoke': () => told({ sub: fresh('sub') }, 'auth', 'tokens_revoked'),
  'auth.keys.create': () => told({ name: fresh('key'), role: 'viewer' }, 'auth', 'key_created'),
  'auth.keys.revoke': async () => told({ id: (await call('auth.keys.create', { name: 'key' })).id }, 'auth', 'key_revoked'),
  'auth.rotate': () => told({}, 'auth', 'signing_key_rotated', ({ kid }) => ({ kid })),
  'apps.create': () => told({ id: fresh('app') }, 'auth', 'app_created', ({ id }) => ({ app: id })),
  'apps.update': async () => {
    const { id } = await call('apps.create', { id: fresh('app') });
    return told({ id, name: 'another' }, 'auth', 'app_changed', { app: id });
  },

  'namespaces.set': () => {
    const namespace = fresh('ns');
    return told({ namespace, latest: true }, 'channels', 'namespace_set', { namespace });
  },
  'namespaces.reset': async () => told({ namespace: await namespace() }, 'channels', 'namespace_reset'),
  'channels.cursor_delete': async () => told(await cursor(), 'channels', 'cursor_deleted'),

  'agents.register': () => told({ agent_id: fresh('bee'), agent_type: 'worker', slots: 0 }, 'agents', 'registered', made('agent_id')),
  'agents.create': () => told({ agent_id: fresh('bee') }, 'agents', 'created'),
  'agents.status': async () => told({ agent_id: await agent(), status: 'draining' }, 'agents', 'status_changed'),
  'agents.deregister': async () => told({ agent_id: await agent() }, 'agents', 'deregistered'),

  'tasks.submit': () => told({ task_data: {}, requirements: nobody() }, 'tasks', 'submitted', made('task_id')),
  'tasks.create': () => told({ task_data: {}, requirements: nobody() }, 'tasks', 'submitted', made('task_id')),
  'tasks.accept': async () => told(await leased({ taken: false }), 'tasks', 'running', made('task_id')),
  'tasks.reject': async () => told(await leased({ taken: false }), 'tasks', 'rejected', made('task_id')),
  'tasks.progress': async () => {
    const lease = await leased();
    return told({ ...lease, progress: 50 }, `task.${lease.task_id}`, 'progress', made('task_id'));
  },
  'tasks.complete': async () => told(await leased(), 'tasks', 'completed', made('task_id')),
  'tasks.fail': async () => told(await leased(), 'tasks', 'failed', made('task_id')),
  'tasks.ask': async () => told({ ...(await leased()), question: 'Which?' }, 'tasks', 'input_required', made('task_id')),
  'tasks.input': async () => {
    const lease = await leased();
    await call('tasks.ask', { ...lease, question: 'Which?' });
    return told({ task_id: lease.task_id, input: {} }, 'tasks', 'input', made('task_id'));
  },
  'tasks.cancel': async () => told({ task_id: await waiting() }, 'tasks', 'cancelled'),
  'tasks.replay': async () => told({ task_id: await dead() }, 'tasks', 'submitted', made('task_id')),
  'tasks.replay_many': async () => { await dead(); return told({ limit: 1 }, 'tasks', 'submitted', {}); },
  'tasks.purge': async () => { const task_id = await dead(); return told({}, 'tasks', 'purged', { task_id }); },
  'tasks.clear': async () => {
    const task_id = await waiting({ priority: 'low' });
    return told({ priority: 'low' }, 'tasks', 'cancelled', { task_id });
  },
  'tasks.queue_pause': () => told({ priority: 'low' }, 'tasks', 'queue_paused', { queue: 'low' }),
  'tasks.queue_resume': async () => {
    await call('tasks.queue_pause', { priority: 'high' });
    return told({ priority: 'high' }, 'tasks', 'queue_resumed', { queue: 'high' });
  },
  'load_balancer.strategy': () => told({ strategy: 'random' }, 'tasks', 'strategy_changed'),

  'networks.create': async () => told({ name: fresh('net'), agents: [await agent()] }, null, 'created', ({ id }) => ({ network_id: id })),
  'networks.execute': async () => told({ network_id: await network(), task: {} }, null, 'mapping', made('execution_id')),
  'networks.delete': async () => { const id = await network(); return told({ network_id: id }, `network.${id}`, 'deleted'); },

  'swarm.join': () => told({ role: 'worker', capability: fresh('skill') }, null, 'joined', made('member_id')),
  'swarm.leave': async () => {
    const { swarm_id, member_id } = await member();
    return told({ swarm_id, member_id }, `swarm.${swarm_id}`, 'left');
  },
  'swarm.coordinate': async () => {
    const { swarm_id } = await member();
    return told({ task_id: fresh('work'), strategy: 'broadcast', swarm_id }, `swarm.${swarm_id}`, 'mapping', made('task_id'));
  },
  'swarm.cancel': async () => told({ task_id: await work() }, null, 'cancelled'),
  'swarm.consensus': async () => told({ task_id: await work(), options: ['a', 'b'] }, 'consensus', 'opened', made('round_id')),
  'swarm.task_consensus': async () => told({ task_id: await work(), consensus_threshold: 0.6, options: ['a', 'b'] },
    'consensus', 'opened', made('round_id')),

  'consensus.open': async () => told({ question: 'Which?', options: ['a', 'b'], electorate: [await agent()] }, 'consensus', 'opened', made('round_id')),
  'consensus.vote': async () => {
    const { round_id, voter } = await round();
    return told({ round_id, voter, choice: 'a' }, `consensus.${round_id}`, 'ballot', { voter });
  },
  'consensus.commit': async () => {
    const { round_id, voter } = await round({ commit_seconds: 60 });
    return told({ round_id, voter, commitment: '0'.repeat(64) }, `consensus.${round_id}`, 'committed', { voter });
  },
  'consensus.cancel': async () => told({ round_id: (await round()).round_id }, 'consensus', 'closed'),

  'messages.send': async () => told({ receiver_id: await agent(), message_type: 'direct', payload: {} }, 'messages', 'accepted', made('message_id')),
  'messages.broadcast': async () => {
    await agent();
    return told({ message_type: 'broadcast', payload: {} }, 'messages', 'accepted', { message_type: 'broadcast' });
  },
  'messages.ack': async () => told(await delivered(), 'messages', 'acked', made('message_id')),
  'messages.nack': async () => told(await delivered(), 'messages', 'returned', made('message_id')),
  'messages.term': async () => told(await delivered(), 'messages', 'dead', made('message_id')),
  'peers.add': async () => told({ agent_id: await agent(), peer_id: await agent() }, 'messages', 'peer_added'),
  'peers.remove': async () => told(await linked('peers', 'agent_id', 'peer_id'), 'messages', 'peer_removed'),
  'hierarchy.add': async () => told({ master_id: await agent(), sub_id: await agent() }, 'messages', 'sub_added'),
  'hierarchy.remove': async () => told(await linked('hierarchy', 'master_id', 'sub_id'), 'messages', 'sub_removed'),
};

const quiet = {
  'channels.publish': 'is an event itself',
  'channels.publish_batch': 'are events themselves',
  'backups.create': 'reads the store and writes beside it',
  'agents.heartbeat': 'moves a pulse in memory; what a silence or a return changes is told',
  'tasks.renew': 'moves the end of leases that are held; a lease that lapses is told',
  'messages.progress': 'moves the end of a delivery that is out; one that lapses is told',
  'agents.discover': 'only reads',
  'networks.optimize': 'only reads',
  'schemas.validate': 'only reads',
};

const names = (data, wanted) => Object.entries(wanted).every(([key, value]) => data?.[key] === value);
const isTold = (row, wanted) => (frame) => frame.type === 'event' && frame.event === row.event
  && (row.channel === null || frame.channel === row.channel) && names(frame.data, wanted);

story('every operation that changes something has its event here, and each exception its reason', () => {
  const changing = new Set(ops.filter((op) => op.method !== 'GET').map((op) => op.name));
  assert.deepEqual([...changing].filter((name) => !tells[name] && !quiet[name]), [], 'operations that nobody listened to');
  assert.deepEqual(Object.keys({ ...tells, ...quiet }).filter((name) => !changing.has(name)), [], 'rows of no such operation');
  assert.deepEqual(Object.keys(tells).filter((name) => quiet[name]), [], 'told and quiet');
});

/** What concerns all of an app says who did it, as it has no owner of its own; and so does what befalls a task or an agent by somebody's act. */
const byWhom = Object.keys(tells).filter((name) => /^(auth|apps|namespaces|channels|peers|hierarchy|load_balancer|tasks.queue)[._]/.test(name)
  || /^(tasks\.(cancel|input|replay|clear|purge)|agents\.(create|status|deregister)$)/.test(name));
const ofItself = ['agents.register', 'tasks.submit', 'tasks.create', 'tasks.accept', 'tasks.reject', 'tasks.progress', 'tasks.complete', 'tasks.fail', 'tasks.ask'];

for (const [name, make] of Object.entries(tells)) {
  story(`${name} is told`, async () => {
    const op = ops.find((one) => one.name === name);
    const row = await make();
    watcher.drain();
    const answer = await op.rest(hub, row.params);
    assert.ok(answer.status < 300, answer.text);
    const wanted = typeof row.names === 'function' ? row.names({ ...row.params, ...answer.body }) : row.names;
    const { data } = await watcher.next(isTold(row, wanted), { what: `${row.event} on ${row.channel}` });
    assert.ok(data.at, 'when');
    if (byWhom.includes(name)) assert.equal(data.by, '--admin-key');
    if (ofItself.includes(name)) assert.equal(data.by, undefined, 'the ordinary way says no more than it must');
  });
}

story('what is told of keys and apps says who did it, and holds nothing that opens anything', async () => {
  watcher.drain();
  const key = await call('auth.keys.create', { name: fresh('key'), role: 'viewer' });
  const app = await call('apps.create', { id: fresh('app'), secret: fresh('secret') });
  const minted = await hub.mint({ sub: fresh('bee'), role: 'agent' });
  await call('auth.revoke', { jti: minted.jti });
  const created = await watcher.next(isTold({ event: 'key_created', channel: 'auth' }, { id: key.id }));
  const let_in = await watcher.next(isTold({ event: 'token_minted', channel: 'auth' }, { jti: minted.jti }));
  const [made, revoked] = [await watcher.next(isTold({ event: 'app_created', channel: 'auth' }, { app: app.id })),
    await watcher.next(isTold({ event: 'tokens_revoked', channel: 'auth' }, { jti: minted.jti }))];
  const texts = [created, let_in, made, revoked].map((frame) => frame.raw);
  for (const frame of [created, let_in, made, revoked]) assert.equal(frame.data.by, '--admin-key');
  // The app's own trail begins with whose key opens it.
  const guest = await call('auth.mint', { sub: fresh('guest'), role: 'viewer', app: app.id });
  const [first, second] = (await (await hub.connect({ token: app.admin_key })).history('auth')).events;
  assert.deepEqual([first.event, first.data.id, first.data.role], ['key_created', app.admin_key_id, 'admin']);
  assert.deepEqual([second.event, second.data.jti, second.data.app, second.data.by], ['token_minted', guest.jti, app.id, '--admin-key']);
  await watcher.next(isTold({ event: 'token_minted', channel: 'auth' }, { jti: guest.jti, app: app.id }));
  for (const secret of [key.key, key.key.slice(-8), app.secret, app.admin_key, minted.token, minted.token.split('.')[2], hub.adminKey]) {
    for (const text of [...texts, JSON.stringify(first)]) assert.ok(!text.includes(secret), `${secret} in ${text}`);
  }
});

story('who makes a cursor is told when it is made, and not when it is used again', async () => {
  const which = { channel: fresh('chan'), cursor: fresh('mark') };
  const { token } = await hub.mint({ sub: 'reader', role: 'agent' });
  const reader = await hub.connect({ token });
  await reader.subscribe({ ...which, since: 0 });
  const { data } = await watcher.next(isTold({ event: 'cursor_created', channel: 'channels' }, which));
  assert.equal(data.by, 'reader');
  await reader.unsubscribe(which.channel);
  await reader.subscribe({ ...which, since: 0 });
  await watcher.barrier();
  assert.deepEqual(watcher.drain(isTold({ event: 'cursor_created', channel: 'channels' }, which)), []);
});

story('what is done to channels is told to operators and admins alone', async () => {
  for (const [role, may] of [['viewer', false], ['agent', false], ['operator', true]]) {
    const { token } = await hub.mint({ sub: fresh(role), role });
    const asked = (await hub.connect({ token })).subscribe({ channel: 'channels' });
    if (may) await asked;
    else await assert.rejects(asked, (error) => error.status === 403, role);
  }
});
