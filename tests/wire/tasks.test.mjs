// Work for agents: submitted over REST, taken over the one connection an agent holds, fenced by leases.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { binary, sleep, startHub, until } from './lib/hub.mjs';
import { fresh, isTime, numbers, refused, story } from './lib/story.mjs';

const agents = { heartbeat_interval_ms: 500, suspect_intervals: 100, heartbeat_timeout_ms: 60_000, reconnect_grace_ms: 60_000 };
const config = { agents, tasks: { retry_delay_ms: 50, cancel_grace_ms: 500 } };
// Another hub, for stories of leases that lapse and offers that nobody answers.
const LEASE_MS = 1_000;
const ACCEPT_MS = 400;
const STALL_MS = 200; // more than so late, and a lease that should have held has lapsed
const briskConfig = { agents, tasks: { ...config.tasks, lease_ms: LEASE_MS, accept_within_ms: ACCEPT_MS } };
const program = process.env.WAGGLE ?? join(dirname(binary), 'waggle');

let hub, brisk;
before(async () => {
  [hub, brisk] = await Promise.all([startHub({ config }), startHub({ config: briskConfig })]);
});
after(() => Promise.all([hub?.stop(), brisk?.stop()]));

const briskStory = (claim, fn) => story(claim, fn, { stall: STALL_MS, on: () => brisk });

/** An agent with a capability of its own, so that stories do not take each other's work. */
async function agent(more = {}, on = hub) {
  const id = more.agent_id ?? fresh('bee');
  const bee = await on.connect({ token: (await on.mint({ sub: id, role: 'agent' })).token });
  await bee.subscribe({ channel: `agent.${id}` });
  await bee.call('agents.register', { agent_id: id, agent_type: 'worker', capabilities: [id], ...more });
  const offer = (options) => bee.next((frame) => frame.event === 'task_offered', options).then((frame) => frame.data);
  const on_ = (verb, { task_id, lease_id }, params = {}) => bee.call(`tasks.${verb}`, { task_id, lease_id, ...params });
  return { bee, id, offer, do: on_, take: async () => {
    const offered = await offer();
    await on_('accept', offered);
    return offered;
  } };
}

async function submit(capability, more = {}, on = hub) {
  const { status, body } = await on.post('/tasks/submit', {
    task_data: { n: 1, ...more.task_data },
    ...more.body,
    requirements: { capabilities: [capability], ...more.requirements },
  });
  assert.equal(status, 200, JSON.stringify(body));
  return body.task_id;
}

const task = async (id, on = hub) => (await on.get(`/tasks/${id}`)).body.task;
const inState = (id, state, on = hub, timeout = 10_000) =>
  until(async () => (await task(id, on)).state === state, { what: `${id} ${state}`, timeout });

story('a task goes its way over both doors, and every step is an event', async () => {
  const { bee, id, take, do: act } = await agent();
  const watcher = await hub.connect();
  await watcher.subscribe('tasks');
  const taskId = await submit(id, { body: { priority: 'Urgent' } });
  const offered = await take();
  assert.equal(offered.task_id, taskId);
  isTime(offered.deadline);
  await act('progress', offered, { percent: 50, note: 'half' });
  await act('complete', offered, { result: { honey: 3 } });
  await act('complete', offered, { result: { honey: 3 } }); // as when the answer was lost
  await refused(act('complete', offered, { result: { honey: 4 } }), 'conflict', 409);
  const { task_id, lease_id } = offered;
  for (const [verb, said, status] of [['complete', { result: { honey: 3 } }, 200], ['complete', { result: {} }, 409], ['fail', { error: 'no' }, 409]]) {
    assert.equal((await hub.post(`/tasks/${task_id}/${verb}`, { lease_id, ...said })).status, status, verb);
  }
  const done = await task(taskId);
  assert.equal(done.status, 'completed');
  assert.equal(done.stop_reason, 'completed');
  assert.deepEqual(done.result, { honey: 3 });
  const names = [];
  for (const _ of numbers(4)) names.push((await watcher.next((frame) => frame.data?.task_id === taskId)).event);
  assert.deepEqual(names, ['submitted', 'leased', 'running', 'completed']);
  const late = await hub.connect();
  await late.subscribe({ channel: `task.${taskId}`, rewind: 100 });
  const own = await late.events(5, `task.${taskId}`);
  assert.deepEqual(own.map((event) => event.event), ['submitted', 'leased', 'running', 'progress', 'completed']);
  assert.deepEqual(own.map((event) => event.offset), [1, 2, 3, 4, 5]);
  for (const one of [bee, watcher, late]) await one.close();
});

