// Messages between agents over real sockets: delivered on agent.<id>, acknowledged by call, kept over kill -9.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, refused, story } from './lib/story.mjs';

let hub;
let brisk; // does not wait long for an ack
before(async () => {
  [hub, brisk] = await Promise.all([
    startHub(),
    startHub({ config: { 'namespace messages': { ack_wait: '600ms', max_deliver: 2 } } }),
  ]);
});
after(() => Promise.all([hub?.stop(), brisk?.stop()]));

const tokenOf = async (id, on) => (await on.mint({ sub: id, role: 'agent' })).token;

/** An agent under its own token: listens to its channel, then registers. */
async function agent(id = fresh('bee'), more = {}, on = hub) {
  const bee = await on.connect({ token: await tokenOf(id, on) });
  await bee.subscribe(`agent.${id}`);
  await bee.call('agents.register', { agent_id: id, agent_type: 'worker', ...more });
  const got = (event = 'message', options) => bee.next(
    (frame) => frame.type === 'event' && frame.channel === `agent.${id}` && frame.event === event,
    { what: `${event} for ${id}`, ...options },
  );
  const ack = (message) => bee.call('messages.ack', { message_id: message.data.message_id });
  return { bee, id, got, ack };
}

const send = (to, more = {}, options) =>
  hub.post('/messages/send', { receiver_id: to, message_type: 'direct', payload: { text: 'hello' }, ...more }, options);
const show = async (id, on = hub) => (await on.get(`/messages/${id}`)).body.message;
const stateOf = async (id, on) => (await show(id, on)).state;

story('a message reaches its agent on the socket it holds, and the ack settles it', async () => {
  const { id, got, ack } = await agent();
  const sent = await send(id, { correlation_id: 'c-1', reply_to: 'boss', priority: 'high' });
  assert.equal(sent.status, 200);
  assert.equal(sent.body.message, 'Message sent successfully');
  const message = await got();
  assert.equal(message.data.message_id, sent.body.message_id);
  assert.deepEqual(message.data.payload, { text: 'hello' });
  assert.deepEqual([message.data.correlation_id, message.data.reply_to, message.data.priority, message.data.deliveries],
    ['c-1', 'boss', 'high', 1]);
  assert.equal((await ack(message)).state, 'acked');
  assert.equal(await stateOf(sent.body.message_id), 'acked');
  assert.equal((await ack(message)).state, 'acked');
});

story('a question and its answers are found by their correlation id, over REST and by call', async () => {
  const [asker, helper] = [await agent(), await agent()];
  const correlation_id = `talk/${fresh('c')} é`;
  const ids = [];
  for (const [from, to] of [[asker, helper], [helper, asker], [asker, helper]]) {
    ids.unshift((await send(to.id, { sender_id: from.id, correlation_id })).body.message_id);
    await send(to.id, { sender_id: from.id });
  }
  const path = (query) => `/messages/history?${new URLSearchParams({ correlation_id, ...query })}`;
  const found = (body) => body.messages.map((one) => one.message_id);
  const pages = [];
  for (let cursor; cursor !== null;) {
    const { body } = await hub.get(path({ limit: 2, ...(cursor && { cursor }) }));
    assert.deepEqual([body.total, body.total_exact], [3, true]);
    pages.push(found(body));
    cursor = body.next_cursor ?? null;
  }
  assert.deepEqual(pages, [ids.slice(0, 2), ids.slice(2)]);
  assert.deepEqual(found((await hub.get(path({ sender_id: helper.id }))).body), [ids[1]]);
  assert.deepEqual(found(await helper.bee.call('messages.history', { correlation_id, receiver_id: helper.id })), [ids[0], ids[2]]);
  const other = await agent();
  assert.deepEqual(found(await other.bee.call('messages.history', { correlation_id })), [], 'what others say to each other is not found');
  assert.equal((await hub.get(path({ correlation_id: 'x'.repeat(257) }))).status, 422);
});

