// What the table says of requests holds for every operation: each field's presence, type and bounds, the key that
// makes a POST safe to repeat, and the pages of every list.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { operations } from './lib/operations.mjs';
import { fresh, numbers, story } from './lib/story.mjs';

let hub, ops;
before(async () => {
  hub = await startHub();
  ops = await operations(hub);
});
after(() => hub?.stop());

const short = (answer) => `${answer.status} ${answer.text.slice(0, 200)}`;

async function walk(chosen, each) {
  const wrong = [];
  for (const op of chosen) wrong.push(...((await each(op)) ?? []));
  assert.equal(wrong.join('\n'), '');
}

// --- fields ------------------------------------------------------------------------------------

const typesOf = (schema) => [schema.type ?? []].flat();

/** A value that fits. */
function sample(schema) {
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sample(schema.anyOf[0]);
  switch (typesOf(schema)[0]) {
    case 'string': return schema.format === 'uuid' ? '01890000-0000-7000-8000-000000000000' : 'x'.repeat(schema.minLength || 1);
    case 'integer': case 'number': return schema.minimum ?? 1;
    case 'boolean': return true;
    case 'array': return numbers(schema.minItems ?? 0).map(() => sample(schema.items));
    case 'object': return Object.fromEntries((schema.required ?? []).map((name) => [name, sample(schema.properties[name])]));
    default: return 1;
  }
}

/** Values that do not fit, each with its reason. In a query all is text: there only what stays wrong as text. */
function misfits(schema, inQuery) {
  const found = [];
  const types = typesOf(schema);
  const text = types.includes('string');
  if (!inQuery && types.length) {
    const wrong = { string: 'x', number: 1.5, object: { a: 1 }, array: [1], boolean: true };
    for (const [type, value] of Object.entries(wrong)) if (!types.includes(type)) found.push([`a ${type}`, value]);
    if (!types.includes('null')) found.push(['null', null]);
  }
  if (inQuery && ['integer', 'number', 'boolean'].some((type) => types.includes(type)) && !text) found.push(['words', 'some words']);
  if (schema.enum && !schema.enum.some((one) => typeof one !== 'string' && one !== null)) found.push(['no enumerator', 'emperor']);
  if (schema.minimum !== undefined) found.push(['below the least', schema.minimum - 1]);
  if (schema.exclusiveMinimum !== undefined) found.push(['the bound itself', schema.exclusiveMinimum]);
  if (schema.maximum !== undefined) found.push(['above the most', schema.maximum + 1]);
  if (schema.minLength) found.push(['too short', 'x'.repeat(schema.minLength - 1)]);
  if (schema.maxLength) found.push(['too long', 'x'.repeat(schema.maxLength + 1)]);
  if (schema.pattern && text) found.push(['out of pattern', '/ /']);
  if (schema.format && text) found.push(['out of format', 'no such format']);
  if (!inQuery && schema.minItems) found.push(['too few', numbers(schema.minItems - 1).map(() => sample(schema.items))]);
  if (!inQuery && schema.maxItems) found.push(['too many', numbers(schema.maxItems + 1).map((i) => (schema.items.type === 'string' ? `x${i}` : sample(schema.items)))]);
  if (!inQuery && typesOf(schema.items ?? {}).join() === 'string') found.push(['with a number in it', [1]]);
  return found;
}

const base = (op) => Object.fromEntries(op.required.map((name) => [name, sample(op.properties[name])]));

/** What is wrong with an answer that should be 422 and name the field where it was sent. */
function unnamed(op, name, why, answer) {
  const place = op.place(name);
  const named = Array.isArray(answer.body?.detail) && answer.body.detail.some(
    (one) => one.loc[0] === place && one.loc[1] === name && one.msg.length > 0 && one.type.length > 0);
  return answer.status === 422 && named && hasShape(op, answer) ? [] : [`${op}: ${name} ${why}: ${short(answer)}`];
}

/** The error of a coordinator's path, or that of every other. */
function hasShape(op, { status, headers, body }) {
  const type = op.coordinator ? /^application\/json/ : /^application\/problem\+json/;
  return type.test(headers['content-type']) && body.status === (op.coordinator ? 'error' : status)
    && ['type', 'title', 'detail', 'message', 'timestamp'].every((key) => key in body);
}