story('an agent works over REST alone', async () => {
  const id = fresh('rest-bee');
  await hub.post('/agents/register', { agent_id: id, agent_type: 'worker', capabilities: [id] });
  const taskId = await submit(id);
  await inState(taskId, 'leased');
  const { lease_id } = await task(taskId);
  for (const verb of ['accept', 'renew', 'progress', 'complete']) {
    const { status, body } = await hub.post(`/api/v1/tasks/${taskId}/${verb}`, { lease_id, result: 1 });
    assert.equal(status, 200, `${verb}: ${JSON.stringify(body)}`);
    assert.equal(body.status, 'success');
  }
  const stale = await hub.post(`/tasks/${taskId}/fail`, { lease_id: lease_id.replace(/1$/, '7') });
  assert.equal(stale.status, 409);
  assert.equal(stale.body.code, 'lease_lost');
  assert.equal(stale.body.status, 'error');
});

story('progress past four a second is told live; the last of it is stored too', async () => {
  const { bee, id, take, do: act } = await agent();
  const taskId = await submit(id);
  const watcher = await hub.connect();
  await watcher.subscribe(`task.${taskId}`);
  const offered = await take();
  for (const percent of numbers(20)) await act('progress', offered, { percent, seq: percent + 1 });
  assert.equal((await act('progress', offered, { percent: 1, seq: 2 })).stored, false); // an older one says nothing
  const told = [];
  // What waits is told once more when it is stored.
  while (!(told.at(-1)?.offset && told.at(-1).data.seq === 20)) told.push(await watcher.next((frame) => frame.event === 'progress'));
  const seqs = told.map((frame) => frame.data.seq);
  assert.deepEqual([...new Set(seqs)], numbers(20).map((n) => n + 1), 'in order');
  assert.equal(told[0].offset > 0, true);
  const kept = told.filter((frame) => frame.offset);
  assert.ok(kept.length < 20, `${kept.length} stored`);
  for (const [i, frame] of told.entries()) assert.ok(seqs.indexOf(frame.data.seq) === i || frame.offset, 'live ones are told once');
  const late = await hub.connect();
  await late.subscribe({ channel: `task.${taskId}`, rewind: 100 });
  const history = await late.events(3 + kept.length, `task.${taskId}`);
  assert.deepEqual(history.slice(3).map((event) => event.offset), kept.map((frame) => frame.offset));
  await late.close();
  await act('complete', offered, { result: 1 });
  await watcher.next((frame) => frame.event === 'completed'); // nothing is missing between
  assert.deepEqual(watcher.drain((frame) => frame.event === 'progress'), []);
  await bee.close();
  await watcher.close();
});

story('the second form answers with a UUID', async () => {
  const made = await hub.post('/v1/tasks', { name: 'x', requirements: { capabilities: ['nobody'] } });
  assert.equal(made.status, 201);
  assert.equal(made.body.status, 'pending');
  const seen = await hub.get(`/v1/tasks/${made.body.task_id}/status`);
  assert.deepEqual([seen.body.id, seen.body.status, seen.body.result], [made.body.task_id, 'pending', null]);
  assert.equal((await hub.get('/v1/tasks/17/status')).status, 422);
  await hub.post(`/tasks/${made.body.task_id}/cancel`);
});

