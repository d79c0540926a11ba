// An agent's life: registers over the one connection it holds, beats, goes stale in silence, comes back.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, isTime, numbers, refused, story } from './lib/story.mjs';

const INTERVAL_MS = 200;
const INTERVALS = 3; // silent for so many: stale
const TIMEOUT_MS = 2_000; // silent for so long: inactive
const STALL_MS = INTERVAL_MS; // later than so, and an agent that beats may have been suspected

let hub;
before(async () => {
  hub = await startHub({
    config: { agents: { heartbeat_interval_ms: INTERVAL_MS, suspect_intervals: INTERVALS, heartbeat_timeout_ms: TIMEOUT_MS } },
  });
});
after(() => hub?.stop());

/** A WebSocket agent under its own token. */
async function agent(id = fresh('bee'), more = {}) {
  const bee = await hub.connect({ token: (await hub.mint({ sub: id, role: 'agent' })).token });
  const registered = await bee.call('agents.register', { agent_id: id, agent_type: 'worker', ...more });
  return { bee, id, registered, beat: (load) => bee.call('agents.heartbeat', { agent_id: id, ...(load && { load_metrics: load }) }) };
}

const statusOf = async (id) => (await hub.get(`/agents/${id}`)).body.agent?.status;

async function watch(...channels) {
  const watcher = await hub.connect();
  await watcher.subscribe(...channels);
  return watcher;
}

const livelyStory = (claim, fn) => story(claim, fn, { stall: STALL_MS, on: () => hub });

const about = (id, event) => (frame) =>
  frame.type === 'event' && frame.data?.agent_id === id && (!event || frame.event === event);

livelyStory('an agent registers over WebSocket and everyone hears of it', async () => {
  const id = fresh('bee');
  const watcher = await watch('agents', `agent.${id}`);
  const { bee, registered } = await agent(id, { capabilities: ['forage'] });
  assert.equal(registered.agent_id, id);
  assert.equal(registered.message, `Agent ${id} registered successfully`);
  const heard = await watcher.next((frame) => frame.channel === 'agents' && about(id)(frame));
  assert.ok(heard.event.length > 0);
  assert.equal(typeof heard.offset, 'number');
  isTime(heard.time);
  await watcher.next((frame) => frame.channel === `agent.${id}` && frame.type === 'event');
  assert.equal(await statusOf(id), 'active');
  assert.deepEqual((await hub.get('/agents/capability/forage')).body.agents.map((one) => one.agent_id), [id]);
  await bee.close();
  await watcher.close();
});

livelyStory('a beat is a live event on pulse with its load, and no stored one', async () => {
  const { bee, id, beat } = await agent();
  const watcher = await watch(`pulse.${id}`, `agent.${id}`);
  await beat({ cpu: 0.4 });
  const pulse = await watcher.next((frame) => frame.channel === `pulse.${id}`);
  assert.equal(pulse.type, 'event');
  assert.equal(pulse.offset, undefined);
  assert.equal(pulse.data.load_metrics.cpu, 0.4);
  await watcher.barrier();
  assert.deepEqual(watcher.drain((frame) => frame.type === 'event' && frame.channel === `agent.${id}`), []);
  await bee.close();
  await watcher.close();
});

story('pulse.* shows every agent beat', async () => {
  const watcher = await watch('pulse.*');
  const bees = await Promise.all(numbers(5).map(() => agent()));
  for (const one of bees) await one.beat({ cpu: 0.1 });
  for (const one of bees) await watcher.next((frame) => frame.channel === `pulse.${one.id}`);
  for (const one of bees) await one.bee.close();
  await watcher.close();
});

livelyStory('beating keeps an agent active past every timeout', async () => {
  const { bee, id, beat } = await agent();
  const until_ = Date.now() + TIMEOUT_MS + 1_000;
  while (Date.now() < until_) {
    await beat();
    await sleep(INTERVAL_MS / 2);
    assert.equal(await statusOf(id), 'active');
  }
  await bee.close();
});