story('each required field that is missing is 422 and named', async () => {
  let asked = 0;
  await walk(ops, async (op) => {
    const wrong = [];
    for (const name of op.required.filter((one) => op.place(one) !== 'path')) {
      const { [name]: _, ...rest } = base(op);
      asked++;
      wrong.push(...unnamed(op, name, 'is missing', await op.rest(hub, rest)));
    }
    return wrong;
  });
  assert.ok(asked > 40, `${asked} fields`);
});

story('each field of a wrong type or out of its bounds is 422 and named', async () => {
  let asked = 0;
  await walk(ops, async (op) => {
    const wrong = [];
    for (const [name, schema] of Object.entries(op.properties)) {
      const place = op.place(name);
      for (const [why, value] of misfits(schema, place !== 'body')) {
        if (place === 'path' && value === '') continue; // another path
        asked++;
        wrong.push(...unnamed(op, name, `is ${why}`, await op.rest(hub, { ...base(op), [name]: value })));
      }
    }
    return wrong;
  });
  assert.ok(asked > 400, `${asked} values`);
});

story('a field that is not known, where none may be, is named where it stands', async () => {
  const closed = ops.filter((op) => op.body?.additionalProperties === false);
  assert.ok(closed.length >= 2, `${closed.length} operations`);
  await walk(closed, async (op) => {
    const answer = await op.rest(hub, { ...base(op), wings: 4 });
    const locs = (answer.body.detail ?? []).map?.((one) => one.loc.join('/')) ?? [];
    return answer.status === 422 && locs.includes('body/wings') ? [] : [`${op}: ${short(answer)}`];
  });
});

story('a body that is no JSON object is 422 on every operation that takes one', async () => {
  await walk(ops.filter((op) => op.body), async (op) => {
    const wrong = [];
    for (const body of ['{', '[1]', '"x"', '{"a":1,"a":2}', '{"a":\xff}']) {
      const answer = await hub.http(op.method, op.url(base(op)), { body: Buffer.from(body, 'latin1') });
      if (answer.status !== 422 || !hasShape(op, answer)) wrong.push(`${op}: ${JSON.stringify(body)}: ${short(answer)}`);
    }
    return wrong;
  });
});

story('a body that is not said to be JSON is 422, and so is none where there must be one', async () => {
  await walk(ops.filter((op) => op.body), async (op) => {
    const wrong = [];
    const sent = [['text', { body: '{}', type: 'text/plain' }], ['a form', { body: 'a=1', type: 'application/x-www-form-urlencoded' }]];
    if (op.body.required?.length) sent.push(['nothing', {}]);
    for (const [what, options] of sent) {
      const answer = await hub.http(op.method, op.url(base(op)), options);
      if (answer.status !== 422 || !hasShape(op, answer)) wrong.push(`${op}: ${what}: ${short(answer)}`);
    }
    return wrong;
  });
});

story('an empty word is no word: it is never taken for one that was left out', async () => {
  const open = { question: 'Ship it?', electorate: ['a', 'b'] };
  const swarm = { role: 'worker', capability: 'x' };
  for (const [path, body, field] of [
    ['/api/v1/consensus', { ...open, threshold: '' }, 'threshold'],
    ['/api/v1/consensus', { ...open, quorum: '' }, 'quorum'],
    ['/api/v1/consensus', { ...open, tie: '' }, 'tie'],
    ['/api/v1/consensus', { ...open, chair: '' }, 'chair'],
    ['/swarm/join', { ...swarm, agent_id: '' }, 'agent_id'],
    ['/swarm/join', { ...swarm, swarm_id: '' }, 'swarm_id'],
    ['/swarm/leave', { swarm_id: 's', member_id: '' }, 'member_id'],
    ['/swarm/coordinate', { task_id: 't', swarm_id: '' }, 'swarm_id'],
    ['/api/v1/auth/tokens', { sub: 's', role: 'agent', app: '' }, 'app'],
  ]) {
    const { status, body: said } = await hub.post(path, body);
    assert.equal(status, 422, `${path} ${field}`);
    assert.deepEqual(said.detail.map(({ loc }) => loc), [['body', field]], `${path} ${field}`);
  }
});