story('the same id or the same key is the same task', async () => {
  const id = fresh('t');
  const body = { task_data: { task_id: id, n: 1 }, requirements: { capabilities: ['nobody'] } };
  assert.equal((await hub.post('/tasks/submit', body)).body.task_id, id);
  assert.equal((await hub.post('/tasks/submit', body)).body.deduplicated, true);
  assert.equal((await hub.post('/tasks/submit', { ...body, priority: 'low' })).status, 409);
  const keyed = { body: { task_data: { k: 1 }, requirements: { capabilities: ['nobody'] } }, headers: { 'idempotency-key': fresh('key') } };
  const first = await hub.http('POST', '/tasks/submit', keyed);
  const second = await hub.http('POST', '/tasks/submit', keyed);
  assert.equal(second.status, 200);
  assert.equal(second.body.task_id, first.body.task_id);
  assert.equal(second.body.deduplicated, true);
  assert.equal((await hub.http('POST', '/tasks/submit', { ...keyed, body: { task_data: { k: 2 } } })).status, 409);
});

/** What each thread of a process does: R runs, S sleeps, T is stopped. */
const threads = (pid) =>
  readdirSync(`/proc/${pid}/task`).map((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')[1][0]);

story('whoever answered while the hub stood still is not taken for silent', async () => {
  const stopped = await startHub({ config: briskConfig });
  const { bee, id, offer, do: act } = await agent({ slots: 2 }, stopped);
  const first = await submit(id, {}, stopped);
  const held = await offer();
  await act('accept', held);
  const second = await submit(id, {}, stopped);
  const offered = await offer();
  process.kill(stopped.pid, 'SIGSTOP');
  await until(() => threads(stopped.pid).every((state) => state === 'T'), { what: 'the hub stands still' });
  const answers = [bee.call('tasks.renew', { leases: [held.lease_id] }), act('accept', offered)];
  await sleep(Math.max(LEASE_MS, ACCEPT_MS) + 600);
  process.kill(stopped.pid, 'SIGCONT');
  const [renewed] = await Promise.all(answers);
  assert.equal(renewed.lost_count, 0);
  for (const one of [held, offered]) await act('complete', one);
  for (const taskId of [first, second]) assert.equal((await task(taskId, stopped)).redeliveries, 0);
  await bee.close();
  await stopped.stop();
});

briskStory('renewals in one frame hold leases past their span; the lost are named', async () => {
  const { bee, id, take, do: act } = await agent({ slots: 2 }, brisk);
  await submit(id, {}, brisk);
  await submit(id, {}, brisk);
  const held = [await take(), await take()];
  const leases = held.map((one) => one.lease_id);
  for (const _ of numbers(8)) {
    await sleep(LEASE_MS / 4);
    assert.equal((await bee.call('tasks.renew', { leases })).renewed, 2);
  }
  await act('complete', held[0]);
  const { renewed, lost } = await bee.call('tasks.renew', { leases });
  assert.equal(renewed, 1);
  assert.deepEqual(lost, [leases[0]]);
  await act('complete', held[1]);
  await bee.close();
});

briskStory('a lost connection keeps the lease until it lapses; then another agent has the task within a second', async () => {
  const first = await agent({}, brisk);
  const taskId = await submit(first.id, {}, brisk);
  await first.take();
  const second = await agent({ capabilities: [first.id] }, brisk);
  const began = Date.now();
  first.bee.terminate();
  await sleep(LEASE_MS / 2);
  assert.equal((await task(taskId, brisk)).state, 'running');
  const offered = await second.offer({ timeout: 10_000 });
  const took = Date.now() - began;
  assert.ok(took < LEASE_MS + 1_000, `redelivered after ${took} ms`);
  assert.equal(offered.redeliveries, 1);
  await second.do('accept', offered);
  await second.do('complete', offered);
  await second.bee.close();
});

briskStory('an offer that is not answered, or rejected, goes to another agent without costing an attempt', async () => {
  const first = await agent({}, brisk);
  const taskId = await submit(first.id, {}, brisk);
  await first.offer();
  const second = await agent({ capabilities: [first.id] }, brisk);
  const offered = await second.offer({ timeout: 10_000 });
  await second.do('reject', offered);
  const again = await first.offer({ timeout: 10_000 });
  await first.do('accept', again);
  const now = await task(taskId, brisk);
  assert.deepEqual([now.attempts, now.redeliveries], [0, 0]);
  await first.do('complete', again);
  for (const one of [first, second]) await one.bee.close();
});

briskStory('a process that sleeps through its lease is refused when it wakes', async () => {
  const id = fresh('sleeper');
  const child = spawn(program, ['agent', 'run', '--id', id, '--capability', id, '--exec', 'sleep 2; echo 1'], {
    env: { ...process.env, WAGGLE_URL: brisk.url, WAGGLE_API_KEY: brisk.adminKey },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text) => (said += text));
  try {
    const taskId = await submit(id, {}, brisk);
    await inState(taskId, 'running', brisk);
    const { lease_id } = await task(taskId, brisk);
    child.kill('SIGSTOP');
    const other = await agent({ capabilities: [id] }, brisk);
    const offered = await other.take();
    assert.equal(offered.task_id, taskId);
    child.kill('SIGCONT');
    await sleep(300);
    await refused(other.bee.call('tasks.complete', { task_id: taskId, lease_id, result: 'stale' }), 'lease_lost', 409);
    await until(async () => / lost/.test(said) || /failed|completed|stopped/.test(said), { what: 'the sleeper to learn of it' });
    assert.equal((await task(taskId, brisk)).state, 'running');
    assert.equal((await task(taskId, brisk)).agent_id, other.id);
    await other.do('complete', offered, { result: 'fresh' });
    assert.equal((await task(taskId, brisk)).result, 'fresh');
    await other.bee.close();
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
});

story('agent processes work a queue off', async () => {
  const capability = fresh('crowd');
  const children = numbers(3).map((n) =>
    spawn(program, ['agent', 'run', '--id', `${capability}-${n}`, '--capability', capability, '--slots', '2'], {
      env: { ...process.env, WAGGLE_URL: hub.url, WAGGLE_API_KEY: hub.adminKey },
      stdio: 'ignore',
    }),
  );
  try {
    const ids = [];
    for (const n of numbers(20)) ids.push(await submit(capability, { task_data: { n, sleep: 0.05 } }));
    for (const id of ids) await inState(id, 'completed');
    const workers = new Set();
    for (const id of ids) workers.add((await task(id)).agent_id);
    assert.ok(workers.size > 1, 'the work is shared');
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map((child) => once(child, 'close')));
  }
});

story('a failure is tried again after its wait; the last one makes a dead letter, which can be replayed', async () => {
  const { bee, id, take, do: act } = await agent();
  const taskId = await submit(id, { body: { max_attempts: 2 } });
  await act('fail', await take(), { error: 'first', retry_after: 0.2 });
  assert.equal((await task(taskId)).why_waiting.reason, 'retry');
  const failed = await act('fail', await take(), { error: 'second' });
  assert.equal(failed.state, 'dead');
  const letters = (await hub.get(`/tasks/dead-letters?agent_id=${id}`)).body.tasks;
  assert.deepEqual(letters.map((one) => [one.task_id, one.error, one.stop_reason]), [[taskId, 'second', 'max_attempts']]);
  const { body } = await hub.post(`/tasks/${taskId}/replay`);
  assert.equal((await task(body.task_id)).replay_of, taskId);
  await act('complete', await take());
  await inState(body.task_id, 'completed');
  await bee.close();
});

briskStory('input that a task asked for comes with it', async () => {
  const { bee, id, take, offer, do: act } = await agent({}, brisk);
  const taskId = await submit(id, {}, brisk);
  await act('ask', await take(), { question: 'which flower?' });
  await sleep(LEASE_MS * 1.5);
  const asked = await task(taskId, brisk);
  assert.deepEqual([asked.state, asked.question], ['input_required', 'which flower?']);
  await brisk.post(`/tasks/${taskId}/input`, { input: { flower: 'thyme' } });
  const offered = await offer();
  assert.deepEqual((await act('accept', offered)).input, { flower: 'thyme' });
  await act('complete', offered);
  await bee.close();
});

story('kill -9 of the hub in the midst changes nothing but the time', async () => {
  const own = await startHub({ config });
  try {
    const first = await agent({}, own);
    const running = await submit(first.id, {}, own);
    const offered = await first.take();
    const waiting = await submit('nobody', {}, own);
    const delayed = await submit(first.id, { body: { delay_seconds: 1 } }, own);
    const cancelled = await submit('nobody', {}, own);
    await own.post(`/tasks/${cancelled}/cancel`);
    await own.kill9();
    await own.restart();
    for (const [id, state] of [[running, 'running'], [waiting, 'queued'], [cancelled, 'cancelled']]) {
      assert.equal((await task(id, own)).state, state, id);
    }
    // The agent comes back under its id and goes on with what it held: the start gave the lease its whole span.
    const again = await agent({ agent_id: first.id, slots: 2 }, own);
    await again.do('complete', offered, { result: 'through it all' });
    assert.equal((await task(running, own)).result, 'through it all');
    const next = await again.offer({ timeout: 10_000 });
    assert.equal(next.task_id, delayed);
    await again.do('accept', next);
    await own.post(`/tasks/${delayed}/cancel`);
    await own.kill9();
    await own.restart();
    await inState(delayed, 'cancelled', own);
    const { stats } = (await own.get('/tasks/status')).body;
    assert.equal(Object.values(stats.states).reduce((sum, n) => sum + n, 0), 4);
  } finally {
    await own.stop();
  }
});

briskStory('who lets an offer lapse is offered nothing for a while, and others get the work', async () => {
  const id = fresh('mute');
  const register = (agent_id) => brisk.post('/agents/register', { agent_id, agent_type: 'worker', capabilities: [id] });
  await register(id);
  const taskId = await submit(id, {}, brisk);
  const { why_waiting } = await until(async () => {
    const now = await task(taskId, brisk);
    return now.why_waiting?.reason === 'agents_silent' && now;
  }, { what: 'the offer to lapse', every: 10 });
  isTime(why_waiting.until);
  const { id: other, take, do: act } = await agent({ capabilities: [id] }, brisk);
  const offered = await take();
  assert.equal((await task(taskId, brisk)).agent_id, other);
  await act('complete', offered);
  await brisk.delete(`/agents/${id}`);
});

story('progress that waits to be stored is stored by a hub that is told to end', async () => {
  const own = await startHub({ config });
  try {
    const { id, take, do: act } = await agent({}, own);
    const taskId = await submit(id, {}, own);
    const offered = await take();
    await act('progress', offered, { percent: 1 });
    let percent = 1; // on a busy machine the quarter of a second may be over before the next
    while ((await act('progress', offered, { percent: ++percent })).stored) {}
    assert.equal((await own.terminate()).code, 0);
    await own.restart();
    assert.equal((await task(taskId, own)).progress.percent, percent);
  } finally {
    await own.stop();
  }
});

story('tasks of others are invisible, and viewers look only', async () => {
  const { bee, id } = await agent();
  const taskId = await submit(id);
  const stranger = (await hub.mint({ sub: fresh('stranger'), role: 'agent' })).token;
  const viewer = (await hub.mint({ sub: fresh('viewer'), role: 'viewer' })).token;
  const owner = (await hub.get('/api/v1/auth/whoami')).body.sub;
  const looker = (await hub.mint({ sub: owner, role: 'viewer' })).token;
  assert.equal((await hub.http('GET', `/tasks/${taskId}`, { token: stranger })).status, 404);
  assert.equal((await hub.http('POST', `/tasks/${taskId}/cancel`, { token: stranger })).status, 404);
  assert.equal((await hub.http('GET', '/tasks', { token: stranger })).body.count, 0);
  assert.equal((await hub.http('GET', `/tasks/${taskId}`, { token: viewer })).status, 404);
  assert.equal((await hub.http('GET', `/tasks/${taskId}`, { token: looker })).status, 200);
  for (const token of [viewer, looker]) {
    assert.equal((await hub.http('POST', `/tasks/${taskId}/cancel`, { token })).status, 403);
  }
  assert.equal((await hub.http('GET', `/tasks/${taskId}`, { token: null })).status, 401);
  await bee.close();
});
