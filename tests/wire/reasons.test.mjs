// Why somebody did away with something stands in the event that tells of it, and so in the audit trail.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { fresh, story } from './lib/story.mjs';

const reason = 'it was "old" \u2014 weg damit';

let hub;
before(async () => {
  hub = await startHub();
});
after(() => hub?.stop());

async function agent() {
  const agent_id = fresh('bee');
  await hub.post('/agents/register', { agent_id, agent_type: 'worker' });
  return agent_id;
}

async function task(more = {}) {
  return (await hub.post('/tasks/submit', { task_data: { n: 1 }, requirements: { capabilities: ['nobody'] }, ...more })).body.task_id;
}

/** Each makes something, and names the channel, the event and the request that does away with it. */
const ends = {
  'agents.deregister': async () => {
    const id = await agent();
    return ['agents', 'deregistered', 'agent_id', id, () => hub.delete(`/agents/${id}?reason=${encodeURIComponent(reason)}`)];
  },
  'agents.status': async () => {
    const id = await agent();
    return ['agents', 'status_changed', 'agent_id', id, () => hub.put(`/agents/${id}/status`, { status: 'draining', reason })];
  },
  'tasks.cancel': async () => {
    const id = await task();
    return ['tasks', 'cancelled', 'task_id', id, () => hub.post(`/tasks/${id}/cancel`, { reason })];
  },
  'tasks.clear': async () => {
    const id = await task({ priority: 'low' });
    return ['tasks', 'cancelled', 'task_id', id, () => hub.post('/tasks/queues/low/clear', { reason })];
  },
  'tasks.queue_pause': async () => ['tasks', 'queue_paused', 'queue', 'low', () => hub.post('/tasks/queues/low/pause', { reason })],
  'load_balancer.strategy': async () => ['tasks', 'strategy_changed', 'strategy', 'random',
    () => hub.put(`/load-balancer/strategy?strategy=random&reason=${encodeURIComponent(reason)}`)],
  'networks.delete': async () => {
    const { id } = (await hub.post('/api/v1/agents/networks', { name: fresh('net'), agents: [await agent()] })).body;
    return [`network.${id}`, 'deleted', 'network_id', id, () => hub.delete(`/api/v1/agents/networks/${id}?reason=${encodeURIComponent(reason)}`)];
  },
  'swarm.leave': async () => {
    const joined = (await hub.post('/swarm/join', { role: 'worker', capability: fresh('c') })).body;
    return [`swarm.${joined.swarm_id}`, 'left', 'member_id', joined.member_id, () => hub.post('/swarm/leave', { swarm_id: joined.swarm_id, reason })];
  },
  'consensus.cancel': async () => {
    const { round_id } = (await hub.post('/api/v1/consensus', { question: 'Ship it?', electorate: ['a', 'b'], options: ['yes', 'no'] })).body;
    return ['consensus', 'closed', 'round_id', round_id, () => hub.post(`/api/v1/consensus/${round_id}/cancel`, { reason })];
  },
  'swarm.cancel': async () => {
    const joined = (await hub.post('/swarm/join', { role: 'worker', capability: fresh('c'), agent_id: await agent() })).body;
    const { task_id } = (await hub.post('/swarm/coordinate', { task_id: fresh('work'), strategy: 'broadcast', swarm_id: joined.swarm_id })).body;
    return [`swarm.${joined.swarm_id}`, 'cancelled', 'task_id', task_id, () => hub.post(`/swarm/tasks/${task_id}/cancel`, { reason })];
  },
  'auth.keys.revoke': async () => {
    const { id } = (await hub.post('/api/v1/auth/keys', { name: fresh('key'), role: 'viewer' })).body;
    return ['auth', 'key_revoked', 'id', id, () => hub.delete(`/api/v1/auth/keys/${id}?reason=${encodeURIComponent(reason)}`)];
  },
  'auth.revoke': async () => {
    const sub = fresh('sub');
    return ['auth', 'tokens_revoked', 'sub', sub, () => hub.post('/api/v1/auth/tokens/revoke', { sub, reason })];
  },
  'auth.rotate': async () => ['auth', 'signing_key_rotated', 'by', '--admin-key', () => hub.post('/api/v1/auth/signing-keys/rotate', { reason })],
  'apps.update': async () => {
    const id = fresh('app');
    await hub.post('/api/v1/apps', { id });
    return ['auth', 'app_disabled', 'app', id, () => hub.http('PATCH', `/api/v1/apps/${id}`, { body: { enabled: false, reason } })];
  },
  'peers.remove': async () => {
    const link = { agent_id: await agent(), peer_id: await agent() };
    await hub.post(`/peers/add?${new URLSearchParams(link)}`);
    return ['messages', 'peer_removed', 'peer_id', link.peer_id, () => hub.post(`/peers/remove?${new URLSearchParams({ ...link, reason })}`)];
  },
  'hierarchy.remove': async () => {
    const link = { master_id: await agent(), sub_id: await agent() };
    await hub.post('/hierarchy/add', link);
    return ['messages', 'sub_removed', 'sub_id', link.sub_id, () => hub.post('/hierarchy/remove', { ...link, reason })];
  },
  'namespaces.reset': async () => {
    const namespace = fresh('ns');
    await hub.put(`/api/v1/namespaces/${namespace}`, { latest: true });
    return ['channels', 'namespace_reset', 'namespace', namespace, () => hub.delete(`/api/v1/namespaces/${namespace}?reason=${encodeURIComponent(reason)}`)];
  },
  'channels.cursor_delete': async () => {
    const [channel, cursor] = [fresh('chan'), fresh('mark')];
    const reader = await hub.connect();
    await reader.subscribe({ channel, cursor, since: 0 });
    await reader.unsubscribe(channel);
    const isLeft = async () => (await hub.get(`/api/v1/channels/${channel}/cursors`)).body.cursors[0].connections === 0;
    await until(isLeft, { what: 'a cursor without connections' });
    return ['channels', 'cursor_deleted', 'cursor', cursor, () => hub.delete(`/api/v1/channels/${channel}/cursors/${cursor}?reason=${encodeURIComponent(reason)}`)];
  },
  'messages.term': async () => {
    const id = await agent();
    const { message_id } = (await hub.post('/messages/send', { receiver_id: id, payload: {}, message_type: 'direct' })).body;
    return ['messages', 'dead', 'message_id', message_id, () => hub.post(`/messages/${message_id}/term`, { agent_id: id, reason })];
  },
};