livelyStory('silence makes an agent stale, then inactive; each change is an event, in order', async () => {
  const { bee, id, beat } = await agent();
  const watcher = await watch('agents');
  await beat();
  // The connection stays open and answers pings; the agent itself says nothing.
  await until(async () => (await statusOf(id)) === 'stale', { what: 'stale', timeout: 10_000 });
  const { agent: stale } = (await hub.get(`/agents/${id}`)).body;
  assert.ok(stale.health_score <= 0.49, `health ${stale.health_score}`);
  await until(async () => (await statusOf(id)) === 'inactive', { what: 'inactive', timeout: 15_000 });
  const first = await watcher.next(about(id));
  const second = await watcher.next(about(id));
  const words = [first, second].map((event) => JSON.stringify([event.event, event.data]));
  assert.match(words[0], /stale/);
  assert.match(words[1], /inactive/);
  assert.ok(first.offset < second.offset);
  await bee.close();
  await watcher.close();
});

livelyStory('a beat brings a stale agent back', async () => {
  const { bee, id, beat } = await agent();
  await until(async () => (await statusOf(id)) === 'stale', { what: 'stale', timeout: 10_000 });
  await beat();
  await until(async () => (await statusOf(id)) === 'active', { what: 'active again', timeout: 3_000 });
  await bee.close();
});

livelyStory('a beat brings back an agent that somebody said is stale', async () => {
  const { bee, id, beat } = await agent();
  await beat();
  assert.equal((await hub.put(`/agents/${id}/status`, { status: 'stale' })).body.new_status, 'stale');
  await beat();
  await until(async () => (await statusOf(id)) === 'active', { what: 'active again', timeout: 3_000 });
  await bee.close();
});

livelyStory('a drained agent that beats on gets work again over its connection when it is resumed', async () => {
  const { bee, id, beat } = await agent(fresh('bee'), { capabilities: ['drained'] });
  const watcher = await watch(`agent.${id}`);
  await hub.put(`/agents/${id}/status`, { status: 'draining' });
  const drained = await watcher.next(about(id, 'inactive'));
  assert.deepEqual([drained.data.previous_status, drained.data.reason], ['draining', 'drained']);
  const answer = await beat();
  assert.deepEqual([answer.agent_status, answer.must_register], ['inactive', undefined]);
  await hub.post('/tasks/submit', { task_data: {}, requirements: { capabilities: ['drained'] } });
  await beat();
  assert.equal(await statusOf(id), 'inactive');
  await hub.put(`/agents/${id}/status`, { status: 'active' });
  await watcher.next(about(id, 'task_offered'));
  await bee.close();
  await watcher.close();
});

livelyStory('any frame of the agent counts as a beat', async () => {
  const { bee, id } = await agent();
  const end = Date.now() + INTERVAL_MS * (INTERVALS + 4);
  while (Date.now() < end) {
    await bee.barrier();
    await sleep(INTERVAL_MS / 2);
    assert.equal(await statusOf(id), 'active');
  }
  await bee.close();
});

livelyStory('an agent whose connection breaks is stale, and active again when it is back', async () => {
  const { bee, id } = await agent();
  bee.terminate();
  await until(async () => (await statusOf(id)) === 'stale', { what: 'stale', timeout: 10_000 });
  const again = await agent(id);
  assert.equal(await statusOf(id), 'active');
  await again.bee.close();
});

livelyStory('an inactive agent is active again after it registers', async () => {
  const { bee, id } = await agent();
  await until(async () => (await statusOf(id)) === 'inactive', { what: 'inactive', timeout: 15_000 });
  await bee.close();
  const again = await agent(id);
  assert.equal(await statusOf(id), 'active');
  await again.bee.close();
});

livelyStory('the newest session wins: the old connection is closed as superseded', async () => {
  const first = await agent();
  const second = await agent(first.id);
  assert.notEqual(second.registered.session, first.registered.session);
  assert.equal((await first.bee.closed).code, 4010);
  assert.equal(await statusOf(first.id), 'active');
  await second.beat();
  await second.bee.close();
});