// --- keys --------------------------------------------------------------------------------------

/** What each creating operation needs to succeed, made anew for each attempt. */
const making = {
  'auth.mint': () => ({ sub: fresh('sub'), role: 'viewer', ttl_s: 60 }),
  'backups.create': async () => {
    await until(async () => !(await hub.get('/api/v1/admin/backups')).body.running, { what: 'no backup under way' });
    return { name: fresh('copy') };
  },
  'auth.keys.create': () => ({ name: fresh('key') }),
  'apps.create': () => ({ id: fresh('app') }),
  'channels.publish': () => ({ channel: fresh('channel'), event: 'made', data: 1 }),
  'channels.publish_batch': () => ({ events: [{ channel: fresh('channel'), event: 'made', data: 1 }] }),
  'agents.register': () => ({ agent_id: fresh('bee'), agent_type: 'worker' }),
  'agents.create': () => ({ agent_id: fresh('bee') }),
  'tasks.submit': () => ({ task_data: { n: 1 } }),
  'tasks.create': () => ({ task_data: { n: 1 } }),
  'tasks.replay': async () => ({ task_id: (await deadTask()).task_id }),
  'tasks.replay_many': () => ({ limit: 1 }),
  'networks.create': async () => ({ name: fresh('net'), agents: [await agent()] }),
  'networks.execute': async () => ({ network_id: (await network()).id, task: { n: 1 } }),
  'swarm.join': async () => ({ role: 'monitor', capability: fresh('skill'), agent_id: await agent() }),
  'swarm.coordinate': async () => ({ task_id: fresh('work'), strategy: 'broadcast', swarm_id: (await member()).swarm_id }),
  'swarm.consensus': async () => ({ task_id: (await work()).task_id, options: ['a', 'b'] }),
  'swarm.task_consensus': async () => ({ task_id: (await work()).task_id, consensus_threshold: 0.6, options: ['a', 'b'] }),
  'consensus.open': async () => ({ question: 'which?', options: ['a', 'b'], electorate: [await agent()] }),
  'messages.send': async () => ({ receiver_id: await agent(), message_type: 'direct', payload: {} }),
  'messages.broadcast': () => ({ message_type: 'broadcast', payload: {} }),
  'peers.add': () => ({ agent_id: fresh('bee'), peer_id: fresh('bee') }),
  'hierarchy.add': () => ({ master_id: fresh('bee'), sub_id: fresh('bee') }),
};
/** How the same request is made another one. */
const otherwise = {
  'auth.mint': { ttl_s: 61 }, 'backups.create': { name: 'another' },
  'auth.keys.create': { name: 'another' }, 'apps.create': { name: 'another' }, 'channels.publish': { data: 2 },
  'channels.publish_batch': { events: [{ channel: 'another', event: 'made', data: 2 }] },
  'agents.register': { region: 'another' }, 'agents.create': { region: 'another' }, 'tasks.submit': { task_data: { n: 2 } }, 'tasks.create': { task_data: { n: 2 } },
  'tasks.replay_many': { limit: 2 }, 'networks.create': { name: 'another' },
  'networks.execute': { task: { n: 2 } }, 'swarm.join': { region: 'another' }, 'swarm.coordinate': { parameters: { n: 2 } },
  'swarm.consensus': { options: ['a', 'c'] }, 'swarm.task_consensus': { options: ['a', 'c'] },
  'consensus.open': { question: 'what?' }, 'messages.send': { payload: { n: 2 } }, 'messages.broadcast': { payload: { n: 2 } },
  'peers.add': { peer_id: 'another' }, 'hierarchy.add': { sub_id: 'another' },
};
async function made(method, path, body) {
  const answer = await hub.http(method, path, { body });
  assert.ok(answer.status < 300, `${path}: ${short(answer)}`);
  return answer.body;
}
const agent = async (id = fresh('bee')) => (await made('POST', '/agents/register', { agent_id: id, agent_type: 'worker' })).agent_id;
const network = async () => made('POST', '/api/v1/agents/networks', { name: fresh('net'), agents: [await agent()] });
const member = async () => made('POST', '/swarm/join', { role: 'monitor', capability: fresh('skill'), agent_id: await agent() });
const work = async () => made('POST', '/swarm/coordinate', { task_id: fresh('work'), strategy: 'broadcast', swarm_id: (await member()).swarm_id });
async function deadTask() {
  const requirements = { capabilities: [fresh('nobody')] };
  const { task_id } = await made('POST', '/tasks/submit', { task_data: {}, requirements, total_seconds: 0.02 });
  await until(async () => (await hub.get(`/tasks/${task_id}`)).body.task.dead_letter, { what: 'the task to expire' });
  return { task_id };
}