story('the same paths answer under /api/v1, and errors have their shape', async () => {
  const { id } = await agent();
  const body = { receiver_id: id, message_type: 'direct', payload: {} };
  assert.equal((await hub.post('/api/v1/messages/send', body)).status, 200);
  const wrong = await hub.post('/messages/send', { ...body, protocol: 'smoke' });
  assert.equal(wrong.status, 400);
  assert.equal(wrong.body.status, 'error');
  assert.equal(wrong.body.detail, 'Invalid protocol: smoke. Valid protocols: hierarchical, peer_to_peer, broadcast');
  const missing = await hub.post('/messages/send', { receiver_id: id });
  assert.equal(missing.status, 422);
  assert.ok(Array.isArray(missing.body.detail));
  const unknown = await hub.get('/messages/none');
  assert.equal(unknown.status, 404);
  assert.equal(unknown.body.message, 'Message none not found');
  const history = await hub.get(`/api/v1/messages/history?receiver_id=${id}&limit=5`);
  assert.deepEqual([history.body.count, history.body.total, history.body.limit, history.body.offset], [1, 1, 5, 0]);
  const [{ message_id, state }] = history.body.messages;
  assert.equal(state, (await hub.get(`/messages/${message_id}`)).body.message.state);
});

story('two agents of different owners talk directly; along a protocol only with its link', async () => {
  const one = await agent();
  const two = await agent();
  const call = (more) => one.bee.call('messages.send', { receiver_id: two.id, message_type: 'coordination', payload: {}, ...more });
  await refused(call({ protocol: 'peer_to_peer' }), 'not_peers', 403);
  await refused(call({}), 'not_peers', 403);
  await call({ message_type: 'direct' });
  assert.equal((await two.got()).data.sender_id, one.id);
  const added = await hub.post(`/peers/add?agent_id=${one.id}&peer_id=${two.id}`);
  assert.equal(added.status, 200);
  assert.equal(added.body.message, `Peer ${two.id} added for agent ${one.id}`);
  await call({ protocol: 'peer_to_peer' });
  assert.equal((await two.got()).data.protocol, 'peer_to_peer');
  assert.deepEqual((await hub.get(`/peers/${one.id}`)).body.peers, [two.id]);
  assert.deepEqual((await hub.get('/peers')).body.connections[one.id], [two.id]);
  const missing = await hub.post(`/peers/add?agent_id=${one.id}`);
  assert.equal(missing.status, 422);
  assert.deepEqual(missing.body.detail[0].loc, ['query', 'peer_id'], 'a POST without a body has its fields in the query');
  assert.equal((await hub.post(`/hierarchy/add?master_id=${two.id}&sub_id=${one.id}`)).status, 200);
  await call({});
  assert.equal((await two.got()).data.protocol, 'hierarchical');
  assert.equal((await hub.post(`/peers/remove?agent_id=${one.id}&peer_id=${two.id}`)).body.message,
    `Peer ${two.id} removed for agent ${one.id}`);
  await refused(call({ protocol: 'peer_to_peer' }), 'not_peers', 403);
});

story('without an ack it comes again, then it is dead and its sender hears', async () => {
  const sender = await agent(undefined, {}, brisk);
  const { id, got } = await agent(undefined, {}, brisk);
  const { message_id } = await sender.bee.call('messages.send', { receiver_id: id, message_type: 'direct', payload: {} });
  assert.equal((await got()).data.deliveries, 1);
  assert.equal((await got('message', { timeout: 10_000 })).data.deliveries, 2);
  const dead = await sender.got('message_dead', { timeout: 10_000 });
  assert.deepEqual([dead.data.message_id, dead.data.receiver_id, dead.data.reason], [message_id, id, 'max_deliver']);
  assert.equal(await stateOf(message_id, brisk), 'dead');
}, { stall: 200, on: () => brisk });