story('an agent beats over REST alone', async () => {
  const id = fresh('http-bee');
  await hub.post('/agents/register', { agent_id: id, agent_type: 'worker' });
  const end = Date.now() + TIMEOUT_MS;
  while (Date.now() < end) {
    assert.equal((await hub.post(`/agents/${id}/heartbeat`)).status, 200);
    await sleep(INTERVAL_MS / 2);
  }
  const status = await statusOf(id);
  assert.ok(['active', 'stale'].includes(status), `never declared dead while it beats: ${status}`);
});

story('deregistering over the connection ends it for all', async () => {
  const { bee, id } = await agent();
  const watcher = await watch('agents');
  await bee.call('agents.deregister', { agent_id: id });
  assert.match(JSON.stringify(await watcher.next(about(id))), /deregister/);
  assert.equal((await hub.get(`/agents/${id}`)).status, 404);
  await refused(bee.call('agents.heartbeat', { agent_id: id }), 'not_found', 404);
  await bee.close();
  await watcher.close();
});

livelyStory('whoever comes late finds the whole story of an agent in its channel', async () => {
  const { bee, id } = await agent();
  await hub.put(`/agents/${id}/status`, { status: 'maintenance' });
  await hub.put(`/agents/${id}/status`, { status: 'active' });
  await bee.call('agents.deregister', { agent_id: id });
  const late = await hub.connect();
  await late.subscribe({ channel: `agent.${id}`, rewind: 100 });
  const events = await late.events(4, `agent.${id}`);
  events.forEach((event, i) => assert.equal(event.offset, events[0].offset + i));
  const text = events.map((event) => JSON.stringify([event.event, event.data]));
  assert.match(text[0], /regist/);
  assert.match(text[1], /maintenance/);
  assert.match(text[2], /active/);
  assert.match(text[3], /deregist/);
  await late.close();
  await bee.close();
});

livelyStory('after a restart known agents have their full grace before they are stale', async () => {
  const own = await startHub({
    config: { agents: { heartbeat_interval_ms: 300, suspect_intervals: 3, heartbeat_timeout_ms: 5_000 } },
  });
  try {
    await own.post('/agents/register', { agent_id: 'bee-1', agent_type: 'worker' });
    await own.kill9();
    await sleep(1_500); // longer than it takes to be suspected
    await own.restart();
    assert.equal((await own.get('/agents/bee-1')).body.agent.status, 'active');
  } finally {
    await own.stop();
  }
});

story('the last heartbeat is that of the agent, not the start of the hub', async () => {
  const own = await startHub({ config: { agents: { heartbeat_interval_ms: 60_000 } } });
  const last = async () => (await own.get('/agents/bee-1')).body.agent.last_heartbeat;
  try {
    await own.post('/agents/register', { agent_id: 'bee-1', agent_type: 'worker' });
    const registered = await last();
    await sleep(20);
    const { body } = await own.post('/agents/bee-1/heartbeat');
    assert.equal(await last(), body.heartbeat_at);
    await own.kill9();
    await own.restart();
    assert.equal(await last(), registered); // what no change of state wrote down is not known any more
    const again = (await own.post('/agents/bee-1/heartbeat')).body.heartbeat_at;
    assert.equal((await own.terminate()).code, 0);
    await own.restart();
    assert.equal(await last(), again);
  } finally {
    await own.stop();
  }
});

story('an agent that an admin made comes with the token it was made with', async () => {
  const id = fresh('made');
  const made = await hub.post('/v1/agents', { agent_id: id, capabilities: ['forage'] });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.body.agent_id, id);
  assert.equal(await statusOf(id), 'inactive');
  const bee = await hub.connect({ token: made.body.token });
  await bee.call('agents.register', { agent_id: id, agent_type: 'worker' });
  assert.equal(await statusOf(id), 'active');
  assert.equal((await hub.post('/v1/agents', { agent_id: id }, { token: made.body.token })).status, 403);
  assert.equal((await hub.post('/v1/agents', { agent_id: id })).status, 409);
  await bee.close();
});