story('a POST that creates answers the same key and body with the first result, another body with 409', async () => {
  const posts = ops.filter((op) => op.method === 'POST' && op.creates);
  assert.deepEqual(posts.filter((op) => !making[op.name]).map(String), [], 'operations that nobody tried');
  await walk(posts, async (op) => {
    const params = await making[op.name]();
    const headers = { 'idempotency-key': fresh('key') };
    const first = await op.rest(hub, params, { headers });
    const again = await op.rest(hub, params, { headers });
    const more = otherwise[op.name] ?? (await making[op.name]());
    const other = await op.rest(hub, { ...params, ...more }, { headers });
    const wrong = [];
    if (first.status >= 300) wrong.push(`${op}: ${short(first)}`);
    if (first.headers['idempotency-replayed']) wrong.push(`${op}: the first is no replay`);
    const { deduplicated, ...same } = again.body; // what the answer to a task adds when it comes again
    if (again.status !== first.status || JSON.stringify(same) !== JSON.stringify(first.body) || again.headers['idempotency-replayed'] !== 'true') {
      wrong.push(`${op}: first ${short(first)}\n  again ${again.headers['idempotency-replayed']} ${short(again)}`);
    }
    if (other.status !== 409) wrong.push(`${op}: other ${short(other)}`);
    return wrong;
  });
});

story('the same holds over call, where the key is in the frame', async () => {
  const bee = await hub.connect();
  await walk(ops.filter((op) => op.creates && op.callable && making[op.name]), async (op) => {
    const params = await making[op.name]();
    const ask = (more = {}) => bee.request({ type: 'call', method: op.name, params: { ...params, ...more }, key });
    const key = fresh('key');
    const first = await ask();
    const again = await ask();
    const other = await ask(otherwise[op.name] ?? (await making[op.name]())).catch((error) => error);
    const wrong = [];
    const { deduplicated, ...same } = again.result;
    if (JSON.stringify(same) !== JSON.stringify(first.result)) wrong.push(`${op}: ${JSON.stringify(first)}\n  again ${JSON.stringify(again)}`);
    if (other.code !== 'idempotency_conflict' || other.status !== 409) wrong.push(`${op}: other ${JSON.stringify(other)}`);
    return wrong;
  });
  await bee.close();
});

story('every POST that answers with something new takes a key', async () => {
  const { body } = await hub.get('/openapi.json');
  const fails = ops.filter((op) => op.method === 'POST' && !op.creates
    && ['201', '202'].some((status) => body.paths[op.path].post.responses[status]));
  assert.deepEqual(fails.map(String), []);
});

// --- lists -------------------------------------------------------------------------------------