story('a receiver that is not there yet gets it when it comes, unless its time is over', async () => {
  const id = fresh('late');
  const sender = await agent();
  const kept = await send(id, { ttl: 60 });
  assert.deepEqual([kept.body.receiver_known, kept.body.state], [false, 'accepted']);
  const short = await sender.bee.call('messages.send', { receiver_id: id, message_type: 'direct', payload: {}, ttl: 0.2 });
  const expired = await sender.got('message_expired', { timeout: 10_000 });
  assert.equal(expired.data.message_id, short.message_id);
  const { got, bee } = await agent(id);
  assert.equal((await got()).data.message_id, kept.body.message_id);
  await refused(bee.call('messages.ack', { message_id: short.message_id }), 'gone', 410);
  assert.equal((await send(id, { ttl: 0 })).status, 422);
});

story('a connection that goes gives its messages back, and the next session gets them', async () => {
  const { bee, id, got } = await agent();
  const { body } = await send(id);
  await got();
  bee.terminate();
  await until(async () => (await stateOf(body.message_id)) === 'stored', { what: 'the message to come back' });
  const again = await agent(id);
  const message = await again.got();
  assert.deepEqual([message.data.message_id, message.data.deliveries], [body.message_id, 2]);
  await again.ack(message);
});

story('a broadcast counts its acks', async () => {
  const kind = fresh('cap');
  const bees = await Promise.all([agent(fresh('a'), { capabilities: [kind] }), agent(fresh('b'), { capabilities: [kind] }), agent()]);
  const watcher = await hub.connect();
  await watcher.subscribe('messages');
  const { body } = await hub.post('/messages/broadcast', { message_type: 'broadcast', payload: { x: 1 }, capabilities: [kind] });
  assert.equal(body.message, 'Message broadcast to 2 agents');
  assert.deepEqual([...body.recipients].sort(), [bees[0].id, bees[1].id].sort());
  for (const [i, one] of bees.slice(0, 2).entries()) {
    await one.ack(await one.got());
    const acked = await watcher.next((f) => f.event === 'acked' && f.data.message_id === body.message_id);
    assert.deepEqual([acked.data.acked, acked.data.total], [i + 1, 2]);
  }
  assert.deepEqual((await show(body.message_id)).progress, { total: 2, acked: 2, delivered: 0, expired: 0, dead: 0 });
  const none = await hub.post('/messages/broadcast', { message_type: 'broadcast', payload: {}, capabilities: [fresh('none')] });
  assert.deepEqual([none.body.message, none.body.count, none.body.recipients], ['No matching agents found', 0, []]);
});

story('an agent without a socket polls its channel and acknowledges over REST', async () => {
  const id = fresh('rest');
  const token = await tokenOf(id, hub);
  assert.equal((await hub.post('/agents/register', { agent_id: id, agent_type: 'worker' }, { token })).status, 200);
  const waiting = hub.get(`/api/v1/channels/agent.${id}/events?since=1&wait=10`, { token });
  await sleep(100);
  const { body } = await send(id);
  const polled = (await waiting).body.events.find((one) => one.event === 'message');
  assert.equal(polled.data.message_id, body.message_id);
  const acked = await hub.post(`/messages/${body.message_id}/ack`, {}, { token });
  assert.deepEqual([acked.status, acked.body.state], [200, 'acked']);
});

story('kill -9 between delivery and ack loses no message, and what was acknowledged does not come again', async () => {
  const { id, got, ack } = await agent();
  const ids = [];
  for (let n = 0; n < 6; n++) ids.push((await send(id, { payload: { n }, ttl: 3600 })).body.message_id);
  const messages = [];
  for (let n = 0; n < 6; n++) messages.push(await got());
  assert.deepEqual(messages.map((one) => one.data.message_id), ids); // first come, first served
  await ack(messages[1]);
  await ack(messages[4]);
  await hub.kill9();
  await hub.restart();
  const again = await agent(id);
  const left = [];
  for (let n = 0; n < 4; n++) left.push(await again.got('message', { timeout: 10_000 }));
  assert.deepEqual(left.map((one) => one.data.message_id), [ids[0], ids[2], ids[3], ids[5]]);
  for (const one of left) await again.ack(one);
  await sleep(300);
  assert.equal(again.bee.drain((f) => f.event === 'message').length, 0);
  for (const one of ids) assert.equal(await stateOf(one), 'acked');
});