for (const [operation, make] of Object.entries(ends)) {
  story(`the reason given to ${operation} is told, and whose it is`, async () => {
    const watcher = await hub.connect();
    const [channel, event, key, id, end] = await make();
    await watcher.subscribe({ channel });
    const answer = await end();
    assert.equal(answer.status, 200, answer.text);
    const told = await watcher.next((frame) => frame.event === event && frame.data?.[key] === id);
    assert.equal(told.data.reason, reason);
    assert.equal(told.data.by, '--admin-key');
    await watcher.close();
  });
}

story('a member that is put out is told with its reason, and a message with who gave it back', async () => {
  const watcher = await hub.connect();
  const id = await agent();
  const joined = (await hub.post('/swarm/join', { role: 'worker', capability: fresh('c'), agent_id: id })).body;
  await watcher.subscribe({ channel: `swarm.${joined.swarm_id}` });
  await watcher.subscribe({ channel: 'messages' });
  const { message_id } = (await hub.post('/messages/send', { receiver_id: id, payload: {}, message_type: 'direct' })).body;
  assert.equal((await hub.post(`/messages/${message_id}/nack`, { agent_id: id })).status, 200);
  const back = await watcher.next((frame) => frame.data?.message_id === message_id && frame.data.reason === 'nack');
  assert.equal(back.data.by, '--admin-key');
  await hub.delete(`/agents/${id}`);
  const out = await watcher.next((frame) => frame.event === 'evicted' && frame.data?.member_id === joined.member_id);
  assert.equal(out.data.reason, 'its agent was deregistered');
  await watcher.close();
});

story('who was shut out is told to operators and admins alone', async () => {
  for (const [role, may] of [['viewer', false], ['agent', false], ['operator', true]]) {
    const { token } = await hub.mint({ sub: fresh(role), role });
    const one = await hub.connect({ token });
    const asked = one.subscribe({ channel: 'auth' });
    if (may) await asked;
    else await assert.rejects(asked, (error) => error.status === 403, role);
    await one.close();
  }
});

story('a reason past 256 bytes is refused and named', async () => {
  const id = await task();
  const answer = await hub.post(`/tasks/${id}/cancel`, { reason: '\u00e9'.repeat(200) });
  assert.equal(answer.status, 422);
  assert.match(answer.text, /reason/);
  assert.equal((await hub.post(`/tasks/${id}/cancel`, { reason: 'x'.repeat(256) })).status, 200);
});