/** Makes some of what a list lists, and says how it is asked for; asked again, some more of it. */
const some = (make, n = 5) => Promise.all(numbers(n).map(make));
const listed = {
  'auth.revocations': async () => { await some(() => made('POST', '/api/v1/auth/tokens/revoke', { jti: fresh('jti') })); },
  'auth.keys.list': async () => { await some(() => made('POST', '/api/v1/auth/keys', { name: fresh('key') })); },
  'apps.list': async () => { await some(() => made('POST', '/api/v1/apps', { id: fresh('app') })); },
  'backups.list': async () => { for (const _ of numbers(5)) await backup(); },
  'channels.list': async () => { await some(() => publish(fresh('chan'))); },
  'channels.members': async ({ channel } = { channel: fresh('presence') }) => {
    await some(async () => {
      const { token } = await hub.mint({ sub: fresh('bee'), role: 'agent' });
      await (await hub.connect({ token })).subscribe({ channel, presence: {} });
    });
    return { channel };
  },
  'channels.history': async ({ channel } = { channel: fresh('chan') }) => { await some(() => publish(channel)); return { channel }; },
  'channels.poll': async ({ channel } = { channel: fresh('chan') }) => { await some(() => publish(channel)); return { channel, since: 0 }; },
  'channels.cursors': async ({ channel } = { channel: fresh('chan') }) => {
    const bee = await hub.connect();
    await publish(channel);
    for (const _ of numbers(5)) await bee.subscribe({ channel, cursor: fresh('c'), since: 0 });
    return { channel };
  },
  'namespaces.list': async () => { await some(() => made('PUT', `/api/v1/namespaces/${fresh('ns')}`, { latest: true })); },
  'agents.list': async () => { await some(() => agent()); },
  'agents.discover': async () => { await some(() => agent()); },
  'agents.by_service': async ({ service } = { service: fresh('service') }) => { await skilled({ services: [service] }); return { service }; },
  'agents.by_capability': async ({ capability } = { capability: fresh('skill') }) => {
    await skilled({ capabilities: [capability] });
    return { capability };
  },
  'tasks.list': async () => { await some(() => made('POST', '/tasks/submit', { task_data: {} })); },
  'tasks.dead_letters': async () => { await some(() => deadTask()); },
  'networks.list': async () => { await some(() => network()); },
  'networks.executions': async ({ network_id } = {}) => {
    const id = network_id ?? (await network()).id;
    await some(() => made('POST', `/api/v1/agents/networks/${id}/execute`, { task: {} }));
    return { network_id: id };
  },
  'swarm.list': async () => { await some(() => member()); },
  'swarm.status': async () => { await some(() => member()); },
  'consensus.list': async () => { await some(async () => made('POST', '/api/v1/consensus', await making['consensus.open']())); },
  'messages.history': async ({ receiver_id } = {}) => {
    const id = receiver_id ?? (await agent());
    await some(() => made('POST', '/messages/send', { receiver_id: id, message_type: 'direct', payload: {} }));
    return { receiver_id: id };
  },
  'peers.list': async () => { await linked('peers', 'agent_id', 'peer_id'); },
  'peers.get': async ({ agent_id } = {}) => ({ agent_id: await linked('peers', 'agent_id', 'peer_id', agent_id) }),
  'hierarchy.get': async ({ agent_id } = {}) => {
    const id = await linked('hierarchy', 'master_id', 'sub_id', agent_id);
    await linked('hierarchy', 'sub_id', 'master_id', id);
    return { agent_id: id };
  },
};
const publish = (channel) => made('POST', `/api/v1/channels/${channel}/events`, { event: 'x', data: 1 });
async function backup() {
  const { name } = await made('POST', '/api/v1/admin/backups', { name: fresh('copy') });
  await until(async () => (await hub.get('/api/v1/admin/backups')).body.backups.some((one) => one.name === name), { what: 'the backup' });
}
async function skilled(skills) {
  await some(() => made('POST', '/agents/register', { agent_id: fresh('bee'), agent_type: 'worker', ...skills }));
}
async function linked(kind, from, to, id = fresh('hub')) {
  for (const _ of numbers(5)) await made('POST', `/${kind}/add`, { [from]: id, [to]: fresh('other') });
  return id;
}

/** What is listed, where that is not the first array of the answer. */
const itemsIn = {
  'peers.list': ({ connections }) => Object.entries(connections).flatMap(([from, all]) => all.map((to) => `${from} ${to}`)),
  'hierarchy.get': ({ subs, masters }) => [...subs, ...masters],
};
const itemsOf = (op, body) => itemsIn[op.name]?.(body) ?? (Array.isArray(body) ? body : Object.values(body).find(Array.isArray)) ?? [];
/** What tells one item from another: its first id. A history's events have their offsets. */
const nameOf = (one) => (one.constructor === Object
  ? JSON.stringify(Object.entries(one).find(([key]) => /^(offset|jti|cursor|namespace|name|channel)$|id$/.test(key))) : one);
/** In these the order follows what moves by itself. */
const restless = ['agents.discover', 'agents.by_service', 'agents.by_capability'];

/** All pages of so many, by name; `between` is done once, after the first. Throws what is wrong. */
async function paged(op, params, limit, between = () => {}) {
  const seen = [];
  let cursor;
  do {
    const page = await op.rest(hub, { ...params, limit, ...(cursor && { cursor }) });
    if (page.status !== 200) throw new Error(short(page));
    const items = itemsOf(op, page.body);
    if (items.length > limit) throw new Error(`${items.length} items in a page of ${limit}`);
    if (!Array.isArray(page.body) && page.body.next_cursor === undefined) throw new Error('says no next_cursor');
    seen.push(...items.map(nameOf));
    if (cursor === undefined) await between();
    cursor = Array.isArray(page.body) ? page.headers['next-cursor'] ?? null : page.body.next_cursor;
  } while (cursor !== null);
  return seen;
}

/** What is wrong with pages, given the whole list before and after they were turned. Things come and go by
 * themselves too (what was due, a channel that was told of it): what was there all the time is what counts. */
function pagesFault(op, before, walked, after) {
  const [seen, last] = [new Set(walked), new Set(after)];
  const stayed = before.filter((name) => last.has(name));
  const missed = stayed.filter((name) => !seen.has(name));
  const unknown = walked.filter((name) => !last.has(name) && !before.includes(name));
  const known = new Set(stayed);
  if (before.length < 5) return `only ${before.length} items`;
  if (after.length < before.length + 5 && !restless.includes(op.name)) return `${after.length} items after ${before.length}`;
  if (seen.size < walked.length) return `${walked.length - seen.size} items twice`;
  if (missed.length) return `${missed.length} of ${stayed.length} items missed: ${missed[0]}`;
  if (unknown.length) return `${unknown.length} items from nowhere: ${unknown[0]}`;
  const inOrder = JSON.stringify(walked.filter((name) => known.has(name))) === JSON.stringify(stayed);
  return inOrder || restless.includes(op.name) ? null : 'another order than the whole list';
}

story('every list pages to its end without repeats or holes, while more is made', async () => {
  const { body } = await hub.get('/openapi.json');
  const lists = ops.filter((op) => {
    const { schema } = Object.values(body.paths[op.path][op.method.toLowerCase()].responses['200']?.content ?? {})[0] ?? {};
    return (op.method === 'GET' || op.name === 'agents.discover') && (op.properties.limit || op.properties.cursor || schema?.type === 'array' || listed[op.name]);
  });
  assert.deepEqual(lists.filter((op) => !listed[op.name]).map(String), [], 'lists that nobody walked');
  await walk(lists, async (op) => {
    if (!op.properties.limit || !op.properties.cursor) return [`${op} has no limit and cursor`];
    const params = (await listed[op.name]()) ?? {};
    try {
      const before = await paged(op, params, 1000);
      const few = Math.max(2, Math.ceil(before.length / 8)); // of hundreds of channels not two at a time
      const walked = await paged(op, params, few, () => listed[op.name](params));
      const fault = pagesFault(op, before, walked, await paged(op, params, 1000));
      return fault ? [`${op}: ${fault}`] : [];
    } catch (error) {
      return [`${op}: ${error.message}`];
    }
  });
});

const inPages = () => ops.filter((op) => op.properties.limit && op.properties.cursor);
const cursorOf = ({ body, headers }) => (Array.isArray(body) ? headers['next-cursor'] : body.next_cursor);

/** What is wrong with the answer to a cursor that the list has not given. */
async function cursorFault(op, params, cursor) {
  const answer = await op.rest(hub, { ...params, cursor });
  const named = Array.isArray(answer.body?.detail) && answer.body.detail.some((one) => one.loc[0] === op.place('cursor') && one.loc[1] === 'cursor');
  return answer.status === 422 && named ? [] : [`${op}: ${cursor}: ${short(answer)}`];
}

story('a cursor that a list has not given is 422 and named', async () => {
  await walk(inPages(), async (op) => {
    const params = (await listed[op.name]()) ?? {};
    const { body, headers } = await op.rest(hub, { ...params, limit: 2 });
    const own = cursorOf({ body, headers });
    const wrong = [];
    for (const cursor of ['no such', 'zz', '0', '1', '-1', '{}', `${own}0`, `${own}00`, own.slice(0, 8), own.toUpperCase().replace(/^\d*$/, 'AA')]) {
      wrong.push(...await cursorFault(op, params, cursor));
    }
    return wrong;
  });
});

story('a cursor is of the list that gave it: any other list answers 422, and names it', async () => {
  const asked = new Map(); // operation: what was asked for, and the cursor that came with it
  for (const op of inPages()) {
    const params = (await listed[op.name]()) ?? {};
    asked.set(op, { params, cursor: cursorOf(await op.rest(hub, { ...params, limit: 2 })) });
    assert.equal(typeof asked.get(op).cursor, 'string', String(op));
  }
  await walk([...asked.keys()], async (op) => {
    const wrong = [];
    for (const [other, { cursor }] of asked) {
      if (other !== op) wrong.push(...await cursorFault(op, asked.get(op).params, cursor));
    }
    return wrong;
  });
});

/** Where a page begins, and how long it is: these may change from page to page. */
const notOfTheList = ['limit', 'cursor', 'offset', 'since', 'since_seq', 'before', 'wait', 'reverse'];

story('a cursor is of the filters it was given among: with another it is 422, with another limit it goes on', async () => {
  await walk(inPages(), async (op) => {
    const params = (await listed[op.name]()) ?? {};
    const cursor = cursorOf(await op.rest(hub, { ...params, limit: 2 }));
    const wrong = [];
    for (const [name, schema] of Object.entries(op.properties)) {
      if (notOfTheList.includes(name) || op.path.includes(`{${name}}`)) continue;
      const value = { array: ['odd'], number: 0.5, integer: 1, boolean: true }[[schema.type].flat()[0]] ?? schema.enum?.[0] ?? 'odd';
      wrong.push(...await cursorFault(op, { ...params, [name]: value }, cursor));
    }
    const more = await op.rest(hub, { ...params, limit: 3, cursor });
    if (more.status !== 200 || itemsOf(op, more.body).length === 0) wrong.push(`${op}: another limit: ${short(more)}`);
    return wrong;
  });
});

story('a page that is waited for keeps to its limit, and its cursor is of the same list', async () => {
  const channel = fresh('chan');
  await publish(channel);
  const poll = (query) => hub.get(`/api/v1/channels/${channel}/events?limit=2&${query}`);
  const waited = poll('since=1&wait=20');
  await made('POST', '/api/v1/events', { events: numbers(3).map(() => ({ channel, event: 'x', data: 1 })) });
  const { body } = await waited;
  assert.deepEqual(body.events.map(({ offset }) => offset), [2, 3]);
  const next = await poll(`cursor=${body.next_cursor}`);
  assert.deepEqual(next.body.events.map(({ offset }) => offset), [4]);
});

story('a list that is a bare array has its cursor beside it: in a header, and in the frame of a call', async () => {
  await listed['swarm.status']();
  const bee = await hub.connect();
  const { body, headers } = await hub.get('/swarm/status?limit=2');
  const frame = await bee.request({ type: 'call', method: 'swarm.status', params: { limit: 2 } });
  assert.equal(frame.next_cursor, headers['next-cursor']);
  assert.deepEqual(frame.result, body);
  const rest = await bee.request({ type: 'call', method: 'swarm.status', params: { cursor: frame.next_cursor } });
  assert.equal(rest.next_cursor, null);
  const last = await hub.get(`/swarm/status?cursor=${headers['next-cursor']}`);
  assert.equal(last.headers['next-cursor'], undefined);
  assert.deepEqual(last.body, rest.result);
});
